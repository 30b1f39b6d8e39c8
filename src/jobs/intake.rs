//! From an event to what comes of it: a recording becomes a job in the queue (policy, then C1).

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span};

use crate::domain::policy::{Decision, Policy};
use crate::domain::{Event, Incoming, JobId, Recording, RepliesTo, unix_time};
use crate::jobs::commands::Commands;
use crate::jobs::deletions::Deletions;
use crate::jobs::gate::Gate;
use crate::jobs::people::People;
use crate::jobs::retry::retry_until_available;
use crate::queue::{Added, JobQueue};

/// Acts on the events that Telegram reports; see [`Intake::take`].
pub struct Intake {
    queue: Arc<dyn JobQueue>,
    policy: watch::Receiver<Policy>,
    /// Notified to wake the worker.
    work: Arc<Notify>,
    shutdown: CancellationToken,
    gate: Arc<Gate>,
    people: People,
    /// `None`: commands are left alone.
    commands: Option<Arc<Commands>>,
    /// `None`: nothing is done about messages that are deleted.
    deletions: Option<Deletions>,
}

impl Intake {
    /// The policy may change at any time; `work` is notified of every job.
    pub fn new(
        queue: Arc<dyn JobQueue>,
        policy: watch::Receiver<Policy>,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        let (gate, people) = (Arc::default(), People::default());
        Self { queue, policy, work, shutdown, gate, people, commands: None, deletions: None }
    }

    /// Refuses what the gate refuses, and tells it of what has come.
    pub fn with_gate(self, gate: Arc<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Has the owner's commands obeyed.
    pub fn with_commands(self, commands: Arc<Commands>) -> Self {
        Self { commands: Some(commands), ..self }
    }

    /// Follows what is deleted.
    pub fn with_deletions(self, deletions: Deletions) -> Self {
        Self { deletions: Some(deletions), ..self }
    }

    /// Acts on events in order. Returns true once all that came of them is stored, however long the
    /// store takes, and false if the daemon shuts down first or something cannot be stored.
    pub async fn take(&self, events: Vec<Event>) -> bool {
        for event in events {
            let is_stored = match event {
                Event::Recording(mut incoming) => {
                    self.people.complete(&mut incoming);
                    self.take_recording(&incoming).await
                }
                Event::Command(mut message) => {
                    if let RepliesTo::Recording(incoming) = &mut message.replies_to {
                        self.people.complete_earlier(incoming);
                    }
                    match &self.commands {
                        Some(commands) => commands.take(message).await,
                        None => true,
                    }
                }
                Event::Reaction(mut reaction) => {
                    self.people.complete_earlier(&mut reaction.incoming);
                    match &self.commands {
                        Some(commands) => commands.take_reaction(reaction).await,
                        None => true,
                    }
                }
                Event::Deleted(deleted) => match &self.deletions {
                    Some(deletions) => deletions.take(deleted).await,
                    None => true,
                },
            };
            if !is_stored {
                return false;
            }
        }
        true
    }

    /// C1: queues a recording that the policy wants answered.
    async fn take_recording(&self, incoming: &Incoming) -> bool {
        let decision = self.policy.borrow().decide(incoming, unix_time::now_seconds());
        let job = match decision {
            Decision::Answer(job) => job,
            Decision::Ignore(reason) => {
                let JobId { chat, message, .. } = incoming.id;
                debug!(event = "ignored", chat, message, reason, "Left alone");
                return true;
            }
        };
        // The worker's span is the same, so every log line of a job has its id in the same field.
        let span = info_span!("job", id = %job.id);
        if job.stranger {
            let counted = retry_until_available("count the jobs", &self.shutdown, || self.queue.counts());
            let Some(counted) = counted.instrument(span.clone()).await else { return false };
            let unfinished = counted.map_or(0, |counts| counts.waiting + counts.claimed + counts.delayed);
            if span.in_scope(|| self.gate.refuses(&job, unfinished)) {
                return true;
            }
        }
        let added = retry_until_available("add a job", &self.shutdown, || self.queue.add(&job));
        let added = added.instrument(span.clone()).await;
        let _entered = span.enter();
        let Recording { duration, outgoing, .. } = job.recording;
        match added {
            Some(Ok(Added::New)) => {
                info!(event = "heard", seconds = duration, outgoing, "Voice message heard");
                self.gate.heard(incoming);
            }
            Some(Ok(Added::Seen)) => debug!("Already known"),
            Some(Err(error)) => {
                error!(%error, "The job cannot be queued");
                return false;
            }
            None => return false,
        }
        // Also for a known job: an earlier `add` may have succeeded without our knowing.
        self.work.notify_one();
        true
    }
}
