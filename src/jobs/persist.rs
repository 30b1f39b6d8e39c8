//! Saying something in a chat, or taking it back, as soon as Telegram lets the account.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::domain::{Fault, JobId, Note};
use crate::jobs::ports::Conversation;

/// For how long it is tried.
const TRIED: Duration = Duration::from_secs(600);
/// For how long a note waits for its turn among the messages that the account may send in a day.
const NOTE_WAITS: Duration = Duration::from_secs(86_400);
/// Pause before it is tried again, where the failure names none.
const RETRY: Duration = Duration::from_secs(2);

/// Repeats `attempt` until it succeeds, and gives up after a refusal, after some minutes or when
/// the daemon shuts down. Returns whether it succeeded.
///
/// Before each attempt it is waited for until Telegram is `ready`.
pub async fn persist<R, F>(
    ready: impl Fn() -> R,
    shutdown: &CancellationToken,
    attempt: impl FnMut() -> F,
) -> bool
where
    R: Future<Output = ()>,
    F: Future<Output = Result<(), Fault>>,
{
    persist_for(TRIED, ready, shutdown, attempt).await
}

/// Writes a note, for which it may have to wait until tomorrow. Returns whether it succeeded; a
/// note that is given up keeps no turn.
///
/// Telegram recognises the `random_id` of a note that comes again, but not for ever. So one that
/// may have arrived is tried for some minutes more, and not after a long outage.
pub async fn persist_note(
    conversation: &dyn Conversation,
    shutdown: &CancellationToken,
    command: JobId,
    note: Note,
    text: &str,
) -> bool {
    let in_doubt = OnceLock::new();
    let attempt = || async {
        if in_doubt.get().is_some_and(|since: &Instant| since.elapsed() > TRIED) {
            return Err(Fault::Reject("it may have arrived long ago".to_owned()));
        }
        let outcome = conversation.note(command, note, text).await;
        if matches!(outcome, Err(Fault::Unavailable(_) | Fault::Retry { .. })) {
            in_doubt.get_or_init(Instant::now);
        }
        outcome
    };
    let is_written = persist_for(NOTE_WAITS, || conversation.ready(), shutdown, attempt).await;
    if !is_written {
        conversation.give_up(command);
    }
    is_written
}

async fn persist_for<R, F>(
    longest: Duration,
    ready: impl Fn() -> R,
    shutdown: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> bool
where
    R: Future<Output = ()>,
    F: Future<Output = Result<(), Fault>>,
{
    let begun = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = ready() => {}
        }
        let (after, why) = match attempt().await {
            Ok(()) => return true,
            Err(Fault::Aborted) => return false,
            Err(
                Fault::Gone(why)
                | Fault::Reject(why)
                | Fault::Poisonous(why)
                | Fault::NoDocuments(why)
                | Fault::Fatal(why),
            ) => {
                debug!(reason = why, "Telegram does not take it");
                return false;
            }
            Err(
                Fault::Wait { after, why }
                | Fault::Later { after, why }
                | Fault::Held { after, why }
                | Fault::Retry { after, why },
            ) => (after, why),
            Err(Fault::Unavailable(why)) => (RETRY, why),
        };
        if begun.elapsed() + after > longest {
            info!(reason = why, "A command or an answer is left as it is");
            return false;
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = sleep(after) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::domain::Peer;

    const COMMAND: JobId = JobId { account: 1, chat: 2, message: 3 };

    /// Telegram with these outcomes of the first notes, and with one outcome of all others.
    struct Planned {
        first: Mutex<VecDeque<Result<(), Fault>>>,
        others: Result<(), Fault>,
        /// How long it takes until the connection is back after a first note.
        outage: Duration,
        tried: Mutex<Vec<Instant>>,
        given_up: Mutex<Vec<JobId>>,
    }

    fn planned(first: Vec<Result<(), Fault>>, others: Result<(), Fault>, outage: Duration) -> Planned {
        let (tried, given_up) = (Mutex::default(), Mutex::default());
        Planned { first: Mutex::new(first.into()), others, outage, tried, given_up }
    }

    #[async_trait]
    impl Conversation for Planned {
        async fn ready(&self) {
            let is_first = self.tried.lock().unwrap().is_empty();
            sleep(if is_first { Duration::ZERO } else { self.outage }).await;
        }

        async fn rewrite(&self, _: &Peer, _: i32, _: &str) -> Result<(), Fault> {
            unreachable!("notes only")
        }

        async fn delete(&self, _: &Peer, _: i32) -> Result<(), Fault> {
            unreachable!("notes only")
        }

        async fn note(&self, _: JobId, _: Note, _: &str) -> Result<(), Fault> {
            self.tried.lock().unwrap().push(Instant::now());
            self.first.lock().unwrap().pop_front().unwrap_or_else(|| self.others.clone())
        }

        fn give_up(&self, command: JobId) {
            self.given_up.lock().unwrap().push(command);
        }
    }

    /// Whether a note is written, how often it is tried, for how long, and whose turn is given up.
    async fn written(telegram: Planned) -> (bool, usize, Duration, Vec<JobId>) {
        let (begun, shutdown) = (Instant::now(), CancellationToken::new());
        let is_written = persist_note(&telegram, &shutdown, COMMAND, Note::Answer, "a text").await;
        let tried = telegram.tried.into_inner().unwrap();
        (is_written, tried.len(), begun.elapsed(), telegram.given_up.into_inner().unwrap())
    }

    fn held() -> Result<(), Fault> {
        Err(Fault::Held { after: Duration::from_secs(1800), why: "SENDS_PER_DAY".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_waits_for_its_turn_for_hours_and_not_for_ever() {
        let eight_hours = planned(vec![held(); 16], Ok(()), Duration::ZERO);
        let (is_written, tried, waited, given_up) = written(eight_hours).await;
        assert_eq!((is_written, tried, given_up), (true, 17, vec![]));
        assert_eq!(waited.as_secs() / 3600, 8);
        let (is_written, _, waited, given_up) = written(planned(vec![], held(), Duration::ZERO)).await;
        // Nothing waits behind it any more.
        assert_eq!((is_written, given_up), (false, vec![COMMAND]));
        assert!(waited <= NOTE_WAITS, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_note_that_may_have_arrived_is_not_repeated_after_a_long_outage() {
        let lost = || vec![Err(Fault::Unavailable("the connection was lost".into()))];
        let (is_written, tried, ..) = written(planned(lost(), Ok(()), Duration::from_secs(60))).await;
        assert_eq!((is_written, tried), (true, 2));
        let (is_written, tried, _, given_up) =
            written(planned(lost(), Ok(()), Duration::from_secs(3600))).await;
        assert_eq!((is_written, tried, given_up), (false, 1, vec![COMMAND]));
    }
}
