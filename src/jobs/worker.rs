//! Claims jobs, works on a few at the same time, and decides what becomes of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::domain::policy::Policy;
use crate::domain::{Fault, JobId};
use crate::jobs::pipeline::{PipelineContext, answer};
use crate::jobs::ports::{Messenger, Transcriber};
use crate::jobs::retry::retry_until_available;
use crate::queue::problems::JOB_GIVEN_UP;
use crate::queue::{Claim, Claimed, JobQueue, Queue, QueueError};
use crate::runtime::lock;

/// Failed attempts after which a job goes to the dead letters: some hours, as the pauses double
/// from each fault's own up to [`MAX_PAUSE`]. Only [`Fault::Retry`] is one; waits, outages and
/// restarts count as none.
const MAX_ATTEMPTS: u32 = 10;
/// The same for a job whose answer is stored, all its attempts counted. What fails then is
/// Telegram's own trouble, for its refusals end a job at once; and a try costs one request. These
/// are 31 hours or more.
const MAX_ATTEMPTS_TO_SEND: u32 = 40;
/// Longest pause between two attempts at one job.
const MAX_PAUSE: Duration = Duration::from_secs(3600);
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
    /// One permit for each job in work; a suspicious job holds all of them.
    job_slots: Semaphore,
    /// How many times in a row each job has lost the connection.
    connection_losses: std::sync::Mutex<HashMap<JobId, u32>>,
}

/// What the queue is asked to do with a job after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done(Vec<i32>),
    Release,
    Retry(Duration, String),
    Wait(Duration, String),
    Reject(String),
    Bury(String),
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
                policy,
                shutdown,
                long_jobs: Semaphore::new(MAX_LONG_JOBS),
            },
            work,
            claim_lock: Mutex::default(),
            job_slots: Semaphore::new(MAX_CONCURRENT_JOBS),
            connection_losses: std::sync::Mutex::default(),
        }
    }

    /// Works until the shutdown. An error means that no job can be answered any more.
    pub async fn run(self) -> Result<(), String> {
        let claim_loop = async || {
            let outcome = self.claim_loop().await;
            // The first loop that ends stops the others, which put their jobs back.
            self.context.shutdown.cancel();
            outcome
        };
        join_all((0..MAX_CONCURRENT_JOBS).map(|_| claim_loop())).await.into_iter().collect()
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
            match retry_until_available("claim a job", shutdown, || self.queue.claim()).await {
                None => return Ok(()),
                Some(Err(error)) => return Err(error.to_string()),
                // The other loops wait for the lock meanwhile, so one loop polls for all.
                Some(Ok(Claimed::Empty { next_due })) => self.wait_for_work(next_due).await,
                Some(Ok(Claimed::Job(claim))) => {
                    if claim.deaths > 0 {
                        permit.merge(self.permits(MAX_CONCURRENT_JOBS - 1).await);
                    }
                    drop(claiming);
                    let span = info_span!("job", id = %claim.job.id);
                    self.work_on(&claim, permit).instrument(span).await?;
                }
            }
        }
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
        let mut on_checkpoint = || drop(permit.split(MAX_CONCURRENT_JOBS - 1));
        let connection = messenger.connection();
        let result = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Fault::Aborted),
            result = answer(claim, &self.context, &mut on_checkpoint) => result,
        };
        let fatal = match &result {
            Err(Fault::Fatal(why)) => Some(why.clone()),
            _ => None,
        };
        let verdict = match result {
            Err(Fault::Unavailable(why)) => self.after_outage(claim, connection, why).await,
            result => {
                self.connection_losses().remove(&id);
                verdict_for(claim, result)
            }
        };
        self.apply(id, verdict).await.map_err(|error| error.to_string())?;
        // The next job of this chat may be claimed now.
        self.work.notify_one();
        fatal.map_or(Ok(()), Err)
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
            verdict_for(claim, Err(Fault::Retry { after: FIRST_RETRY_WHEN_CONNECTED, why }))
        } else {
            info!(event = "released", reason = why, "Put back until the connection returns");
            Verdict::Release
        }
    }

    fn connection_losses(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, u32>> {
        lock(&self.connection_losses)
    }

    /// C4: has the queue store how the attempt ended.
    async fn apply(&self, id: JobId, verdict: Verdict) -> Result<(), QueueError> {
        let (queue, PipelineContext { messenger, shutdown, .. }) = (&self.queue, &self.context);
        if matches!(verdict, Verdict::Done(_) | Verdict::Reject(_) | Verdict::Bury(_)) {
            messenger.forget(id);
        }
        let stored = match &verdict {
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
            Verdict::Reject(why) => {
                retry_until_available("end a job", shutdown, || queue.reject(id, why)).await
            }
            Verdict::Bury(why) => retry_until_available("bury a job", shutdown, || queue.bury(id, why)).await,
        };
        // `None` when the daemon stops first: the job then stays claimed until the next start.
        stored.unwrap_or(Ok(()))
    }
}

