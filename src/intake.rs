//! From a recording heard to a job in the queue: policy, then C1.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span};

use crate::domain::policy::{Decision, Incoming, Policy};
use crate::patience::insist;
use crate::queue::{Added, Queue};

/// Takes what Telegram tells of; see [`Intake::take`].
pub struct Intake {
    queue: Arc<dyn Queue>,
    policy: watch::Receiver<Policy>,
    /// Wakes the worker.
    work: Arc<Notify>,
    shutdown: CancellationToken,
}

impl Intake {
    /// The policy may change while this runs; `work` is notified of every new job.
    pub fn new(
        queue: Arc<dyn Queue>,
        policy: watch::Receiver<Policy>,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { queue, policy, work, shutdown }
    }

    /// Queues what the policy wants answered. True once all of it is safe, however long the store
    /// takes; false if the daemon shuts down before.
    pub async fn take(&self, batch: Vec<Incoming>) -> bool {
        for incoming in batch {
            let decision = self.policy.borrow().decide(&incoming, now());
            let job = match decision {
                Decision::Answer(job) => job,
                Decision::Ignore(reason) => {
                    debug!(chat = incoming.peer.chat(), message = incoming.message, reason, "left alone");
                    continue;
                }
            };
            // The same as the worker's, so that all lines of a job carry its id in one way.
            let span = info_span!("job", id = %job.id);
            let added = insist("add a job", &self.shutdown, || self.queue.add(&job));
            let added = added.instrument(span.clone()).await;
            let _entered = span.enter();
            match added {
                Some(Ok(added)) => {
                    match added {
                        Added::New => {
                            info!(seconds = job.duration, outgoing = job.outgoing, "Voice message heard");
                        }
                        Added::Seen => debug!("heard again"),
                    }
                    // For a known job too: its first `add` may have happened without an answer.
                    self.work.notify_one();
                }
                Some(Err(error)) => {
                    error!(%error, "the job cannot be queued");
                    return false;
                }
                None => return false,
            }
        }
        true
    }
}

/// Seconds of Unix time.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
