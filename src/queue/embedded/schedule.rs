//! Which job comes next: the index in memory over the records of the file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::record::{Record, State};
use crate::domain::{Job, JobId};
use crate::queue::{Candidates, Counts, Line};

/// Account, document, deaths, id: of one recording the job with the most deaths comes first.
type Suspicion = (i64, i64, Reverse<u32>, JobId);

/// Rebuilt from the records when the file is opened, then updated with every change to them.
#[derive(Debug, Default)]
pub struct Schedule {
    /// The last number given out, as a sequence number or as a place.
    last: u64,
    /// The unfinished jobs by account, chat, whether they were asked for, and sequence number. Only
    /// the first of a chat has a place, and the first of those asked for.
    chats: BTreeMap<(i64, i64, bool, u64), JobId>,
    /// Recovered or released, by the place they had: these go first in their [`Line`].
    returned: [BTreeMap<u64, JobId>; 3],
    /// The lines of those that wait, by place.
    ready: [BTreeMap<u64, JobId>; 3],
    /// By due time, then place.
    delayed: BTreeMap<(u64, u64), JobId>,
    /// By place.
    claimed: BTreeMap<u64, JobId>,
    /// How many dead letters there are.
    dead: u64,
    /// The dates of the unfinished jobs.
    dates: BTreeSet<(i64, JobId)>,
    /// The unfinished jobs whose recording is under suspicion.
    suspects: BTreeSet<Suspicion>,
}

impl Schedule {
    /// The next sequence number or place.
    pub fn next_number(&mut self) -> u64 {
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
        self.chats.insert(chat_key(record), id);
        self.dates.insert((record.job.recording.date, id));
        self.suspects.extend(suspicion(record));
        let Some(place) = record.place else { return };
        let line = Line::of(&record.job) as usize;
        match record.state {
            State::Waiting => self.ready[line].insert(place, id),
            State::Returned => self.returned[line].insert(place, id),
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
        self.chats.remove(&chat_key(record));
        self.dates.remove(&(record.job.recording.date, id));
        if let Some(suspicion) = suspicion(record) {
            self.suspects.remove(&suspicion);
        }
        let Some(place) = record.place else { return };
        let line = Line::of(&record.job) as usize;
        match record.state {
            State::Waiting => self.ready[line].remove(&place),
            State::Returned => self.returned[line].remove(&place),
            State::Claimed => self.claimed.remove(&place),
            State::Delayed { due } => self.delayed.remove(&(due, place)),
            State::Dead => None,
        };
    }

    /// The job to be claimed next.
    pub fn first(&self, candidates: Candidates) -> Option<JobId> {
        let lines = match candidates {
            Candidates::All => 0..3,
            Candidates::NoStrangers => 0..2,
        };
        let returned = self.returned[lines.clone()].iter().flat_map(BTreeMap::values);
        returned.chain(self.ready[lines].iter().flat_map(BTreeMap::values)).next().copied()
    }

    /// The job has to wait for another of its chat.
    pub fn is_busy(&self, job: &Job) -> bool {
        self.first_in_chat(job.id, job.asked.is_some()).is_some()
    }

    /// The first unfinished job of the job's chat, of those that were asked for or of the others.
    pub fn first_in_chat(&self, id: JobId, asked: bool) -> Option<JobId> {
        self.first_of_chat(id, asked, 0)
    }

    /// The job of the same chat that comes after this one.
    pub fn next_in_chat(&self, record: &Record) -> Option<JobId> {
        self.first_of_chat(record.job.id, record.job.asked.is_some(), record.seq + 1)
    }

    /// The first unfinished job of the chat from a sequence number on.
    fn first_of_chat(&self, JobId { account, chat, .. }: JobId, asked: bool, from: u64) -> Option<JobId> {
        let range = (account, chat, asked, from)..=(account, chat, asked, u64::MAX);
        self.chats.range(range).next().map(|(_, id)| *id)
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

    /// The job by which a recording under suspicion is tried first.
    pub fn suspect(&self, job: &Job) -> Option<JobId> {
        let recording = (job.id.account, job.recording.document);
        let before_all = (recording.0, recording.1, Reverse(u32::MAX), JobId::MIN);
        let (account, document, _, id) = self.suspects.range(before_all..).next()?;
        ((*account, *document) == recording).then_some(*id)
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

fn chat_key(Record { job, seq, .. }: &Record) -> (i64, i64, bool, u64) {
    (job.id.account, job.id.chat, job.asked.is_some(), *seq)
}

/// The job's entry among the suspects, if it is one.
fn suspicion(record: &Record) -> Option<Suspicion> {
    let Record { job, .. } = record;
    let deaths = record.past_deaths();
    let suspicion = (job.id.account, job.recording.document, Reverse(deaths), job.id);
    (deaths > 0 && job.recording.document != 0).then_some(suspicion)
}
