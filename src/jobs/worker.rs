//! Claims jobs, works on a few at the same time, and decides what becomes of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use crate::domain::policy::Policy;
use crate::domain::saved::message_link;
use crate::domain::{Fault, Job, JobId, Note, Preview, command_texts};
use crate::jobs::gate::Gate;
use crate::jobs::persist::{persist, persist_note};
use crate::jobs::pipeline::{PipelineContext, answer};
use crate::jobs::ports::{Conversation, Messenger, Summariser, Transcriber};
use crate::jobs::preview;
use crate::jobs::retry::retry_until_available;
use crate::jobs::verdict::{ToldWaits, Verdict, verdict_for};
use crate::queue::{Candidates, Claim, Claimed, JobQueue, Queue, QueueError};
use crate::runtime::lock;

/// How often an idle worker polls the queue: `stenogram queue retry` runs in another process and
/// cannot wake it.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// How long the supervisor has to notice a lost connection after a job has met it.
const RECONNECT_GRACE: Duration = Duration::from_secs(1);
/// The first pause for a job that fails as if offline while the connection is up.
const FIRST_RETRY_WHEN_CONNECTED: Duration = Duration::from_secs(5);
/// How many times in a row a job may lose the connection and be put back at once. After that the
/// job itself is considered the cause, and its next attempt is delayed.
const MAX_CONNECTION_LOSSES: u32 = 3;

/// Jobs in work at the same time, each of another chat. The transcriber takes their stretches in
/// turn, so one recording is recognised while the next ones are fetched and decoded.
const MAX_CONCURRENT_JOBS: usize = 4;
/// How many of them may be in the middle of a long recording, so that one slot always stays free
/// for short ones.
const MAX_LONG_JOBS: usize = MAX_CONCURRENT_JOBS - 1;

/// How many of so many jobs may be strangers', so that whoever else sends a message finds a free
/// slot: of four it waits for two recognitions of strangers at most.
const fn strangers_of(jobs: usize) -> usize {
    jobs.div_ceil(2)
}

/// Works through the queue.
///
/// A job whose recording may have killed an earlier process is worked on alone until it has passed
/// that point. Otherwise a further crash would be counted against innocent jobs too.
pub struct Worker {
    queue: Arc<dyn JobQueue>,
    context: PipelineContext,
    /// Notified when a job was added, or when the next job of a chat may be claimed.
    work: Arc<Notify>,
    /// Serialises claims.
    claim_lock: Mutex<()>,
    /// How many jobs are in work at a time.
    concurrency: usize,
    /// One permit for each job in work; a suspicious job holds all of them.
    job_slots: Semaphore,
    /// One permit for each job of a stranger that may be in work.
    strangers_slots: Semaphore,
    /// Where the owner is told that a recording they asked for gets no text.
    conversation: Option<Arc<dyn Conversation>>,
    /// How many times in a row each job has lost the connection.
    connection_losses: std::sync::Mutex<HashMap<JobId, u32>>,
    told_waits: ToldWaits,
}

