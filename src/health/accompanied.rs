//! The pulse of a job while a preview is sent or edited beside its recognition.

use tokio::time::{Instant, sleep};

use super::limits::{BETWEEN_OPERATIONS_LIMIT, DELIVERY_LIMIT};
use crate::runtime::pulse::Pulse;

/// Observes work which may go on beside the job's recognition and after it, and takes at most as
/// long as a delivery. During the recognition the job's pulse rests, and is left so. Afterwards it
/// is kept, and there is time for what comes next.
pub(super) async fn accompanied<T>(pulse: &Pulse, work: impl Future<Output = T> + Send) -> T {
    let end = Instant::now() + DELIVERY_LIMIT;
    let mut work = std::pin::pin!(work);
    loop {
        pulse.keep(BETWEEN_OPERATIONS_LIMIT);
        tokio::select! {
            result = &mut work => {
                pulse.keep(BETWEEN_OPERATIONS_LIMIT);
                return result;
            }
            () = sleep(BETWEEN_OPERATIONS_LIMIT / 2), if Instant::now() < end => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A `watch` would end the rest of the recognition, and no notice at all would leave the job
    /// with the limit of the time between two operations.
    #[tokio::test(start_paused = true)]
    async fn a_preview_outlasts_the_recognition_and_leaves_time_for_a_summary() {
        let pulse = Pulse::default();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let preview = accompanied(&pulse, async { sleep(minutes(14)).await });
        let recognition = async {
            pulse.rest();
            sleep(minutes(5)).await;
            assert_eq!(pulse.overdue(), None, "it rests");
            pulse.beat(BETWEEN_OPERATIONS_LIMIT);
            for _ in 5..14 {
                assert_eq!(pulse.overdue(), None);
                sleep(minutes(1)).await;
            }
        };
        tokio::join!(preview, recognition);
        sleep(Duration::from_secs(125)).await;
        assert_eq!(pulse.overdue(), None);
        // One that hangs is noticed all the same.
        let hanging = tokio::time::timeout(minutes(20), accompanied(&pulse, std::future::pending::<()>()));
        assert!(hanging.await.is_err());
        assert!(pulse.overdue().is_some());
    }
}
