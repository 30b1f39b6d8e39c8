//! What each operation does: it reads the job's record, decides, and writes all it changes at once;
//! only then the line in memory follows.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::EmbeddedOptions;
use super::file::{File, Kept};
use super::line::Line;
use super::record::{Change, Record, State};
use crate::domain::{Job, JobId, Part, Progress, Task};
use crate::queue::{
    Added, Claimed, Counts, CrashRules, Entry, Handled, MAX_DEATHS, MAX_DELIVERIES, Mark, QueueError, millis,
    reason, task_of, tell_of_burial, tell_of_pause,
};

/// The open file and its index. Whoever gets another error from it than
/// [`QueueError::NotClaimed`] drops it and opens it anew.
#[derive(Debug)]
pub struct Store {
    file: File,
    line: Line,
}

impl Store {
    /// Opens the file as a new process, or makes it, and takes back what the predecessor had
    /// claimed. Results that have ended by `now` go, or all of them where none are kept.
    pub fn create(path: &Path, now: u64, options: &EmbeddedOptions) -> Result<Self, QueueError> {
        File::make(path)?;
        let mut store = Self::reopen(path)?;
        store.file.purge_results(if options.result_ttl.is_zero() { u64::MAX } else { now })?;
        store.take_back(now, &options.crashes)?;
        Ok(store)
    }

    /// Opens the file again after it failed; what is claimed stays so.
    pub fn reopen(path: &Path) -> Result<Self, QueueError> {
        let mut store = Self { file: File::open(path)?, line: Line::default() };
        store.file.read_all(|record| store.line.insert(record))?;
        Ok(store)
    }

    fn take_back(&mut self, now: u64, rules: &CrashRules) -> Result<(), QueueError> {
        let mut changes = Vec::new();
        for id in self.line.claimed() {
            changes.push(Change::update(self.known(id)?, |record| {
                if let Some(pause) = record.take_back(now, rules) {
                    tell_of_pause(id, record.reason.as_deref().unwrap_or_default(), pause);
                }
            }));
        }
        for id in self.line.delayed() {
            changes.push(Change::update(self.known(id)?, |record| record.put_off_again(now, rules)));
        }
        self.commit(changes, Kept::Nothing)
    }

    pub fn add(&mut self, job: Job, now: u64) -> Result<Added, QueueError> {
        if self.file.read(job.id)?.is_some() || self.file.mark_ends(job.id)?.is_some_and(|end| end > now) {
            return Ok(Added::Seen);
        }
        let first_of_chat = !self.line.is_busy(job.id.chat);
        let record = Record {
            job,
            seq: self.line.number(),
            place: first_of_chat.then(|| self.line.number()),
            state: State::Waiting,
            deliveries: 0,
            deaths: 0,
            died: 0,
            begun: false,
            attempts: 0,
            progress: None,
            outbox: None,
            reason: None,
        };
        self.commit(vec![Change { before: None, after: Some(record) }], Kept::Nothing)?;
        Ok(Added::New)
    }

    /// `unreceived` names the job of a claim whose outcome its caller may not know; it is set to
    /// the new one before that is committed.
    pub fn claim(
        &mut self,
        now: u64,
        options: &EmbeddedOptions,
        unreceived: &mut Option<JobId>,
    ) -> Result<Claimed, QueueError> {
        if let Some(id) = *unreceived
            && let Some(record) = self.file.read(id)?
            && record.state == State::Claimed
        {
            return Ok(record.into_claim());
        }
        self.line_up_due(now)?;
        while let Some(id) = self.line.first() {
            let before = self.known(id)?;
            if self.buried(&before, now, options)? || self.put_behind_suspect(&before, now, options)? {
                continue;
            }
            let mut claimed = before.clone();
            claimed.state = State::Claimed;
            claimed.deliveries += 1;
            claimed.begun = false;
            *unreceived = Some(id);
            self.commit(vec![Change { before: Some(before), after: Some(claimed.clone()) }], Kept::Nothing)?;
            return Ok(claimed.into_claim());
        }
        let time = |due| UNIX_EPOCH.checked_add(Duration::from_millis(due));
        Ok(Claimed::Empty { next_due: self.line.next_due().and_then(time) })
    }

