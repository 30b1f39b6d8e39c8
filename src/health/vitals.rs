//! Where the facts are reported, and asked for.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::facts::{Facts, Outcome, Stage, Work};
use super::observed::BETWEEN;
use crate::domain::{JobId, Restricted};
use crate::queue::{Claim, Counts, JobQueue, QueueError};
use crate::runtime::lock;
use crate::runtime::pulse::Pulse;

/// How many of the last jobs are remembered.
const LAST_JOBS: usize = 20;
/// What the queue said of itself holds for so long: asking costs an fsync.
const FRESH: Duration = Duration::from_secs(5);
/// A queue that does not answer for so long is not available.
const PROBE_LIMIT: Duration = Duration::from_secs(4);

/// The daemon's vital signs; see the module.
pub struct Vitals {
    facts: Mutex<Facts>,
    /// What has to get on, and what that is called.
    watched: Mutex<Vec<(&'static str, Pulse)>>,
    /// Weak: it closes when the daemon lets go of it, whoever still looks at the facts.
    queue: OnceLock<Weak<dyn JobQueue>>,
    /// Of the worker while it looks for a job.
    pub(super) looking: Pulse,
    /// When the queue was asked last.
    probed: tokio::sync::Mutex<Option<Instant>>,
    changed: Notify,
}

impl Vitals {
    /// `drop_reasons` are those that [`text_dropped`](Self::text_dropped) will name.
    pub fn new(drop_reasons: &[&'static str]) -> Self {
        Self {
            facts: Mutex::new(Facts::new(drop_reasons)),
            watched: Mutex::default(),
            queue: OnceLock::new(),
            looking: Pulse::default(),
            probed: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// From now on `pulse` has to beat; `what` is named where it does not.
    pub fn watch(&self, what: &'static str, pulse: Pulse) {
        lock(&self.watched).push((what, pulse));
    }

    /// What does not get on, and for how long its beat has been due.
    pub fn stuck(&self) -> Vec<(&'static str, Duration)> {
        let late = |(what, pulse): (&'static str, &Pulse)| Some((what, pulse.overdue()?));
        let watched = lock(&self.watched);
        let mut stuck: Vec<_> = watched.iter().filter_map(|(what, pulse)| late((what, pulse))).collect();
        let facts = self.facts();
        let workers = std::iter::once(&self.looking).chain(facts.running.values().map(|work| &work.pulse));
        stuck.extend(workers.filter_map(|pulse| late(("worker", pulse))).max());
        stuck
    }

    pub fn stopping(&self) {
        self.change(|facts| facts.stopping = true);
    }

    pub fn model_loaded(&self, name: String) {
        self.change(|facts| {
            facts.model = Some(name);
            facts.model_in_memory = true;
        });
    }

    /// Whether the model is in memory; freed for want of work, it is loaded again when it is
    /// needed, unless it `is_missing` then.
    pub fn model_is(&self, in_memory: bool, is_missing: bool) {
        self.change(|facts| (facts.model_in_memory, facts.model_missing) = (in_memory, is_missing));
    }

    pub fn connected(&self) {
        self.change(|facts| {
            let now = Instant::now();
            facts.connected = Some(now);
            facts.connections += 1;
            if facts.connections > 1 {
                facts.reconnects.count(now);
            }
        });
    }

    pub fn disconnected(&self) {
        self.change(|facts| {
            facts.connected = None;
            facts.lost = Instant::now();
        });
    }

    /// By how many seconds this machine's clock is ahead of Telegram's, where that prevents a
    /// connection.
    pub fn clock_ahead(&self, seconds: Option<u64>) {
        self.change(|facts| facts.clock_ahead = seconds);
    }

    /// Whether Telegram lets the account send.
    pub fn account_is(&self, restricted: Option<Restricted>) {
        self.change(|facts| facts.restricted = restricted);
    }

    pub fn text_dropped(&self, reason: &'static str) {
        self.change(|facts| *facts.dropped.entry(reason).or_default() += 1);
    }

    pub fn recognition_repeated(&self) {
        self.change(|facts| facts.repeated += 1);
    }

    pub(super) fn queue_opened(&self, queue: Arc<dyn JobQueue>) {
        let _ = self.queue.set(Arc::downgrade(&queue));
        self.change(|facts| facts.queue_open = true);
    }

    /// The store has answered, or not.
    pub(super) fn store_answered(&self, error: Option<&QueueError>) {
        let available = match error {
            None => true,
            Some(QueueError::Unavailable(_) | QueueError::Damaged(_)) => false,
            Some(_) => return,
        };
        let mut facts = self.facts();
        facts.queue_errors += u64::from(!available);
        if available == facts.queue_trouble.is_some() {
            facts.queue_trouble = (!available).then(Instant::now);
            drop(facts);
            self.changed.notify_one();
        }
    }

    pub(super) fn heard(&self) {
        self.change(|facts| facts.heard += 1);
    }

    pub(super) fn job_claimed(&self, claim: &Claim) {
        self.change(|facts| facts.running.insert(claim.job.id, Work::new(claim)));
    }

    /// Something has become known of a job that is being worked on.
    pub(super) fn of_job(&self, id: JobId, note: impl FnOnce(&mut Work)) {
        self.change(|facts| facts.running.get_mut(&id).map(note));
    }

    /// The pulse of whoever works on a job.
    pub(super) fn pulse_of(&self, id: JobId) -> Pulse {
        self.facts().running.get(&id).map(|work| work.pulse.clone()).unwrap_or_default()
    }

    pub(super) fn stage_ended(&self, stage: Stage, took: Duration) {
        self.change(|facts| facts.stages[stage as usize].observe(took.as_secs_f64()));
    }

    /// So many more seconds of a job's sound are recognised.
    pub(super) fn recognised(&self, id: JobId, seconds: f64) {
        self.of_job(id, |work| work.recognised += seconds);
        self.change(|facts| facts.audio += seconds);
    }

    /// That took so long, without the wait for its turn.
    pub fn recognised_in(&self, id: JobId, time: Duration) {
        self.of_job(id, |work| work.times[Stage::Recognise as usize] += time);
    }

    /// None: it was put back and will be taken up again, which tells nothing.
    pub(super) fn job_ended(&self, id: JobId, outcome: Option<Outcome>) {
        self.change(|facts| {
            let Some(work) = facts.running.remove(&id) else { return };
            let took = work.took(Stage::Recognise);
            if !took.is_zero() {
                facts.stages[Stage::Recognise as usize].observe(took.as_secs_f64());
            }
            if let Some(outcome) = outcome {
                facts.outcomes[outcome as usize] += 1;
                facts.last.push_front((Instant::now(), outcome, work));
                facts.last.truncate(LAST_JOBS);
            }
            if facts.running.is_empty() {
                self.looking.beat(BETWEEN);
            }
        });
    }

    /// Telegram wants nothing sent for so long from now on. Told of the same wait by several jobs,
    /// it counts once.
    pub(super) fn flood(&self, wait: Duration) {
        self.change(|facts| {
            let now = Instant::now();
            let until = now + wait;
            facts.flood += until.saturating_duration_since(facts.flood_until.max(now));
            facts.flood_until = facts.flood_until.max(until);
        });
    }

    /// Asks the queue how it is, unless that was done just now.
    pub(super) async fn probe(&self) {
        let Some(queue) = self.queue.get().and_then(Weak::upgrade) else { return };
        let mut probed = self.probed.lock().await;
        if probed.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let found = match timeout(PROBE_LIMIT, ask(&*queue)).await {
            Ok(found) => found,
            Err(_) => Err(QueueError::Unavailable("it does not answer".into())),
        };
        self.store_answered(found.as_ref().err());
        if let Ok((counts, oldest)) = found {
            let mut facts = self.facts();
            (facts.counts, facts.oldest) = (counts, oldest);
        }
        *probed = Some(Instant::now());
    }

    /// Waits until something was reported since the last time; for one waiter.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Facts) -> T) {
        change(&mut self.facts());
        self.changed.notify_one();
    }
}

async fn ask(queue: &dyn JobQueue) -> Result<(Counts, Option<i64>), QueueError> {
    queue.check().await?;
    Ok((queue.counts().await?, queue.oldest().await?))
}
