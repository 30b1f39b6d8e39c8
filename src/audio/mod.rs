//! Container and codec to mono PCM at 16 kHz, with hard limits.
//!
//! The bytes come from strangers. Whatever they are, [`decode`] and [`Decoder`] end within their
//! [`Limits`], do not panic, and say what is wrong; what was decoded before a broken tail is kept.
//!
//! Before symphonia sees a file, one pass over it finds the parts that are needed to hear it.
//! Symphonia is given only these: other parts, such as tags and indexes, can take it memory or time
//! far beyond their size.
//!
//! symphonia takes containers apart and decodes, with libopus for Opus; rubato resamples. Both are
//! named in this module only.

mod container;
mod crash;
mod decoder;
mod error;
mod flac;
mod matroska;
mod mp4;
mod ogg;
mod resample;
mod sniff;
mod soft_clip;
mod source;
mod track;
mod view;
mod vorbis;
mod wav;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use decoder::Decoder;
pub use error::AudioError;

/// The rate in Hz of all PCM that leaves this module: Whisper's.
pub use crate::domain::SAMPLE_RATE;

/// Tracks that one file may have.
const MAX_TRACKS: usize = 32;

/// How much a recording may cost. Going over one is an error that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Packets of compressed audio.
    pub packets: u64,
    /// Length of the decoded audio.
    pub length: Duration,
    /// Time spent on decoding, not counting what the caller does between two chunks.
    pub time: Duration,
}

impl Default for Limits {
    /// Four hours of audio, which take a minute or less to decode.
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            // Four hours in packets of 2.5 ms, the shortest there are.
            packets: 6_000_000,
            length: Duration::from_secs(4 * 3600),
            time: Duration::from_secs(600),
        }
    }
}

/// A decoded recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pcm {
    /// Mono at [`SAMPLE_RATE`]; full scale is 1.0. Never empty, always finite.
    pub samples: Vec<f32>,
    /// What is missing and why, where the file is damaged.
    pub damaged: Option<String>,
}

impl Pcm {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE)
    }
}

/// Decodes a whole recording, any file that symphonia or libopus knows.
///
/// Blocking: belongs on a thread of its own. Setting `abort` ends it soon with
/// [`AudioError::Aborted`].
pub fn decode(bytes: &[u8], limits: &Limits, abort: &AtomicBool) -> Result<Pcm, AudioError> {
    let mut decoder = Decoder::new(bytes, limits, abort)?;
    let mut samples = Vec::new();
    for chunk in &mut decoder {
        samples.extend(chunk?);
    }
    samples.shrink_to_fit();
    Ok(Pcm { samples, damaged: decoder.damaged().map(str::to_owned) })
}
