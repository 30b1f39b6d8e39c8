//! From an incoming recording to a job in the queue: policy, then C1.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span};

use crate::domain::policy::{Decision, Incoming, Policy};
use crate::domain::unix_time;
use crate::jobs::retry::insist;
use crate::queue::{Added, JobQueue};

/// Takes the recordings that Telegram reports; see [`Intake::take`].
pub struct Intake {
    queue: Arc<dyn JobQueue>,
    policy: watch::Receiver<Policy>,
    /// Notified to wake the worker.
    work: Arc<Notify>,
    shutdown: CancellationToken,
}

impl Intake {
    /// The policy may change at any time; `work` is notified of every job.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        policy: watch::Receiver<Policy>,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { queue, policy, work, shutdown }
    }

    /// Queues the recordings that the policy wants answered. Returns true once all of them are
    /// stored, however long the store takes, and false if the daemon shuts down first or they
    /// cannot be stored.
    pub async fn take(&self, batch: Vec<Incoming>) -> bool {
        for incoming in batch {
            let decision = self.policy.borrow().decide(&incoming, unix_time::now_seconds());
            let job = match decision {
                Decision::Answer(job) => job,
                Decision::Ignore(reason) => {
                    debug!(
                        event = "ignored",
                        chat = incoming.peer.chat(),
                        message = incoming.message,
                        reason,
                        "left alone"
                    );
                    continue;
                }
            };
            // The worker's span is the same, so every log line of a job has its id in the same
            // field.
            let span = info_span!("job", id = %job.id);
            let added = insist("add a job", &self.shutdown, || self.queue.add(&job));
            let added = added.instrument(span.clone()).await;
            let _entered = span.enter();
            match added {
                Some(Ok(added)) => {
                    match added {
                        Added::New => {
                            info!(
                                event = "heard",
                                seconds = job.duration,
                                outgoing = job.outgoing,
                                "Voice message heard"
                            );
                        }
                        Added::Seen => debug!("heard again"),
                    }
                    // Also for a known job: an earlier `add` may have succeeded without our
                    // knowing.
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
