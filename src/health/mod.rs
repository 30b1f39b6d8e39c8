//! How the daemon is: for its owner's browser, for Prometheus, for Docker, systemd and scripts.
//!
//! Nobody who works knows of this room. It wraps the queue, the messenger and the transcriber
//! ([`observed`]) and writes down what passes through; `app` adds what only it can see, the
//! connection and the model.
//!
//! ```text
//! facts      what is known
//! vitals     holds it under one lock, so that everything shown is of one moment
//! day        the connections lost in the last 24 hours
//! observed   queue, messenger and transcriber, wrapped: counts, times, and the worker's pulse
//! readiness  can it answer voice messages now, and if not, why?
//! metrics    the facts for Prometheus        page  the same for people
//! server     the listener that gives all this away, on loopback unless told otherwise
//! service    systemd: ready, status, watchdog
//! ```
//!
//! Nothing here holds a text, a name, or the number of a chat.

mod day;
mod facts;
mod metrics;
pub mod observed;
mod page;
pub mod readiness;
pub mod server;
pub mod service;
mod vitals;

pub use vitals::Vitals;
