//! The queue in a file of its own, for one process: redb, with an fsync for every change.
//!
//! `file` is the file with its tables, `store` what each operation does, with `claim` and `admin`,
//! and `schedule` the index in memory that tells which job comes next. One file may serve several
//! accounts: each key has the account. Here the blocking work is kept off the async threads, and a
//! file that failed is opened anew: after an I/O error redb refuses everything until it is
//! reopened, and whether the last commit is in the file can only be read from there.

mod admin;
mod claim;
mod expiring;
mod file;
mod migration;
mod record;
mod schedule;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use self::store::Store;
use super::problems::QUEUE_DAMAGED;
use super::{
    Added, AdminOutcome, Candidates, Checkpoints, Claimed, Counts, CrashRules, DROPPED, Entry, JobQueue,
    Mark, Obeyed, QueueAdmin, QueueError, ResultCache, finished_id, millis,
};
use crate::domain::unix_time::now_millis;
use crate::domain::{Answer, Job, JobId, Preview, Progress};
use crate::runtime::lock;

/// How the embedded queue behaves.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// How long a finished job is remembered, so that the same message is not answered again.
    pub dedupe_ttl: Duration,
    /// How long a recording's answer is kept for its next copy; zero: no answer is kept beyond its
    /// job, and none that was is left.
    pub result_ttl: Duration,
    pub crashes: CrashRules,
}

/// How often a file that another process writes to is copied, until a copy is whole.
const SNAPSHOTS: u32 = 5;

/// The embedded queue. Dropping it closes the file.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    /// Held by the claim in progress, see [`Shared::unconfirmed_claim`].
    claiming: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: EmbeddedOptions,
    /// `None` after a failure: the next operation opens the file anew.
    store: Mutex<Option<Store>>,
    /// Claimed, but unconfirmed: the caller's future was dropped, or the commit failed in a way
    /// that leaves open whether it happened. The next claim hands it out.
    unconfirmed_claim: Mutex<Option<JobId>>,
}

impl Embedded {
    /// Opens the queue at `path` (mode 0600), or makes it, with its folder (mode 0700). What the
    /// predecessor had claimed is handed out first.
    ///
    /// [`QueueError::InUse`] where another process has it open, [`QueueError::Configuration`] where
    /// the path cannot be used, [`QueueError::Damaged`] where the file is no queue.
    pub async fn open(path: impl Into<PathBuf>, options: EmbeddedOptions) -> Result<Self, QueueError> {
        let path = path.into();
        let (store, unconfirmed_claim) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { path, options, store, unconfirmed_claim });
        let opening = Arc::clone(&shared);
        blocking(move || {
            *lock(&opening.store) = Some(Store::create(&opening.path, now_millis(), &opening.options)?);
            Ok(())
        })
        .await?;
        Ok(Self { shared, claiming: tokio::sync::Mutex::new(()) })
    }

    /// Runs `work` on the open store, on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &mut Store) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let mut slot = lock(&shared.store);
            // Taken out while it is worked on: an error or a panic leaves the slot empty.
            let mut store = match slot.take() {
                Some(store) => store,
                None => Store::reopen(&shared.path)?,
            };
            let result = work(&shared, &mut store);
            if matches!(result, Ok(_) | Err(QueueError::NotClaimed(_))) {
                *slot = Some(store);
            }
            result
        })
        .await
    }

    async fn finish(&self, id: JobId, mark: Mark) -> Result<(), QueueError> {
        self.with(move |shared, store| {
            let now = now_millis();
            store.finish(id, &mark, now, now.saturating_add(millis(shared.options.dedupe_ttl)))
        })
        .await
    }
}

/// The entries of the queue at `path`, as [`QueueAdmin::entries`] gives them, also while another
/// process has it open; empty if there is no file. Nothing is changed.
pub async fn entries(path: impl Into<PathBuf>) -> Result<Vec<Entry>, QueueError> {
    snapshot(path.into(), admin::entries_of_copy).await
}

/// The results of the queue at `path`, as [`QueueAdmin::results`] gives them, also while another
/// process has it open; none if there is no file. Nothing is changed.
pub async fn results(path: impl Into<PathBuf>, most: usize) -> Result<Vec<Answer>, QueueError> {
    snapshot(path.into(), move |path| admin::results_of_copy(path, most)).await
}

/// Reads a copy of a file that another process may write to meanwhile.
async fn snapshot<T: Send + 'static>(
    path: PathBuf,
    read: impl Fn(&Path) -> Result<T, QueueError> + Clone + Send + 'static,
) -> Result<T, QueueError> {
    for _ in 1..SNAPSHOTS {
        let (path, read) = (path.clone(), read.clone());
        match blocking(move || read(&path)).await {
            // The other process wrote while it was copied.
            Err(QueueError::Damaged(_)) => {}
            read => return read,
        }
    }
    blocking(move || read(&path)).await
}

