//! Why a recording could not be decoded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a recording could not be decoded. The message completes "the recording cannot be decoded:
/// …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum AudioError {
    /// There are no bytes at all.
    #[error("the file is empty")]
    Empty,
    /// No known container. The text says what the file seems to be instead.
    #[error("not audio: {0}")]
    NotAudio(String),
    /// Audio for which there is no decoder.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A container that holds only pictures or text.
    #[error("no audio track")]
    NoAudioTrack,
    /// A well-formed file without a single sample.
    #[error("the audio track is empty")]
    NoSound,
    /// Nothing can be decoded: the file is too damaged, or the decoder panics at its beginning.
    #[error("damaged beyond use: {0}")]
    Broken(String),
    #[error("larger than the limit of {limit} bytes: {bytes} bytes")]
    TooManyBytes { bytes: u64, limit: u64 },
    #[error("more than the limit of {limit} packets of audio")]
    TooManyPackets { limit: u64 },
    #[error("longer than the limit of {} s", limit.as_secs_f64())]
    TooLong { limit: Duration },
    #[error("decoding took longer than the limit of {} s", limit.as_secs_f64())]
    TooSlow { limit: Duration },
    #[error("decoding needs more than the limit of {} MB of memory", limit >> 20)]
    TooMuchMemory {
        /// In bytes.
        limit: u64,
    },
    /// The container makes its reader go in circles.
    #[error("damaged beyond use: its parts refer to each other in circles")]
    Circular,
    /// The caller asked for it.
    #[error("decoding was aborted")]
    Aborted,
    /// A caught panic while the file was opened, or a failure of the resampler.
    #[error("the decoder crashed on it: {0}")]
    Crashed(String),
    /// The process that decodes did not start. The recording has nothing to do with it.
    #[error("the decoder's process cannot be started: {0}")]
    NotStarted(String),
    /// The process that decodes was ended from outside. The recording need not have to do with it.
    #[error("the decoder's process was ended from outside, by signal {0}")]
    Killed(i32),
}

impl AudioError {
    /// The same error with `change` applied to the text in it.
    pub fn map_text(self, change: impl FnOnce(&str) -> String) -> Self {
        match self {
            Self::NotAudio(text) => Self::NotAudio(change(&text)),
            Self::Unsupported(text) => Self::Unsupported(change(&text)),
            Self::Broken(text) => Self::Broken(change(&text)),
            Self::Crashed(text) => Self::Crashed(change(&text)),
            Self::NotStarted(text) => Self::NotStarted(change(&text)),
            error => error,
        }
    }
}
