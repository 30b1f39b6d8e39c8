//! Recognition: whisper.cpp on a thread of its own, and the models it needs.
//!
//! ```text
//! engine      the handle: async in front, one thread behind, a queue of one between them
//! thread      what that thread does: one request after another; it frees the idle model
//! detector    leaves of a recording what is worth recognising, on the thread of whoever has it
//! recogniser  speech to transcript
//! whisper     the model, and single calls of whisper.cpp
//! window      how much of its window Whisper is given, and whether less has sufficed
//! choice      which languages there are to choose from, and which is the likeliest
//! guess       in which language a recording is: guessed, and checked after it is recognised
//! vad         how likely somebody speaks, by Silero's model
//! activity    which parts are speech, what of it Whisper is given, what its times then mean
//! guard       drops what Whisper invents: evidence, known phrases (phrases/), repetition
//! habit       which languages a chat is known for, and which of them is guessed
//! header      checks a model file before whisper.cpp, which aborts on a bad one, sees it
//! language    Whisper's language codes
//! cpu         the instructions that this build of whisper.cpp needs
//! device      the GPU, where this build can use one and there is one
//! log         whisper.cpp's log lines, through tracing
//! problems    what can be wrong with all this, and what to do
//! models      the catalogue        download  fetching one        checksum  is it what it claims?
//! ```
//!
//! ggml's threads spin at a barrier, which costs 10 to 50 times the time on a busy host unless
//! `OMP_WAIT_POLICY=passive` is in the environment before the process starts. libgomp reads it when
//! it is loaded, so nothing here can set it: the scripts, the unit file and the image do.

mod activity;
pub mod checksum;
mod choice;
pub mod cpu;
mod detector;
pub mod device;
pub mod download;
pub mod engine;
mod guard;
mod guess;
mod habit;
pub mod header;
pub mod language;
mod log;
pub mod models;
mod phrases;
pub mod problems;
mod recogniser;
mod repetition;
mod thread;
mod vad;
mod whisper;
mod window;

pub use detector::{Detector, Speech};
pub use engine::{
    Engine, EngineOptions, ModelState, Observer, RecogniseOptions, SpeechError, cores, default_threads,
};
pub use guard::INVENTIONS;
pub use habit::Habit;
pub use window::AudioContext;
