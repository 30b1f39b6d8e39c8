//! Crash points: the daemon's queue and messenger, decorated so that the process dies at the edge
//! of a call. They are at both sides of each of the four commit points (C1 to C4, see
//! ARCHITECTURE.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use signal_hook::consts::SIGKILL;
use stenogram::domain::{Answer, Fault, Form, Job, JobId, Part, Preview, Progress};
use stenogram::jobs::ports::Messenger;
use stenogram::queue::{
    Added, Candidates, Checkpoints, Claimed, Counts, JobQueue, Mark, Obeyed, Queue, QueueError, ResultCache,
};

/// The variable that says where the daemon dies: `C1-C2@17` is the 17th pass of that point.
pub const CRASH: &str = "CHAOS_CRASH";

const BEFORE_C1: &str = "before-C1";
const C1_C2: &str = "C1-C2";
const C2_C3: &str = "C2-C3";
const BEFORE_PREVIEW: &str = "before-preview";
const AFTER_PREVIEW: &str = "after-preview";
const C3_SEND: &str = "C3-send";
const SEND_C4: &str = "send-C4";
const AFTER_C4: &str = "after-C4";

/// Where a worker dies: at work on a recording, with its text not published yet, and after that.
pub const BEGUN: &str = "begun";
pub const RECOGNISED: &str = "recognised";
pub const PUBLISHED: &str = "published";

/// Where a worker may die.
pub const WORKER_POINTS: [&str; 3] = [BEGUN, RECOGNISED, PUBLISHED];
/// Where the daemon may die, in the order in which a job passes them.
pub const POINTS: [&str; 6] = [BEFORE_C1, C1_C2, C2_C3, C3_SEND, SEND_C4, AFTER_C4];

/// Where it may die besides, if there are previews: before the message is sent, and before its
/// number is stored.
pub const PREVIEW_POINTS: [&str; 2] = [BEFORE_PREVIEW, AFTER_PREVIEW];

/// The point at which this process dies, if it is to.
pub struct CrashPoint {
    point: String,
    /// How many passes of it are still survived.
    survived: AtomicU64,
}

impl CrashPoint {
    /// What [`CRASH`] asks for.
    pub fn from_environment() -> anyhow::Result<Option<Arc<Self>>> {
        let Ok(order) = std::env::var(CRASH) else { return Ok(None) };
        let order = order.parse().with_context(|| format!("{CRASH}={order} is not understood"))?;
        Ok(Some(Arc::new(order)))
    }

    /// Ends the process if this is the pass of the point that it is to die at.
    pub fn pass(&self, point: &str) {
        if self.is_reached(point) {
            // As kill -9 does: nothing is flushed, closed or said.
            let _ = signal_hook::low_level::raise(SIGKILL);
        }
    }

    fn is_reached(&self, point: &str) -> bool {
        let spare = |left: u64| left.checked_sub(1);
        point == self.point
            && self.survived.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spare).is_err()
    }
}

impl std::str::FromStr for CrashPoint {
    type Err = anyhow::Error;

    fn from_str(order: &str) -> anyhow::Result<Self> {
        let (point, pass) = order.split_once('@').context("it is not POINT@PASS")?;
        let is_known =
            POINTS.iter().chain(&PREVIEW_POINTS).chain(&WORKER_POINTS).any(|known| *known == point);
        ensure!(is_known, "there is no such point");
        let pass: u64 = pass.parse()?;
        ensure!(pass > 0, "the first pass is 1");
        Ok(Self { point: point.to_owned(), survived: AtomicU64::new(pass - 1) })
    }
}

/// The queue, with the points around C1 and C4 and the one before C3.
pub struct CrashingQueue {
    pub queue: Arc<dyn Queue>,
    pub crash: Arc<CrashPoint>,
}

impl CrashingQueue {
    /// Passes the point after C4, if the queue did what was asked: the job is not this process's
    /// any more.
    async fn end(
        &self,
        operation: impl Future<Output = Result<(), QueueError>> + Send,
    ) -> Result<(), QueueError> {
        operation.await?;
        self.crash.pass(AFTER_C4);
        Ok(())
    }
}

