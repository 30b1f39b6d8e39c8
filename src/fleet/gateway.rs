//! The transcriber of a gateway: hands recordings over to workers, and waits for what they
//! recognise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::room::Budget;
use super::transcription::FleetTranscription;
use crate::domain::{Deleted, Fault, Job, JobId, Progress, Settings, Task};
use crate::jobs::ports::{Room, Transcriber, Transcription};
use crate::jobs::retry::retry_until_available;
use crate::queue::QueueError;
use crate::queue::fleet::{ANY_MODEL, ANY_TRANSLATING, Assignments, Feed, Line, Order, Report, Seen, State};
use crate::runtime::lock;
use crate::runtime::pulse::Pulse;
use crate::speech::OwnersLists;
use crate::transcribe::chat_languages::ChatLanguages;

/// How often the account is announced while it has assignments, at least.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// How often the list of the workers is read.
const LOOK: Duration = Duration::from_secs(10);
/// A worker that was seen this long ago is away. They say that they are there every 5 s.
const AWAY: Duration = Duration::from_secs(30);
/// Until the next attempt after Redis did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often all who wait look at their assignments, at least: news may have been lost.
const LOOK_AT_ALL: Duration = Duration::from_secs(30);
/// How long a round of the loop that waits for news may take.
const ROUND_LIMIT: Duration = Duration::from_secs(300);

/// What a gateway tells the workers of itself.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The model that is wanted; `None` for any.
    pub model: Option<String>,
    /// TASK, which most jobs have.
    pub task: Task,
    pub lists: OwnersLists,
    /// How many bytes of recordings may be in Redis.
    pub budget: u64,
}

impl GatewayOptions {
    /// What a worker has to take for a job with this task: the stream in which its assignment
    /// waits.
    pub fn wanted(&self, task: Task) -> &str {
        match (&self.model, task) {
            (Some(model), _) => model,
            (None, Task::Translate) => ANY_TRANSLATING,
            (None, Task::Transcribe) => ANY_MODEL,
        }
    }
}

/// Is told how the recognition elsewhere gets on.
pub trait GatewayObserver: Send + Sync {
    /// The workers that are there or have been lately, and whether one of them takes what this
    /// gateway hands over.
    fn workers(&self, workers: &[Seen], is_served: bool);
    /// A stretch of the job was recognised.
    fn recognised(&self, job: JobId, report: &Report);
}

/// Has recordings recognised by the workers of a fleet.
pub struct FleetTranscriber {
    pub(super) store: Assignments,
    options: GatewayOptions,
    pub(super) languages: Arc<ChatLanguages>,
    budget: Budget,
    /// The assignments that somebody waits for.
    open: Mutex<BTreeMap<JobId, Arc<Watched>>>,
    opened: Notify,
    pub(super) observer: Arc<dyn GatewayObserver>,
    pub(super) shutdown: CancellationToken,
    announced: Mutex<Option<Instant>>,
}

/// An assignment that somebody waits for.
#[derive(Default)]
pub(super) struct Watched {
    /// Notified when there may be news.
    pub news: Notify,
    pub is_deleted: AtomicBool,
}

impl FleetTranscriber {
    pub fn new(
        store: Assignments,
        options: GatewayOptions,
        languages: Arc<ChatLanguages>,
        observer: Arc<dyn GatewayObserver>,
        shutdown: CancellationToken,
    ) -> Self {
        let budget = Budget::new(options.budget);
        Self {
            store,
            options,
            languages,
            budget,
            open: Mutex::default(),
            opened: Notify::new(),
            observer,
            shutdown,
            announced: Mutex::default(),
        }
    }

    /// The bytes of recordings in Redis, the limit, and how many assignments are waited for.
    pub fn usage(&self) -> (u64, u64, u64) {
        let (used, limit) = self.budget.used();
        (used, limit, lock(&self.open).len() as u64)
    }

    /// Passes on the news of the workers, for ever. `pulse` beats with every round.
    pub async fn follow_news(&self, pulse: Pulse) {
        let mut looked_at_all = Instant::now();
        loop {
            let opened = self.opened.notified();
            if lock(&self.open).is_empty() {
                pulse.rest();
                opened.await;
            }
            pulse.beat(ROUND_LIMIT);
            self.announce(false).await;
            let news = match self.store.news().await {
                Ok(jobs) => jobs,
                Err(error) => {
                    debug!(%error, "no news of the workers");
                    tokio::time::sleep(PAUSE).await;
                    Vec::new()
                }
            };
            if news.is_empty() || looked_at_all.elapsed() >= LOOK_AT_ALL {
                looked_at_all = Instant::now();
                self.notify(|_| true);
            } else {
                self.notify(|job| news.contains(job));
            }
        }
    }

