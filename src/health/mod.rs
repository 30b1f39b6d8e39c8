//! The daemon's health: for its owner's browser, for Prometheus, and for Docker, systemd and
//! scripts.
//!
//! The code that does the work knows nothing of this room, which wraps the queue, the messenger and
//! the transcriber ([`observed`]) and records what passes through. `app` adds what only it can see:
//! the connection and the model.
//!
//! ```text
//! histogram   durations by size
//! half_hours  counts of the last 24 hours
//! facts       everything that is known at one moment: plain data
//! limits      how long each step may take before its loop counts as stuck
//! words       durations, numbers and outcomes, in the languages of the page
//! trouble     what keeps voice messages from being answered, in a table of words
//! state       holds the facts under one lock, and is told of every change
//! fleet       what gateways and workers tell the state
//! accompanied  the pulse of a job while a preview is sent or edited
//! observed    queue and messenger, wrapped: counts, times, and the worker's pulse
//! observed_transcriber  the transcriber, wrapped
//! readiness   /readyz, /livez, and the status line for systemd
//! workers     the workers of a fleet, as a gateway shows them
//! metrics     the facts for Prometheus
//! page        the facts for people
//! server      the listener that serves all this, on loopback by default
//! service     systemd: ready, status, watchdog
//! ```
//!
//! Files import only what is listed above them. Nothing here holds a text, a name, or the number of
//! a chat.

mod accompanied;
pub mod facts;
mod fleet;
mod half_hours;
mod histogram;
pub mod limits;
mod metrics;
pub mod observed;
mod observed_transcriber;
mod page;
pub mod readiness;
pub mod server;
pub mod service;
mod state;
mod trouble;
mod words;
mod workers;

pub use state::{HealthState, Survey};
pub use trouble::Trouble;
