//! What counts as stuck, on a clock that jumps to whatever comes next.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use stenogram::domain::{Answer, Job, JobId, Preview, Progress};
use stenogram::health::HealthState;
use stenogram::health::readiness::Report;
use stenogram::queue::problems::REDIS_UNREACHABLE;
use stenogram::queue::{
    Added, Candidates, Checkpoints, Claimed, Counts, JobQueue, Mark, Obeyed, Queue, QueueError, ResultCache,
};
use tokio::sync::watch;
use tokio::time::sleep;

use super::DEADLINE;
use crate::in_process::account::{self, Listener};
use crate::in_process::workplace::{Plan, Workplace};

/// How the store behind a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Well,
    Away,
    /// It never answers.
    Hangs,
}

/// A queue whose store can be taken away; the worker needs `claim` only.
struct Shaky {
    queue: Arc<dyn Queue>,
    store: watch::Receiver<Store>,
}

impl Shaky {
    async fn reach(&self) -> Result<(), QueueError> {
        let store = *self.store.borrow();
        match store {
            Store::Well => Ok(()),
            Store::Away => Err(QueueError::Unavailable(REDIS_UNREACHABLE.with("away"))),
            Store::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl JobQueue for Shaky {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        self.queue.add(job).await
    }
    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError> {
        self.queue.obey(command, job).await
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
        self.reach().await?;
        self.queue.claim_of(candidates).await
    }
    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        self.queue.done(id, replies).await
    }
    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.queue.reject(id, reason).await
    }
    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.queue.retry(id, after, reason).await
    }
    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        self.queue.wait(id, after, reason).await
    }
    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.queue.release(id).await
    }
    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.queue.bury(id, reason).await
    }
    async fn counts(&self) -> Result<Counts, QueueError> {
        self.queue.counts().await
    }
    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        self.queue.oldest().await
    }
    async fn check(&self) -> Result<(), QueueError> {
        self.reach().await
    }
}

#[async_trait]
impl Checkpoints for Shaky {
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
        self.queue.store_outbox(id, answer).await
    }
}

#[async_trait]
impl ResultCache for Shaky {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        self.queue.result(job).await
    }
}

async fn shaky() -> (Workplace, watch::Sender<Store>) {
    let (store, state) = watch::channel(Store::Well);
    let place = Workplace::new(|queue| Arc::new(Shaky { queue, store: state })).await;
    place.health.model_loaded("micro".into());
    place.health.connected();
    (place, store)
}

/// Looks every half minute for so many hours; the first hour in which something was stuck.
async fn stuck_within(health: &HealthState, hours: u64) -> Option<u64> {
    for look in 0..hours * 120 {
        sleep(Duration::from_secs(30)).await;
        if !Report::liveness(health).ok {
            return Some(look / 120);
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_recogniser_that_hangs_is_stuck_and_one_that_takes_hours_is_not() {
    let (place, _store) = shaky().await;
    place.hear(Plan::Hours(3, true)).await;
    assert_eq!(stuck_within(&place.health, 4).await, None);
    place.hear(Plan::Hours(3, false)).await;
    assert_eq!(stuck_within(&place.health, 4).await, Some(0));
    let report = Report::readiness(&place.health).await;
    assert!(!report.ok && report.reasons[0].part == "progress", "{report:?}");
    assert!(report.reasons[0].reason.starts_with("The recognition is stuck"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_loads_for_minutes_is_not_stuck_and_one_that_never_does_is() {
    let (place, _store) = shaky().await;
    // The recording arrives at once, and the job then has 3 minutes for its next step.
    place.hear(Plan::Load(800)).await;
    assert_eq!(stuck_within(&place.health, 1).await, None);
    place.hear(Plan::Load(20_000)).await;
    assert_eq!(stuck_within(&place.health, 1).await, Some(0));
    let report = Report::liveness(&place.health);
    assert!(report.reasons[0].reason.starts_with("The recognition is stuck"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_hangs_is_stuck_though_others_go_on() {
    let (place, _store) = shaky().await;
    place.hear(Plan::Hang).await;
    for _ in 0..10 {
        place.hear(Plan::Speech(3, 600_000)).await;
    }
    assert_eq!(stuck_within(&place.health, 1).await, Some(0));
    let report = Report::liveness(&place.health);
    assert!(report.reasons[0].reason.starts_with("The worker is stuck"), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_each_other_are_not_stuck() {
    // Each is alone until it has got on, hours later.
    let left = [Plan::Hours(1, true), Plan::Hours(1, true)];
    let place = Workplace::after_a_crash(&left, |queue| queue).await;
    place.hear(Plan::Hours(1, true)).await;
    assert_eq!(stuck_within(&place.health, 4).await, None);
    assert_eq!(place.queue.counts().await.expect("count"), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn to_be_idle_to_wait_for_telegram_and_to_be_offline_is_not_to_be_stuck() {
    let (place, _store) = shaky().await;
    assert_eq!(stuck_within(&place.health, 1).await, None);
    place.hear(Plan::Flood(7200)).await;
    assert_eq!(stuck_within(&place.health, 3).await, None);
    place.connected.send_replace(false);
    place.health.disconnected();
    assert_eq!(stuck_within(&place.health, 24).await, None);
    let report = Report::readiness(&place.health).await;
    assert_eq!(report.reasons[0].part, "telegram");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_and_one_that_never_answers_is_not() {
    let (place, store) = shaky().await;
    store.send_replace(Store::Away);
    assert_eq!(stuck_within(&place.health, 3).await, None);
    let report = Report::readiness(&place.health).await;
    assert_eq!((report.reasons.len(), report.reasons[0].part.as_str()), (1, "queue"));
    store.send_replace(Store::Well);
    sleep(Duration::from_secs(60)).await;
    assert!(Report::readiness(&place.health).await.ok);
    store.send_replace(Store::Hangs);
    assert_eq!(stuck_within(&place.health, 1).await, Some(0));
}

#[tokio::test]
async fn a_loop_over_the_updates_that_hands_over_in_vain_is_stuck() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let folder = account::session(&telegram);
    let listener = Listener::start(account::open(&folder, account::options()).await);
    listener.connected().await;
    let overdue = || listener.account.pulses().updates.overdue();
    assert_eq!(overdue(), None);
    // Whoever takes the recording never comes back.
    listener.open.send_replace(false);
    telegram.send(Chat::User(FRIEND), Draft::voice(vec![1], 1));
    let taking = async {
        while listener.open.receiver_count() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, taking).await.expect("the recording is heard in time");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(299)).await;
    assert_eq!(overdue(), None);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(overdue().is_some());
}

#[tokio::test]
async fn a_freed_model_is_no_trouble_unless_it_cannot_be_loaded_again() {
    let (place, _store) = shaky().await;
    type Change = fn(&HealthState);
    let states: [(Change, bool); 4] = [
        (HealthState::model_reloaded, false),
        (HealthState::model_freed, false),
        (HealthState::model_missing, true),
        (HealthState::model_reloaded, false),
    ];
    for (change, is_missing) in states {
        change(&place.health);
        let report = Report::readiness(&place.health).await;
        assert_eq!(report.ok, !is_missing, "{report:?}");
        if is_missing {
            assert_eq!(report.reasons[0].part, "model");
            assert!(report.reasons[0].reason.contains("cannot be loaded again"), "{report:?}");
        }
    }
}
