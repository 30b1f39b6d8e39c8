//! Recognition: whisper.cpp on a thread of its own, and the models it needs.
//!
//! ```text
//! options         how the engine is set up, and how one recording is recognised
//! observer        what the engine tells of itself while it works
//! error           why nothing was recognised
//! engine          the handle: async in front, one thread behind, a queue of one between them
//!   thread          what that thread does: one request after another; it frees the idle model
//!   recogniser      speech to transcript
//! vad             where somebody speaks
//!   detector        leaves of a recording what is worth recognising, on its caller's thread
//!   silero          how likely somebody speaks, by Silero's model
//!   activity        which parts are speech, what of it Whisper is given, what its times then mean
//! whisper         the model, and single calls of whisper.cpp
//!   audio_context   how much of its window Whisper is given, and whether less has sufficed
//!   cpu, device     the instructions that this build needs; the GPU, where it can use one
//!   log             whisper.cpp's log lines, through tracing
//! language        in which language a recording is
//!   detect          in which language a recording is: guessed, and checked after it is recognised
//!   choice          which languages there are to choose from, and which is the likeliest
//!   prior           which languages a chat is known for, and which of them is guessed
//! hallucination   what Whisper writes though nobody said it
//!   guard           drops it: evidence, known phrases (phrases/), repetition
//! models          the catalogue
//!   download        fetches one          checksum   is it what it claims?
//!   file_check      checks a model file before whisper.cpp, which aborts on a bad one, sees it
//! ```
//!
//! ggml's threads spin at a barrier, which costs 10 to 50 times the time on a busy host unless
//! `OMP_WAIT_POLICY=passive` is in the environment before the process starts. libgomp reads it when
//! it is loaded, so nothing here can set it: the scripts, the unit file and the image do.

mod engine;
mod error;
mod hallucination;
mod language;
pub mod models;
mod observer;
mod options;
mod vad;
mod whisper;

pub use engine::Engine;
pub use error::SpeechError;
pub use hallucination::guard::DROP_REASONS;
pub use language::prior::LanguagePrior;
pub use observer::{ModelState, Observer};
pub use options::{EngineOptions, RecogniseOptions, cores, default_threads};
pub use vad::detector::{Detector, Speech};
pub use whisper::{cpu, device};