    /// Moves a job that must not be worked on any more to the dead letters. False for all others.
    fn buried(&mut self, record: &Record, now: u64, options: &EmbeddedOptions) -> Result<bool, QueueError> {
        let Record { job, deaths, deliveries, .. } = record;
        let mut kept = Kept::Nothing;
        // A job with its answer does not touch its recording any more.
        let poison = if record.outbox.is_none() { self.poison(job.recording.document, now)? } else { None };
        let reason = if let Some(other) = poison {
            format!("{}{other}", reason::copy_of_poisonous())
        } else if *deaths >= MAX_DEATHS {
            if job.recording.document != 0 {
                let until = now.saturating_add(millis(options.dedupe_ttl));
                kept = Kept::Poison { document: job.recording.document, id: job.id, now, until };
            }
            reason::poisonous()
        } else if *deliveries >= MAX_DELIVERIES {
            reason::worn_out()
        } else {
            return Ok(false);
        };
        self.bury_record(record.clone(), reason.clone(), kept)?;
        tell_of_burial(job.id, &reason);
        Ok(true)
    }

    /// The job that has shown this recording to be poisonous. A note of it that cannot be read is
    /// none.
    fn poison(&self, document: i64, now: u64) -> Result<Option<JobId>, QueueError> {
        match self.file.poison(document, now) {
            Err(QueueError::Damaged(_)) => Ok(None),
            known => known,
        }
    }

    /// Puts a job off while another one with the same recording is under suspicion. False for all
    /// others.
    fn put_behind_suspect(
        &mut self,
        record: &Record,
        now: u64,
        options: &EmbeddedOptions,
    ) -> Result<bool, QueueError> {
        let id = record.job.id;
        let is_first = self.line.suspect(record.job.recording.document).is_none_or(|suspect| suspect == id);
        if is_first || record.outbox.is_some() {
            return Ok(false);
        }
        let (pause, reason) = (options.crashes.pauses[0], reason::copy_of_suspected());
        // It may be put off more than once until the other one is through.
        if record.reason.as_ref() != Some(&reason) {
            tell_of_pause(id, &reason, pause);
        }
        let due = now.saturating_add(millis(pause));
        let change = Change::update(record.clone(), |record| record.put_off(due, reason));
        self.commit(vec![change], Kept::Nothing)?;
        Ok(true)
    }

    /// Puts the delayed jobs that are due at the end of the line.
    fn line_up_due(&mut self, now: u64) -> Result<(), QueueError> {
        let mut changes = Vec::new();
        for id in self.line.due(now) {
            let before = self.known(id)?;
            let place = self.line.number();
            changes.push(Change::update(before, |record| {
                record.state = State::Waiting;
                record.place = Some(place);
            }));
        }
        self.commit(changes, Kept::Nothing)
    }

    pub fn begin(&mut self, id: JobId) -> Result<(), QueueError> {
        let record = self.claimed(id)?;
        if record.begun {
            return Ok(());
        }
        let change = Change::update(record, |record| {
            record.deaths += 1;
            record.begun = true;
        });
        self.commit(vec![change], Kept::Nothing)
    }

    pub fn store_progress(&mut self, id: JobId, progress: Progress) -> Result<(), QueueError> {
        let change = Change::update(self.claimed(id)?, |record| {
            record.progress = Some(progress);
            (record.deliveries, record.deaths) = (1, record.begun.into());
        });
        self.commit(vec![change], Kept::Nothing)
    }

