//! Plain data and pure functions: no I/O but the clock, no tokio, nothing of any adapter.

pub mod answer;
pub mod budget;
mod chat;
mod event;
pub mod fault;
pub mod job;
pub mod language;
pub mod loops;
pub mod model;
pub mod pacing;
pub mod policy;
pub mod proxy;
mod recording;
pub mod reply;
pub mod restriction;
pub mod rules;
mod sanitise;
pub mod saved;
pub mod score;
pub mod secret;
mod settings;
pub mod transcript;
pub mod unix_time;

pub use answer::{Answer, Part};
pub use chat::{ChatInfo, ChatKind, ChatList};
pub use event::{Event, Incoming, Sender, Whose};
pub use fault::Fault;
pub use job::{Job, JobId, Peer, PeerKind, random_id};
pub use language::{LanguageChoice, LanguageCode, Languages, UnknownLanguage};
pub use model::{AudioContext, ModelName, ParseModelNameError, SAMPLE_RATE};
pub use proxy::{ParseProxyError, Proxy, ProxyLogin, ProxyServer};
pub use recording::{Recording, RecordingKind};
pub use restriction::{Restricted, Restriction};
pub use secret::{Credentials, Secret};
pub use settings::{Form, Settings};
pub use transcript::{Progress, Segment, Task, Transcript};
