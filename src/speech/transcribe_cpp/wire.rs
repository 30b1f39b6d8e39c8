//! What the daemon and the program `stenogram-transcribe-cpp` write to each other. Both compile
//! this file, so it names nothing of ours.
//!
//! The program is started with the path of a model and the number of threads. It writes lines of
//! JSON: first one when the model is loaded, then one for each request. A request is a line of JSON
//! and, after it, the samples as 32-bit floats, little end first.

use serde::{Deserialize, Serialize};

/// Speech that is to be recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// How many samples follow, 16 kHz mono.
    pub samples: usize,
    /// The code of its language; none if it is to be detected, or if the model takes none.
    pub language: Option<String>,
    /// Whether to translate it into English.
    pub translate: bool,
    /// The text before it; empty for a model that takes none.
    pub prompt: String,
}

/// What the program answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The model is loaded.
    Ready(About),
    /// The request is done.
    Heard(Heard),
    /// The model cannot be loaded, or the request failed.
    Failed(String),
}

/// What a model can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The family: `gigaam`, `parakeet`, `whisper`.
    pub arch: String,
    /// Where it runs: the name of ggml's device.
    pub device: String,
    /// The codes of the languages that it was trained for; empty if the file does not say.
    pub languages: Vec<String>,
    pub translates: bool,
    /// Whether it can be told the language.
    pub takes_language: bool,
    /// Whether it can be given the text before.
    pub takes_prompt: bool,
    /// The longest speech that it takes; 0 if there is no limit.
    pub longest_ms: u64,
}

/// What was heard. Times are those of the samples that were sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    pub text: String,
    /// The code of the language that was detected.
    pub language: Option<String>,
    /// As many of these as the model has.
    pub segments: Vec<Piece>,
    pub words: Vec<Piece>,
    pub tokens: Vec<Piece>,
}

/// A segment, a word or a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    /// The probability of a token, if the model tells one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
}
