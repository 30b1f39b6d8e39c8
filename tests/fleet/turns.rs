//! Whose assignment a worker takes next, with a stand-in for recognition.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stenogram::domain::{Fault, Job, JobId, LanguageCode, Progress, Settings};
use stenogram::fleet::worker::Ended;
use stenogram::fleet::{FleetWorker, InHand, WorkerObserver, WorkerOptions};
use stenogram::jobs::ports::{Transcriber, Transcription};
use stenogram::queue::fleet::{ANY_MODEL, Line, Outcome};
use stenogram::queue::{CrashRules, JobQueue as _, QueueError};
use stenogram::runtime::pulse::Pulse;
use support::redis::{DURABLE, RedisServer};
use tokio_util::sync::CancellationToken;

use super::store::Shared;
use crate::queue::backend::{ACCOUNT, LONG, claim_id, job, until};

/// Recognises what it is given at once: nothing is said in it.
struct Silence {
    seen: Arc<Mutex<Vec<Settings>>>,
}

#[async_trait]
impl Transcriber for Silence {
    async fn prepare(&self, _: &Job) -> Result<(), Fault> {
        Ok(())
    }

    async fn open(
        &self,
        _: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        _: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        self.seen.lock().unwrap().push(settings.clone());
        match &bytes[..] {
            b"broken" => Err(Fault::Reject("broken".into())),
            b"not here" => Err(Fault::Later { after: LONG, why: "no decoder".into() }),
            _ => Ok(Box::new(Silent(false))),
        }
    }
}

/// One stretch of 3 s, if it was not given yet.
struct Silent(bool);

#[async_trait]
impl Transcription for Silent {
    fn length(&self) -> u64 {
        3000
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        let is_first = !std::mem::replace(&mut self.0, true);
        Ok(is_first.then(|| Progress { until_ms: 3000, ..Progress::default() }))
    }
}

#[derive(Default)]
struct Written {
    taken: Mutex<Vec<JobId>>,
    ended: Mutex<Vec<(JobId, Ended)>>,
}

impl WorkerObserver for Written {
    fn taken(&self, job: JobId) {
        self.taken.lock().unwrap().push(job);
    }

    fn ended(&self, job: JobId, ended: Ended) {
        self.ended.lock().unwrap().push((job, ended));
    }

    fn store_answered(&self, _: Option<JobId>, _: Option<&QueueError>) {}
}

/// Runs a worker until it has ended so many assignments.
async fn work(shared: &Shared, count: usize) -> Arc<Written> {
    work_as(shared, "a", count, (LanguageCode::all().collect(), true), Arc::default()).await
}

/// The same as the worker `id` with these abilities; `seen` receives how it was to recognise.
async fn work_as(
    shared: &Shared,
    id: &str,
    count: usize,
    abilities: (Vec<LanguageCode>, bool),
    seen: Arc<Mutex<Vec<Settings>>>,
) -> Arc<Written> {
    let (written, shutdown) = (Arc::new(Written::default()), CancellationToken::new());
    let options = WorkerOptions {
        name: "a".into(),
        lease: Duration::from_secs(60),
        models: Vec::new(),
        takes: vec![ANY_MODEL.into()],
        abilities,
    };
    let leases = Arc::new(shared.worker_with(id, options.lease, &[ANY_MODEL], CrashRules::STRICT));
    let observer = Arc::clone(&written) as Arc<dyn WorkerObserver>;
    let in_hand = Arc::new(InHand::default());
    let worker = FleetWorker::new(
        leases,
        Arc::new(Silence { seen }),
        in_hand,
        options,
        observer,
        Pulse::default(),
        shutdown.clone(),
    );
    let all_ended = async {
        until(async || (written.ended.lock().unwrap().len() >= count).then_some(())).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(worker.run(), all_ended);
    ended.expect("an orderly end");
    written
}

#[tokio::test]
async fn accounts_take_turns_and_strangers_of_any_account_come_last() {
    let mine = Shared::new().await;
    let other = mine.of_account(ACCOUNT + 1).await;
    for (shared, account) in [(&mine, ACCOUNT), (&other, ACCOUNT + 1)] {
        for message in 1..=4 {
            let mut job = job(2000 + i64::from(message), message);
            job.id.account = account;
            shared.queue.add(&job).await.unwrap();
            let id = claim_id(&shared.queue).await;
            let line = if message == 1 { Line::Strangers } else { Line::Others };
            shared.assign(id, line, ANY_MODEL, b"recording").await;
        }
    }
    let taken = work(&mine, 8).await.taken.lock().unwrap().clone();
    let accounts: Vec<i64> = taken.iter().map(|job| job.account).collect();
    assert!(accounts[..6].windows(2).all(|pair| pair[0] != pair[1]), "{accounts:?}");
    let strangers: Vec<bool> = taken.iter().map(|job| job.message == 1).collect();
    assert_eq!(strangers, [false, false, false, false, false, false, true, true]);
}

#[tokio::test]
async fn what_fails_here_is_left_to_others_and_what_fails_everywhere_is_told() {
    let shared = Shared::with(RedisServer::start(DURABLE), ACCOUNT, CrashRules::STRICT).await;
    let broken = shared.assigned(2000, 1, b"broken").await;
    let written = work(&shared, 1).await;
    assert_eq!(*written.ended.lock().unwrap(), [(broken, Ended::Rejected)]);
    let outcome = shared.standing(broken).await.outcome;
    assert_eq!(outcome, Some(Outcome::Rejected { why: "broken".into() }));
    // Without a decoder this worker gives it back and takes no more for a while; another one can.
    let id = shared.assigned(3000, 2, b"not here").await;
    let written = work(&shared, 1).await;
    assert_eq!(*written.ended.lock().unwrap(), [(id, Ended::GivenBack)]);
    let lease = super::store::take(&shared.worker("b")).await.expect("it is there for others");
    assert_eq!((lease.job, lease.deaths, lease.is_taken_over), (id, 0, false));
}

/// `order` of the store's tests is for Russian speech.
#[tokio::test]
async fn what_a_worker_cannot_recognise_is_left_to_one_that_can() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let (english, seen) = (vec!["en".parse().unwrap()], Arc::default());
    let written = work_as(&shared, "a", 1, (english, true), Arc::clone(&seen)).await;
    assert_eq!(*written.ended.lock().unwrap(), [(id, Ended::GivenBack)]);
    assert!(seen.lock().unwrap().is_empty(), "it is not opened");
    assert_eq!(super::store::take(&shared.worker("a")).await, None, "that one takes it no more");
    let russian = vec!["ru".parse().unwrap()];
    let written = work_as(&shared, "b", 1, (russian, false), Arc::clone(&seen)).await;
    assert_eq!(*written.ended.lock().unwrap(), [(id, Ended::Recognised)]);
    // As it was ordered.
    let order = super::store::order();
    let settings = seen.lock().unwrap().pop().expect("it was opened");
    assert_eq!((settings.language, settings.vocabulary), (order.language, order.chat_vocabulary));
    assert_eq!(settings.people, Some(order.people));
}
