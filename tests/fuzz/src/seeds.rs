//! The files that fuzzing starts from. They are made here, so the project carries none.

use std::fs;
use std::io;
use std::path::Path;

use support::bombs::{OPUS_HEAD, OPUS_TAGS, bombs, ogg_page};
use support::ffmpeg::Studio;

/// Larger files would slow fuzzing down, and find nothing else.
pub const LARGEST: usize = 16 << 10;

/// The seeds of a target, each with a name.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "audio" => audio(),
        // The choices that such a file is made of are as good at random.
        "containers" => (0..=255).map(|first| (format!("choices-{first}"), choices(first))).collect(),
        "model" => named(
            "model",
            vec![
                fixture("micro/ggml-micro-q8_0.bin"),
                fixture("vad/ggml-silero-v5.1.2.bin"),
                b"lmgg".to_vec(),
            ],
        ),
        "stored" => named("stored", STORED.iter().map(|text| text.as_bytes().to_vec()).collect()),
        "session" => named("session", vec![SESSION.as_bytes().to_vec(), b"{}".to_vec()]),
        "updates" => named("updates", vec![0xe317_af7e_u32.to_le_bytes().to_vec(), vec![0; 64]]),
        "messages" => named("text", TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()),
        "configuration" => {
            named("env", vec![fs::read(root().join(".env.example")).expect("read .env.example")])
        }
        other => panic!("there is no target {other}"),
    }
}

/// Writes the seeds of every target into a folder of its name.
pub fn write(folder: &Path) -> io::Result<()> {
    for (target, _) in crate::TARGETS {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds(target) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// A short recording in each format that is decoded, and every bomb that is small.
fn audio() -> Vec<(String, Vec<u8>)> {
    let studio = Studio::new();
    let encoded = [
        ("voice.ogg", "-c:a libopus -b:a 16k"),
        ("vorbis.ogg", "-c:a libvorbis"),
        ("note.mp4", "-c:a aac"),
        ("pieces.mp4", "-c:a aac -movflags frag_keyframe+empty_moov"),
        ("alac.m4a", "-c:a alac"),
        ("song.mp3", "-c:a libmp3lame"),
        ("lossless.flac", "-c:a flac"),
        ("plain.wav", "-c:a pcm_s16le"),
        ("opus.webm", "-c:a libopus"),
    ]
    .map(|(name, codec)| {
        let made = studio.generate(&format!("-f lavfi -i sine=440:d=0.2 -ar 16000 -ac 1 {codec}"), name);
        (name.to_owned(), fs::read(made).expect("read what ffmpeg made"))
    });
    let bombs =
        bombs().into_iter().map(|(name, bytes)| (format!("bomb {name}").replace(['/', ' '], "-"), bytes));
    let page = [ogg_page(2, 0, 0, 0, &[OPUS_HEAD]), ogg_page(4, 0, 1, 0, &[OPUS_TAGS])].concat();
    encoded
        .into_iter()
        .chain(bombs)
        .chain([("heads.ogg".to_owned(), page)])
        .filter(|(_, bytes)| bytes.len() <= LARGEST)
        .collect()
}

fn choices(first: u8) -> Vec<u8> {
    (0..512u32).map(|n| (u32::from(first) + n * (2 * u32::from(first) + 7) / 3) as u8).collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The beginning of a fixture.
fn fixture(name: &str) -> Vec<u8> {
    let mut bytes = fs::read(root().join("tests/fixtures").join(name)).expect("read a fixture");
    bytes.truncate(LARGEST);
    bytes
}

fn named(name: &str, all: Vec<Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    all.into_iter().enumerate().map(|(n, bytes)| (format!("{name}-{n}"), bytes)).collect()
}

const STORED: &[&str] = &[
    r#"{"language":"de","task":"transcribe","form":"replies","parts":[{"text":"eins","folded":true}]}"#,
    r#"[{"text":"один","folded":true,"task":"translate"}]"#,
    r#"{"until_ms":56000,"transcript":{"task":"transcribe","language":"ru","segments":
       [{"start_ms":0,"end_ms":900,"text":"да"}]}}"#,
    r#"{"id":{"account":1000,"chat":1,"message":1},"peer":{"kind":"user","id":1,"access_hash":5},
       "kind":"voice","document":11,"outgoing":false,"date":1800000000,"duration":3,"size":9000}"#,
];

const SESSION: &str = r#"{"version":1,"home_dc":2,"user":{"id":1000,"access_hash":7},
    "dcs":[{"id":2,"ipv4":"149.154.167.51:443","ipv6":"[2001:67c:4e8:f002::a]:443","auth_key":null}]}"#;

const TEXTS: &[&str] = &[
    "One two three.\nFour five!",
    "Привет, мир… Как дела?\nХорошо.",
    "می‌خواهم 👨‍👩‍👧‍👦 क्षत्रिय \u{202e}abc\u{202c} e\u{301}\u{302}\u{303}",
    "@name #tag /command https://example.org",
];
