//! Waiting for the queue's store to come back.

use std::future::Future;
use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::queue::QueueError;

/// First and longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Repeats `operation` until the store takes it; `what` is for the log.
///
/// None once `shutdown` is asked for: then it is not known whether the operation happened, and the
/// next start finds out. Errors that waiting does not mend come back at once.
pub async fn retry_until_available<T, F>(
    what: &str,
    shutdown: &CancellationToken,
    mut operation: impl FnMut() -> F,
) -> Option<Result<T, QueueError>>
where
    F: Future<Output = Result<T, QueueError>>,
{
    let mut pauses = ExponentialBackoffBuilder::new()
        .with_initial_interval(PAUSES.0)
        .with_max_interval(PAUSES.1)
        .with_multiplier(2.0)
        .with_max_elapsed_time(None)
        .build();
    let mut failed = false;
    loop {
        // Not cut short by the shutdown: an operation has its own time limit and is better
        // finished.
        match operation().await {
            Err(QueueError::Unavailable(why)) => {
                let pause = pauses.next_backoff().unwrap_or(PAUSES.1);
                warn!(
                    event = "queue_unavailable",
                    reason = %why,
                    "Queue not available, cannot {what}; next try in {:.1} s",
                    pause.as_secs_f32()
                );
                failed = true;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shutdown.cancelled() => return None,
                }
            }
            result => {
                if failed && result.is_ok() {
                    info!(event = "queue_available", "Queue available again");
                }
                return Some(result);
            }
        }
    }
}