#[async_trait]
impl JobQueue for CrashingQueue {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        self.crash.pass(BEFORE_C1);
        let added = self.queue.add(job).await?;
        self.crash.pass(C1_C2);
        Ok(added)
    }

    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError> {
        self.crash.pass(BEFORE_C1);
        let obeyed = self.queue.obey(command, job).await?;
        self.crash.pass(C1_C2);
        Ok(obeyed)
    }

    async fn mark(&self, id: JobId) -> Result<Option<Mark>, QueueError> {
        self.queue.mark(id).await
    }

    async fn finished(
        &self,
        account: i64,
        channel: Option<i64>,
        message: i32,
    ) -> Result<Option<Job>, QueueError> {
        self.queue.finished(account, channel, message).await
    }

    async fn forget(&self, job: &Job) -> Result<(), QueueError> {
        self.queue.forget(job).await
    }

    async fn claim_of(&self, candidates: Candidates) -> Result<Claimed, QueueError> {
        self.queue.claim_of(candidates).await
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        self.crash.pass(SEND_C4);
        self.end(self.queue.done(id, replies)).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.end(self.queue.reject(id, reason)).await
    }

    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.end(self.queue.retry(id, after, reason)).await
    }

    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.end(self.queue.wait(id, after, reason)).await
    }

    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.end(self.queue.release(id)).await
    }

    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.end(self.queue.bury(id, reason)).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        self.queue.counts().await
    }

    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        self.queue.oldest().await
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.queue.check().await
    }
}

#[async_trait]
impl Checkpoints for CrashingQueue {
    async fn begin(&self, id: JobId) -> Result<(), QueueError> {
        self.queue.begin(id).await
    }

    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError> {
        self.queue.store_progress(id, progress).await
    }

    async fn store_preview(&self, id: JobId, preview: &Preview) -> Result<(), QueueError> {
        self.queue.store_preview(id, preview).await
    }

    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError> {
        self.crash.pass(C2_C3);
        self.queue.store_outbox(id, answer).await
    }
}

#[async_trait]
impl ResultCache for CrashingQueue {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        self.queue.result(job).await
    }
}

/// The messenger, with the point between C3 and the sending of a part, and those of previews.
pub struct CrashingMessenger {
    pub messenger: Arc<dyn Messenger>,
    pub crash: Arc<CrashPoint>,
}

#[async_trait]
impl Messenger for CrashingMessenger {
    async fn ready(&self) {
        self.messenger.ready().await;
    }

    fn connection(&self) -> Option<u64> {
        self.messenger.connection()
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        self.messenger.fetch(job).await
    }

    async fn find_sent(&self, job: &Job, answer: &Answer) -> Result<Vec<Option<i32>>, Fault> {
        self.messenger.find_sent(job, answer).await
    }

    async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        self.crash.pass(C3_SEND);
        self.messenger.deliver(job, answer, index).await
    }

    async fn preview_turn(&self) {
        self.messenger.preview_turn().await;
    }

    fn may_preview(&self, job: &Job) -> bool {
        self.messenger.may_preview(job)
    }

    async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        self.crash.pass(BEFORE_PREVIEW);
        let sent = self.messenger.preview(job, preview).await?;
        self.crash.pass(AFTER_PREVIEW);
        Ok(sent)
    }

    async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        self.messenger.find_preview(job, preview).await
    }

    async fn edit_preview(&self, job: &Job, form: &Form, part: &Part, message: i32) -> Result<bool, Fault> {
        self.messenger.edit_preview(job, form, part, message).await
    }

    async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, Fault> {
        self.crash.pass(C3_SEND);
        self.messenger.complete_preview(job, answer, message).await
    }

    async fn withdraw(&self, job: &Job, form: &Form, messages: &[i32]) -> Result<(), Fault> {
        self.messenger.withdraw(job, form, messages).await
    }

    fn forget(&self, job: JobId) {
        self.messenger.forget(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_dies_at_the_pass_that_is_asked_for() {
        let crash: CrashPoint = "C2-C3@3".parse().unwrap();
        let passes = [BEFORE_C1, C2_C3, C3_SEND, C2_C3, AFTER_C4, C2_C3];
        assert_eq!(passes.map(|point| crash.is_reached(point)), [false, false, false, false, false, true]);
    }

    #[test]
    fn an_order_that_is_not_understood_is_an_error() {
        for order in ["", "C2-C3", "C2-C3@", "C2-C3@0", "C2-C3@x", "C5@1"] {
            assert!(order.parse::<CrashPoint>().is_err(), "{order}");
        }
    }
}
