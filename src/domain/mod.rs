//! Plain data and pure functions: no I/O, no tokio, nothing of any adapter.

pub mod answer;
pub mod fault;
pub mod job;
pub mod policy;
pub mod reply;
pub mod restriction;
pub mod transcript;

pub use answer::{Answer, Form, Part};
pub use fault::Fault;
pub use job::{Job, JobId, Peer, PeerKind, RecordingKind, random_id};
pub use restriction::{Restricted, Restriction};
pub use transcript::{Progress, Segment, Task, Transcript};
