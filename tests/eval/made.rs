//! Clips made afresh: digits spoken by espeak-ng, also through what spoils a voice message, and noises.

use stenogram::domain::score::Said;
use support::noise::{KINDS, Kind, mixed, noise};
use support::speech::{Random, decode, ogg, speak_as};

/// Samples per second.
const RATE: usize = 16_000;
/// The longest silence before and after a message, in seconds.
const LONGEST_SILENCE: usize = 20;
/// Decibels of the speech above the noise.
const NOISE_DECIBELS: f32 = 15.0;

/// What happens to a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Clean,
    /// libopus at 16 kbit/s.
    Opus,
    /// White, 15 dB below.
    Noise,
    /// Up to 20 s before and after.
    Silence,
}

pub const CONDITIONS: [(Condition, &str); 4] = [
    (Condition::Clean, "clean"),
    (Condition::Opus, "Opus 16 kbit/s"),
    (Condition::Noise, "noise at 15 dB"),
    (Condition::Silence, "silence to 20 s"),
];

/// What somebody says, and the recording of it.
pub struct Message {
    pub said: Said,
    /// 16 kHz mono, half a second of silence on either side.
    pub clean: Vec<f32>,
}

/// Digits in random words, voice, speed and pitch; languages take turns.
pub fn message(n: usize, words: std::ops::RangeInclusive<usize>, random: &mut Random) -> Message {
    let (language, voices) = [("en", &["en-us", "en-gb"][..]), ("ru", &["ru"])][n % 2];
    let count = words.start() + random.below(words.end() - words.start() + 1);
    let text = random.digits(language, count);
    let voice = voices[random.below(voices.len())];
    // What the micro model was trained with: see its MANIFEST.md.
    let (speed, pitch) = (120 + random.below(81), 25 + random.below(51));
    let spoken = speak_as(&text, voice, &["-s", &speed.to_string(), "-p", &pitch.to_string()]);
    let mut clean = vec![0.0; RATE / 2];
    clean.extend(decode(&spoken));
    clean.resize(clean.len() + RATE / 2, 0.0);
    let said = Said { text: Some(text), language: Some(language.to_owned()) };
    Message { said, clean }
}

impl Message {
    pub fn in_condition(&self, condition: Condition, random: &mut Random) -> Vec<f32> {
        match condition {
            Condition::Clean => self.clean.clone(),
            Condition::Opus => {
                let raw: Vec<u8> = self.clean.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                let input = ["-f", "f32le", "-ar", "16000", "-ac", "1", "-i", "pipe:0"];
                decode(&ogg(&input, &raw, "anull", "16k"))
            }
            Condition::Noise => mixed(&self.clean, NOISE_DECIBELS, random),
            Condition::Silence => {
                let mut silence = || vec![0.0; random.below(LONGEST_SILENCE * RATE + 1)];
                [silence(), self.clean.clone(), silence()].concat()
            }
        }
    }
}

/// A noise of 2 to 12 s at some loudness, kind by kind.
pub fn no_speech(n: usize, random: &mut Random) -> (Kind, Vec<f32>) {
    let kind = KINDS[n % KINDS.len()];
    let (seconds, level) = (2 + random.below(11), [0.03, 0.1, 0.3, 0.7][random.below(4)]);
    (kind, noise(kind, seconds, level, random))
}
