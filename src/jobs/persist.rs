//! Saying something in a chat, or taking it back, as soon as Telegram lets the account.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::domain::Fault;
use crate::jobs::ports::Conversation;

/// For how long it is tried.
const TRIED: Duration = Duration::from_secs(600);
/// Pause before it is tried again, where the failure names none.
const RETRY: Duration = Duration::from_secs(2);

/// Repeats `attempt` until it succeeds, and gives up after a refusal, after some minutes or when
/// the daemon shuts down. Returns whether it succeeded.
pub async fn persist<F>(
    conversation: &dyn Conversation,
    shutdown: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> bool
where
    F: Future<Output = Result<(), Fault>>,
{
    let begun = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = conversation.ready() => {}
        }
        let (after, why) = match attempt().await {
            Ok(()) => return true,
            Err(Fault::Aborted) => return false,
            Err(Fault::Gone(why) | Fault::Reject(why) | Fault::NoDocuments(why) | Fault::Fatal(why)) => {
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
        if begun.elapsed() + after > TRIED {
            info!(reason = why, "A command or an answer is left as it is");
            return false;
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = sleep(after) => {}
        }
    }
}