impl Worker {
    pub fn new(
        queue: Arc<dyn Queue>,
        messenger: Arc<dyn Messenger>,
        transcriber: Arc<dyn Transcriber>,
        policy: watch::Receiver<Policy>,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            queue: queue.clone(),
            context: PipelineContext {
                checkpoints: queue.clone(),
                results: queue,
                messenger,
                transcriber,
                summariser: None,
                policy,
                shutdown,
                long_jobs: Semaphore::new(MAX_LONG_JOBS),
                gate: Arc::default(),
                preview_after: None,
            },
            work,
            claim_lock: Mutex::default(),
            concurrency: MAX_CONCURRENT_JOBS,
            job_slots: Semaphore::new(MAX_CONCURRENT_JOBS),
            strangers_slots: Semaphore::new(strangers_of(MAX_CONCURRENT_JOBS)),
            conversation: None,
            connection_losses: std::sync::Mutex::default(),
            told_waits: ToldWaits::default(),
        }
    }

    /// Tells the owner there of a recording that they asked for and that gets no text.
    pub fn with_conversation(self, conversation: Arc<dyn Conversation>) -> Self {
        Self { conversation: Some(conversation), ..self }
    }

    /// Has so many jobs in work at a time. Of their recordings none may be recognised here.
    pub fn with_concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self.job_slots = Semaphore::new(concurrency);
        self.strangers_slots = Semaphore::new(strangers_of(concurrency));
        self
    }

    /// Has summaries of long texts written.
    pub fn with_summariser(mut self, summariser: Option<Arc<dyn Summariser>>) -> Self {
        self.context.summariser = summariser;
        self
    }

    /// Lets only those jobs pass that the gate admits.
    pub fn with_gate(mut self, gate: Arc<Gate>) -> Self {
        self.context.gate = gate;
        self
    }

    /// Shows the text so far of a job that is worked on for so long; never, if that is `None`.
    pub fn with_previews(mut self, after: Option<Duration>) -> Self {
        self.context.preview_after = after;
        self
    }

    /// Works until the shutdown. An error means that no job can be answered any more.
    pub async fn run(self) -> Result<(), String> {
        let claim_loop = async || {
            let outcome = self.claim_loop().await;
            // The first loop that ends stops the others, which put their jobs back.
            self.context.shutdown.cancel();
            outcome
        };
        join_all((0..self.concurrency).map(|_| claim_loop())).await.into_iter().collect()
    }

    async fn claim_loop(&self) -> Result<(), String> {
        let PipelineContext { messenger, shutdown, .. } = &self.context;
        loop {
            let claiming = self.claim_lock.lock().await;
            // There is a free slot, unless a suspicious job holds them all.
            let mut permit = self.permits(1).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = messenger.ready() => {}
            }
            let mut strangers_slot = self.strangers_slots.try_acquire().ok();
            let candidates = if strangers_slot.is_some() { Candidates::All } else { Candidates::NoStrangers };
            match retry_until_available("claim a job", shutdown, || self.queue.claim_of(candidates)).await {
                None => return Ok(()),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(Claimed::GivenUp { job, preview, reason })) => {
                    self.tell_of(&job, &Verdict::Bury(reason));
                    self.withdraw_later(job, preview);
                }
                // The other loops wait for the lock meanwhile, so one loop polls for all.
                Some(Ok(Claimed::Empty { next_due })) => {
                    drop(strangers_slot);
                    self.wait_for_work(next_due).await;
                }
                Some(Ok(Claimed::Job(claim))) => {
                    if self.is_suspicious(&claim) {
                        permit.merge(self.permits(self.concurrency - 1).await);
                    }
                    strangers_slot.take_if(|_| !claim.job.stranger);
                    drop(claiming);
                    let span = info_span!("job", id = %claim.job.id);
                    self.work_on(&claim, permit).instrument(span).await?;
                    if strangers_slot.take().is_some() {
                        self.work.notify_one();
                    }
                }
            }
        }
    }

    /// Whether this process may die of the job's recording, as others did.
    fn is_suspicious(&self, claim: &Claim) -> bool {
        claim.deaths > 0 && !self.context.transcriber.is_elsewhere()
    }

    async fn permits(&self, count: usize) -> SemaphorePermit<'_> {
        self.job_slots.acquire_many(count as u32).await.expect("nobody closes the semaphore")
    }

    async fn wait_for_work(&self, next_due: Option<SystemTime>) {
        let due = next_due.map(|due| due.duration_since(SystemTime::now()).unwrap_or_default());
        tokio::select! {
            () = self.context.shutdown.cancelled() => {}
            () = self.work.notified() => {}
            () = tokio::time::sleep(due.map_or(POLL_INTERVAL, |due| due.min(POLL_INTERVAL))) => {}
        }
    }

    async fn work_on(&self, claim: &Claim, mut permit: SemaphorePermit<'_>) -> Result<(), String> {
        let PipelineContext { messenger, shutdown, .. } = &self.context;
        let id = claim.job.id;
        if claim.delivery > 1 {
            let Claim { delivery, deaths, .. } = claim;
            warn!(
                event = "redelivered",
                delivery, deaths, "Taking up a job that an earlier run did not finish"
            );
        }
        // After the first checkpoint a suspicious job is like any other, and returns the slots.
        let mut on_checkpoint = || drop(permit.split(self.concurrency - 1));
        let connection = messenger.connection();
        let mut preview = claim.preview.clone();
        let result = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Fault::Aborted),
            result = answer(claim, &mut preview, &self.context, &mut on_checkpoint) => result,
        };
        let fatal = match &result {
            Err(Fault::Fatal(why)) => Some(why.clone()),
            _ => None,
        };
        let is_gone = matches!(result, Err(Fault::Gone(_)));
        let verdict = match result {
            Err(Fault::Unavailable(why)) => self.after_outage(claim, connection, why).await,
            result => {
                self.connection_losses().remove(&id);
                verdict_for(claim, result, &self.told_waits)
            }
        };
        let verdict = self.without_preview(claim, preview, verdict).await;
        self.apply(&claim.job, &verdict).await.map_err(|error| error.to_string())?;
        if is_gone {
            let forget = || self.queue.forget(&claim.job);
            if let Some(Err(error)) = retry_until_available("remove a transcript", shutdown, forget).await {
                error!(%error, "The transcript of a deleted recording cannot be removed");
            }
        }
        self.tell_of(&claim.job, &verdict);
        // The next job of this chat may be claimed now.
        self.work.notify_one();
        fatal.map_or(Ok(()), Err)
    }

    /// Deletes the preview of a job that ends without an answer. If that is not possible now, the
    /// job does not end yet.
    async fn without_preview(
        &self,
        claim: &Claim,
        mut preview: Option<Preview>,
        verdict: Verdict,
    ) -> Verdict {
        if preview.is_none() || !matches!(verdict, Verdict::Reject(_) | Verdict::Bury(_)) {
            return verdict;
        }
        let withdrawn = tokio::select! {
            () = self.context.shutdown.cancelled() => Err(Fault::Aborted),
            withdrawn = preview::withdraw(&claim.job, &mut preview, &[], &*self.context.messenger) => withdrawn,
        };
        match withdrawn {
            Ok(()) | Err(Fault::Gone(_) | Fault::Reject(_)) => verdict,
            Err(Fault::Unavailable(why)) => Verdict::Wait(FIRST_RETRY_WHEN_CONNECTED, why),
            Err(fault) => verdict_for(claim, Err(fault), &self.told_waits),
        }
    }

    /// Deletes the preview of a job that is in the dead letters already.
    fn withdraw_later(&self, job: Box<Job>, preview: Option<Preview>) {
        let Some(preview) = preview else { return };
        let (messenger, shutdown) = (Arc::clone(&self.context.messenger), self.context.shutdown.clone());
        tokio::spawn(async move {
            let withdrawn =
                || async { preview::withdraw(&job, &mut Some(preview.clone()), &[], &*messenger).await };
            persist(|| messenger.ready(), &shutdown, withdrawn).await
        });
    }

    /// A lost connection is not the job's fault, unless the connection it used is still up, or the
    /// job loses it several times in a row.
    async fn after_outage(&self, claim: &Claim, connection: Option<u64>, why: String) -> Verdict {
        tokio::select! {
            () = self.context.shutdown.cancelled() => return Verdict::Release,
            () = tokio::time::sleep(RECONNECT_GRACE) => {}
        }
        let is_up = connection.is_some() && self.context.messenger.connection() == connection;
        let mut all_losses = self.connection_losses();
        let losses = all_losses.entry(claim.job.id).or_default();
        *losses += u32::from(connection.is_some());
        if is_up || *losses > MAX_CONNECTION_LOSSES {
            all_losses.remove(&claim.job.id);
            verdict_for(claim, Err(Fault::Retry { after: FIRST_RETRY_WHEN_CONNECTED, why }), &self.told_waits)
        } else {
            info!(event = "released", reason = why, "Put back until the connection returns");
            Verdict::Release
        }
    }

    fn connection_losses(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, u32>> {
        lock(&self.connection_losses)
    }

    /// Tells the owner why a recording that they asked for gets no text, if that is so.
    fn tell_of(&self, job: &Job, verdict: &Verdict) {
        let (Some(asked), Some(conversation)) = (&job.asked, &self.conversation) else { return };
        let reason = match verdict {
            Verdict::Done(replies) if replies.is_empty() => None,
            Verdict::Reject(why) | Verdict::Bury(why) => Some(why.as_str()),
            _ => return,
        };
        let text = command_texts::no_text(&message_link(job), reason, asked.tongue);
        let command = JobId { message: asked.command, ..job.id };
        let (conversation, shutdown) = (Arc::clone(conversation), self.context.shutdown.clone());
        tokio::spawn(
            async move { persist_note(&*conversation, &shutdown, command, Note::NoText, &text).await },
        );
    }

    /// C4: has the queue store how the attempt ended.
    async fn apply(&self, job: &Job, verdict: &Verdict) -> Result<(), QueueError> {
        let (queue, PipelineContext { messenger, shutdown, .. }) = (&self.queue, &self.context);
        let (id, earlier) = (job.id, job.earlier_answer());
        if matches!(verdict, Verdict::Done(_) | Verdict::Reject(_) | Verdict::Bury(_)) {
            messenger.forget(id);
            self.context.gate.ended(id);
        }
        let stored = match verdict {
            Verdict::Release => retry_until_available("put back a job", shutdown, || queue.release(id)).await,
            Verdict::Done(replies) => {
                retry_until_available("finish a job", shutdown, || queue.done(id, replies)).await
            }
            Verdict::Retry(after, why) => {
                retry_until_available("put off a job", shutdown, || queue.retry(id, *after, why)).await
            }
            Verdict::Wait(after, why) => {
                retry_until_available("put off a job", shutdown, || queue.wait(id, *after, why)).await
            }
            // The answer that it had before stays, and so does its mark.
            Verdict::Reject(_) if !earlier.is_empty() => {
                retry_until_available("end a job", shutdown, || queue.done(id, earlier)).await
            }
            Verdict::Reject(why) => {
                retry_until_available("end a job", shutdown, || queue.reject(id, why)).await
            }
            Verdict::Bury(why) => retry_until_available("bury a job", shutdown, || queue.bury(id, why)).await,
        };
        // `None` when the daemon stops first: the job then stays claimed until the next start.
        stored.unwrap_or(Ok(()))
    }
}