/// Decides what becomes of a job, by the outcome of the attempt alone. A refusal ends the job. A
/// failed attempt puts it off, each time for twice as long, until there were too many. Anything
/// else does not count as a failed attempt.
fn verdict_for(claim: &Claim, result: Result<Vec<i32>, Fault>) -> Verdict {
    match result {
        Ok(replies) => Verdict::Done(replies),
        Err(Fault::Aborted | Fault::Unavailable(_)) => Verdict::Release,
        Err(Fault::Fatal(why)) => {
            error!(reason = why, "Cannot go on");
            Verdict::Release
        }
        Err(Fault::Wait { after, why }) => {
            warn!(event = "flood_wait", reason = why, "Waiting {} s as Telegram demands", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Later { after, why }) => {
            info!(event = "delayed", reason = why, "Put off for {} s", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Held { after, why }) => {
            debug!(event = "held", reason = why, "Held for {} s", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Gone(why)) => {
            info!(event = "gone", reason = why, "Nothing to answer any more");
            Verdict::Reject(why)
        }
        Err(Fault::Reject(why)) => {
            warn!(event = "rejected", reason = why, "Will not be answered");
            Verdict::Reject(why)
        }
        Err(Fault::Retry { why, .. }) if claim.attempts + 1 >= max_attempts(claim) => {
            let attempts = claim.attempts + 1;
            error!(event = "dead_letter", reason = why, attempts, "{}", JOB_GIVEN_UP.tag(JOB_GIVEN_UP.title));
            Verdict::Bury(why)
        }
        Err(Fault::Retry { after, why }) => {
            let after = (after * 2_u32.pow(claim.attempts.min(10))).min(MAX_PAUSE);
            warn!(
                event = "retry",
                reason = why,
                attempt = claim.attempts + 1,
                "Failed, next try in {} s",
                after.as_secs()
            );
            Verdict::Retry(after, why)
        }
    }
}

fn max_attempts(claim: &Claim) -> u32 {
    if claim.outbox.is_some() { MAX_ATTEMPTS_TO_SEND } else { MAX_ATTEMPTS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reply::compose;
    use crate::domain::{Job, Peer, PeerKind, Recording, RecordingKind, Settings, Transcript};

    fn claim(attempts: u32, is_answered: bool) -> Claim {
        let job = Job {
            id: JobId { account: 1, chat: 2, message: 3 },
            recording: Recording {
                chat: Peer { kind: PeerKind::User, id: 2, access_hash: 4 },
                thread: None,
                kind: RecordingKind::Voice,
                document: 5,
                outgoing: false,
                date: 6,
                lifetime: None,
                duration: 7,
                size: 8,
            },
            settings: None,
        };
        let outbox = is_answered.then(|| compose(&Transcript::default(), Settings::default()));
        Claim { job, delivery: 1, deaths: 0, attempts, progress: None, outbox }
    }

    fn why() -> String {
        "why".into()
    }

    #[test]
    fn a_refusal_ends_a_job_and_what_is_nobodys_fault_counts_as_no_attempt() {
        let after = Duration::from_secs(9);
        // However often it has failed, and whether or not its answer is stored.
        for claim in [claim(0, false), claim(0, true), claim(1000, false), claim(1000, true)] {
            for (result, verdict) in [
                (Ok(vec![1, 2]), Verdict::Done(vec![1, 2])),
                (Err(Fault::Gone(why())), Verdict::Reject(why())),
                (Err(Fault::Reject(why())), Verdict::Reject(why())),
                (Err(Fault::Wait { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Later { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Held { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Aborted), Verdict::Release),
                (Err(Fault::Unavailable(why())), Verdict::Release),
                (Err(Fault::Fatal(why())), Verdict::Release),
            ] {
                assert_eq!(verdict_for(&claim, result), verdict);
            }
        }
    }

    /// The pauses between the attempts at a job that never succeeds, in seconds.
    fn pauses(first: u64, is_answered: bool) -> Vec<u64> {
        let mut pauses = Vec::new();
        loop {
            let claim = claim(pauses.len() as u32, is_answered);
            match verdict_for(&claim, Err(Fault::retry_in(first, why()))) {
                Verdict::Retry(after, _) => pauses.push(after.as_secs()),
                verdict => {
                    assert_eq!(verdict, Verdict::Bury(why()));
                    return pauses;
                }
            }
        }
    }

    #[test]
    fn failed_attempts_double_their_pauses_up_to_an_hour_and_end() {
        assert_eq!(pauses(60, false), [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert_eq!(pauses(10, false), [10, 20, 40, 80, 160, 320, 640, 1280, 2560]);
        let with_answer = pauses(10, true);
        assert_eq!(with_answer.len() as u32 + 1, MAX_ATTEMPTS_TO_SEND);
        assert_eq!(with_answer[..9], pauses(10, false));
        assert!(with_answer[9..].iter().all(|pause| *pause == 3600), "{with_answer:?}");
        assert!(with_answer.iter().sum::<u64>() > 30 * 3600);
    }

    #[test]
    fn an_answer_that_is_stored_is_given_up_later() {
        for (attempts, is_answered, is_given_up) in
            [(8, false, false), (9, false, true), (9, true, false), (38, true, false), (39, true, true)]
        {
            let verdict = verdict_for(&claim(attempts, is_answered), Err(Fault::retry_in(1, why())));
            assert_eq!(verdict == Verdict::Bury(why()), is_given_up, "{attempts} {is_answered}: {verdict:?}");
        }
    }
}
