//! What the file holds of a job.

use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::domain::{Job, Part, Progress};
use crate::queue::{self, Claim, Claimed, Entry};

/// A job that is not finished, as it is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub job: Job,
    /// Rises with every job added.
    pub seq: u64,
    /// Where it stands in the line, or stood before it was claimed, delayed or buried; none while
    /// older jobs of its chat are unfinished.
    pub place: Option<u64>,
    pub state: State,
    pub deliveries: u32,
    /// One for each process that died of its recording, and for the one that has begun it.
    #[serde(default)]
    pub deaths: u32,
    #[serde(default)]
    pub begun: bool,
    pub attempts: u32,
    #[serde(default)]
    pub progress: Option<Progress>,
    pub outbox: Option<Vec<Part>>,
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

/// One record before and after an operation; none where it is not in the file.
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
    pub fn into_claim(self) -> Claimed {
        Claimed::Job(Box::new(Claim {
            job: self.job,
            delivery: self.deliveries,
            deaths: self.deaths,
            attempts: self.attempts,
            progress: self.progress,
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
                let due = UNIX_EPOCH.checked_add(Duration::from_millis(due));
                queue::State::Delayed { due: due.unwrap_or(UNIX_EPOCH) }
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
