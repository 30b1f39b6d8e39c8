//! What becomes of an assignment when a worker is done with it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::worker::{Ended, FleetWorker, PAUSES};
use crate::domain::Fault;
use crate::queue::QueueError;
use crate::queue::fleet::{Lease, Outcome};
use crate::runtime::lock;

/// How long a worker leaves a long recording to others while it has no slot for it.
const LONG_PAUSE: Duration = Duration::from_secs(60);
/// The same for a recording that its models cannot recognise: as long as it waits.
const UNABLE_PAUSE: Duration = Duration::from_secs(86_400);
/// How long giving back an assignment may take at the end.
pub(super) const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// Why the work on an assignment stops.
pub(super) enum Stop {
    Lost,
    /// Other long recordings take the slots for such.
    TooLong,
    /// The models of this worker do not know the language, or do not translate.
    Unable(String),
    /// Redis has lost the recording.
    Missing,
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl FleetWorker {
    /// Says what became of the assignment.
    pub(super) async fn conclude(&self, lease: &Lease, result: Result<(), Stop>) -> (Ended, Option<String>) {
        match result {
            Ok(()) => {
                lock(&self.done).ended += 1;
                self.failures.store(0, Ordering::Relaxed);
                info!(event = "assignment_done", "Recognised");
                (Ended::Recognised, None)
            }
            Err(Stop::Lost) => {
                info!(event = "lease_lost", "Another worker has it, or nobody waits for it any more");
                (Ended::Lost, None)
            }
            Err(Stop::TooLong) => {
                let why = "other long recordings are being recognised";
                info!(event = "assignment_given_back", reason = why, "Left to other workers");
                self.refuse(lease, LONG_PAUSE).await;
                (Ended::GivenBack, None)
            }
            Err(Stop::Unable(why)) => {
                warn!(event = "assignment_given_back", reason = why, "Left to other workers");
                self.refuse(lease, UNABLE_PAUSE).await;
                (Ended::GivenBack, None)
            }
            Err(Stop::Missing) => {
                warn!(event = "assignment_given_back", "Redis has lost its recording");
                self.last_word(self.leases.miss(lease)).await;
                (Ended::GivenBack, None)
            }
            Err(Stop::Fault(fault)) => self.conclude_failed(lease, fault).await,
        }
    }

    async fn conclude_failed(&self, lease: &Lease, fault: Fault) -> (Ended, Option<String>) {
        let finish = async |outcome: Outcome| self.last_word(self.leases.finish(lease, &outcome)).await;
        match fault {
            Fault::Reject(why) | Fault::NoDocuments(why) | Fault::Gone(why) => {
                warn!(event = "rejected", reason = why, "Cannot be recognised");
                finish(Outcome::Rejected { why }).await;
                (Ended::Rejected, None)
            }
            Fault::Retry { after, why } => {
                warn!(event = "retry", reason = why, "Failed, its gateway tries again");
                // Something may be wrong here, and then the next ones would fail too.
                self.pause(pause_after(self.failures.fetch_add(1, Ordering::Relaxed)));
                finish(Outcome::Failed { why, after: after.as_secs() }).await;
                (Ended::Failed, None)
            }
            Fault::Poisonous(why) => {
                finish(Outcome::Poisonous { why }).await;
                (Ended::Rejected, None)
            }
            Fault::Aborted => {
                self.give_back(lease, "this worker stops").await;
                (Ended::GivenBack, None)
            }
            // Something is wrong here, not with the recording: another worker may be well.
            Fault::Wait { after, why } | Fault::Later { after, why } | Fault::Held { after, why } => {
                self.pause(after);
                self.give_back(lease, &why).await;
                (Ended::GivenBack, None)
            }
            Fault::Unavailable(why) => {
                self.pause(PAUSES.0);
                self.give_back(lease, &why).await;
                (Ended::GivenBack, None)
            }
            Fault::Fatal(why) => {
                self.give_back(lease, &why).await;
                (Ended::GivenBack, Some(why))
            }
        }
    }

    async fn give_back(&self, lease: &Lease, why: &str) {
        info!(event = "assignment_given_back", reason = why, "Given back");
        self.last_word(self.leases.give_back(lease, Duration::ZERO)).await;
        self.wake_another(lease).await;
    }

    /// Leaves the assignment to others for this time.
    async fn refuse(&self, lease: &Lease, time: Duration) {
        self.last_word(self.leases.refuse(lease, time)).await;
        self.wake_another(lease).await;
    }

    async fn wake_another(&self, lease: &Lease) {
        let _ = timeout(FAREWELL_LIMIT, self.leases.wake(lease.job.account)).await;
    }

    /// If this does not succeed, the lease runs out, and another worker takes over.
    async fn last_word(&self, word: impl Future<Output = Result<bool, QueueError>>) {
        match timeout(FAREWELL_LIMIT, word).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn!(%error, "Redis does not take it; the lease runs out"),
            Err(_) => warn!("Redis does not answer; the lease runs out"),
        }
    }
}

/// How long the worker takes nothing after a failure that so many others came right before.
fn pause_after(failures: u32) -> Duration {
    (PAUSES.0 * 2_u32.pow(failures.min(16))).min(PAUSES.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_while_failures_follow_each_other() {
        let pauses = [0, 1, 2, 5, 6, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60]);
    }
}
