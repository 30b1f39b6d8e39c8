//! What each operation does: it reads the job's record, decides, and writes all it changes at once;
//! only then the schedule in memory follows.

use std::path::Path;

use super::EmbeddedOptions;
use super::file::{File, SideRecord};
use super::record::{Change, Record, State};
use super::schedule::Schedule;
use crate::domain::{Answer, Job, JobId, Preview, Progress, Settings};
use crate::queue::problems::QUEUE_DAMAGED;
use crate::queue::{
    Added, Counts, CrashRules, FINISHED_KEPT, Mark, Obeyed, QueueError, kept_as, log_put_off, millis,
};

/// The open file and its index. After any error but [`QueueError::NotClaimed`] it has to be dropped
/// and opened anew.
#[derive(Debug)]
pub struct Store {
    pub(super) file: File,
    pub(super) schedule: Schedule,
}

impl Store {
    /// Opens the file as a new process, or makes it, and makes claimable again what the predecessor
    /// had claimed. Removes the results that have ended by `now`, or all if none are to be kept.
    pub fn create(path: &Path, now: u64, options: &EmbeddedOptions) -> Result<Self, QueueError> {
        File::make(path)?;
        let mut store = Self::reopen(path)?;
        store.file.purge_results(if options.result_ttl.is_zero() { u64::MAX } else { now })?;
        store.recover_claimed(now, &options.crashes)?;
        Ok(store)
    }

    /// Opens the file again after it failed; what is claimed stays so. Jobs that cannot be read are
    /// set aside.
    pub fn reopen(path: &Path) -> Result<Self, QueueError> {
        let mut store = Self { file: File::open(path)?, schedule: Schedule::default() };
        let damaged = store.file.read_all(|record| store.schedule.insert(record))?;
        if !damaged.is_empty() {
            store.file.set_aside(&damaged)?;
            for (account, chat, message) in damaged {
                store.line_up_first(JobId { account, chat, message })?;
            }
        }
        Ok(store)
    }

    /// Puts the first job of the job's chat in the line, if the job that was set aside stood there.
    fn line_up_first(&mut self, id: JobId) -> Result<(), QueueError> {
        for asked in [false, true] {
            let Some(first) = self.schedule.first_in_chat(id, asked) else { continue };
            let before = self.must_read(first)?;
            if before.place.is_none() {
                let place = self.schedule.next_number();
                let change = Change::update(before, |record| record.place = Some(place));
                self.commit(vec![change], SideRecord::None)?;
            }
        }
        Ok(())
    }

    fn recover_claimed(&mut self, now: u64, rules: &CrashRules) -> Result<(), QueueError> {
        let mut changes = Vec::new();
        for id in self.schedule.claimed() {
            changes.push(Change::update(self.must_read(id)?, |record| {
                if let Some(pause) = record.recover(now, rules) {
                    log_put_off(id, record.reason.as_deref().unwrap_or_default(), pause);
                }
            }));
        }
        for id in self.schedule.delayed() {
            changes.push(Change::update(self.must_read(id)?, |record| record.put_off_again(now, rules)));
        }
        self.commit(changes, SideRecord::None)
    }

    pub fn add(&mut self, job: Job, now: u64) -> Result<Added, QueueError> {
        if self.file.read(job.id)?.is_some() || self.file.mark_ends(job.id)?.is_some_and(|end| end > now) {
            return Ok(Added::Seen);
        }
        let record = self.new_record(job);
        self.commit(vec![Change { before: None, after: Some(record) }], SideRecord::None)?;
        Ok(Added::New)
    }

    fn new_record(&mut self, job: Job) -> Record {
        let first_of_chat = !self.schedule.is_busy(&job);
        Record {
            job,
            seq: self.schedule.next_number(),
            place: first_of_chat.then(|| self.schedule.next_number()),
            state: State::Waiting,
            deliveries: 0,
            deaths: 0,
            died: 0,
            begun: false,
            attempts: 0,
            progress: None,
            preview: None,
            outbox: None,
            reason: None,
        }
    }

