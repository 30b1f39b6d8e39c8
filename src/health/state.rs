//! The state of the daemon's health: it is told of every change, and asked for the facts.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::facts::{Facts, Outcome, RecogniserFacts, Role, RunningJob, Stage, Volume};
use super::limits::BETWEEN_OPERATIONS_LIMIT;
use super::trouble::{Trouble, troubles};
use crate::domain::{JobId, Restricted};
use crate::queue::{Claim, Counts, JobQueue, QueueError};
use crate::runtime::lock;
use crate::runtime::pulse::Pulse;

/// How many of the last jobs are remembered.
const ENDED_JOBS: usize = 20;
/// For how long an answer of the queue's store is not asked for again: asking costs an fsync.
const PROBE_AGE: Duration = Duration::from_secs(5);
/// A queue that does not answer within this time is unavailable.
const PROBE_LIMIT: Duration = Duration::from_secs(4);

/// What the owner may have to know of the daemon at one moment.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// What keeps recordings from being answered, the gravest first.
    pub troubles: Vec<Trouble>,
    /// Dead letters.
    pub dead: u64,
    /// The time since the oldest unanswered recording was sent.
    pub oldest: Option<Duration>,
}

/// The daemon's health. All facts are under one lock, so everything shown is of one moment.
pub struct HealthState {
    facts: Mutex<Facts>,
    /// The loops that have to make progress, and their names.
    watched: Mutex<Vec<(&'static str, Pulse)>>,
    /// Weak, so that the queue closes when the daemon drops it, although this still exists.
    queue: OnceLock<Weak<dyn JobQueue>>,
    /// Tells the volume of this moment.
    volume: OnceLock<Box<dyn Fn() -> Volume + Send + Sync>>,
    /// The worker's pulse while it claims a job.
    pub(super) claim_pulse: Pulse,
    /// When the queue was last asked.
    probed: tokio::sync::Mutex<Option<Instant>>,
    changed: Notify,
}

impl HealthState {
    /// `drop_reasons` are all reasons that [`text_dropped`](Self::text_dropped) will be given.
    pub fn new(drop_reasons: &[&'static str]) -> Self {
        Self {
            facts: Mutex::new(Facts::new(drop_reasons)),
            watched: Mutex::default(),
            queue: OnceLock::new(),
            volume: OnceLock::new(),
            claim_pulse: Pulse::default(),
            probed: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// From now on the loop called `name` counts as stuck when its `pulse` is overdue.
    pub fn watch(&self, name: &'static str, pulse: Pulse) {
        lock(&self.watched).push((name, pulse));
    }

    /// From now on `volume` is asked how much is sent and what waits for it.
    pub fn observe_volume(&self, volume: impl Fn() -> Volume + Send + Sync + 'static) {
        let _ = self.volume.set(Box::new(volume));
    }

    pub(super) fn volume(&self) -> Volume {
        self.volume.get().map(|volume| volume()).unwrap_or_default()
    }

    /// The loops that are stuck, and for how long their pulses have been overdue.
    pub fn stuck(&self) -> Vec<(&'static str, Duration)> {
        let watched = lock(&self.watched);
        let mut stuck: Vec<_> =
            watched.iter().filter_map(|(name, pulse)| Some((*name, pulse.overdue()?))).collect();
        let facts = self.facts();
        let jobs = facts.running.values().map(|job| &job.pulse);
        let worker = std::iter::once(&self.claim_pulse).chain(jobs).filter_map(Pulse::overdue).max();
        stuck.extend(worker.map(|overdue| ("worker", overdue)));
        stuck
    }

    /// Tells what is wrong. `ask_queue` is for news of the queue, which cost its store a write.
    pub async fn survey(&self, ask_queue: bool) -> Survey {
        if ask_queue {
            self.probe_queue().await;
        }
        let stuck = self.stuck();
        let facts = self.facts();
        let troubles = troubles(&facts, &stuck);
        Survey { troubles, dead: facts.counts.dead, oldest: facts.oldest_age() }
    }

    /// What this process does.
    pub fn plays(&self, role: Role) {
        self.change(|facts| facts.role = role);
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

    /// The recognisers are ready to be asked, in this order.
    pub fn recognisers_started(&self, names: &[Arc<str>]) {
        let fresh = |name: &Arc<str>| RecogniserFacts { name: name.clone(), is_well: true, stretches: 0 };
        self.change(|facts| facts.recognisers = names.iter().map(fresh).collect());
    }

    /// For each of the recognisers, whether it is well.
    pub fn recognisers_well(&self, well: &[bool]) {
        self.change(|facts| {
            for (recogniser, is_well) in facts.recognisers.iter_mut().zip(well) {
                recogniser.is_well = *is_well;
            }
        });
    }

    /// The model was loaded again.
    pub fn model_reloaded(&self) {
        self.change(|facts| (facts.model_in_memory, facts.model_missing) = (true, false));
    }

    /// The model was freed because it was not used. It is loaded again when it is needed.
    pub fn model_freed(&self) {
        self.change(|facts| (facts.model_in_memory, facts.model_missing) = (false, false));
    }

    /// The model was freed, and cannot be loaded again.
    pub fn model_missing(&self) {
        self.change(|facts| (facts.model_in_memory, facts.model_missing) = (false, true));
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
            facts.disconnected_since = Instant::now();
        });
    }

    /// The seconds by which this machine's clock is ahead of Telegram's, if that prevents a
    /// connection.
    pub fn clock_ahead(&self, seconds: Option<u64>) {
        self.change(|facts| facts.clock_ahead = seconds);
    }

    /// Why Telegram does not let the account send, if it does not.
    pub fn account_restricted(&self, restricted: Option<Restricted>) {
        self.change(|facts| facts.restricted = restricted);
    }

    /// A text was dropped from a transcript.
    pub fn text_dropped(&self, reason: &'static str) {
        self.change(|facts| *facts.dropped.entry(reason).or_default() += 1);
    }

    /// The quick pass of a recognition was rejected.
    pub fn recognition_repeated(&self) {
        self.change(|facts| facts.repeated += 1);
    }

    /// A job's recognition took this long, without the time for which it waited for others.
    pub fn recognition_took(&self, id: JobId, time: Duration) {
        self.update_job(id, |job| job.times[Stage::Recognise as usize] += time);
    }

    pub(super) fn queue_opened(&self, queue: Arc<dyn JobQueue>) {
        let _ = self.queue.set(Arc::downgrade(&queue));
        self.change(|facts| facts.queue_open = true);
    }

    /// The queue's store has answered, or failed to.
    pub(super) fn store_answered(&self, error: Option<&QueueError>) {
        match error {
            None => self.store_available(true),
            Some(QueueError::Unavailable(_) | QueueError::Damaged(_)) => self.store_available(false),
            Some(_) => {}
        }
    }

    fn store_available(&self, available: bool) {
        let mut facts = self.facts();
        facts.queue_errors += u64::from(!available);
        if available == facts.queue_trouble.is_some() {
            facts.queue_trouble = (!available).then(Instant::now);
            drop(facts);
            self.changed.notify_one();
        }
    }

    pub(super) fn job_queued(&self) {
        self.change(|facts| facts.queued += 1);
    }

    pub(super) fn job_claimed(&self, claim: &Claim) {
        self.change(|facts| facts.running.insert(claim.job.id, RunningJob::of(claim)));
    }

    /// Changes what is known of a job that is being worked on.
    pub(super) fn update_job(&self, id: JobId, update: impl FnOnce(&mut RunningJob)) {
        self.change(|facts| facts.running.get_mut(&id).map(update));
    }

    /// The pulse of the loop that works on a job.
    pub(super) fn pulse_of(&self, id: JobId) -> Pulse {
        self.facts().running.get(&id).map(|job| job.pulse.clone()).unwrap_or_default()
    }

    pub(super) fn stage_ended(&self, stage: Stage, took: Duration) {
        self.change(|facts| facts.stages[stage as usize].observe(took.as_secs_f64()));
    }

    /// Another part of a job's audio has been recognised.
    pub(super) fn audio_recognised(&self, id: JobId, seconds: f64) {
        self.update_job(id, |job| job.recognised += seconds);
        self.change(|facts| facts.audio += seconds);
    }

    /// A stretch of a job was recognised, and by whom unless nobody speaks in it.
    pub(super) fn stretch_recognised(&self, id: JobId, by: Option<Arc<str>>) {
        let Some(by) = by else { return };
        self.change(|facts| {
            let known = facts.recognisers.iter_mut().find(|known| known.name == by);
            known.into_iter().for_each(|known| known.stretches += 1);
        });
        self.update_job(id, |job| job.recogniser = Some(by));
    }

    /// The work on a job has ended. A job that was put back without a failure has no outcome, and
    /// is not counted.
    pub(super) fn job_ended(&self, id: JobId, outcome: Option<Outcome>) {
        self.change(|facts| {
            let Some(job) = facts.running.remove(&id) else { return };
            let took = job.took(Stage::Recognise);
            if !took.is_zero() {
                facts.stages[Stage::Recognise as usize].observe(took.as_secs_f64());
            }
            if let Some(outcome) = outcome {
                facts.outcomes[outcome as usize] += 1;
                facts.ended.push_front((Instant::now(), outcome, job));
                facts.ended.truncate(ENDED_JOBS);
            }
            if facts.running.is_empty() {
                self.claim_pulse.beat(BETWEEN_OPERATIONS_LIMIT);
            }
        });
    }

    /// Telegram demands that nothing is sent for this time. A wait that several jobs report counts
    /// once.
    pub(super) fn flood_wait(&self, wait: Duration) {
        self.change(|facts| {
            let now = Instant::now();
            let until = now + wait;
            facts.flood_waited += until.saturating_duration_since(facts.flood_until.max(now));
            facts.flood_until = facts.flood_until.max(until);
        });
    }

    /// Asks the queue for its counts, unless that was done just now.
    pub(super) async fn probe_queue(&self) {
        let Some(queue) = self.queue.get().and_then(Weak::upgrade) else { return };
        let mut probed = self.probed.lock().await;
        if probed.is_some_and(|at| at.elapsed() < PROBE_AGE) {
            return;
        }
        match timeout(PROBE_LIMIT, probe(&*queue)).await {
            Ok(answer) => {
                self.store_answered(answer.as_ref().err());
                if let Ok((counts, oldest)) = answer {
                    let mut facts = self.facts();
                    (facts.counts, facts.oldest) = (counts, oldest);
                }
            }
            Err(_) => self.store_available(false),
        }
        *probed = Some(Instant::now());
    }

    /// Waits for a change since the last call. Only one task may wait.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Facts) -> T) {
        change(&mut self.facts());
        self.changed.notify_one();
    }
}

async fn probe(queue: &dyn JobQueue) -> Result<(Counts, Option<i64>), QueueError> {
    queue.check().await?;
    Ok((queue.counts().await?, queue.oldest().await?))
}
