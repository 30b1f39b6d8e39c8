//! The queue, the messenger and the transcriber, wrapped to record what passes through. Their users
//! do not notice.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::accompanied::accompanied;
use super::facts::{Outcome, RunningJob, Stage};
use super::limits::{BETWEEN_OPERATIONS_LIMIT, DELIVERY_LIMIT, STORE_LIMIT};
pub use super::observed_transcriber::ObservedTranscriber;
use super::state::HealthState;
use crate::domain::{Answer, Fault, Form, Job, JobId, Part, Preview, Progress};
use crate::jobs::ports::Messenger;
use crate::queue::{
    Added, Candidates, Checkpoints, Claimed, Counts, JobQueue, Mark, Obeyed, Queue, QueueError, ResultCache,
};
use crate::runtime::pulse::Pulse;

/// The queue, observed.
pub struct ObservedQueue {
    queue: Arc<dyn Queue>,
    health: Arc<HealthState>,
    /// The pulse of the update loop, which adds jobs.
    intake: Pulse,
}

impl ObservedQueue {
    pub fn new(queue: Arc<dyn Queue>, health: Arc<HealthState>, intake: Pulse) -> Self {
        health.queue_opened(queue.clone());
        Self { queue, health, intake }
    }

    async fn observe<T>(
        &self,
        pulse: &Pulse,
        operation: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        pulse.beat(STORE_LIMIT);
        let result = operation.await;
        pulse.beat(BETWEEN_OPERATIONS_LIMIT);
        self.health.store_answered(result.as_ref().err());
        result
    }

    /// Observes an operation for the loop that works on this job.
    async fn observe_job<T>(
        &self,
        id: JobId,
        operation: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        self.observe(&self.health.pulse_of(id), operation).await
    }

    /// Observes the operation that ends the work on a job.
    async fn end(
        &self,
        id: JobId,
        outcome: Option<Outcome>,
        operation: impl Future<Output = Result<(), QueueError>> + Send,
    ) -> Result<(), QueueError> {
        self.observe_job(id, operation).await?;
        self.health.job_ended(id, outcome);
        Ok(())
    }

    /// The outcome of a job, which `judge` finds from what is known of it.
    fn outcome(&self, id: JobId, judge: impl FnOnce(&RunningJob) -> Outcome) -> Option<Outcome> {
        self.health.facts().running.get(&id).map(judge)
    }
}

#[async_trait]
impl JobQueue for ObservedQueue {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        let added = self.observe(&self.intake, self.queue.add(job)).await?;
        if added == Added::New {
            self.health.job_queued();
        }
        Ok(added)
    }

    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError> {
        let obeyed = self.observe(&self.intake, self.queue.obey(command, job)).await?;
        if obeyed == Obeyed::New && job.is_some() {
            self.health.job_queued();
        }
        Ok(obeyed)
    }

    async fn mark(&self, id: JobId) -> Result<Option<Mark>, QueueError> {
        self.queue.mark(id).await
    }

    async fn finished(
        &self,
        account: i64,
        channel: Option<i64>,
        message: i32,
    ) -> Result<Option<Job>, QueueError> {
        self.queue.finished(account, channel, message).await
    }

    async fn forget(&self, job: &Job) -> Result<(), QueueError> {
        self.queue.forget(job).await
    }

    async fn claim_of(&self, candidates: Candidates) -> Result<Claimed, QueueError> {
        let pulse = &self.health.claim_pulse;
        let claimed = self.observe(pulse, self.queue.claim_of(candidates)).await?;
        if let Claimed::Job(claim) = &claimed {
            // Whether the worker claims another job now depends on how many it is working on.
            pulse.rest();
            self.health.job_claimed(claim);
            // A job with a counted death is worked on alone, so it may have to wait for all others.
            if claim.deaths == 0 {
                self.health.pulse_of(claim.job.id).beat(BETWEEN_OPERATIONS_LIMIT);
            }
        }
        Ok(claimed)
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        let outcome = self.outcome(id, |job| if job.silent { Outcome::Silent } else { Outcome::Answered });
        self.end(id, outcome, self.queue.done(id, replies)).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        let outcome = self.outcome(id, |job| if job.gone { Outcome::Gone } else { Outcome::Rejected });
        self.end(id, outcome, self.queue.reject(id, reason)).await
    }

    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.end(id, Some(Outcome::Retried), self.queue.retry(id, after, reason)).await
    }

    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.end(id, None, self.queue.wait(id, after, reason)).await
    }

    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.end(id, None, self.queue.release(id)).await
    }

    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.end(id, Some(Outcome::Dead), self.queue.bury(id, reason)).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        self.queue.counts().await
    }

    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        self.queue.oldest().await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.queue.check().await
    }
}

