//! Plain data and pure functions: no I/O but the clock, no tokio, nothing of any adapter.

pub mod answer;
pub mod fault;
pub mod job;
pub mod language;
pub mod model;
pub mod policy;
pub mod reply;
pub mod restriction;
pub mod secret;
pub mod transcript;
pub mod unix_time;

pub use answer::{Answer, Form, Part};
pub use fault::Fault;
pub use job::{Job, JobId, Peer, PeerKind, RecordingKind, random_id};
pub use language::{LanguageChoice, LanguageCode, Languages, UnknownLanguage};
pub use model::{AudioContext, ModelName, ParseModelNameError, SAMPLE_RATE};
pub use restriction::{Restricted, Restriction};
pub use secret::{Credentials, Secret};
pub use transcript::{Progress, Segment, Task, Transcript};
