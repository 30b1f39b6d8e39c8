//! Container and codec to mono PCM at 16 kHz, with hard limits.
//!
//! The bytes come from strangers. Whatever they are, [`decode`] and [`Decoder`] end within their
//! [`Limits`], do not panic, and say what is wrong. What was decoded before a broken tail is kept.
//!
//! Before symphonia sees a file, one pass over it finds the parts that are needed to play it.
//! symphonia is given only these, because other parts, such as tags and indexes, can cost it memory
//! and time far beyond their size.
//!
//! symphonia parses containers and decodes, with libopus for Opus; rubato resamples. Both are named
//! in this module only.

mod aiff;
mod budget;
mod caf;
mod container;
mod crash;
mod decoder;
mod error;
mod flac;
mod limits;
mod matroska;
mod mp4;
mod multistream;
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

pub use decoder::Decoder;
pub use error::AudioError;
pub use limits::{Containers, Limits};

/// The rate in Hz of all PCM that leaves this module: Whisper's.
pub use crate::domain::SAMPLE_RATE;

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

/// Decodes a whole recording, in any format that symphonia or libopus knows.
///
/// It blocks, so it belongs on a thread of its own. Setting `abort` ends it soon with
/// [`AudioError::Aborted`].
pub fn decode(bytes: &[u8], limits: &Limits, abort: &AtomicBool) -> Result<Pcm, AudioError> {
    let mut decoder = Decoder::new(bytes, limits, abort)?;
    let mut samples = Vec::new();
    for block in &mut decoder {
        samples.extend(block?);
    }
    samples.shrink_to_fit();
    Ok(Pcm { samples, damaged: decoder.damaged().map(str::to_owned) })
}
