//! Decodes recordings in a process of its own, so that whatever a file does to its decoder, it does
//! not to the daemon.
//!
//! [`DecoderProgram`] starts this program again with the hidden command `decode`, one process for
//! each recording. The process shuts itself in (`walls`) before it reads the first byte of the
//! file from its standard input, and writes samples or an error to its standard output
//! (`messages`). It is killed when it exceeds its [`Allowance`], when decoding is aborted, when
//! its [`DecoderProcess`] is dropped, and by the kernel when the daemon dies.

mod allowance;
mod child;
mod messages;
mod process;
mod program;
mod walls;

use serde::{Deserialize, Serialize};

pub use allowance::Allowance;
pub use child::{Output, Request, decode, serve};
pub use messages::{Message, Sender};
pub use process::DecoderProcess;
pub use program::DecoderProgram;
pub use walls::Walls;

/// The hidden command that makes the program a decoder process. Its only argument is a
/// [`Request`] as JSON.
pub const COMMAND: &str = "decode";

/// What is known of a recording once all of it was decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// At [`crate::audio::SAMPLE_RATE`].
    pub samples: u64,
    /// What is missing and why, if the file is damaged.
    pub damaged: Option<String>,
}
