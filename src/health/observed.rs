//! The queue, the messenger and the transcriber, wrapped. Their users do not know that they are
//! observed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::facts::{Outcome, Stage, Work};
use super::vitals::Vitals;
use crate::domain::{Answer, Fault, Job, JobId, Progress, Task};
use crate::jobs::ports::{Messenger, Transcriber, Transcription};
use crate::queue::{Added, Checkpoints, Claimed, Counts, JobQueue, Queue, QueueError, ResultCache};
use crate::runtime::pulse::Pulse;

/// An operation of the queue's store. Redis is given 5 s; a sick disk may take long over an fsync.
const STORE: Duration = Duration::from_secs(300);
/// What lies between two operations: a pause of 15 s at most, a look around every 5 s, or the
/// position in the stream of updates on its way to the disk.
pub(super) const BETWEEN: Duration = Duration::from_secs(180);
/// Decoding ends by itself after 10 minutes.
const DECODE: Duration = Duration::from_secs(900);
/// Some requests with a limit of 30 s each.
const DELIVER: Duration = Duration::from_secs(900);
/// A pass of a large model's encoder on a slow machine takes a minute or two.
pub const PASS: Duration = Duration::from_secs(900);

/// The queue, observed.
pub struct ObservedQueue {
    queue: Arc<dyn Queue>,
    vitals: Arc<Vitals>,
    /// The pulse of the update loop, which adds jobs.
    intake: Pulse,
}

impl ObservedQueue {
    pub fn new(queue: Arc<dyn Queue>, vitals: Arc<Vitals>, intake: Pulse) -> Self {
        vitals.queue_opened(queue.clone());
        Self { queue, vitals, intake }
    }

    async fn observe<T>(
        &self,
        pulse: &Pulse,
        operation: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        pulse.beat(STORE);
        let result = operation.await;
        pulse.beat(BETWEEN);
        self.vitals.store_answered(result.as_ref().err());
        result
    }

    /// The same with the pulse of the job.
    async fn observe_job<T>(
        &self,
        id: JobId,
        operation: impl Future<Output = Result<T, QueueError>> + Send,
    ) -> Result<T, QueueError> {
        self.observe(&self.vitals.pulse_of(id), operation).await
    }

    /// The end of the work on a job.
    async fn end(
        &self,
        id: JobId,
        outcome: Option<Outcome>,
        operation: impl Future<Output = Result<(), QueueError>> + Send,
    ) -> Result<(), QueueError> {
        self.observe_job(id, operation).await?;
        self.vitals.job_ended(id, outcome);
        Ok(())
    }

    /// What the end of a job means, by what is known of it.
    fn outcome(&self, id: JobId, of: impl FnOnce(&Work) -> Outcome) -> Option<Outcome> {
        self.vitals.facts().running.get(&id).map(of)
    }
}

#[async_trait]
impl JobQueue for ObservedQueue {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        let added = self.observe(&self.intake, self.queue.add(job)).await?;
        if added == Added::New {
            self.vitals.heard();
        }
        Ok(added)
    }

    async fn claim(&self) -> Result<Claimed, QueueError> {
        let looking = &self.vitals.looking;
        let claimed = self.observe(looking, self.queue.claim()).await?;
        if let Claimed::Job(claim) = &claimed {
            // Whether another job is looked for now depends on how many are worked on.
            looking.rest();
            self.vitals.job_claimed(claim);
            // One that an earlier process died over may have to wait until all others are done.
            if claim.deaths == 0 {
                self.vitals.pulse_of(claim.job.id).beat(BETWEEN);
            }
        }
        Ok(claimed)
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        let outcome = self.outcome(id, |work| if work.silent { Outcome::Silent } else { Outcome::Answered });
        self.end(id, outcome, self.queue.done(id, replies)).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        let outcome = self.outcome(id, |work| if work.gone { Outcome::Gone } else { Outcome::Rejected });
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

    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError> {
        self.observe_job(id, self.queue.store_outbox(id, answer)).await?;
        self.vitals.of_job(id, |work| work.silent = answer.parts.is_empty());
        Ok(())
    }
}

#[async_trait]
impl ResultCache for ObservedQueue {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        self.observe_job(job.id, self.queue.result(job)).await
    }
}

/// Writes down how the jobs get on.
struct JobObserver {
    vitals: Arc<Vitals>,
}

impl JobObserver {
    /// Only stages that succeeded count in the times of all jobs. A stage without a limit has a
    /// pulse of its own.
    async fn observe<T>(
        &self,
        id: JobId,
        stage: Stage,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let started = Instant::now();
        self.vitals.of_job(id, |work| work.stage = Some(stage));
        let result = self.at_work(id, limit, work).await;
        let took = started.elapsed();
        self.vitals.of_job(id, |work| work.times[stage as usize] += took);
        if result.is_ok() {
            self.vitals.stage_ended(stage, took);
        }
        result
    }