    /// `result_until` is when the recording's result ends; none where none is kept.
    pub fn store_outbox(
        &mut self,
        id: JobId,
        parts: Vec<Part>,
        now: u64,
        result_until: Option<u64>,
    ) -> Result<(), QueueError> {
        let record = self.claimed(id)?;
        let document = record.job.recording.document;
        let kept = match result_until {
            // Asked for again, it does not last longer.
            Some(until) if document != 0 && !self.has_result(document, task_of(&parts), now)? => {
                Kept::Result { document, parts: &parts, now, until }
            }
            _ => Kept::Nothing,
        };
        let change = Change::update(record, |record| {
            record.outbox = Some(parts.clone());
            record.progress = None;
            (record.deliveries, record.deaths, record.begun) = (1, 0, false);
        });
        self.commit(vec![change], kept)
    }

    /// Whether there is a result of that task. One that cannot be read is none.
    fn has_result(&self, document: i64, task: Option<Task>, now: u64) -> Result<bool, QueueError> {
        match self.file.result(document, now) {
            Err(QueueError::Damaged(_)) => Ok(false),
            known => Ok(known?.is_some_and(|parts| task_of(&parts) == task)),
        }
    }

    pub fn result(&self, document: i64, now: u64) -> Result<Option<Vec<Part>>, QueueError> {
        self.file.result(document, now)
    }

