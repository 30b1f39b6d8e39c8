//! From a recording's bytes to its transcript: ties `audio` and `speech` together.

pub mod chat_languages;
pub mod knowledge;
pub mod recording;
mod stretches;
