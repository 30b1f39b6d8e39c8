//! How much a chat may have answered in an hour and in a day.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Recording;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// How much may be answered in some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub messages: u64,
    /// The length of the recordings, in seconds.
    pub seconds: u64,
    /// The size of their files.
    pub bytes: u64,
}

/// The budgets of a chat; `None` for no limit. They refill evenly: half a budget is there again
/// after half of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    pub hour: Option<Budget>,
    pub day: Option<Budget>,
}

/// What chats may have answered.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// In the private chat with a stranger.
    pub stranger: Budgets,
    /// In every other chat.
    pub chat: Budgets,
    /// How many jobs may be unfinished until a stranger's recording is refused.
    pub jobs: u64,
    /// How many messages in a row that follow answers at once are a loop; 0 for never.
    pub loop_after: u32,
}

/// What answering a recording costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost(Budget);

impl Cost {
    /// By what the sender claims.
    pub fn of(recording: &Recording) -> Self {
        Self(Budget { messages: 1, seconds: recording.duration.into(), bytes: recording.size })
    }

    /// For a recording that is longer than its sender has claimed.
    pub fn of_seconds(seconds: u64) -> Self {
        Self(Budget { messages: 0, seconds, bytes: 0 })
    }
}

/// What a chat has used of its budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// The time for which the numbers hold, in milliseconds of Unix time.
    at: u64,
    /// Messages, seconds and bytes.
    hour: [f64; 3],
    day: [f64; 3],
}

impl Spending {
    /// The time from `now`, in milliseconds of Unix time, until there is room for the cost: zero if
    /// there is room now. What costs more than a whole budget counts as one: the numbers are those
    /// that a sender claims.
    pub fn wait(&self, cost: &Cost, budgets: &Budgets, now: u64) -> Duration {
        let used = self.at(budgets, now);
        let wait = |used: [f64; 3], budget: Option<Budget>, period: u64| {
            let limits = numbers(&budget?);
            let waits = used.iter().zip(numbers(&cost.0)).zip(limits).map(|((used, cost), limit)| {
                // Nothing is used of what the recording does not need.
                let room = if cost == 0.0 { f64::INFINITY } else { limit - cost.min(limit) };
                (used - room).max(0.0) / limit * period as f64
            });
            Some(waits.fold(0.0, f64::max))
        };
        let hour = wait(used.hour, budgets.hour, HOUR).unwrap_or_default();
        let day = wait(used.day, budgets.day, DAY).unwrap_or_default();
        // Less than a microsecond is an error of rounding.
        Duration::from_millis((hour.max(day) - 0.001).max(0.0).ceil() as u64)
    }

    /// The spending after this cost at `now`.
    pub fn plus(&self, cost: &Cost, budgets: &Budgets, now: u64) -> Self {
        let mut used = self.at(budgets, now);
        for (used, budget) in [(&mut used.hour, budgets.hour), (&mut used.day, budgets.day)] {
            let limits = budget.map_or([0.0; 3], |budget| numbers(&budget));
            for ((used, cost), limit) in used.iter_mut().zip(numbers(&cost.0)).zip(limits) {
                *used += cost.min(limit);
            }
        }
        used
    }

    /// Whether nothing is used at `now`, so that there is nothing to remember.
    pub fn is_over(&self, budgets: &Budgets, now: u64) -> bool {
        let used = self.at(budgets, now);
        used.hour == [0.0; 3] && used.day == [0.0; 3]
    }

    /// What is still used at `now`. A clock that was set back refills nothing.
    fn at(&self, budgets: &Budgets, now: u64) -> Self {
        let passed = now.saturating_sub(self.at) as f64;
        let refilled = |used: [f64; 3], budget: Option<Budget>, period: u64| match budget {
            None => [0.0; 3],
            Some(budget) => {
                let limits = numbers(&budget);
                std::array::from_fn(|index| (used[index] - limits[index] * passed / period as f64).max(0.0))
            }
        };
        Self {
            at: now,
            hour: refilled(self.hour, budgets.hour, HOUR),
            day: refilled(self.day, budgets.day, DAY),
        }
    }
}