    /// Marks `command` until `until`, in milliseconds of Unix time, and adds the job that it asks
    /// for, if any.
    pub fn obey(
        &mut self,
        command: JobId,
        job: Option<Job>,
        now: u64,
        until: u64,
    ) -> Result<Obeyed, QueueError> {
        if self.file.mark_ends(command)?.is_some_and(|end| end > now) {
            return Ok(Obeyed::Seen);
        }
        let known = job.as_ref().map_or(Ok(None), |job| self.file.read(job.id))?;
        let is_underway = known.as_ref().is_some_and(|known| {
            let is_sent_soon = known.outbox.is_some() || known.job.asked.is_some();
            known.state == State::Claimed || (is_sent_soon && known.state != State::Dead)
        });
        let mut changes = Vec::new();
        if let Some(job) = job.filter(|_| !is_underway) {
            if self.poison(&job, now)?.is_some() {
                self.commit(Vec::new(), SideRecord::NotPoison { job: &job })?;
            }
            if let Some(known) = known.as_ref().filter(|it| it.state != State::Dead && it.place.is_some()) {
                changes.extend(self.line_up_next(known)?);
            }
            let outbox = known.as_ref().and_then(|known| kept_outbox(known, &job));
            let preview = known.as_ref().and_then(|known| known.preview.clone());
            let record = Record { outbox, preview, ..self.new_record(job) };
            changes.push(Change { before: known, after: Some(record) });
        }
        let mark = &Mark::Obeyed;
        self.commit(changes, SideRecord::Mark { id: command, mark, now, until, finished: None })?;
        Ok(if is_underway { Obeyed::Underway } else { Obeyed::New })
    }

    /// Removes what is kept of a finished job under `id`, and the result of its recording, unless
    /// that was made for another message.
    pub fn forget(&mut self, id: JobId, job: &Job) -> Result<(), QueueError> {
        let made_for = match self.file.result(job, 0) {
            // Nobody can say whose it is.
            Err(QueueError::Damaged(_)) => None,
            found => found?.and_then(|answer| answer.origin),
        };
        let with_result = made_for.is_none_or(|origin| origin.job == job.id);
        self.commit(Vec::new(), SideRecord::Forgotten { id, job, with_result })
    }

    pub fn mark(&self, id: JobId, now: u64) -> Result<Option<Mark>, QueueError> {
        self.file.mark(id, now)
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
        self.commit(vec![change], SideRecord::None)
    }

    pub fn store_progress(&mut self, id: JobId, progress: Progress) -> Result<(), QueueError> {
        let change = Change::update(self.claimed(id)?, |record| {
            record.progress = Some(progress);
            (record.deliveries, record.deaths) = (1, record.begun.into());
        });
        self.commit(vec![change], SideRecord::None)
    }

    pub fn store_preview(&mut self, id: JobId, preview: Preview) -> Result<(), QueueError> {
        let change = Change::update(self.claimed(id)?, |record| record.preview = Some(preview));
        self.commit(vec![change], SideRecord::None)
    }

    /// `result_until` is when the recording's result ends; `None` if none is kept.
    pub fn store_outbox(
        &mut self,
        id: JobId,
        answer: Answer,
        now: u64,
        result_until: Option<u64>,
    ) -> Result<(), QueueError> {
        let record = self.claimed(id)?;
        let job = record.job.clone();
        // What the chat deletes is not kept here either.
        let deleted_at = job.recording.deleted_at_millis().unwrap_or(u64::MAX);
        let result_until = result_until.map(|until| until.min(deleted_at)).filter(|&until| until > now);
        let beside = match result_until {
            // An answer that is used again does not last longer for it; one that was made anew
            // takes its place.
            Some(until)
                if job.recording.document != 0
                    && (job.is_anew() || !self.has_result(&job, &answer.settings, now)?) =>
            {
                SideRecord::Result { job: &job, answer: &answer, now, until }
            }
            _ => SideRecord::None,
        };
        let change = Change::update(record, |record| {
            record.outbox = Some(answer.clone());
            record.progress = None;
            (record.deliveries, record.deaths, record.begun) = (1, 0, false);
        });
        self.commit(vec![change], beside)
    }

    /// Whether there is a result as one under these settings would be. One that cannot be read
    /// counts as none.
    fn has_result(&self, job: &Job, settings: &Settings, now: u64) -> Result<bool, QueueError> {
        match self.file.result(job, now) {
            Err(QueueError::Damaged(_)) => Ok(false),
            found => Ok(found?.is_some_and(|answer| answer.settings.make_the_same(settings))),
        }
    }

