//! Speech recognition: whisper.cpp on a thread of its own, and the models it needs.
//!
//! ```text
//! options          how the engine is set up, and how one recording is recognised
//! observer         what the engine reports
//! error            why nothing was recognised
//! problems         what can be wrong with all this, and what to do
//! recogniser       what turns speech into text: the trait of all below
//! recognisers      the configured ones, in order: the first that is well is asked
//! standing         how a recogniser has done, and whether it is left alone
//! server           a server with OpenAI's interface: its requests, answers and errors
//! engine           whisper.cpp in this process: the handle for async code
//!   thread           serves one request after another; frees the idle model
//!   recogniser       from speech to transcript
//! transcribe_cpp   transcribe.cpp in a process of its own, for GigaAM and Parakeet
//! local            the models of this machine: picks one by the language
//! vad              voice activity
//!   detector         finds the speech in a recording, on its caller's thread
//!   silero           the probability of speech in each frame, by Silero's model
//!   quiet            looks at silences again, for speech that is far quieter than the rest
//!   voice            from these probabilities to phrases and pauses
//!   activity         the parts that are kept for Whisper; maps times back to the recording
//!   level            raises quiet voices to the loudest one
//! whisper          a loaded model, and single calls of whisper.cpp
//!   audio_context    a shortened window for short recordings, and whether its result is good
//!   decoding         how carefully the text is looked for
//!   cpu, device      the CPU instructions that this build needs; the GPU that it uses
//!   log              whisper.cpp's log lines, through tracing
//! language         the language of a recording
//!   detect           recognises a recording in its language, which is guessed, then checked
//!   choice           the languages that a recording may be in, and the likeliest of them
//!   prior            how likely each language is before a recording is analysed
//! hallucination    text that nobody said
//!   candidates       the segments of an engine, with the evidence for each
//!   guard            drops it, by evidence, known phrases and repetition
//!   words            the words of the segments that it has kept
//!   phrases          the lists of known phrases
//!   repetition       finds repeated words
//! trial            how long a model would take on this machine
//! models           the catalogue of models
//!   download         downloads one
//!   checksum         compares a file with the catalogue
//!   file_check       checks a file before whisper.cpp, which aborts on a bad one, loads it
//!   tensors          the tensors that a model's file must have
//!   blank            a file in the shape of a model, without its weights, for a trial
//! ```
//!
//! ggml's threads spin at a barrier, which costs 10 to 50 times the time on a busy host unless
//! `OMP_WAIT_POLICY=passive` is in the environment before the process starts. libgomp reads the
//! variable when it is loaded, so this module cannot set it: the scripts, the unit file and the
//! image do.

mod engine;
mod error;
mod hallucination;
mod language;
mod local;
pub mod models;
mod observer;
mod options;
pub mod problems;
mod recogniser;
mod recognisers;
pub mod server;
mod standing;
pub mod transcribe_cpp;
pub mod trial;
mod vad;
mod whisper;

pub use engine::Engine;
pub use error::SpeechError;
pub use hallucination::guard::DROP_REASONS;
pub use language::{name as language_name, prior::LanguagePrior};
pub use local::LocalOptions;
pub use observer::{ModelState, Observer};
pub use options::{EngineOptions, OwnersLists, RecogniseOptions, cores, default_threads, model_name};
pub use recogniser::{LONGEST_STRETCH, Recognised, Recogniser};
pub use recognisers::{LOCAL, RecogniserOptions, Recognisers, RecognisersOptions};
pub use vad::detector::{Detector, Speech};
pub use whisper::{cpu, device};
