//! Tells the owner of troubles that they have to know of: in Saved Messages, by NOTIFY_URL, and by
//! the silence of HEARTBEAT_URL.
//!
//! ```text
//! topic    which troubles are told, after how long, and in which words
//! journal  what was told, across restarts: once for each trouble and day, and once when it is over
//! webhook  requests to NOTIFY_URL and HEARTBEAT_URL
//! watch    looks at the daemon's health, and tells what is due
//! ```
//!
//! Files import only what is listed above them. Nothing here holds a text, a name, or the number of
//! a chat, and no failure here disturbs the daemon.

mod journal;
mod topic;
mod watch;
mod webhook;

pub use topic::{Notice, Topic};
pub use watch::{Channel, Notices};
pub use webhook::WebHook;
