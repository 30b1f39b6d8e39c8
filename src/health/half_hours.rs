//! How often something happened in the last 24 hours, by half hours.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const HALF_HOUR: Duration = Duration::from_secs(1800);
/// Half hours that are counted: those of a day.
pub const HALF_HOURS: usize = 48;

/// Counts by half hour, the current one last.
#[derive(Debug)]
pub struct HalfHourCounts {
    counts: VecDeque<u32>,
    /// When the current half hour began.
    begun: Instant,
}

impl HalfHourCounts {
    pub fn new(now: Instant) -> Self {
        Self { counts: VecDeque::from([0; HALF_HOURS]), begun: now }
    }

    pub fn count(&mut self, now: Instant) {
        self.roll(now);
        if let Some(current) = self.counts.back_mut() {
            *current += 1;
        }
    }

    /// The counts from a day ago until now.
    pub fn counts(&mut self, now: Instant) -> Vec<u32> {
        self.roll(now);
        self.counts.iter().copied().collect()
    }

    /// Begins a new half hour if one has passed, or several.
    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.begun).as_secs() / HALF_HOUR.as_secs();
        // After more than a day without a call every count is zero, and no further step changes
        // that.
        for _ in 0..passed.min(HALF_HOURS as u64) {
            self.counts.pop_front();
            self.counts.push_back(0);
        }
        self.begun += Duration::from_secs(passed * HALF_HOUR.as_secs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_older_than_a_day_are_dropped() {
        let start = Instant::now();
        let mut day = HalfHourCounts::new(start);
        let after = |half_hours: u32| start + HALF_HOUR * half_hours;
        day.count(start);
        day.count(after(1) - Duration::from_secs(1));
        day.count(after(1));
        let counts = day.counts(after(1));
        assert_eq!((counts.len(), &counts[HALF_HOURS - 2..]), (HALF_HOURS, &[2, 1][..]));
        assert_eq!(day.counts(after(48))[..2], [1, 0]);
        assert!(day.counts(after(49)).iter().all(|count| *count == 0));
        day.count(after(10_000));
        assert_eq!(day.counts(after(10_000))[HALF_HOURS - 1], 1);
    }
}
