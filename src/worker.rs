//! Claims jobs, a few at a time, and decides what becomes of each.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::domain::{Fault, JobId};
use crate::patience::insist;
use crate::pipeline::{Shop, Stages, answer};
use crate::queue::{Claim, Claimed, Queue, QueueError};

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
/// How often an idle worker looks by itself: `stenogram queue retry` wakes nobody here.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After the connection failed under a job: time for the supervisor to notice.
const SETTLE: Duration = Duration::from_secs(1);
/// First pause for a job that fails as if there were no connection, while there is one.
const STUBBORN: Duration = Duration::from_secs(5);
/// How often in a row one job may lose the connection and be put back at once. Then it is to blame, and
/// others get their turn.
const MAX_LOSSES: u32 = 3;

/// Jobs that are worked on at the same time, each in a chat of its own. Recognition takes their stretches
/// in turn, so that while one is recognised the next is fetched and decoded.
const HANDS: usize = 4;
/// Of those, how many may be in the middle of a long recording: a way is left for the short ones.
const LONG: usize = HANDS - 1;

/// Works through the queue.
///
/// A job over whose recording a process may have died is worked on alone until it has got past
/// that: any other would be counted deaths that this one causes.
pub struct Worker {
    shop: Shop,
    /// Notified when a job was added, or a chat's next one may be claimed.
    work: Arc<Notify>,
    /// Whose turn it is to claim.
    turn: Mutex<()>,
    /// One permit for each job in work; a suspicious one holds them all.
    hands: Semaphore,
    /// The jobs that lost the connection the last time, and how often in a row.
    losses: std::sync::Mutex<HashMap<JobId, u32>>,
}

/// What a job's end needs of the queue.
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
        stages: Arc<dyn Stages>,
        work: Arc<Notify>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            shop: Shop { queue, stages, shutdown, long: Semaphore::new(LONG) },
            work,
            turn: Mutex::default(),
            hands: Semaphore::new(HANDS),
            losses: std::sync::Mutex::default(),
        }
    }

    /// Works until the shutdown. An error means that no job could ever be answered like this.
    pub async fn run(self) -> Result<(), String> {
        let hand = async || {
            let outcome = self.hand().await;
            // Whichever ends takes the others with it, their jobs put back.
            self.shop.shutdown.cancel();
            outcome
        };
        join_all((0..HANDS).map(|_| hand())).await.into_iter().collect()
    }

    async fn hand(&self) -> Result<(), String> {
        let Shop { queue, stages, shutdown, .. } = &self.shop;
        loop {
            let turn = self.turn.lock().await;
            // One is free, unless a suspicious job has them all.
            let mut permit = self.permits(1).await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = stages.ready() => {}
            }
            match insist("claim a job", shutdown, || queue.claim()).await {
                None => return Ok(()),
                Some(Err(error)) => return Err(error.to_string()),
                // The others wait for the turn meanwhile: one looks for all.
                Some(Ok(Claimed::Empty { next_due })) => self.rest(next_due).await,
                Some(Ok(Claimed::Job(claim))) => {
                    if claim.deaths > 0 {
                        permit.merge(self.permits(HANDS - 1).await);
                    }
                    drop(turn);
                    let span = info_span!("job", id = %claim.job.id);
                    self.work_on(&claim, permit).instrument(span).await?;
                }
            }
        }
    }

    async fn permits(&self, count: usize) -> SemaphorePermit<'_> {
        self.hands.acquire_many(count as u32).await.expect("nobody closes the semaphore")
    }

    async fn rest(&self, next_due: Option<SystemTime>) {
        let due = next_due.map(|due| due.duration_since(SystemTime::now()).unwrap_or_default());
        tokio::select! {
            () = self.shop.shutdown.cancelled() => {}
            () = self.work.notified() => {}
            () = tokio::time::sleep(due.map_or(LOOK_EVERY, |due| due.min(LOOK_EVERY))) => {}
        }
    }

    async fn work_on(&self, claim: &Claim, mut permit: SemaphorePermit<'_>) -> Result<(), String> {
        let Shop { stages, shutdown, .. } = &self.shop;
        let id = claim.job.id;
        if claim.delivery > 1 {
            let Claim { delivery, deaths, .. } = claim;
            warn!(delivery, deaths, "Taking up a job that an earlier run did not finish");
        }
        // From then on others may be worked on beside it.
        let mut got_on = || drop(permit.split(HANDS - 1));
        let connection = stages.connection();
        let result = tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Fault::Aborted),
            result = answer(claim, &self.shop, &mut got_on) => result,
        };
        let fatal = match &result {
            Err(Fault::Fatal(why)) => Some(why.clone()),
            _ => None,
        };
        let verdict = match result {
            Err(Fault::Unavailable(why)) => self.after_outage(claim, connection, why).await,
            result => {
                self.losses().remove(&id);
                judge(claim, result)
            }
        };
        self.carry_out(id, verdict).await.map_err(|error| error.to_string())?;
        // Whoever looks for a job now may find the next one of this chat.
        self.work.notify_one();
        fatal.map_or(Ok(()), Err)
    }

    /// The job is not to blame for a lost connection, unless it is the only one that loses it: while the
    /// connection it had is well, or again and again.
    async fn after_outage(&self, claim: &Claim, connection: Option<u64>, why: String) -> Verdict {
        tokio::select! {
            () = self.shop.shutdown.cancelled() => return Verdict::Release,
            () = tokio::time::sleep(SETTLE) => {}
        }
        let is_well = connection.is_some() && self.shop.stages.connection() == connection;
        let mut all_losses = self.losses();
        let losses = all_losses.entry(claim.job.id).or_default();
        *losses += u32::from(connection.is_some());
        if is_well || *losses > MAX_LOSSES {
            all_losses.remove(&claim.job.id);
            judge(claim, Err(Fault::Retry { after: STUBBORN, why }))
        } else {
            info!(reason = why, "Put back until the connection returns");
            Verdict::Release
        }
    }

    fn losses(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, u32>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// C4, for every way a job can end.
    async fn carry_out(&self, id: JobId, verdict: Verdict) -> Result<(), QueueError> {
        let Shop { queue, stages, shutdown, .. } = &self.shop;
        if matches!(verdict, Verdict::Done(_) | Verdict::Reject(_) | Verdict::Bury(_)) {
            stages.forget(id);
        }
        let stored = match &verdict {
            Verdict::Release => insist("put back a job", shutdown, || queue.release(id)).await,
            Verdict::Done(replies) => insist("finish a job", shutdown, || queue.done(id, replies)).await,
            Verdict::Retry(after, why) => {
                insist("put off a job", shutdown, || queue.retry(id, *after, why)).await
            }
            Verdict::Wait(after, why) => {
                insist("put off a job", shutdown, || queue.wait(id, *after, why)).await
            }
            Verdict::Reject(why) => insist("end a job", shutdown, || queue.reject(id, why)).await,
            Verdict::Bury(why) => insist("bury a job", shutdown, || queue.bury(id, why)).await,
        };
        // None: the daemon stops, and the job stays claimed until the next start.
        stored.unwrap_or(Ok(()))
    }
}

