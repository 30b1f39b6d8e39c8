//! What a worker says of itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use super::options::WorkerOptions;
use super::worker::FleetWorker;
use crate::queue::fleet::{Card, Report};
use crate::runtime::lock;
use crate::speech::LOCAL;

/// How often it says that it is there.
const BEAT: Duration = Duration::from_secs(5);

impl FleetWorker {
    /// Who has recognised something: this worker, and the server that it has asked, if it was one.
    pub(super) fn named(&self, by: &str) -> String {
        let name = &self.options.name;
        if by == LOCAL { name.clone() } else { format!("{name} ({by})") }
    }

    pub(super) fn count(&self, seconds: f64, report: &Report) {
        let mut done = lock(&self.done);
        done.audio += seconds;
        done.took += report.took as f64 / 1000.0;
    }

    /// Says what this worker is and does, for ever.
    pub(super) async fn say_that_it_is_there<T>(&self) -> T {
        let WorkerOptions { name, models, takes, .. } = &self.options;
        loop {
            let card = Card {
                name: name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                models: models.clone(),
                takes: takes.clone(),
                in_hand: self.busy.load(Ordering::Relaxed),
                ..lock(&self.done).clone()
            };
            if let Err(error) = self.leases.beat(&card).await {
                debug!(%error, "cannot say that this worker is there");
            }
            sleep(BEAT).await;
        }
    }
}
