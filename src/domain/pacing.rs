//! When the account may send its next message: not more a minute, and a day, than a person would.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::JobId;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
/// For how long after a login the account sends half as much, in milliseconds: Telegram watches new
/// sessions closely.
pub const SETTLING: u64 = DAY;
/// The longest time for which a job is put off at once, in milliseconds. After a restart with other
/// limits, these apply to all jobs by then.
const LONGEST_WAIT: u64 = 30 * MINUTE;
/// A job that has not come back so long after its turn has ended otherwise.
const GRACE: u64 = 10 * MINUTE;

/// How many messages the account may send in any minute, and in any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLimits {
    pub minute: u32,
    pub day: u32,
}

impl Default for SendLimits {
    fn default() -> Self {
        Self { minute: 20, day: 1000 }
    }
}

impl SendLimits {
    /// Half of each, for an account that has just logged in.
    fn halved(self) -> Self {
        Self { minute: self.minute.div_ceil(2), day: self.day.div_ceil(2) }
    }
}

/// How much of the budget is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendUsage {
    /// Messages sent in the last minute, and how many may be.
    pub minute: (u32, u32),
    /// The same for the last 24 hours.
    pub day: (u32, u32),
    /// Answers that wait because of the budget.
    pub waiting: u32,
}

/// Counts the messages sent, and gives each job that has to wait its turn. Strangers' answers get
/// half of the budget at most, and take no turn of others. All times are in milliseconds of Unix
/// time.
#[derive(Debug)]
pub struct Pacing {
    limits: SendLimits,
    /// Until then half of the limits applies.
    settled_at: u64,
    /// When messages of the last day were sent, oldest first, and whether to a stranger.
    sent: VecDeque<(u64, bool)>,
    /// When it is the turn of each job that waits; strangers' are second. Later jobs have later
    /// turns.
    turns: [BTreeMap<JobId, u64>; 2],
}

impl Pacing {
    /// For an account that logged in at `login` and has sent messages at these times.
    pub fn new(limits: SendLimits, login: u64, sent: impl IntoIterator<Item = u64>) -> Self {
        let mut sent: Vec<(u64, bool)> = sent.into_iter().map(|sent| (sent, false)).collect();
        sent.sort_unstable();
        let settled_at = login.saturating_add(SETTLING);
        Self { limits, settled_at, sent: sent.into(), turns: Default::default() }
    }

    /// Whether the job may send a message now. If not, the time until it should ask again; its turn
    /// is kept meanwhile, before those of all jobs of its kind that ask later.
    pub fn ask(&mut self, job: JobId, stranger: bool, now: u64) -> Result<(), Duration> {
        self.forget_old(now);
        let turns = &self.turns[usize::from(stranger)];
        let turn = match turns.get(&job) {
            Some(turn) if *turn > now => *turn,
            // Its turn has come. The others have theirs later.
            Some(_) => self.free_at(now, stranger, false),
            None => self.free_at(now, stranger, !turns.is_empty()),
        };
        if turn <= now {
            return Ok(());
        }
        self.turns[usize::from(stranger)].insert(job, turn);
        Err(Duration::from_millis((turn - now).min(LONGEST_WAIT)))
    }

    /// The job sends a message now.
    pub fn record(&mut self, job: JobId, stranger: bool, now: u64) {
        self.forget_old(now);
        self.forget(job);
        self.sent.push_back((now, stranger));
    }

    pub fn usage(&mut self, now: u64) -> SendUsage {
        self.forget_old(now);
        let limits = self.limits_at(now);
        let in_minute = self.sent.iter().rev().take_while(|(sent, _)| sent + MINUTE > now).count();
        SendUsage {
            minute: (in_minute as u32, limits.minute),
            day: (self.sent.len() as u32, limits.day),
            waiting: self.turns.iter().map(|turns| turns.len() as u32).sum(),
        }
    }

    /// Whether a message may be sent now that could as well wait: nobody waits for a turn, and less
    /// than three quarters of the budget are used.
    pub fn has_room(&mut self, now: u64) -> bool {
        let SendUsage { minute, day, waiting } = self.usage(now);
        let is_below = |(used, limit): (u32, u32)| u64::from(used) * 4 < u64::from(limit) * 3;
        waiting == 0 && is_below(minute) && is_below(day)
    }

    /// The job needs no turn any more.
    pub fn forget(&mut self, job: JobId) {
        for turns in &mut self.turns {
            turns.remove(&job);
        }
    }

