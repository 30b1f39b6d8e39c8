//! Checks everything that the daemon depends on, and says what is wrong and what to do.
//!
//! It changes nothing and does not disturb a daemon: the session is used only if nobody has locked
//! it, the embedded queue is read from a copy, and Redis is not opened as a consumer. Test files
//! are deleted at once. A failed check does not stop the next ones.

pub mod configuration;
mod disk;
mod finding;
mod fleet;
mod machine;
pub mod memory;
mod model;
pub mod problems;
mod queue;
mod recognisers;
mod summary;
mod telegram;

pub use finding::{Finding, Outcome};

use crate::cli::Role;
use crate::config::RawConfig;

/// Is told about each check, in order.
pub trait Observer {
    /// The check of this name begins; it may take seconds.
    fn begins(&mut self, check: &'static str);
    /// `done` of `total` bytes are checked.
    fn progress(&mut self, done: u64, total: u64);
    fn found(&mut self, finding: Finding);
}

/// Runs all checks that the role needs. Those that need a configuration are left out if it has
/// errors.
pub async fn examine(raw: &RawConfig, role: Role, observer: &mut dyn Observer) {
    observer.begins("configuration");
    let (findings, config) = configuration::check(raw, role);
    findings.into_iter().for_each(|finding| observer.found(finding));
    machine::cpu(observer);
    let Some(config) = config else {
        observer.found(Finding::unclear(
            "the rest",
            "was not looked at: it depends on the configuration",
            "correct the configuration, then run this again",
        ));
        return;
    };
    if role != Role::Gateway {
        machine::threads(&config, observer);
    }
    let mut daemon_runs = false;
    if role != Role::Worker {
        disk::check(&config, observer);
        daemon_runs = telegram::check(&config, observer).await;
    }
    queue::check(&config, role, observer).await;
    if role == Role::Gateway {
        fleet::workers(&config, observer).await;
        return;
    }
    recognisers::check(&config, observer).await;
    summary::check(&config, observer).await;
    model::check(&config, observer).await;
    if config.recognises_locally() {
        machine::memory(&config, daemon_runs, observer);
    }
}