/// Redb panics over some damage; that becomes an error, and the store it happened in is dropped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) if stopped.is_panic() => {
            Err(QueueError::Damaged(QUEUE_DAMAGED.with(format_args!("reading it failed ({stopped})"))))
        }
        // Cancelled: the runtime is shutting down, so nobody waits for the result.
        Err(_) => std::future::pending().await,
    }
}

#[async_trait]
impl QueueAdmin for Embedded {
    async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        self.with(|_, store| store.entries()).await
    }

    async fn results(&self, most: usize) -> Result<Vec<Answer>, QueueError> {
        self.with(move |_, store| store.results(most)).await
    }

    async fn requeue(&self, id: JobId) -> Result<AdminOutcome, QueueError> {
        self.with(move |_, store| store.requeue(id)).await
    }

    async fn discard(&self, id: JobId) -> Result<AdminOutcome, QueueError> {
        self.with(move |shared, store| {
            let (now, mark) = (now_millis(), Mark::Rejected { reason: DROPPED.to_owned() });
            store.discard(id, &mark, now, now.saturating_add(millis(shared.options.dedupe_ttl)))
        })
        .await
    }
}

#[async_trait]
impl JobQueue for Embedded {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        let job = job.clone();
        self.with(move |_, store| store.add(job, now_millis())).await
    }

    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError> {
        let job = job.cloned();
        self.with(move |shared, store| {
            let now = now_millis();
            store.obey(command, job, now, now.saturating_add(millis(shared.options.dedupe_ttl)))
        })
        .await
    }

    async fn mark(&self, id: JobId) -> Result<Option<Mark>, QueueError> {
        self.with(move |_, store| store.mark(id, now_millis())).await
    }

    async fn finished(
        &self,
        account: i64,
        channel: Option<i64>,
        message: i32,
    ) -> Result<Option<Job>, QueueError> {
        let id = finished_id(account, channel, message);
        self.with(move |_, store| store.file.finished(id, now_millis())).await
    }

    async fn forget(&self, job: &Job) -> Result<(), QueueError> {
        let JobId { account, chat, message } = job.id;
        let id = finished_id(account, job.id.is_in_channel().then_some(chat), message);
        let job = job.clone();
        self.with(move |_, store| store.forget(id, &job)).await
    }

    async fn claim_of(&self, candidates: Candidates) -> Result<Claimed, QueueError> {
        let _claiming = self.claiming.lock().await;
        let claim = move |shared: &Shared, store: &mut Store| {
            store.claim(candidates, now_millis(), &shared.options, &mut lock(&shared.unconfirmed_claim))
        };
        let claimed = self.with(claim).await?;
        if let Claimed::Job(claim) = &claimed {
            // Unless it names a later one by now, of a claim whose future was dropped.
            lock(&self.shared.unconfirmed_claim).take_if(|id| *id == claim.job.id);
        }
        Ok(claimed)
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        self.finish(id, Mark::Answered { replies: replies.to_vec() }).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.finish(id, Mark::Rejected { reason: reason.to_owned() }).await
    }

    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let (due, reason) = (now_millis().saturating_add(millis(after)), reason.to_owned());
        self.with(move |_, store| store.retry(id, due, reason, 1)).await
    }

    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let (due, reason) = (now_millis().saturating_add(millis(after)), reason.to_owned());
        self.with(move |_, store| store.retry(id, due, reason, 0)).await
    }

    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.with(move |_, store| store.release(id)).await
    }

    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        let reason = reason.to_owned();
        self.with(move |_, store| store.bury(id, reason)).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        self.with(|_, store| Ok(store.counts())).await
    }

    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        self.with(|_, store| Ok(store.oldest())).await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.with(|_, store| store.check(now_millis())).await
    }
}

#[async_trait]
impl Checkpoints for Embedded {
    async fn begin(&self, id: JobId) -> Result<(), QueueError> {
        self.with(move |_, store| store.begin(id)).await
    }

    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError> {
        let progress = progress.clone();
        self.with(move |_, store| store.store_progress(id, progress)).await
    }

    async fn store_preview(&self, id: JobId, preview: &Preview) -> Result<(), QueueError> {
        let preview = preview.clone();
        self.with(move |_, store| store.store_preview(id, preview)).await
    }

    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError> {
        let answer = answer.clone();
        self.with(move |shared, store| {
            let ttl = shared.options.result_ttl;
            let result_until = (!ttl.is_zero()).then(|| now_millis().saturating_add(millis(ttl)));
            store.store_outbox(id, answer, now_millis(), result_until)
        })
        .await
    }
}

#[async_trait]
impl ResultCache for Embedded {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        let job = job.clone();
        self.with(move |_, store| store.result(&job, now_millis())).await
    }
}
