//! How the daemon is: what it says over HTTP and to systemd, and whether that is true.

mod clock;
mod daemon;
mod exposition;
pub mod http;
mod listener;
mod monitoring;
mod progress;
mod systemd;

use std::time::Duration;

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(90);
