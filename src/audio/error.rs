//! Why a recording could not be decoded.

use std::time::Duration;

/// Why a recording could not be decoded. The message completes "the recording cannot be decoded:
/// …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// There are no bytes at all.
    #[error("the file is empty")]
    Empty,
    /// No known container. The text says what the file seems to be instead.
    #[error("not audio: {0}")]
    NotAudio(&'static str),
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
    /// The container makes its reader go in circles.
    #[error("damaged beyond use: its parts refer to each other in circles")]
    Circular,
    /// The caller asked for it.
    #[error("decoding was aborted")]
    Aborted,
    /// A caught panic while the file was opened, or a failure of the resampler.
    #[error("the decoder crashed on it: {0}")]
    Crashed(String),
}