    pub fn result(&self, job: &Job, now: u64) -> Result<Option<Answer>, QueueError> {
        self.file.result(job, now)
    }

    /// Ends the job and remembers it until `until`, in milliseconds of Unix time.
    pub fn finish(&mut self, id: JobId, mark: &Mark, now: u64, until: u64) -> Result<(), QueueError> {
        let record = match self.file.read(id)? {
            Some(record) if record.state == State::Claimed => record,
            // It was finished before; since then the owner may have asked for it again.
            _ if self.file.mark_ends(id)?.is_some() => return Ok(()),
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let next = self.line_up_next(&record)?;
        let job = record.job.clone();
        let kept_until = until.min(now.saturating_add(millis(FINISHED_KEPT)));
        let finished = kept_as(id, mark).map(|kept| (kept, &job, kept_until));
        let mut changes = vec![Change { before: Some(record), after: None }];
        changes.extend(next);
        self.commit(changes, SideRecord::Mark { id, mark, now, until, finished })
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
        self.commit(vec![change], SideRecord::None)
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
        self.commit(vec![change], SideRecord::None)
    }

    pub fn bury(&mut self, id: JobId, reason: String) -> Result<(), QueueError> {
        match self.file.read(id)? {
            Some(record) if record.state == State::Claimed => {
                self.bury_record(record, reason, SideRecord::None)
            }
            Some(record) if record.state == State::Dead => Ok(()),
            _ => Err(QueueError::NotClaimed(id)),
        }
    }

    pub(super) fn bury_record(
        &mut self,
        record: Record,
        reason: String,
        beside: SideRecord,
    ) -> Result<(), QueueError> {
        let next = self.line_up_next(&record)?;
        let place = self.schedule.next_number();
        let mut changes = vec![Change::update(record, |record| {
            record.state = State::Dead;
            record.place = Some(place);
            record.preview = None;
            record.reason = Some(reason);
        })];
        changes.extend(next);
        self.commit(changes, beside)
    }

    /// Puts the job behind `record` in its chat at the end of the line.
    pub(super) fn line_up_next(&mut self, record: &Record) -> Result<Option<Change>, QueueError> {
        let Some(next) = self.schedule.next_in_chat(record) else { return Ok(None) };
        let before = self.must_read(next)?;
        let place = self.schedule.next_number();
        Ok(Some(Change::update(before, |record| record.place = Some(place))))
    }

    pub fn counts(&self) -> Counts {
        self.schedule.counts()
    }

    pub fn oldest(&self) -> Option<i64> {
        self.schedule.oldest()
    }

    pub fn check(&self, now: u64) -> Result<(), QueueError> {
        self.file.check(now)
    }

    fn claimed(&self, id: JobId) -> Result<Record, QueueError> {
        self.file.read(id)?.filter(|record| record.state == State::Claimed).ok_or(QueueError::NotClaimed(id))
    }

    /// A job that the schedule names, so that the file must have it.
    pub(super) fn must_read(&self, id: JobId) -> Result<Record, QueueError> {
        self.file.read(id)?.ok_or_else(|| {
            QueueError::Damaged(QUEUE_DAMAGED.with(format_args!("job {id} is gone from its file")))
        })
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>, beside: SideRecord) -> Result<(), QueueError> {
        if changes.is_empty() && matches!(beside, SideRecord::None) {
            return Ok(());
        }
        self.file.write(&changes, beside)?;
        for change in &changes {
            if let Some(before) = &change.before {
                self.schedule.remove(before);
            }
        }
        for change in &changes {
            if let Some(after) = &change.after {
                self.schedule.insert(after);
            }
        }
        Ok(())
    }
}

/// The outbox that a dead job leaves to the one that the owner asks for in its place: parts of it
/// may be in the chat. Where the answer is now to appear elsewhere, none of it is.
fn kept_outbox(dead: &Record, asked: &Job) -> Option<Answer> {
    let is_to_be_there = |answer: &&Answer| {
        asked.settings.as_ref().is_some_and(|settings| settings.form == answer.settings.form)
    };
    dead.outbox.as_ref().filter(is_to_be_there).filter(|_| !asked.is_anew()).cloned()
}
