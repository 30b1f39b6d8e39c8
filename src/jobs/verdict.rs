//! What becomes of a job after an attempt.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::domain::Fault;
use crate::queue::Claim;
use crate::queue::problems::JOB_GIVEN_UP;
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
/// Waits that end within this time of each other are one wait: each job asks how long is left.
const SAME_WAIT: Duration = Duration::from_secs(2);

/// What the queue is asked to do with a job after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Done(Vec<i32>),
    Release,
    Retry(Duration, String),
    Wait(Duration, String),
    Reject(String),
    Bury(String),
}

/// The waits of Telegram's that the log has told. One wait applies to many jobs.
#[derive(Default)]
pub struct ToldWaits {
    /// When the last of them ends.
    until: Mutex<Option<Instant>>,
}

impl ToldWaits {
    /// Whether a wait from `now` on for `length` is a new one. It is then told.
    fn is_new(&self, now: Instant, length: Duration) -> bool {
        let mut told = lock(&self.until);
        let until = now + length;
        let is_new = told.is_none_or(|told| until > told + SAME_WAIT);
        if is_new {
            *told = Some(until);
        }
        is_new
    }
}

/// Decides what becomes of a job, by the outcome of the attempt alone. A refusal ends the job. A
/// failed attempt puts it off, each time for twice as long, until there were too many. Anything
/// else does not count as a failed attempt.
pub fn verdict_for(claim: &Claim, result: Result<Vec<i32>, Fault>, told: &ToldWaits) -> Verdict {
    match result {
        Ok(replies) => Verdict::Done(replies),
        Err(Fault::Aborted | Fault::Unavailable(_)) => Verdict::Release,
        Err(Fault::Fatal(why)) => {
            error!(reason = why, "Cannot go on");
            Verdict::Release
        }
        Err(Fault::Wait { after, why }) => {
            let seconds = after.as_secs();
            if told.is_new(Instant::now(), after) {
                warn!(event = "flood_wait", reason = why, "Waiting {seconds} s as Telegram demands");
            } else {
                debug!(event = "held", reason = why, "Held for {seconds} s");
            }
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
        Err(Fault::Reject(why) | Fault::NoDocuments(why)) => {
            warn!(event = "rejected", reason = why, "Will not be answered");
            Verdict::Reject(why)
        }
        Err(Fault::Poisonous(why)) => {
            error!(event = "dead_letter", reason = why, "{}", JOB_GIVEN_UP.tag(JOB_GIVEN_UP.title));
            Verdict::Bury(why)
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
    use crate::domain::{Job, Peer, PeerKind, Settings, Transcript};

    fn claim(attempts: u32, is_answered: bool) -> Claim {
        let job = Job::example(Peer { kind: PeerKind::User, id: 2, access_hash: 4 }, 3);
        let outbox = is_answered.then(|| compose(&Transcript::default(), Settings::default()));
        Claim { job, delivery: 1, deaths: 0, attempts, progress: None, preview: None, outbox }
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
                (Err(Fault::Poisonous(why())), Verdict::Bury(why())),
                (Err(Fault::Wait { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Later { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Held { after, why: why() }), Verdict::Wait(after, why())),
                (Err(Fault::Aborted), Verdict::Release),
                (Err(Fault::Unavailable(why())), Verdict::Release),
                (Err(Fault::Fatal(why())), Verdict::Release),
            ] {
                assert_eq!(verdict_for(&claim, result, &ToldWaits::default()), verdict);
            }
        }
    }

    /// The pauses between the attempts at a job that never succeeds, in seconds.
    fn pauses(first: u64, is_answered: bool) -> Vec<u64> {
        let mut pauses = Vec::new();
        loop {
            let claim = claim(pauses.len() as u32, is_answered);
            match verdict_for(&claim, Err(Fault::retry_in(first, why())), &ToldWaits::default()) {
                Verdict::Retry(after, _) => pauses.push(after.as_secs()),
                verdict => {
                    assert_eq!(verdict, Verdict::Bury(why()));
                    return pauses;
                }
            }
        }
    }

    #[test]
    fn a_wait_is_told_once_however_many_jobs_meet_it() {
        let (told, start) = (ToldWaits::default(), Instant::now());
        let is_new = |passed, length| {
            let [passed, length] = [passed, length].map(Duration::from_secs);
            told.is_new(start + passed, length)
        };
        assert!(is_new(0, 30));
        assert!(!is_new(0, 30) && !is_new(1, 30) && !is_new(10, 20) && !is_new(29, 1));
        assert!(is_new(29, 30), "another one, or a longer one");
        assert!(!is_new(30, 5), "one that ends before");
        assert!(is_new(100, 30));
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
            let claim = claim(attempts, is_answered);
            let verdict = verdict_for(&claim, Err(Fault::retry_in(1, why())), &ToldWaits::default());
            assert_eq!(verdict == Verdict::Bury(why()), is_given_up, "{attempts} {is_answered}: {verdict:?}");
        }
    }
}
