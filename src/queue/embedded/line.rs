//! Whose turn it is: the index in memory over the records of the file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::record::{Record, State};
use crate::domain::JobId;
use crate::queue::Counts;

/// Rebuilt from the records when the file is opened, then told of every change to them.
#[derive(Debug, Default)]
pub struct Line {
    /// The last number given out, as a sequence number or as a place.
    last: u64,
    /// The unfinished jobs of each chat by sequence number; only the first of a chat has a place.
    chats: BTreeMap<(i64, u64), JobId>,
    /// Recovered or released, by the place they had: these go first.
    returned: BTreeMap<u64, JobId>,
    /// The line itself, by place.
    ready: BTreeMap<u64, JobId>,
    /// By due time, then place.
    delayed: BTreeMap<(u64, u64), JobId>,
    /// By place.
    claimed: BTreeMap<u64, JobId>,
    /// How many dead letters there are.
    dead: u64,
    /// The dates of the unfinished jobs.
    dates: BTreeSet<(i64, JobId)>,
    /// The unfinished jobs whose recording is under suspicion: document, deaths, id.
    suspects: BTreeSet<(i64, Reverse<u32>, JobId)>,
}

impl Line {
    /// The next sequence number or place.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub fn insert(&mut self, record: &Record) {
        self.last = self.last.max(record.seq).max(record.place.unwrap_or(0));
        let id = record.job.id;
        if record.state == State::Dead {
            self.dead += 1;
            return;
        }
        self.chats.insert((id.chat, record.seq), id);
        self.dates.insert((record.job.recording.date, id));
        self.suspects.extend(suspicion(record));
        let Some(place) = record.place else { return };
        match record.state {
            State::Waiting => self.ready.insert(place, id),
            State::Returned => self.returned.insert(place, id),
            State::Claimed => self.claimed.insert(place, id),
            State::Delayed { due } => self.delayed.insert((due, place), id),
            State::Dead => None,
        };
    }

    pub fn remove(&mut self, record: &Record) {
        let id = record.job.id;
        if record.state == State::Dead {
            self.dead -= 1;
            return;
        }
        self.chats.remove(&(id.chat, record.seq));
        self.dates.remove(&(record.job.recording.date, id));
        if let Some(suspicion) = suspicion(record) {
            self.suspects.remove(&suspicion);
        }
        let Some(place) = record.place else { return };
        match record.state {
            State::Waiting => self.ready.remove(&place),
            State::Returned => self.returned.remove(&place),
            State::Claimed => self.claimed.remove(&place),
            State::Delayed { due } => self.delayed.remove(&(due, place)),
            State::Dead => None,
        };
    }

    /// The job to be claimed next.
    pub fn first(&self) -> Option<JobId> {
        self.returned.values().chain(self.ready.values()).next().copied()
    }

    /// The chat has unfinished jobs.
    pub fn is_busy(&self, chat: i64) -> bool {
        self.chats.range((chat, 0)..=(chat, u64::MAX)).next().is_some()
    }

    /// The job of the same chat that comes after this one.
    pub fn behind(&self, record: &Record) -> Option<JobId> {
        let chat = record.job.id.chat;
        self.chats.range((chat, record.seq + 1)..=(chat, u64::MAX)).next().map(|(_, id)| *id)
    }

    /// When the next delayed job is due, in milliseconds of Unix time.
    pub fn next_due(&self) -> Option<u64> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// The delayed jobs that are due at `now`, in the order they became so.
    pub fn due(&self, now: u64) -> Vec<JobId> {
        self.delayed.range(..=(now, u64::MAX)).map(|(_, id)| *id).collect()
    }

    pub fn claimed(&self) -> impl Iterator<Item = JobId> {
        self.claimed.values().copied()
    }

    pub fn delayed(&self) -> impl Iterator<Item = JobId> {
        self.delayed.values().copied()
    }

    /// Of the jobs with this recording that are under suspicion the one that is tried first.
    pub fn suspect(&self, document: i64) -> Option<JobId> {
        let none_before = (document, Reverse(u32::MAX), JobId::MIN);
        let (found, _, id) = self.suspects.range(none_before..).next()?;
        (*found == document).then_some(*id)
    }

    /// The earliest date of an unfinished job.
    pub fn oldest(&self) -> Option<i64> {
        self.dates.first().map(|(date, _)| *date)
    }

    pub fn counts(&self) -> Counts {
        let (claimed, delayed) = (self.claimed.len() as u64, self.delayed.len() as u64);
        let unfinished = self.chats.len() as u64;
        Counts { waiting: unfinished - claimed - delayed, claimed, delayed, dead: self.dead }
    }
}

/// The job's entry among the suspects, if it is one.
fn suspicion(record: &Record) -> Option<(i64, Reverse<u32>, JobId)> {
    let Record { job, .. } = record;
    let deaths = record.past_deaths();
    (deaths > 0 && job.recording.document != 0).then_some((job.recording.document, Reverse(deaths), job.id))
}