fn numbers(budget: &Budget) -> [f64; 3] {
    [budget.messages as f64, budget.seconds as f64, budget.bytes as f64]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const MINUTE: u64 = 60_000;

    fn cost(seconds: u64, bytes: u64) -> Cost {
        Cost(Budget { messages: 1, seconds, bytes })
    }

    fn hourly(messages: u64, seconds: u64, bytes: u64) -> Budgets {
        Budgets { hour: Some(Budget { messages, seconds, bytes }), day: None }
    }

    fn spent(budgets: &Budgets, costs: &[Cost]) -> Spending {
        costs.iter().fold(Spending::default(), |spending, cost| spending.plus(cost, budgets, NOW))
    }

    fn minutes(wait: Duration) -> u64 {
        wait.as_secs().div_ceil(60)
    }

    #[test]
    fn each_of_the_three_has_its_limit_and_refills_evenly() {
        for budgets in
            [hourly(6, 1 << 40, 1 << 40), hourly(1 << 40, 60, 1 << 40), hourly(1 << 40, 1 << 40, 6000)]
        {
            let one = cost(10, 1000);
            assert_eq!(spent(&budgets, &[one; 5]).wait(&one, &budgets, NOW), Duration::ZERO);
            let full = spent(&budgets, &[one; 6]);
            assert_eq!(minutes(full.wait(&one, &budgets, NOW)), 10);
            assert_eq!(minutes(full.wait(&one, &budgets, NOW + 4 * MINUTE)), 6);
            assert_eq!(full.wait(&one, &budgets, NOW + 10 * MINUTE), Duration::ZERO);
            assert!(!full.is_over(&budgets, NOW + 59 * MINUTE) && full.is_over(&budgets, NOW + HOUR));
        }
    }

    #[test]
    fn what_is_more_than_a_budget_counts_as_one() {
        let budgets = hourly(100, 600, 1 << 40);
        let long = cost(u64::MAX, 1);
        assert_eq!(Spending::default().wait(&long, &budgets, NOW), Duration::ZERO);
        let after = spent(&budgets, &[long]);
        assert_eq!(minutes(after.wait(&cost(10, 1), &budgets, NOW)), 1);
        assert_eq!(minutes(after.wait(&long, &budgets, NOW)), 60);
    }

    #[test]
    fn a_length_that_was_not_claimed_is_paid_afterwards() {
        let budgets = hourly(100, 600, 1 << 40);
        let lied = spent(&budgets, &[cost(0, 1), Cost::of_seconds(600)]);
        assert_eq!(minutes(lied.wait(&cost(60, 1), &budgets, NOW)), 6);
    }

    #[test]
    fn the_longer_of_both_waits_counts_and_no_budget_limits_nothing() {
        let day = Some(Budget { messages: 2, seconds: 1 << 40, bytes: 1 << 40 });
        let budgets = Budgets { day, ..hourly(1, 1 << 40, 1 << 40) };
        let one = cost(1, 1);
        assert_eq!(minutes(spent(&budgets, &[one]).wait(&one, &budgets, NOW)), 60);
        assert_eq!(minutes(spent(&budgets, &[one; 2]).wait(&one, &budgets, NOW)), 12 * 60);
        let none = Budgets::default();
        assert_eq!(spent(&none, &[one; 1000]).wait(&one, &none, NOW), Duration::ZERO);
        assert!(spent(&none, &[one]).is_over(&none, NOW));
    }

    #[test]
    fn a_clock_that_is_set_back_refills_nothing_and_adds_nothing() {
        let budgets = hourly(1, 1 << 40, 1 << 40);
        let full = spent(&budgets, &[cost(1, 1)]);
        assert_eq!(minutes(full.wait(&cost(1, 1), &budgets, NOW - DAY)), 60);
    }

    /// However recordings come, what is answered in any hour is at most twice the budget, and one
    /// that waits as long as it is told has room then.
    #[test]
    fn no_hour_has_more_than_twice_its_budget() {
        let mut state = 3_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..100 {
            let limit = 1 + random(30);
            let budgets = hourly(limit, 1 << 40, 1 << 40);
            let (mut spending, mut now, mut answered) = (Spending::default(), NOW, Vec::new());
            for _ in 0..200 {
                now += random(MINUTE) + spending.wait(&cost(1, 1), &budgets, now).as_millis() as u64;
                assert_eq!(spending.wait(&cost(1, 1), &budgets, now), Duration::ZERO);
                spending = spending.plus(&cost(1, 1), &budgets, now);
                answered.push(now);
            }
            for window in answered.windows(2 * limit as usize + 1) {
                assert!(window[2 * limit as usize] - window[0] >= HOUR);
            }
        }
    }
}
