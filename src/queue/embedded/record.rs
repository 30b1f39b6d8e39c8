//! What the file holds of a job.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::domain::{Answer, Job, Preview, Progress, unix_time};
use crate::queue::{
    self, Claim, Claimed, CrashRules, Entry, MAX_DELIVERIES, MAX_DELIVERIES_AT_ONCE, millis, reason,
};

/// A job that is not finished, as it is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub job: Job,
    /// Rises with every job added.
    pub seq: u64,
    /// Where it stands in the line, or stood before it was claimed, delayed or buried; `None` while
    /// older jobs of its chat are unfinished.
    pub place: Option<u64>,
    pub state: State,
    pub deliveries: u32,
    /// The processes that died over its recording, plus one while `begun`.
    #[serde(default)]
    pub deaths: u32,
    /// When a death was counted last, in milliseconds of Unix time; 0 if that is not known.
    #[serde(default)]
    pub died: u64,
    #[serde(default)]
    pub begun: bool,
    pub attempts: u32,
    #[serde(default)]
    pub progress: Option<Progress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    pub outbox: Option<Answer>,
    /// Why it was put back or is dead.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    /// Waiting, and ahead of the line: released, or claimed by a process that died.
    Returned,
    Claimed,
    /// Until `due`, in milliseconds of Unix time.
    Delayed {
        due: u64,
    },
    Dead,
}

/// One record before and after an operation; `None` where it is not in the file.
pub struct Change {
    pub before: Option<Record>,
    pub after: Option<Record>,
}

impl Change {
    pub fn update(before: Record, change: impl FnOnce(&mut Record)) -> Self {
        let mut after = before.clone();
        change(&mut after);
        Self { before: Some(before), after: Some(after) }
    }
}

impl Record {
    /// How many processes died over its recording.
    pub fn past_deaths(&self) -> u32 {
        self.deaths.saturating_sub(self.begun.into())
    }

    /// Makes a job that a process had claimed when it died claimable again. Returns for how long it
    /// is put off, if it is.
    pub fn recover(&mut self, now: u64, rules: &CrashRules) -> Option<Duration> {
        let (pause, reason) = if std::mem::take(&mut self.begun) {
            (self.count_death(now, rules), reason::died_over_recording())
        } else if (MAX_DELIVERIES_AT_ONCE..MAX_DELIVERIES).contains(&self.deliveries) {
            (rules.pauses[0], reason::died_repeatedly())
        } else {
            (Duration::ZERO, String::new())
        };
        if pause.is_zero() {
            self.state = State::Returned;
            return None;
        }
        self.put_off(now.saturating_add(millis(pause)), reason);
        Some(pause)
    }

    /// The pause after a death over the recording, which `deaths` includes already.
    fn count_death(&mut self, now: u64, rules: &CrashRules) -> Duration {
        // Apart by the clock, in whichever direction that was set meanwhile.
        if self.deaths > 1 && self.died.abs_diff(now) < millis(rules.together) {
            self.deaths -= 1;
            return if self.deaths == 1 { rules.pauses[0] } else { rules.pauses[1] };
        }
        self.died = now;
        // After the first it is tried again at once, after the third it goes to the dead letters.
        if self.deaths == 2 { rules.pauses[1] } else { Duration::ZERO }
    }

    /// A job that was put off because processes died waits again, now that another one has opened
    /// the queue; not for ever, where the clock was set back meanwhile.
    pub fn put_off_again(&mut self, now: u64, rules: &CrashRules) {
        let [first, second] = rules.pauses.map(|pause| now.saturating_add(millis(pause)));
        // A retry, which Telegram or a failure asked for, has forgotten both.
        if let State::Delayed { due } = &mut self.state
            && (self.deaths > 0 || self.deliveries > 0)
        {
            *due = (*due).max(first).min(first.max(second));
        }
    }

    pub fn put_off(&mut self, due: u64, reason: String) {
        self.state = State::Delayed { due };
        self.reason = Some(reason);
    }

    pub fn into_claim(self) -> Claimed {
        Claimed::Job(Box::new(Claim {
            job: self.job,
            delivery: self.deliveries,
            deaths: self.deaths,
            attempts: self.attempts,
            progress: self.progress,
            preview: self.preview,
            outbox: self.outbox,
        }))
    }
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        let state = match record.state {
            State::Waiting | State::Returned => queue::State::Waiting,
            State::Claimed => queue::State::Claimed,
            State::Delayed { due } => {
                queue::State::Delayed { due: unix_time::at_millis(due).unwrap_or(UNIX_EPOCH) }
            }
            State::Dead => queue::State::Dead,
        };
        let Record { job, deliveries, attempts, reason, .. } = record;
        Self { job, state, deliveries, attempts, reason }
    }
}

impl State {
    /// Back in the queue, after it had been claimed or not.
    pub fn is_put_back(self) -> bool {
        matches!(self, State::Waiting | State::Returned | State::Delayed { .. })
    }
}
