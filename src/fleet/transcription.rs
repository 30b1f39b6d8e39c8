//! A recording that workers recognise, as the gateway sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tracing::debug;

use super::gateway::{FleetTranscriber, Watched};
use crate::domain::{Fault, JobId, Progress};
use crate::jobs::ports::Transcription;
use crate::queue::fleet::{Outcome, State, Stretch};

/// Until the recording is handed over again, after Redis has lost it or its assignment.
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// Waits for what the workers recognise. The assignment outlives it.
pub(super) struct FleetTranscription<'a> {
    fleet: &'a FleetTranscriber,
    job: JobId,
    version: String,
    watched: Arc<Watched>,
    /// How many stretches were read.
    read: usize,
    /// Up to where the job has its transcript.
    until_ms: u64,
    /// What was read and not passed on yet.
    pending: VecDeque<Stretch>,
    outcome: Option<Outcome>,
    length: u64,
    by: Option<Arc<str>>,
}

impl<'a> FleetTranscription<'a> {
    pub fn new(
        fleet: &'a FleetTranscriber,
        job: JobId,
        version: String,
        until_ms: u64,
        watched: Arc<Watched>,
    ) -> Self {
        Self {
            fleet,
            job,
            version,
            watched,
            read: 0,
            until_ms,
            pending: VecDeque::new(),
            outcome: None,
            length: 0,
            by: None,
        }
    }

    /// Waits until there is something to pass on.
    async fn wait(&mut self) -> Result<(), Fault> {
        while self.pending.is_empty() && self.outcome.is_none() {
            if self.watched.is_deleted.load(Ordering::Relaxed) {
                return Err(Fault::Gone("the message was deleted".to_owned()));
            }
            if !self.read().await? {
                self.watched.news.notified().await;
            }
        }
        Ok(())
    }

    /// Reads what is new. False if nothing is.
    async fn read(&mut self) -> Result<bool, Fault> {
        let store = &self.fleet.store;
        let (job, known) = (self.job, self.read);
        let standing = self.fleet.persist("read an assignment", || store.read(job, known)).await?;
        let lost = |why: &str| Fault::Later { after: LOST_PAUSE, why: why.to_owned() };
        let Some(standing) = standing.filter(|standing| standing.version == self.version) else {
            return Err(lost("Redis has lost what was handed over to the workers"));
        };
        if standing.state == State::Unfed {
            return Err(lost("Redis has lost the recording that was handed over to the workers"));
        }
        debug!(state = ?standing.state, worker = standing.worker, "looked at the assignment");
        let is_new = !standing.stretches.is_empty() || standing.outcome.is_some();
        self.read += standing.stretches.len();
        self.outcome = standing.outcome;
        if let Some(Outcome::Recognised { length }) = self.outcome {
            self.length = length;
        }
        for stretch in standing.stretches {
            self.length = stretch.length;
            // An earlier gateway has stored the others, or it was published twice.
            let known = self.pending.back().map_or(self.until_ms, |last| last.progress.until_ms);
            if stretch.progress.until_ms > known {
                self.pending.push_back(stretch);
            }
        }
        Ok(is_new)
    }

    /// That the assignment has failed, if it has and all before is passed on.
    fn fault(&self) -> Result<(), Fault> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        Err(match self.outcome.clone() {
            None | Some(Outcome::Recognised { .. }) => return Ok(()),
            Some(Outcome::Rejected { why }) => Fault::Reject(why),
            Some(Outcome::Failed { why, after }) => Fault::retry_in(after, why),
            Some(Outcome::Poisonous { why }) => Fault::Poisonous(why),
        })
    }
}

#[async_trait]
impl Transcription for FleetTranscription<'_> {
    async fn begun(&mut self) -> Result<(), Fault> {
        self.wait().await?;
        self.fault()
    }

    fn length(&self) -> u64 {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        self.wait().await?;
        self.fault()?;
        let Some(Stretch { progress, by, report, .. }) = self.pending.pop_front() else { return Ok(None) };
        self.until_ms = progress.until_ms;
        self.by = by.map(Arc::from);
        for (language, speech) in &report.languages {
            self.fleet.languages.record(self.job.chat, *language, Duration::from_millis(*speech));
        }
        self.fleet.observer.recognised(self.job, &report);
        Ok(Some(progress))
    }

    fn recognised_by(&self) -> Option<Arc<str>> {
        self.by.clone()
    }
}

impl Drop for FleetTranscription<'_> {
    fn drop(&mut self) {
        self.fleet.unwatch(self.job);
    }
}
