//! Looks at everything that the daemon depends on, and says of each what is wrong and what to do.
//!
//! It changes nothing and disturbs no daemon: the session is used only while its lock can be had,
//! the embedded queue is read from a copy, Redis is not opened as a consumer. What it writes, to
//! see whether that can be done, is gone at once. Every check goes on where an earlier one failed.

mod configuration;
mod disk;
mod finding;
mod machine;
mod memory;
mod model;
pub mod problems;
mod queue;
mod telegram;

pub use finding::{Finding, Outcome};

use crate::config::RawConfig;

/// Told of what is going on, in order.
pub trait Observer {
    /// The check of this name begins; it may take seconds.
    fn begins(&mut self, check: &'static str);
    /// So many bytes of so many are done.
    fn progress(&mut self, done: u64, total: u64);
    fn found(&mut self, finding: Finding);
}

/// Runs every check. Those that need a configuration are left out where it has mistakes.
pub async fn examine(raw: &RawConfig, observer: &mut dyn Observer) {
    observer.begins("configuration");
    let (findings, config) = configuration::check(raw);
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
    machine::threads(&config, observer);
    disk::check(&config, observer);
    let daemon_runs = telegram::check(&config, observer).await;
    queue::check(&config, observer).await;
    let model = model::check(&config, observer);
    machine::memory(&config, model.as_deref(), daemon_runs, observer);
}
