//! Voice messages made for a test: espeak-ng speaks, ffmpeg makes it what Telegram sends.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bombs::ogg_page;

/// A small Whisper that knows digits and a few words, see its MANIFEST.md.
pub const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/micro/ggml-micro-q8_0.bin");

/// Silero's voice activity model, see its README.md.
pub const VAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vad/ggml-silero-v5.1.2.bin");

/// Held by a test while it recognises in its own process: two engines would fight for the cores.
pub static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A text that the model is known to recognise when this voice speaks it.
pub struct Fixture {
    pub language: &'static str,
    pub voice: &'static str,
    pub text: &'static str,
}

/// The lines of `fixtures.tsv` in this language.
pub fn fixtures(language: &str) -> Vec<Fixture> {
    include_str!("../fixtures/micro/fixtures.tsv")
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some(Fixture { language: fields.next()?, voice: fields.next()?, text: fields.next()? })
        })
        .filter(|fixture| fixture.language == language)
        .collect()
}

/// `text` as a voice message: OGG/Opus, 48 kHz, mono, 24 kbit/s. `voice` is espeak-ng's (`ru`, `en-us`).
pub fn say(text: &str, voice: &str) -> Vec<u8> {
    ogg(&["-i", "pipe:0"], &speak_as(text, voice, &[]), LEAD, BITRATE)
}

/// `seconds` of digital silence as a voice message.
pub fn silence(seconds: f64) -> Vec<u8> {
    ogg(&["-f", "lavfi", "-t", &seconds.to_string(), "-i", "anullsrc=r=48000:cl=mono"], &[], "anull", BITRATE)
}

/// What [`say`] gives, decoded by ffmpeg to what the engine hears: 16 kHz mono.
pub fn pcm(text: &str, voice: &str) -> Vec<f32> {
    decode(&say(text, voice))
}

/// A long voice message: each text spoken `every` so many seconds, the first at once, silence between.
pub fn say_now_and_then(texts: &[(&str, &str)], every: usize) -> Vec<u8> {
    let mut samples = Vec::new();
    for (n, (text, voice)) in texts.iter().enumerate() {
        samples.resize(n * every * 16_000, 0.0);
        samples.extend(pcm(text, voice));
    }
    let raw: Vec<u8> = samples.iter().flat_map(|sample: &f32| sample.to_le_bytes()).collect();
    ogg(&["-f", "f32le", "-ar", "16000", "-ac", "1", "-i", "pipe:0"], &raw, "anull", BITRATE)
}

/// Any recording as ffmpeg decodes it to 16 kHz mono.
pub fn decode(recording: &[u8]) -> Vec<f32> {
    let raw = ffmpeg(&["-i", "pipe:0", "-ac", "1", "-ar", "16000", "-f", "f32le", "pipe:1"], recording);
    raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// Half a second of silence before and after: the model was trained on that.
const LEAD: &str = "adelay=500,apad=pad_dur=0.5";

/// What Telegram's clients send.
const BITRATE: &str = "24k";

/// A voice message of what ffmpeg is to read by `input`.
pub fn ogg(input: &[&str], bytes: &[u8], filter: &str, bitrate: &str) -> Vec<u8> {
    let output = ["-af", filter, "-ac", "1", "-ar", "48000", "-c:a", "libopus", "-b:a", bitrate];
    let format = ["-application", "voip", "-f", "ogg", "pipe:1"];
    ffmpeg(&[input, &output, &format].concat(), bytes)
}

/// A WAV file by espeak-ng, with options of it.
pub fn speak_as(text: &str, voice: &str, options: &[&str]) -> Vec<u8> {
    output(Command::new("espeak-ng").args(["-v", voice, "--stdout"]).args(options).args(["--", text]), &[])
}

fn ffmpeg(args: &[&str], input: &[u8]) -> Vec<u8> {
    output(Command::new("ffmpeg").args(["-hide_banner", "-loglevel", "error"]).args(args), input)
}

fn output(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; ./test.sh installs it"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        // A child that has heard enough closes its end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("it was spawned")
    });
    assert!(output.status.success(), "{command:?}: {}", output.status);
    output.stdout
}

/// Random numbers from a seed that is printed, so that a failure can be repeated.
pub struct Random(u64);

impl Random {
    /// Seeded by the clock, or by `STENOGRAM_TEST_SEED`.
    #[expect(clippy::new_without_default, reason = "each one has another seed")]
    pub fn new() -> Self {
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let given = std::env::var("STENOGRAM_TEST_SEED").ok();
        let seed = given.map_or_else(clock, |seed| seed.parse().expect("STENOGRAM_TEST_SEED is a number"));
        println!("STENOGRAM_TEST_SEED={seed}");
        Self(seed)
    }

    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `bound`; SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    /// `count` digits in words, no two neighbours alike: a text never used before, if `count` is not
    /// small. The model knows runs of one digit least well.
    pub fn digits(&mut self, language: &str, count: usize) -> String {
        let words = match language {
            "ru" => ["ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"],
            _ => ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        };
        let mut text = Vec::new();
        let mut last = usize::MAX;
        while text.len() < count {
            let next = self.below(10);
            if next != last {
                text.push(words[next]);
                last = next;
            }
        }
        text.join(" ")
    }
}

/// A voice message of at least this many bytes: beside the speech of `recording` it has a stream
/// that nothing plays.
pub fn stuffed(recording: &[u8], bytes: usize) -> Vec<u8> {
    const STREAM: u32 = 0x0f11_0f11;
    let stuffing = [0x55; 64_000];
    let first_page = recording[1..].windows(5).position(|bytes| bytes == b"OggS\0").expect("two pages") + 1;
    let mut file = recording[..first_page].to_vec();
    file.extend(ogg_page(2, STREAM, 0, 0, &[b"stuffing"]));
    let pages = bytes.saturating_sub(recording.len()).div_ceil(stuffing.len()) as u32;
    for number in 1..=pages {
        file.extend(ogg_page(0, STREAM, number, number.into(), &[&stuffing]));
    }
    file.extend(&recording[first_page..]);
    file
}