    fn limits_at(&self, now: u64) -> SendLimits {
        // A login in the future is that of a clock that was set back since.
        let is_settling = now < self.settled_at && self.settled_at <= now + SETTLING;
        if is_settling { self.limits.halved() } else { self.limits }
    }

    /// The earliest time at which a message keeps within the limits: after all messages sent, and
    /// after all turns of its kind if `behind_turns`.
    fn free_at(&self, now: u64, stranger: bool, behind_turns: bool) -> u64 {
        let limits = self.limits_at(now);
        let turns = || self.turns[usize::from(stranger)].values().copied().filter(|_| behind_turns);
        let sent = self.sent.iter().map(|(sent, _)| *sent);
        if !stranger {
            return free_after(sent.chain(turns()).collect(), limits, now);
        }
        let theirs = self.sent.iter().filter(|(_, stranger)| *stranger).map(|(sent, _)| *sent);
        let theirs = free_after(theirs.chain(turns()).collect(), limits.halved(), now);
        theirs.max(free_after(sent.collect(), limits, now))
    }

    fn forget_old(&mut self, now: u64) {
        // Of a clock that was set back: these count as sent just now, so that they end within a
        // day.
        self.sent.iter_mut().for_each(|(sent, _)| *sent = (*sent).min(now));
        while self.sent.front().is_some_and(|(sent, _)| sent + DAY <= now) {
            self.sent.pop_front();
        }
        for turns in &mut self.turns {
            turns.retain(|_, turn| *turn + GRACE > now && *turn <= now + 365 * DAY);
        }
    }
}