    /// Tells the observer which workers there are, for ever.
    pub async fn follow_workers(&self) {
        let mut was_served = true;
        loop {
            match self.store.workers().await {
                Ok(workers) => {
                    let is_served =
                        workers.iter().any(|worker| worker.ago < AWAY && self.is_taken_by(worker));
                    self.observer.workers(&workers, is_served);
                    if is_served != was_served {
                        self.log_workers(is_served);
                    }
                    was_served = is_served;
                }
                Err(error) => debug!(%error, "the list of the workers cannot be read"),
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn log_workers(&self, is_served: bool) {
        if is_served {
            info!(event = "workers_back", "There are workers");
        } else {
            let wanted = self.options.model.as_deref().unwrap_or("any");
            warn!(
                event = "workers_gone",
                model = wanted,
                "No worker of the fleet is there that takes what this gateway hands over (MODEL: {wanted}); messages \
                 wait"
            );
        }
    }

    fn is_taken_by(&self, worker: &Seen) -> bool {
        let wanted = self.options.wanted(self.options.task);
        worker.card.takes.iter().any(|takes| takes == wanted)
    }

    fn notify(&self, is_meant: impl Fn(&JobId) -> bool) {
        let open = lock(&self.open);
        open.iter().filter(|(job, _)| is_meant(job)).for_each(|(_, watched)| watched.news.notify_one());
    }

    /// Says that the account has assignments, unless that was said just now.
    async fn announce(&self, is_new: bool) {
        let is_due = lock(&self.announced).is_none_or(|at| at.elapsed() >= ANNOUNCE);
        if !is_new && !is_due {
            return;
        }
        match self.store.announce(is_new).await {
            Ok(()) => *lock(&self.announced) = Some(Instant::now()),
            Err(error) => debug!(%error, "the assignments are not announced yet"),
        }
    }

    /// What an assignment depends on. One that was made for something else is of no use to the job.
    fn version(&self, job: &Job, settings: &Settings) -> String {
        let Settings { task, language, .. } = settings;
        let language = language.map_or("", |language| language.as_str());
        let asked = job.asked.as_ref().map_or(0, |asked| asked.command);
        let OwnersLists { languages, vocabulary } = &self.options.lists;
        let listed: Vec<&str> = languages.listed.iter().map(|language| language.as_str()).collect();
        let (listed, others, model) =
            (listed.join(","), languages.others, self.options.wanted(settings.task));
        format!("{task:?}/{language}/{asked}/{model}/{listed}/{others}/{vocabulary}")
    }

    fn order(&self, job: &Job, settings: &Settings, progress: &Progress) -> Order {
        let OwnersLists { languages, vocabulary } = &self.options.lists;
        Order {
            task: settings.task,
            language: settings.language,
            duration: job.recording.duration,
            asked: job.asked.is_some(),
            from: progress.clone(),
            prior: self.languages.prior(job.id.chat).0,
            languages: (languages.listed.clone(), languages.others),
            vocabulary: vocabulary.terms().to_vec(),
            chat_vocabulary: settings.vocabulary.clone(),
            people: settings.people.clone().unwrap_or_default(),
        }
    }

    fn watch(&self, job: &Job, version: String, progress: &Progress) -> FleetTranscription<'_> {
        let watched = Arc::new(Watched::default());
        lock(&self.open).insert(job.id, Arc::clone(&watched));
        self.opened.notify_one();
        FleetTranscription::new(self, job.id, version, progress.until_ms, watched)
    }

    pub(super) fn unwatch(&self, job: JobId) {
        lock(&self.open).remove(&job);
    }

    /// Repeats an operation until Redis is there.
    pub(super) async fn persist<T, F>(&self, what: &str, operation: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, QueueError>>,
    {
        match retry_until_available(what, &self.shutdown, operation).await {
            Some(Ok(done)) => Ok(done),
            // Of another version, perhaps; the next attempt hands the recording over anew.
            Some(Err(error @ QueueError::Damaged(_))) => Err(Fault::retry_in(60, error)),
            Some(Err(error)) => Err(Fault::Fatal(error.to_string())),
            None => Err(Fault::Aborted),
        }
    }
}

#[async_trait]
impl Transcriber for FleetTranscriber {
    async fn prepare(&self, _: &Job) -> Result<(), Fault> {
        Ok(())
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    async fn make_room(&self, job: &Job) -> Result<Option<Room>, Fault> {
        let room = self.budget.make_room(job.recording.size).await;
        Ok(room.map(|room| Box::new(room) as Room))
    }

    async fn resume(
        &self,
        job: &Job,
        settings: &Settings,
        progress: &Progress,
    ) -> Result<Option<Box<dyn Transcription + '_>>, Fault> {
        let version = self.version(job, settings);
        let standing = self.persist("look for an assignment", || self.store.read(job.id, 0)).await?;
        let is_usable = |state| state != State::Unfed;
        if standing.is_none_or(|standing| standing.version != version || !is_usable(standing.state)) {
            return Ok(None);
        }
        info!(event = "assignment_resumed", "The recording is with the workers already");
        let transcription = self.watch(job, version, progress);
        self.announce(false).await;
        Ok(Some(Box::new(transcription)))
    }

    async fn open(
        &self,
        job: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let version = self.version(job, settings);
        let line = match job {
            Job { asked: Some(_), .. } => Line::Asked,
            Job { stranger: true, .. } => Line::Strangers,
            _ => Line::Others,
        };
        let order = self.order(job, settings, progress);
        let feed = Feed {
            job: job.id,
            order: &order,
            version: &version,
            line,
            model: self.options.wanted(settings.task),
        };
        let is_assigned = self.persist("hand over a recording", || self.store.assign(&feed, &bytes)).await?;
        if !is_assigned {
            return Err(Fault::retry_in(1, "the job was taken away while its recording was handed over"));
        }
        info!(event = "assigned", bytes = bytes.len(), "Handed over to the workers");
        drop(bytes);
        let transcription = self.watch(job, version, progress);
        self.announce(true).await;
        Ok(Box::new(transcription))
    }

    fn deleted(&self, deleted: &Deleted) {
        let open = lock(&self.open);
        for (job, watched) in open.iter() {
            let channel = job.is_in_channel().then_some(job.chat);
            if channel == deleted.channel && deleted.messages.contains(&job.message) {
                watched.is_deleted.store(true, Ordering::Relaxed);
                watched.news.notify_one();
            }
        }
    }
}
