//! Plain data and pure functions: no I/O but the clock, no tokio, nothing of any adapter.

pub mod answer;
mod event;
pub mod fault;
pub mod job;
pub mod language;
pub mod model;
pub mod policy;
mod recording;
pub mod reply;
pub mod restriction;
mod sanitise;
pub mod score;
pub mod secret;
mod settings;
pub mod transcript;
pub mod unix_time;

pub use answer::{Answer, Part};
pub use event::{Event, Incoming, Sender};
pub use fault::Fault;
pub use job::{Job, JobId, Peer, PeerKind, random_id};
pub use language::{LanguageChoice, LanguageCode, Languages, UnknownLanguage};
pub use model::{AudioContext, ModelName, ParseModelNameError, SAMPLE_RATE};
pub use recording::{Recording, RecordingKind};
pub use restriction::{Restricted, Restriction};
pub use secret::{Credentials, Secret};
pub use settings::{Form, Settings};
pub use transcript::{Progress, Segment, Task, Transcript};