/// The earliest time from `now` on that keeps within the limits after messages at these times.
fn free_after(mut times: Vec<u64>, limits: SendLimits, now: u64) -> u64 {
    times.sort_unstable();
    let mut free = times.last().copied().unwrap_or_default().max(now);
    for (limit, period) in [(limits.minute, MINUTE), (limits.day, DAY)] {
        if let Some(first) = times.len().checked_sub(limit.max(1) as usize) {
            free = free.max(times[first] + period);
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000_000;
    const LONG_AGO: u64 = START - 30 * DAY;

    fn job(message: i32) -> JobId {
        JobId { account: 1, chat: i64::from(message), message }
    }

    fn pacing(minute: u32, day: u32) -> Pacing {
        Pacing::new(SendLimits { minute, day }, LONG_AGO, [])
    }

    #[test]
    fn within_the_limits_nobody_waits_and_beyond_them_the_oldest_makes_room() {
        let mut pacing = pacing(2, 100);
        for message in 1..=2 {
            let now = START + u64::try_from(message).unwrap() * 1000;
            assert_eq!(pacing.ask(job(message), false, now), Ok(()));
            pacing.record(job(message), false, now);
        }
        let now = START + 5000;
        assert_eq!(pacing.ask(job(3), false, now), Err(Duration::from_secs(56)));
        assert_eq!(pacing.ask(job(4), false, now), Err(Duration::from_secs(57)));
        // The third has its turn a minute after the first that waits.
        assert_eq!(pacing.ask(job(5), false, now), Err(Duration::from_secs(116)));
        assert_eq!(pacing.usage(now).waiting, 3);
        // One that asks again keeps its turn, and who is first is first.
        assert_eq!(pacing.ask(job(3), false, now + 1000), Err(Duration::from_secs(55)));
        assert_eq!(pacing.ask(job(3), false, START + 61_000), Ok(()));
        assert_eq!(pacing.ask(job(6), false, START + 61_000), Err(Duration::from_secs(61)));
    }

    #[test]
    fn a_day_has_its_own_limit_and_a_wait_is_cut_to_half_an_hour() {
        let mut pacing = pacing(10, 3);
        for message in 1..=3 {
            pacing.record(job(message), false, START);
        }
        assert_eq!(pacing.ask(job(4), false, START), Err(Duration::from_secs(1800)));
        assert_eq!(pacing.ask(job(4), false, START + DAY - 1000), Err(Duration::from_secs(1)));
        assert_eq!(pacing.usage(START + DAY - 1).day, (3, 3));
        assert_eq!(pacing.ask(job(4), false, START + DAY), Ok(()));
    }

    #[test]
    fn strangers_get_half_and_nobody_else_waits_for_them() {
        let mut pacing = pacing(4, 100);
        for message in 1..=2 {
            assert_eq!(pacing.ask(job(message), true, START), Ok(()));
            pacing.record(job(message), true, START);
        }
        for message in 3..=9 {
            assert!(pacing.ask(job(message), true, START).is_err());
        }
        for message in 10..=11 {
            assert_eq!(pacing.ask(job(message), false, START + 1000), Ok(()));
            pacing.record(job(message), false, START + 1000);
        }
        // Behind the strangers' two messages, and not behind the turns of seven more.
        assert_eq!(pacing.ask(job(12), false, START + 1000), Err(Duration::from_secs(59)));
        assert_eq!(pacing.ask(job(3), true, START + MINUTE), Ok(()));
    }

    #[test]
    fn half_as_much_is_sent_on_the_first_day() {
        let limits = SendLimits { minute: 5, day: 100 };
        let mut fresh = Pacing::new(limits, START, []);
        assert_eq!(fresh.usage(START).minute, (0, 3));
        assert_eq!(fresh.usage(START + SETTLING), SendUsage { minute: (0, 5), day: (0, 100), waiting: 0 });
        // Before the login, by a clock that was set back.
        assert_eq!(fresh.usage(START - 2 * DAY).minute, (0, 5));
    }

    #[test]
    fn what_was_sent_before_a_restart_counts_and_a_clock_set_back_holds_up_for_a_day_at_most() {
        let mut pacing = Pacing::new(SendLimits { minute: 1, day: 9 }, LONG_AGO, [START, START - 2 * DAY]);
        assert_eq!(pacing.ask(job(1), false, START + 1000), Err(Duration::from_secs(59)));
        assert_eq!(pacing.usage(START + 1000).day, (1, 9));
        let mut pacing = Pacing::new(SendLimits { minute: 1, day: 1 }, LONG_AGO, [START + 90 * DAY]);
        assert!(pacing.ask(job(1), false, START).is_err());
        assert_eq!(pacing.ask(job(1), false, START + DAY), Ok(()));
    }

    #[test]
    fn the_turn_of_a_job_that_does_not_come_back_is_given_up() {
        let mut pacing = pacing(1, 100);
        pacing.record(job(1), false, START);
        pacing.ask(job(2), false, START).unwrap_err();
        pacing.ask(job(3), false, START).unwrap_err();
        pacing.forget(job(3));
        assert_eq!(pacing.usage(START).waiting, 1);
        assert_eq!(pacing.usage(START + MINUTE + GRACE).waiting, 0);
        assert_eq!(pacing.ask(job(4), false, START + MINUTE + GRACE), Ok(()));
    }

    /// Whatever jobs ask when, no minute and no day has more messages than allowed, and everybody
    /// is served.
    #[test]
    fn no_window_has_more_than_its_limit() {
        let mut state = 7_u64;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..50 {
            let limits = SendLimits { minute: 1 + random(5) as u32, day: 20 + random(20) as u32 };
            let mut pacing = Pacing::new(limits, LONG_AGO, []);
            // When each job asks next.
            let mut asks: BTreeMap<(u64, i32), ()> = BTreeMap::new();
            for message in 0..60 {
                asks.insert((START + random(10 * MINUTE), message), ());
            }
            let mut sent: Vec<(u64, bool)> = Vec::new();
            while let Some(((now, message), ())) = asks.pop_first() {
                let stranger = message % 3 == 0;
                match pacing.ask(job(message), stranger, now) {
                    Ok(()) => {
                        pacing.record(job(message), stranger, now);
                        sent.push((now, stranger));
                    }
                    Err(wait) => {
                        let late = random(500);
                        asks.insert((now + wait.as_millis() as u64 + late, message), ());
                    }
                }
            }
            assert_eq!(sent.len(), 60);
            for (limit, period) in [(limits.minute, MINUTE), (limits.day, DAY)] {
                for window in sent.windows(limit as usize + 1) {
                    assert!(window[limit as usize].0 - window[0].0 >= period, "{limits:?}");
                }
                let theirs: Vec<u64> = sent.iter().filter(|(_, theirs)| *theirs).map(|(at, _)| *at).collect();
                let half = limit.div_ceil(2) as usize;
                assert!(
                    theirs.windows(half + 1).all(|window| window[half] - window[0] >= period),
                    "{limits:?}"
                );
            }
            assert!(sent[59].0 < START + 5 * DAY, "{limits:?}");
        }
    }
}
