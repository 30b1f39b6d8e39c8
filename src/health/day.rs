//! What happened in the last 24 hours, by half hours.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The length of a step, and how many there are.
const STEP: Duration = Duration::from_secs(1800);
pub const STEPS: usize = 48;

/// Counts by step, the current one last.
#[derive(Debug)]
pub struct Day {
    counts: VecDeque<u32>,
    /// When the current step began.
    begun: Instant,
}

impl Day {
    pub fn new(now: Instant) -> Self {
        Self { counts: VecDeque::from([0; STEPS]), begun: now }
    }

    pub fn count(&mut self, now: Instant) {
        self.turn(now);
        if let Some(current) = self.counts.back_mut() {
            *current += 1;
        }
    }

    /// From the step of a day ago to the current one.
    pub fn counts(&mut self, now: Instant) -> Vec<u32> {
        self.turn(now);
        self.counts.iter().copied().collect()
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.begun).as_secs() / STEP.as_secs();
        // Never more than a day's worth, however long nobody looked.
        for _ in 0..passed.min(STEPS as u64) {
            self.counts.pop_front();
            self.counts.push_back(0);
        }
        self.begun += Duration::from_secs(passed * STEP.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_day_is_forgotten() {
        let start = Instant::now();
        let mut day = Day::new(start);
        let after = |steps: u32| start + STEP * steps;
        day.count(start);
        day.count(after(1) - Duration::from_secs(1));
        day.count(after(1));
        let counts = day.counts(after(1));
        assert_eq!((counts.len(), &counts[STEPS - 2..]), (STEPS, &[2, 1][..]));
        assert_eq!(day.counts(after(48))[..2], [1, 0]);
        assert!(day.counts(after(49)).iter().all(|count| *count == 0));
        day.count(after(10_000));
        assert_eq!(day.counts(after(10_000))[STEPS - 1], 1);
    }
}
