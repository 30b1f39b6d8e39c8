//! Claiming: which job is handed out next, and which one is put off or given up instead, because
//! processes have died over it.

use super::EmbeddedOptions;
use super::file::SideRecord;
use super::record::{Change, Record, State};
use super::store::Store;
use crate::domain::{Job, JobId, unix_time};
use crate::queue::{
    Candidates, Claimed, MAX_DEATHS, MAX_DELIVERIES, QueueError, log_dead_letter, log_put_off, millis, reason,
};

impl Store {
    /// `unconfirmed` names the job of a claim whose outcome its caller may not know. It is set to
    /// the new one before that is committed.
    pub fn claim(
        &mut self,
        candidates: Candidates,
        now: u64,
        options: &EmbeddedOptions,
        unconfirmed: &mut Option<JobId>,
    ) -> Result<Claimed, QueueError> {
        if let Some(id) = *unconfirmed
            && let Some(record) = self.file.read(id)?
            && record.state == State::Claimed
        {
            return Ok(record.into_claim());
        }
        self.line_up_due(now)?;
        while let Some(id) = self.schedule.first(candidates) {
            let before = self.must_read(id)?;
            if let Some(reason) = self.bury_if_given_up(&before, now, options)? {
                let Record { job, preview, .. } = before;
                if job.asked.is_some() || preview.is_some() {
                    return Ok(Claimed::GivenUp { job: Box::new(job), preview, reason });
                }
                continue;
            }
            if self.put_off_behind_suspect(&before, now, options)? {
                continue;
            }
            let mut claimed = before.clone();
            claimed.state = State::Claimed;
            claimed.deliveries += 1;
            claimed.begun = false;
            *unconfirmed = Some(id);
            self.commit(
                vec![Change { before: Some(before), after: Some(claimed.clone()) }],
                SideRecord::None,
            )?;
            return Ok(claimed.into_claim());
        }
        Ok(Claimed::Empty { next_due: self.schedule.next_due().and_then(unix_time::at_millis) })
    }

    /// Moves a job that must not be worked on any more to the dead letters, and returns why; `None`
    /// for all others.
    fn bury_if_given_up(
        &mut self,
        record: &Record,
        now: u64,
        options: &EmbeddedOptions,
    ) -> Result<Option<String>, QueueError> {
        let Record { job, deaths, deliveries, .. } = record;
        let mut beside = SideRecord::None;
        // A job with its answer does not touch its recording any more.
        let poison = if record.outbox.is_none() { self.poison(job, now)? } else { None };
        let reason = if let Some(other) = poison {
            format!("{}{other}", reason::copy_of_poisonous())
        } else if *deaths >= MAX_DEATHS {
            if job.recording.document != 0 {
                let until = now.saturating_add(millis(options.dedupe_ttl));
                beside = SideRecord::Poison { job, now, until };
            }
            reason::too_many_deaths()
        } else if *deliveries >= MAX_DELIVERIES {
            reason::too_many_deliveries()
        } else {
            return Ok(None);
        };
        self.bury_record(record.clone(), reason.clone(), beside)?;
        log_dead_letter(job.id, &reason);
        Ok(Some(reason))
    }

    /// The job that has shown this job's recording to be poisonous. A record of it that cannot be
    /// read counts as none.
    pub(super) fn poison(&self, job: &Job, now: u64) -> Result<Option<JobId>, QueueError> {
        match self.file.poison(job, now) {
            Err(QueueError::Damaged(_)) => Ok(None),
            found => found,
        }
    }

    /// Puts a job off while another one with the same recording is under suspicion. Returns false
    /// for all others.
    fn put_off_behind_suspect(
        &mut self,
        record: &Record,
        now: u64,
        options: &EmbeddedOptions,
    ) -> Result<bool, QueueError> {
        let id = record.job.id;
        let is_first = self.schedule.suspect(&record.job).is_none_or(|suspect| suspect == id);
        if is_first || record.outbox.is_some() {
            return Ok(false);
        }
        let (pause, reason) = (options.crashes.pauses[0], reason::copy_of_suspect());
        // It may be put off more than once until the other one is through.
        if record.reason.as_ref() != Some(&reason) {
            log_put_off(id, &reason, pause);
        }
        let due = now.saturating_add(millis(pause));
        let change = Change::update(record.clone(), |record| record.put_off(due, reason));
        self.commit(vec![change], SideRecord::None)?;
        Ok(true)
    }

    /// Puts the delayed jobs that are due at the end of the line.
    fn line_up_due(&mut self, now: u64) -> Result<(), QueueError> {
        let mut changes = Vec::new();
        for id in self.schedule.due(now) {
            let before = self.must_read(id)?;
            let place = self.schedule.next_number();
            changes.push(Change::update(before, |record| {
                record.state = State::Waiting;
                record.place = Some(place);
            }));
        }
        self.commit(changes, SideRecord::None)
    }
}
