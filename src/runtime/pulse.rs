//! Whether a loop gets on: with each beat it says by when it will beat again.
//!
//! Every room may name it, as it is what the watchdog looks at, wherever the loops are. What keeps
//! a loop waiting from outside (a FLOOD_WAIT, a network or a store that is away) is no reason to be
//! overdue: the loop says how long it waits, or that nobody knows.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::lock;

/// The pulse of one loop, or of several that do the same; clones share it. Before the first beat
/// nothing is due.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    due: Option<Instant>,
    /// How many are at it, see [`Pulse::during`].
    busy: usize,
}

impl Pulse {
    /// Got on, and does so again within `limit`, or is stuck.
    pub fn beat(&self, limit: Duration) {
        self.state().due = Some(Instant::now() + limit);
    }

    /// Waits for something outside of this program, however long it takes.
    pub fn rest(&self) {
        self.state().due = None;
    }

    /// Beats, and rests when the value is dropped, unless others are at it then.
    pub fn during(&self, limit: Duration) -> During {
        self.state().busy += 1;
        self.beat(limit);
        During(self.clone())
    }

    /// Beats, unless it rests or has longer than `limit` left.
    pub fn keep(&self, limit: Duration) {
        let mut state = self.state();
        state.due = state.due.map(|due| due.max(Instant::now() + limit));
    }

    /// For how long the next beat has been due.
    pub fn overdue(&self) -> Option<Duration> {
        let due = self.state().due;
        due.and_then(|due| Instant::now().checked_duration_since(due)).filter(|late| !late.is_zero())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// Somebody is at it.
#[derive(Debug)]
pub struct During(Pulse);

impl Drop for During {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        if state.busy == 0 {
            state.due = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_overdue_once_its_limit_has_passed_and_until_it_beats() {
        let pulse = Pulse::default();
        let wait = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        wait(1000).await;
        assert_eq!(pulse.overdue(), None, "it has not begun");
        pulse.beat(Duration::from_secs(60));
        wait(60).await;
        assert_eq!(pulse.overdue(), None);
        wait(5).await;
        assert_eq!(pulse.clone().overdue(), Some(Duration::from_secs(5)));
        pulse.beat(Duration::from_secs(60));
        assert_eq!(pulse.overdue(), None);
        pulse.rest();
        wait(100_000).await;
        assert_eq!(pulse.overdue(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_several_do_is_over_with_the_last_of_them() {
        let (pulse, minute) = (Pulse::default(), Duration::from_secs(60));
        let (first, second) = (pulse.during(minute), pulse.during(minute));
        drop(first);
        tokio::time::advance(minute * 2).await;
        assert_eq!(pulse.overdue(), Some(minute));
        pulse.keep(minute);
        assert_eq!(pulse.overdue(), None);
        drop(second);
        // Whoever comes too late to hear that it is over starts nothing.
        pulse.keep(minute);
        tokio::time::advance(minute * 2).await;
        assert_eq!(pulse.overdue(), None);
    }
}