#[async_trait]
impl Checkpoints for ObservedQueue {
    async fn begin(&self, id: JobId) -> Result<(), QueueError> {
        self.observe_job(id, self.queue.begin(id)).await
    }

    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError> {
        self.observe_job(id, self.queue.store_progress(id, progress)).await
    }

    /// It is stored while the recording is recognised: the pulse of the job is that of the
    /// recognition.
    async fn store_preview(&self, id: JobId, preview: &Preview) -> Result<(), QueueError> {
        let result = self.queue.store_preview(id, preview).await;
        self.health.store_answered(result.as_ref().err());
        result
    }

    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError> {
        self.observe_job(id, self.queue.store_outbox(id, answer)).await?;
        self.health.update_job(id, |job| job.silent = answer.parts.is_empty());
        Ok(())
    }
}

#[async_trait]
impl ResultCache for ObservedQueue {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        self.observe_job(job.id, self.queue.result(job)).await
    }
}

/// Records the progress of jobs.
pub(super) struct JobObserver {
    pub health: Arc<HealthState>,
}

impl JobObserver {
    /// Observes a stage. The histogram of all jobs counts it only if it succeeds. A stage without a
    /// limit has a pulse of its own.
    pub async fn observe<T>(
        &self,
        id: JobId,
        stage: Stage,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        self.health.update_job(id, |job| job.stage = Some(stage));
        let result = self.watch(id, limit, work).await;
        let took = started.elapsed();
        self.health.update_job(id, |job| job.times[stage as usize] += took);
        if result.is_ok() {
            self.health.stage_ended(stage, took);
        }
        result
    }

    /// Observes a piece of a job's work, which takes at most `limit` or has a pulse of its own.
    pub async fn watch<T>(
        &self,
        id: JobId,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let pulse = self.health.pulse_of(id);
        match limit {
            Some(limit) => pulse.beat(limit),
            None => pulse.rest(),
        }
        let result = work.await;
        pulse.beat(BETWEEN_OPERATIONS_LIMIT);
        match &result {
            Err(Fault::Gone(_)) => self.health.update_job(id, |job| job.gone = true),
            Err(Fault::Wait { after, .. }) => self.health.flood_wait(*after),
            _ => {}
        }
        self.health.update_job(id, |job| job.stage = None);
        result
    }
}

/// The messenger, observed.
pub struct ObservedMessenger {
    messenger: Arc<dyn Messenger>,
    observer: JobObserver,
}

impl ObservedMessenger {
    pub fn new(messenger: Arc<dyn Messenger>, health: Arc<HealthState>) -> Self {
        Self { messenger, observer: JobObserver { health } }
    }

    fn pulse_of(&self, job: &Job) -> Pulse {
        self.observer.health.pulse_of(job.id)
    }
}

#[async_trait]
impl Messenger for ObservedMessenger {
    async fn ready(&self) {
        let pulse = &self.observer.health.claim_pulse;
        pulse.rest();
        self.messenger.ready().await;
        pulse.beat(BETWEEN_OPERATIONS_LIMIT);
    }

    fn connection(&self) -> Option<u64> {
        self.messenger.connection()
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        // The whole may take any time: each part has its own limit, and a pulse of its own.
        self.observer.observe(job.id, Stage::Fetch, None, self.messenger.fetch(job)).await
    }

    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        self.observer.watch(job.id, Some(DELIVERY_LIMIT), self.messenger.find_sent(job, answer)).await
    }

    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        let delivered = self.messenger.deliver(job, answer, index);
        self.observer.observe(job.id, Stage::Deliver, Some(DELIVERY_LIMIT), delivered).await
    }

    async fn preview_turn(&self) {
        self.messenger.preview_turn().await;
    }

    fn may_preview(&self, job: &Job) -> bool {
        self.messenger.may_preview(job)
    }

    async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        accompanied(&self.pulse_of(job), self.messenger.preview(job, preview)).await
    }

    async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        accompanied(&self.pulse_of(job), self.messenger.find_preview(job, preview)).await
    }

    async fn edit_preview(&self, job: &Job, form: &Form, part: &Part, message: i32) -> Result<bool, Fault> {
        accompanied(&self.pulse_of(job), self.messenger.edit_preview(job, form, part, message)).await
    }

    async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, Fault> {
        let completed = self.messenger.complete_preview(job, answer, message);
        self.observer.observe(job.id, Stage::Deliver, Some(DELIVERY_LIMIT), completed).await
    }

    async fn withdraw(&self, job: &Job, form: &Form, messages: &[i32]) -> Result<(), Fault> {
        let withdrawn = self.messenger.withdraw(job, form, messages);
        self.observer.watch(job.id, Some(DELIVERY_LIMIT), withdrawn).await
    }

    fn forget(&self, job: JobId) {
        self.messenger.forget(job);
    }
}
