//! When the previews of an account are sent and edited. No budget counts edits, so what bounds them
//! is the time between two of them, however many long recordings are in work.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The shortest time between two requests for previews.
const EVERY: Duration = Duration::from_secs(3);

/// The turns of the previews of one account.
#[derive(Default)]
pub(crate) struct PreviewTurns(Mutex<Option<Instant>>);

impl PreviewTurns {
    /// Waits for a turn and takes it. Whoever has waited longest is next; whoever gives up waiting
    /// takes none.
    pub async fn take(&self) {
        let mut next = self.0.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + EVERY);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_recordings_share_the_turns() {
        let (turns, started) = (Arc::new(PreviewTurns::default()), Instant::now());
        turns.take().await;
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(timeout(EVERY / 2, turns.take()).await.is_err(), "it is not over yet");
        let mut recordings = JoinSet::new();
        for _ in 0..3 {
            let turns = Arc::clone(&turns);
            recordings.spawn(async move {
                turns.take().await;
                turns.take().await;
            });
        }
        recordings.join_all().await;
        // The clock stands still but for the waits: six turns, each at the end of the one before.
        assert!(started.elapsed() >= EVERY * 6, "{:?}", started.elapsed());
        assert!(started.elapsed() < EVERY * 7, "{:?}", started.elapsed());
    }
}
