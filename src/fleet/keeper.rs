//! Renews a lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::queue::fleet::{Lease, Leases};
use crate::runtime::pulse::Pulse;

/// How often a lease is renewed in the time for which it holds.
pub(super) const RENEWALS: u32 = 4;

/// Keeps a lease until it is dropped. While the recognition is stuck it does not, so that another
/// worker takes over.
pub(super) struct Keeper {
    lost: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Sets `away` while Redis is.
    pub fn start(
        leases: Arc<Leases>,
        lease: Lease,
        time: Duration,
        recognition: Pulse,
        away: Arc<AtomicBool>,
    ) -> Self {
        let lost = CancellationToken::new();
        let over = lost.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(time / RENEWALS).await;
                if recognition.overdue().is_some() {
                    continue;
                }
                match leases.renew(&lease).await {
                    Ok(true) => {}
                    Ok(false) => return over.cancel(),
                    // It holds as long as nobody else takes the assignment.
                    Err(error) => {
                        away.store(true, Ordering::Relaxed);
                        debug!(%error, "the lease is not renewed yet");
                    }
                }
            }
        });
        Self { lost, task }
    }

    /// Waits until the lease is lost.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