    /// Ends the job and remembers it until `until`, in milliseconds of Unix time.
    pub fn finish(&mut self, id: JobId, mark: &Mark, now: u64, until: u64) -> Result<(), QueueError> {
        let record = match self.file.read(id)? {
            None if self.file.mark_ends(id)?.is_some() => return Ok(()),
            Some(record) if record.state == State::Claimed => record,
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let next = self.next_of_chat(&record)?;
        let mut changes = vec![Change { before: Some(record), after: None }];
        changes.extend(next);
        self.commit(changes, Kept::Mark { id, mark, now, until })
    }

    pub fn retry(&mut self, id: JobId, due: u64, reason: String, attempts: u32) -> Result<(), QueueError> {
        let record = match self.file.read(id)? {
            Some(record) if record.state == State::Claimed => record,
            Some(record) if record.state.is_put_back() && record.reason.is_some() => return Ok(()),
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let change = Change::update(record, |record| {
            record.put_off(due, reason);
            (record.deliveries, record.deaths, record.begun) = (0, 0, false);
            record.attempts = record.attempts.saturating_add(attempts);
        });
        self.commit(vec![change], Kept::Nothing)
    }

    pub fn release(&mut self, id: JobId) -> Result<(), QueueError> {
        let record = match self.file.read(id)? {
            Some(record) if record.state == State::Claimed => record,
            Some(record) if record.state.is_put_back() => return Ok(()),
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let change = Change::update(record, |record| {
            record.state = State::Returned;
            record.deliveries = record.deliveries.saturating_sub(1);
            (record.deaths, record.begun) = (record.past_deaths(), false);
        });
        self.commit(vec![change], Kept::Nothing)
    }

    pub fn bury(&mut self, id: JobId, reason: String) -> Result<(), QueueError> {
        match self.file.read(id)? {
            Some(record) if record.state == State::Claimed => self.bury_record(record, reason, Kept::Nothing),
            Some(record) if record.state == State::Dead => Ok(()),
            _ => Err(QueueError::NotClaimed(id)),
        }
    }

    fn bury_record(&mut self, record: Record, reason: String, kept: Kept) -> Result<(), QueueError> {
        let next = self.next_of_chat(&record)?;
        let place = self.line.number();
        let mut changes = vec![Change::update(record, |record| {
            record.state = State::Dead;
            record.place = Some(place);
            record.reason = Some(reason);
        })];
        changes.extend(next);
        self.commit(changes, kept)
    }

    /// Puts the job behind `record` in its chat at the end of the line.
    fn next_of_chat(&mut self, record: &Record) -> Result<Option<Change>, QueueError> {
        let Some(next) = self.line.behind(record) else { return Ok(None) };
        let before = self.known(next)?;
        let place = self.line.number();
        Ok(Some(Change::update(before, |record| record.place = Some(place))))
    }

    pub fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        entries(&self.file)
    }

    pub fn requeue(&mut self, id: JobId) -> Result<Handled, QueueError> {
        let Some(before) = self.file.read(id)? else { return Ok(Handled::Unknown) };
        let mut kept = Kept::Nothing;
        let change = match before.state {
            State::Waiting | State::Returned | State::Claimed => return Ok(Handled::Yes),
            State::Delayed { .. } => {
                let place = self.line.number();
                Change::update(before, |record| record.place = Some(place))
            }
            State::Dead => {
                kept = Kept::Antidote { document: before.job.recording.document };
                let first_of_chat = !self.line.is_busy(id.chat);
                let (seq, place) = (self.line.number(), first_of_chat.then(|| self.line.number()));
                Change::update(before, |record| {
                    (record.seq, record.place) = (seq, place);
                    (record.deliveries, record.deaths) = (0, 0);
                    (record.attempts, record.reason) = (0, None);
                })
            }
        };
        let Change { before, after } = change;
        let after = after.map(|record| Record { state: State::Waiting, ..record });
        self.commit(vec![Change { before, after }], kept)?;
        Ok(Handled::Yes)
    }

    /// Ends a job that is not claimed and remembers it until `until`, in milliseconds of Unix time.
    pub fn discard(&mut self, id: JobId, mark: &Mark, now: u64, until: u64) -> Result<Handled, QueueError> {
        let record = match self.file.read(id)? {
            None if self.file.mark_ends(id)?.is_some() => return Ok(Handled::Yes),
            None => return Ok(Handled::Unknown),
            Some(record) if record.state == State::Claimed => return Ok(Handled::Claimed),
            Some(record) => record,
        };
        let stood_in_line = record.state != State::Dead && record.place.is_some();
        let next = if stood_in_line { self.next_of_chat(&record)? } else { None };
        let mut changes = vec![Change { before: Some(record), after: None }];
        changes.extend(next);
        self.commit(changes, Kept::Mark { id, mark, now, until })?;
        Ok(Handled::Yes)
    }

    pub fn counts(&self) -> Counts {
        self.line.counts()
    }

    pub fn oldest(&self) -> Option<i64> {
        self.line.oldest()
    }

    pub fn check(&self, now: u64) -> Result<(), QueueError> {
        self.file.check(now)
    }

    fn claimed(&self, id: JobId) -> Result<Record, QueueError> {
        self.file.read(id)?.filter(|record| record.state == State::Claimed).ok_or(QueueError::NotClaimed(id))
    }

    /// A job that the index names.
    fn known(&self, id: JobId) -> Result<Record, QueueError> {
        self.file.read(id)?.ok_or_else(|| QueueError::Damaged(format!("job {id} is gone from its file")))
    }

    fn commit(&mut self, changes: Vec<Change>, kept: Kept) -> Result<(), QueueError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.file.write(&changes, kept)?;
        for change in &changes {
            if let Some(before) = &change.before {
                self.line.remove(before);
            }
        }
        for change in &changes {
            if let Some(after) = &change.after {
                self.line.insert(after);
            }
        }
        Ok(())
    }
}

/// The jobs of the file at `path`, which another process may have open; none where there is no
/// file.
pub fn entries_of_copy(path: &Path) -> Result<Vec<Entry>, QueueError> {
    File::open_copy(path)?.map_or(Ok(Vec::new()), |file| entries(&file))
}

fn entries(file: &File) -> Result<Vec<Entry>, QueueError> {
    let mut records = Vec::new();
    file.read_all(|record| records.push(record.clone()))?;
    // The recovered go before the line; whoever has no place stands behind another of its chat.
    records.sort_by_key(|record| {
        (record.state != State::Returned, record.place.is_none(), record.place, record.seq)
    });
    let mut entries: Vec<Entry> = records.into_iter().map(Entry::from).collect();
    entries.sort_by_key(|entry| entry.state);
    Ok(entries)
}
