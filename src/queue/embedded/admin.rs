//! What the owner does to the queue by hand, and the list of its jobs.

use std::path::Path;

use super::file::{File, SideRecord};
use super::record::{Change, Record, State};
use super::store::Store;
use crate::domain::unix_time::now_millis;
use crate::domain::{Answer, JobId};
use crate::queue::{AdminOutcome, Entry, Mark, QueueError};

impl Store {
    pub fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        entries(&self.file)
    }

    pub fn results(&self, most: usize) -> Result<Vec<Answer>, QueueError> {
        self.file.results(now_millis(), most)
    }

    pub fn requeue(&mut self, id: JobId) -> Result<AdminOutcome, QueueError> {
        let Some(before) = self.file.read(id)? else { return Ok(AdminOutcome::Unknown) };
        let (mut beside, job) = (SideRecord::None, before.job.clone());
        let change = match before.state {
            State::Waiting | State::Returned | State::Claimed => return Ok(AdminOutcome::Done),
            State::Delayed { .. } => {
                let place = self.schedule.next_number();
                Change::update(before, |record| record.place = Some(place))
            }
            State::Dead => {
                beside = SideRecord::NotPoison { job: &job };
                let first_of_chat = !self.schedule.is_busy(id);
                let seq = self.schedule.next_number();
                let place = first_of_chat.then(|| self.schedule.next_number());
                Change::update(before, |record| {
                    (record.seq, record.place) = (seq, place);
                    (record.deliveries, record.deaths) = (0, 0);
                    (record.attempts, record.reason) = (0, None);
                })
            }
        };
        let Change { before, after } = change;
        let after = after.map(|record| Record { state: State::Waiting, ..record });
        self.commit(vec![Change { before, after }], beside)?;
        Ok(AdminOutcome::Done)
    }

    /// Ends a job that is not claimed and remembers it until `until`, in milliseconds of Unix time.
    pub fn discard(
        &mut self,
        id: JobId,
        mark: &Mark,
        now: u64,
        until: u64,
    ) -> Result<AdminOutcome, QueueError> {
        let record = match self.file.read(id)? {
            None if self.file.mark_ends(id)?.is_some() => return Ok(AdminOutcome::Done),
            None => return Ok(AdminOutcome::Unknown),
            Some(record) if record.state == State::Claimed => return Ok(AdminOutcome::Claimed),
            Some(record) => record,
        };
        let stood_in_line = record.state != State::Dead && record.place.is_some();
        let next = if stood_in_line { self.line_up_next(&record)? } else { None };
        let mut changes = vec![Change { before: Some(record), after: None }];
        changes.extend(next);
        self.commit(changes, SideRecord::Mark { id, mark, now, until })?;
        Ok(AdminOutcome::Done)
    }
}

/// The jobs of the file at `path`, which another process may have open; empty if there is no file.
pub fn entries_of_copy(path: &Path) -> Result<Vec<Entry>, QueueError> {
    File::open_copy(path)?.map_or(Ok(Vec::new()), |file| entries(&file))
}

/// The results of the file at `path`, as [`QueueAdmin::results`](crate::queue::QueueAdmin::results)
/// gives them; another process may have it open.
pub fn results_of_copy(path: &Path, most: usize) -> Result<Vec<Answer>, QueueError> {
    File::open_copy(path)?.map_or(Ok(Vec::new()), |file| file.results(now_millis(), most))
}

fn entries(file: &File) -> Result<Vec<Entry>, QueueError> {
    let mut records = Vec::new();
    file.read_all(|record| records.push(record.clone()))?;
    // The recovered go before the line, and strangers after it; a job without a place is behind
    // another of its chat.
    records.sort_by_key(|record| {
        let Record { state, place, seq, job, .. } = record;
        (*state != State::Returned, job.stranger, place.is_none(), *place, *seq)
    });
    let mut entries: Vec<Entry> = records.into_iter().map(Entry::from).collect();
    entries.sort_by_key(|entry| entry.state);
    Ok(entries)
}