    /// Does a piece of a job's work, which takes so long at most, or is watched in another way.
    async fn at_work<T>(
        &self,
        id: JobId,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let pulse = self.vitals.pulse_of(id);
        match limit {
            Some(limit) => pulse.beat(limit),
            None => pulse.rest(),
        }
        let result = work.await;
        pulse.beat(BETWEEN);
        match &result {
            Err(Fault::Gone(_)) => self.vitals.of_job(id, |work| work.gone = true),
            Err(Fault::Wait { after, .. }) => self.vitals.flood(*after),
            _ => {}
        }
        self.vitals.of_job(id, |work| work.stage = None);
        result
    }
}

/// The messenger, observed.
pub struct ObservedMessenger {
    messenger: Arc<dyn Messenger>,
    observer: JobObserver,
}

impl ObservedMessenger {
    pub fn new(messenger: Arc<dyn Messenger>, vitals: Arc<Vitals>) -> Self {
        Self { messenger, observer: JobObserver { vitals } }
    }
}

#[async_trait]
impl Messenger for ObservedMessenger {
    async fn ready(&self) {
        let looking = &self.observer.vitals.looking;
        looking.rest();
        self.messenger.ready().await;
        looking.beat(BETWEEN);
    }

    fn connection(&self) -> Option<u64> {
        self.messenger.connection()
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        // However long the whole takes: each part has its own limit, and a pulse of its own.
        self.observer.observe(job.id, Stage::Fetch, None, self.messenger.fetch(job)).await
    }

    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        self.observer.at_work(job.id, Some(DELIVER), self.messenger.find_sent(job, answer)).await
    }

    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        let delivered = self.messenger.deliver(job, answer, index);
        self.observer.observe(job.id, Stage::Deliver, Some(DELIVER), delivered).await
    }

    fn forget(&self, job: JobId) {
        self.messenger.forget(job);
    }
}

/// The transcriber, observed.
pub struct ObservedTranscriber {
    transcriber: Arc<dyn Transcriber>,
    observer: JobObserver,
    /// The pulse of the recognition, whichever job it works for.
    recognition: Pulse,
}

impl ObservedTranscriber {
    pub fn new(transcriber: Arc<dyn Transcriber>, vitals: Arc<Vitals>, recognition: Pulse) -> Self {
        Self { transcriber, observer: JobObserver { vitals }, recognition }
    }
}

#[async_trait]
impl Transcriber for ObservedTranscriber {
    fn task(&self) -> Task {
        self.transcriber.task()
    }

    /// The recording is fetched at the same time, and may have arrived long before a model is
    /// loaded. The job's pulse is kept going until then; the recognition's pulse shows a load that
    /// hangs.
    async fn prepare(&self, job: &Job) -> Result<(), Fault> {
        let pulse = self.observer.vitals.pulse_of(job.id);
        let mut prepared = self.transcriber.prepare(job);
        loop {
            tokio::select! {
                result = &mut prepared => return result,
                () = tokio::time::sleep(BETWEEN / 2) => pulse.keep(BETWEEN),
            }
        }
    }

    async fn open(
        &self,
        job: &Job,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let id = job.id;
        let transcription = self.transcriber.open(job, bytes, progress);
        let transcription = self.observer.observe(id, Stage::Decode, Some(DECODE), transcription).await?;
        self.observer.vitals.of_job(id, |work| work.audio = Some(transcription.length() as f64 / 1000.0));
        let until_ms = progress.until_ms;
        Ok(Box::new(ObservedTranscription { transcription, transcriber: self, id, until_ms }))
    }
}

/// A recording that is being recognised, observed.
struct ObservedTranscription<'a> {
    transcription: Box<dyn Transcription + 'a>,
    transcriber: &'a ObservedTranscriber,
    id: JobId,
    until_ms: u64,
}

#[async_trait]
impl Transcription for ObservedTranscription<'_> {
    fn length(&self) -> u64 {
        self.transcription.length()
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        let ObservedTranscriber { observer, recognition, .. } = self.transcriber;
        observer.vitals.of_job(self.id, |work| work.stage = Some(Stage::Recognise));
        // Others may have their turn first. The recognition beats by itself after each pass.
        let _during = recognition.during(PASS);
        let stretch = observer.at_work(self.id, None, self.transcription.next()).await?;
        if let Some(stretch) = &stretch {
            let seconds = stretch.until_ms.saturating_sub(self.until_ms) as f64 / 1000.0;
            observer.vitals.recognised(self.id, seconds);
            self.until_ms = stretch.until_ms;
        }
        Ok(stretch)
    }
}
