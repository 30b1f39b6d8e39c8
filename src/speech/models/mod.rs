//! Model files: the catalogue, downloads, and checks of a file. Nothing here runs while a recording
//! is recognised.

pub(super) mod blank;
mod catalogue;
pub mod checksum;
pub mod download;
pub mod file_check;
mod hex;
mod tensors;

pub use catalogue::{GGUF_MODELS, ModelSpec, SILERO_VAD, SPEECH_MODELS, UnknownModel, catalogue, wrong_size};
pub use download::web_proxy;