/// What becomes of a job, by its outcome alone: a refusal ends it, a failed attempt puts it off for
/// twice as long as the one before until there were too many, and everything else is nobody's
/// failed attempt.
fn judge(claim: &Claim, result: Result<Vec<i32>, Fault>) -> Verdict {
    match result {
        Ok(replies) => Verdict::Done(replies),
        Err(Fault::Aborted | Fault::Unavailable(_)) => Verdict::Release,
        Err(Fault::Fatal(why)) => {
            error!(reason = why, "Cannot go on");
            Verdict::Release
        }
        Err(Fault::Wait { after, why }) => {
            warn!(reason = why, "Waiting {} s as Telegram demands", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Later { after, why }) => {
            info!(reason = why, "Put off for {} s", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Held { after, why }) => {
            debug!(reason = why, "Held for {} s", after.as_secs());
            Verdict::Wait(after, why)
        }
        Err(Fault::Gone(why)) => {
            info!(reason = why, "Nothing to answer any more");
            Verdict::Reject(why)
        }
        Err(Fault::Reject(why)) => {
            warn!(reason = why, "Will not be answered");
            Verdict::Reject(why)
        }
        Err(Fault::Retry { why, .. }) if claim.attempts + 1 >= max_attempts(claim) => {
            error!(reason = why, attempts = claim.attempts + 1, "Given up, moved to the dead letters");
            Verdict::Bury(why)
        }
        Err(Fault::Retry { after, why }) => {
            let after = (after * 2_u32.pow(claim.attempts.min(10))).min(MAX_PAUSE);
            warn!(reason = why, attempt = claim.attempts + 1, "Failed, next try in {} s", after.as_secs());
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
    use crate::domain::{Job, Peer, PeerKind, RecordingKind};

    fn claim(attempts: u32, is_answered: bool) -> Claim {
        let job = Job {
            id: JobId { account: 1, chat: 2, message: 3 },
            peer: Peer { kind: PeerKind::User, id: 2, access_hash: 4 },
            kind: RecordingKind::Voice,
            document: 5,
            outgoing: false,
            date: 6,
            duration: 7,
            size: 8,
        };
        let outbox = is_answered.then(Vec::new);
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
                assert_eq!(judge(&claim, result), verdict);
            }
        }
    }

    /// The pauses between the attempts at a job that never succeeds, in seconds.
    fn pauses(first: u64, is_answered: bool) -> Vec<u64> {
        let mut pauses = Vec::new();
        loop {
            let claim = claim(pauses.len() as u32, is_answered);
            match judge(&claim, Err(Fault::retry_in(first, why()))) {
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
            let verdict = judge(&claim(attempts, is_answered), Err(Fault::retry_in(1, why())));
            assert_eq!(verdict == Verdict::Bury(why()), is_given_up, "{attempts} {is_answered}: {verdict:?}");
        }
    }
}
