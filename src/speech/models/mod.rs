//! Model files: which there are, how one is fetched, and whether one is what it should be. Nothing
//! here is used while a recording is recognised.

mod catalogue;
pub mod checksum;
pub mod download;
pub mod file_check;
mod hex;

pub use catalogue::{ModelSpec, SILERO_VAD, SPEECH_MODELS, UnknownModel, catalogue};
