//! How the daemon is: what it says over HTTP and to systemd, and whether that is true.

#[path = "support/account.rs"]
mod account;
#[path = "health/clock.rs"]
mod clock;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "health/daemon.rs"]
mod daemon_tests;
#[path = "health/exposition.rs"]
mod exposition;
#[path = "health/http.rs"]
mod http;
#[path = "health/listener.rs"]
mod listener;
#[path = "health/monitoring.rs"]
mod monitoring;
#[path = "health/progress.rs"]
mod progress;
#[path = "support/redis.rs"]
mod redis_server;
#[path = "support/speech.rs"]
mod speech;
#[path = "health/systemd.rs"]
mod systemd;
#[path = "support/workplace.rs"]
mod workplace;

use std::time::Duration;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
