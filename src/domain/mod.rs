//! Plain data and pure functions: no I/O, no tokio, nothing of any adapter.

pub mod answer;
mod event;
pub mod fault;
pub mod job;
pub mod policy;
mod recording;
pub mod reply;
pub mod restriction;
mod settings;
pub mod transcript;

pub use answer::{Answer, Part};
pub use event::{Event, Incoming, Sender};
pub use fault::Fault;
pub use job::{Job, JobId, Peer, PeerKind, random_id};
pub use recording::{Recording, RecordingKind};
pub use restriction::{Restricted, Restriction};
pub use settings::{Form, Settings};
pub use transcript::{Progress, Segment, Task, Transcript};
