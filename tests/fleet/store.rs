//! Assignments and leases, held against a real Redis.

use std::sync::Arc;
use std::time::Duration;

use stenogram::domain::{JobId, Progress, Segment, Task, Transcript};
use stenogram::queue::fleet::{
    ANY_MODEL, Assignments, Card, Feed, Lease, Leases, LeasesOptions, Line, Order, Outcome, Standing, State,
    Stretch,
};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{Candidates, Checkpoints as _, CrashRules, JobQueue as _, QueueError};
use support::redis::{DURABLE, RedisServer};

use crate::queue::backend::{
    ACCOUNT, LONG, answer, claim, claim_id, dead, job, options, until, with_document,
};

/// The shortest lease.
const LEASE: Duration = Duration::from_secs(1);

/// A Redis, the queue of an account in it, and what its gateway hands over there.
pub struct Shared {
    server: Arc<RedisServer>,
    pub queue: RedisQueue,
    store: Assignments,
}

impl Shared {
    pub async fn new() -> Self {
        Self::with(RedisServer::start(DURABLE), ACCOUNT, CrashRules::STRICT).await
    }

    pub async fn with(server: impl Into<Arc<RedisServer>>, account: i64, crashes: CrashRules) -> Self {
        let server = server.into();
        let options = RedisOptions { account, crashes, ..options(server.url()) };
        let queue = RedisQueue::connect(options.clone()).await.expect("connect to Redis");
        let store = Assignments::new(&options).expect("an address");
        Self { server, queue, store }
    }

    /// What another account has in the same Redis.
    pub async fn of_account(&self, account: i64) -> Self {
        Self::with(Arc::clone(&self.server), account, CrashRules::STRICT).await
    }

    pub fn worker(&self, id: &str) -> Leases {
        self.worker_with(id, LEASE, &[ANY_MODEL], CrashRules::STRICT)
    }

    pub fn worker_with(&self, id: &str, lease: Duration, takes: &[&str], crashes: CrashRules) -> Leases {
        let options = LeasesOptions {
            server: ServerOptions::of_url(self.server.url()),
            timeout: Duration::from_secs(5),
            lease,
            takes: takes.iter().map(|it| (*it).to_owned()).collect(),
            dedupe_ttl: LONG,
            crashes,
        };
        Leases::new(&options, id.to_owned()).expect("an address")
    }

    /// The gateway's side of it once more.
    pub fn assignments(&self) -> Assignments {
        let options = RedisOptions { account: ACCOUNT, ..options(self.server.url()) };
        Assignments::new(&options).expect("an address")
    }

    pub fn command(&self, command: &[&str]) {
        self.server.command::<()>(command);
    }

    /// Adds a job, claims it and hands its recording over.
    pub async fn assigned(&self, chat: i64, message: i32, recording: &[u8]) -> JobId {
        self.queue.add(&job(chat, message)).await.unwrap();
        let id = claim_id(&self.queue).await;
        assert_eq!((id.chat, id.message), (chat, message));
        self.assign(id, Line::Others, ANY_MODEL, recording).await;
        id
    }

    pub async fn assign(&self, id: JobId, line: Line, model: &str, recording: &[u8]) {
        let order = order();
        let feed = Feed { job: id, order: &order, version: "1", line, model };
        assert!(self.store.assign(&feed, recording).await.unwrap());
        self.store.announce(true).await.unwrap();
    }

    pub async fn standing(&self, id: JobId) -> Standing {
        self.store.read(id, 0).await.unwrap().expect("it is there")
    }

    fn keys(&self, pattern: &str) -> Vec<String> {
        self.server.command(&["KEYS", pattern])
    }
}

pub fn order() -> Order {
    Order {
        task: Task::Transcribe,
        language: Some("ru".parse().unwrap()),
        duration: 3,
        asked: true,
        from: Progress::default(),
        prior: vec![("en".parse().unwrap(), 3.5)],
        languages: (vec!["ru".parse().unwrap()], true),
        vocabulary: vec!["Анна".into()],
        chat_vocabulary: "Новак, Karl".parse().unwrap(),
        people: "Boris".parse().unwrap(),
    }
}

pub fn stretch(until_ms: u64) -> Stretch {
    let segments = vec![Segment { start_ms: 0, end_ms: until_ms, text: format!("«{until_ms}»\0") }];
    let transcript = Transcript { task: Task::Transcribe, language: None, segments, ..Transcript::default() };
    Stretch { progress: Progress { until_ms, transcript }, length: 90_000, ..Stretch::default() }
}

pub async fn take(worker: &Leases) -> Option<Lease> {
    worker.take(ACCOUNT, Candidates::All, &[]).await.unwrap()
}

/// Takes what another worker had, once its lease is over.
async fn take_over(worker: &Leases) -> Lease {
    let lease = until(async || take(worker).await).await;
    assert!(lease.is_taken_over);
    lease
}

#[tokio::test]
async fn what_is_handed_over_comes_back_recognised_and_leaves_nothing() {
    let shared = Shared::new().await;
    // More than one chunk, with all bytes.
    let recording: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let id = shared.assigned(2000, 1, &recording).await;
    assert_eq!(shared.standing(id).await.state, State::Waiting);
    let worker = shared.worker("a");
    assert_eq!(worker.accounts().await.unwrap(), [ACCOUNT]);
    let lease = take(&worker).await.expect("it waits");
    assert_eq!((lease.job, &lease.order, lease.size), (id, &order(), recording.len()));
    assert_eq!((lease.deaths, lease.is_taken_over, lease.stretches.len()), (0, false, 0));
    assert_eq!(take(&worker).await, None, "it is leased");
    assert_eq!(worker.recording(&lease).await.unwrap(), Some(recording));
    assert!(worker.begin(&lease).await.unwrap());
    assert!(worker.renew(&lease).await.unwrap());
    assert!(worker.publish(&lease, &stretch(29_000), false).await.unwrap());
    assert_eq!(shared.store.news().await.unwrap(), [id]);
    let standing = shared.standing(id).await;
    assert_eq!((standing.state, standing.worker.as_deref()), (State::Leased, Some("a")));
    assert_eq!((standing.stretches, standing.outcome), (vec![stretch(29_000)], None));
    assert!(worker.publish(&lease, &stretch(90_000), true).await.unwrap());
    assert!(shared.keys("*:recording:*").is_empty(), "it goes with the outcome");
    let standing = shared.store.read(id, 1).await.unwrap().unwrap();
    assert_eq!(standing.stretches, [stretch(90_000)]);
    assert_eq!(standing.outcome, Some(Outcome::Recognised { length: 90_000 }));
    assert!(!worker.renew(&lease).await.unwrap(), "it is over");
    // C3 takes the rest.
    shared.queue.store_outbox(id, &answer("один")).await.unwrap();
    assert_eq!(shared.store.read(id, 0).await.unwrap(), None);
    let left = shared.keys("*").into_iter().filter(|key| key.contains(&id.to_string()));
    let left: Vec<_> = left.filter(|key| !key.contains(":job:")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_job_that_ends_or_is_put_off_takes_its_assignment_along() {
    let shared = Shared::new().await;
    let worker = shared.worker("a");
    for (message, end) in (1..).zip(["reject", "bury", "retry", "wait"]) {
        let id = shared.assigned(i64::from(2000 + message), message, b"recording").await;
        let lease = take(&worker).await.expect("it waits");
        match end {
            "reject" => shared.queue.reject(id, "why").await.unwrap(),
            "bury" => shared.queue.bury(id, "why").await.unwrap(),
            "retry" => shared.queue.retry(id, LONG, "why").await.unwrap(),
            _ => shared.queue.wait(id, LONG, "why").await.unwrap(),
        }
        assert_eq!(shared.store.read(id, 0).await.unwrap(), None, "{end}");
        assert!(!worker.renew(&lease).await.unwrap() && !worker.begin(&lease).await.unwrap(), "{end}");
        assert!(!worker.publish(&lease, &stretch(1), true).await.unwrap(), "{end}");
        assert!(!worker.give_back(&lease, Duration::ZERO).await.unwrap(), "{end}");
        assert!(shared.keys("*:recording:*").is_empty() && shared.keys("*:stretches:*").is_empty());
    }
    assert_eq!(take(&worker).await, None);
    // One that waits goes too, and what is not claimed any more is not handed over.
    let id = shared.assigned(3000, 9, b"recording").await;
    shared.queue.reject(id, "why").await.unwrap();
    assert_eq!(take(&worker).await, None);
    let order = order();
    let feed = Feed { job: id, order: &order, version: "1", line: Line::Others, model: ANY_MODEL };
    assert!(!shared.store.assign(&feed, b"recording").await.unwrap());
    assert!(shared.keys("*:recording:*").is_empty());
}

#[tokio::test]
async fn a_gateway_that_comes_back_finds_what_it_has_handed_over() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let worker = shared.worker("a");
    let lease = take(&worker).await.unwrap();
    assert!(worker.begin(&lease).await.unwrap() && worker.publish(&lease, &stretch(5), false).await.unwrap());
    // Killed, and started again: the job is claimed again, and no death is held against it.
    let Shared { server, queue, .. } = shared;
    drop(queue);
    let shared = Shared::with(server, ACCOUNT, CrashRules::STRICT).await;
    assert!(worker.renew(&lease).await.unwrap(), "its job waits, and is wanted");
    let claimed = claim(&shared.queue).await;
    assert_eq!((claimed.job.id, claimed.deaths, claimed.delivery), (id, 0, 2));
    assert_eq!(shared.standing(id).await.stretches, [stretch(5)]);
    assert!(worker.publish(&lease, &stretch(90_000), true).await.unwrap());
    assert_eq!(shared.standing(id).await.state, State::Done);
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_what_it_says_later_changes_nothing() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let (a, b) = (shared.worker("a"), shared.worker("b"));
    let first = take(&a).await.unwrap();
    assert!(a.begin(&first).await.unwrap());
    assert!(a.publish(&first, &stretch(29_000), false).await.unwrap());
    let second = take_over(&b).await;
    assert_eq!((second.job, second.stretches.len()), (id, 1), "it goes on where the other one was");
    let late = Outcome::Rejected { why: "late".into() };
    assert!(!a.publish(&first, &stretch(1), true).await.unwrap());
    assert!(!a.finish(&first, &late).await.unwrap() && !a.give_back(&first, Duration::ZERO).await.unwrap());
    assert!(!a.renew(&first).await.unwrap() && !a.begin(&first).await.unwrap());
    assert!(!a.miss(&first).await.unwrap());
    let standing = shared.standing(id).await;
    assert_eq!((standing.state, standing.worker.as_deref()), (State::Leased, Some("b")));
    assert_eq!((standing.stretches.len(), standing.outcome), (1, None));
    assert!(b.publish(&second, &stretch(90_000), true).await.unwrap());
}

#[tokio::test]
async fn a_renewed_lease_is_kept_and_a_late_one_holds_until_somebody_takes_over() {
    let shared = Shared::new().await;
    shared.assigned(2000, 1, b"recording").await;
    let (a, b) = (shared.worker("a"), shared.worker("b"));
    let lease = take(&a).await.unwrap();
    // For twice its time it is renewed, and nobody else gets it.
    let start = std::time::Instant::now();
    while start.elapsed() < LEASE * 2 {
        assert!(a.renew(&lease).await.unwrap());
        assert_eq!(take(&b).await, None);
    }
    // The lease is over, but nobody has looked.
    let entry = |shared: &Shared| -> Vec<(String, String, u64, u64)> {
        let stream = format!("{{stenogram:{ACCOUNT}}}:assignments:others:*");
        shared.server.command(&["XPENDING", &stream, "workers", "-", "+", "1"])
    };
    until(async || (entry(&shared)[0].2 > LEASE.as_millis() as u64).then_some(())).await;
    assert!(a.renew(&lease).await.unwrap());
    assert!(entry(&shared)[0].2 < LEASE.as_millis() as u64);
}

/// Redis was away for longer than the lease, say.
#[tokio::test]
async fn a_worker_takes_nothing_over_from_itself_and_dies_of_nothing_while_it_lives() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let (a, b) = (shared.worker("a"), shared.worker("b"));
    let lease = take(&a).await.unwrap();
    assert!(a.begin(&lease).await.unwrap());
    // It has that in hand; when it has not any more, it may take it again.
    let again = until(async || {
        assert_eq!(a.take(ACCOUNT, Candidates::All, &[id]).await.unwrap(), None);
        take(&a).await
    })
    .await;
    assert_eq!((again.deaths, again.is_taken_over), (0, false));
    assert!(a.begin(&again).await.unwrap() && !a.begin(&lease).await.unwrap());
    assert_eq!(take_over(&b).await.deaths, 1);
}

#[tokio::test]
async fn what_a_worker_refuses_is_for_others_at_once() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let [a, b] = ["a", "b"].map(|id| shared.worker_with(id, LONG, &[ANY_MODEL], CrashRules::STRICT));
    let lease = take(&a).await.unwrap();
    assert!(a.refuse(&lease, LONG).await.unwrap());
    assert_eq!(take(&a).await, None);
    let lease = take(&b).await.expect("it is there for others");
    assert_eq!((lease.job, lease.deaths, lease.is_taken_over), (id, 0, false));
    // Also when it was put off and is back in its line.
    assert!(b.give_back(&lease, LONG).await.unwrap());
    shared.command(&["ZADD", &format!("{{stenogram:{ACCOUNT}}}:later"), "1", &id.to_string()]);
    assert_eq!(take(&a).await, None);
    let lease = take(&b).await.expect("it is due");
    assert!(b.refuse(&lease, Duration::ZERO).await.unwrap());
    assert_eq!(take(&b).await.expect("that time is over").job, id);
}

#[tokio::test]
async fn what_is_given_back_is_taken_at_once_and_counts_for_nothing() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let (a, b) = (shared.worker_with("a", LONG, &[ANY_MODEL], CrashRules::STRICT), shared.worker("b"));
    for _ in 0..30 {
        let lease = take(&a).await.expect("it is there");
        assert_eq!((lease.is_taken_over, lease.deaths), (false, 0));
        assert!(a.begin(&lease).await.unwrap() && a.give_back(&lease, Duration::ZERO).await.unwrap());
    }
    let lease = take(&b).await.unwrap();
    assert!(b.give_back(&lease, LONG).await.unwrap());
    assert_eq!(take(&a).await, None, "it is put off");
    assert_eq!(shared.standing(id).await.state, State::Waiting);
    // As if the time had passed.
    let later = format!("{{stenogram:{ACCOUNT}}}:later");
    shared.server.command::<()>(&["ZADD", &later, "1", &id.to_string()]);
    let lease = take(&a).await.expect("it is due");
    // Redis was restarted meanwhile, and has lost what it kept in memory alone.
    assert!(a.miss(&lease).await.unwrap());
    assert_eq!(shared.standing(id).await.state, State::Unfed);
    assert_eq!(take(&b).await, None);
    shared.assign(id, Line::Others, ANY_MODEL, b"once more").await;
    let lease = take(&b).await.expect("it is handed over again");
    assert_eq!(b.recording(&lease).await.unwrap().as_deref(), Some(&b"once more"[..]));
}

#[tokio::test]
async fn three_workers_that_die_of_a_recording_make_it_poisonous_with_its_copies() {
    let shared = Shared::new().await;
    let workers = ["a", "b", "c", "d"].map(|id| shared.worker(id));
    shared.queue.add(&with_document(77, job(2000, 1))).await.unwrap();
    let id = claim_id(&shared.queue).await;
    shared.assign(id, Line::Others, ANY_MODEL, b"recording").await;
    let first = take(&workers[0]).await.unwrap();
    // Lost before it had begun: nobody's death.
    let second = take_over(&workers[1]).await;
    assert_eq!((first.deaths, second.deaths), (0, 0));
    for (n, worker) in workers[1..].iter().enumerate() {
        let lease = if n == 0 { second.clone() } else { take_over(worker).await };
        assert_eq!(lease.deaths, n as u32);
        assert!(worker.begin(&lease).await.unwrap());
    }
    until(async || {
        assert_eq!(take(&workers[0]).await, None);
        (shared.standing(id).await.state == State::Done).then_some(())
    })
    .await;
    let Some(Outcome::Poisonous { why }) = shared.standing(id).await.outcome else { panic!("it is over") };
    assert!(why.contains("died 3 times"), "{why}");
    shared.queue.bury(id, &why).await.unwrap();
    // The same recording in another chat is not tried at all.
    shared.queue.add(&with_document(77, job(3000, 2))).await.unwrap();
    assert!(crate::queue::backend::is_empty(&shared.queue).await);
    assert_eq!(dead(&shared.queue).await.len(), 2);
    assert!(shared.keys("*:recording:*").is_empty());
}

#[tokio::test]
async fn deaths_are_spaced_and_forgotten_as_those_of_a_daemon_are() {
    let rules = CrashRules::default();
    let shared = Shared::with(RedisServer::start(DURABLE), ACCOUNT, rules).await;
    let [a, b] = ["a", "b"].map(|id| shared.worker_with(id, LEASE, &[ANY_MODEL], rules));
    let id = shared.assigned(2000, 1, b"recording").await;
    let lease = take(&a).await.unwrap();
    assert!(a.begin(&lease).await.unwrap());
    let lease = take_over(&b).await;
    assert_eq!(lease.deaths, 1, "the first is tried again at once");
    assert!(b.begin(&lease).await.unwrap());
    // One more within a minute is no other death, but the recording is put off.
    let later = format!("{{stenogram:{ACCOUNT}}}:later");
    let due = || -> Option<f64> { shared.server.command(&["ZSCORE", &later, &id.to_string()]) };
    until(async || {
        assert_eq!(take(&a).await, None);
        due()
    })
    .await;
    let key = format!("{{stenogram:{ACCOUNT}}}:job:{id}");
    let deaths = || -> u32 { shared.server.command(&["HGET", &key, "deaths"]) };
    assert_eq!(deaths(), 1);
    // As if an hour passed: the next death counts, and costs ten minutes.
    shared.server.command::<()>(&["HSET", &key, "died", "0"]);
    shared.server.command::<()>(&["ZADD", &later, "1", &id.to_string()]);
    let lease = take(&a).await.expect("it is due");
    assert!(a.begin(&lease).await.unwrap());
    let now: (u64, u64) = shared.server.command(&["TIME"]);
    until(async || {
        assert_eq!(take(&b).await, None);
        due()
    })
    .await;
    assert_eq!(deaths(), 2);
    let minutes = (due().unwrap() / 1000.0 - now.0 as f64) / 60.0;
    assert!((9.9..11.0).contains(&minutes), "{minutes}");
    // What gets past the point where they died is like any other.
    shared.server.command::<()>(&["ZADD", &later, "1", &id.to_string()]);
    let lease = take(&b).await.expect("it is due");
    assert_eq!(lease.deaths, 2);
    assert!(b.begin(&lease).await.unwrap() && b.publish(&lease, &stretch(29_000), false).await.unwrap());
    assert_eq!(deaths(), 0);
}

#[tokio::test]
async fn a_recording_that_never_gets_anywhere_is_given_up() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    let worker = shared.worker("a");
    // Twenty leases that were all lost before anything began, as if in an instant.
    let key = format!("{{stenogram:{ACCOUNT}}}:assignment:{id}");
    let lease = take(&worker).await.unwrap();
    assert!(worker.give_back(&lease, Duration::ZERO).await.unwrap());
    shared.server.command::<()>(&["HSET", &key, "leases", "20"]);
    assert_eq!(take(&worker).await, None);
    assert!(matches!(shared.standing(id).await.outcome, Some(Outcome::Poisonous { .. })));
}

#[tokio::test]
async fn asked_for_ones_come_first_strangers_last_and_each_worker_gets_what_it_can_do() {
    let shared = Shared::new().await;
    let lines = [Line::Strangers, Line::Others, Line::Asked];
    for (line, message) in lines.into_iter().zip(1..) {
        shared.queue.add(&job(2000 + i64::from(message), message)).await.unwrap();
        let id = claim_id(&shared.queue).await;
        shared.assign(id, line, ANY_MODEL, b"recording").await;
    }
    shared.queue.add(&job(5000, 9)).await.unwrap();
    let named = claim_id(&shared.queue).await;
    shared.assign(named, Line::Asked, "small", b"recording").await;
    let any = shared.worker_with("a", LONG, &[ANY_MODEL], CrashRules::STRICT);
    let small = shared.worker_with("b", LONG, &["small"], CrashRules::STRICT);
    let taken = async |worker: &Leases, candidates| {
        worker.take(ACCOUNT, candidates, &[]).await.unwrap().map(|lease| lease.job.message)
    };
    assert_eq!(taken(&any, Candidates::NoStrangers).await, Some(3));
    assert_eq!(taken(&any, Candidates::NoStrangers).await, Some(2));
    assert_eq!(taken(&any, Candidates::NoStrangers).await, None);
    assert_eq!(taken(&any, Candidates::All).await, Some(1));
    assert_eq!(taken(&any, Candidates::All).await, None);
    assert_eq!(taken(&small, Candidates::All).await, Some(9));
}

#[tokio::test]
async fn recordings_are_not_in_the_append_only_file_and_assignments_outlive_a_restart() {
    let mut shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"what nobody is to find on the disk").await;
    let folder: Vec<String> = shared.server.command(&["CONFIG", "GET", "dir"]);
    let on_disk = |what: &[u8]| {
        let mut folders = vec![std::path::PathBuf::from(&folder[1])];
        let mut is_found = false;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        let bytes = std::fs::read(path).unwrap();
                        is_found |= bytes.windows(what.len()).any(|window| window == what);
                    }
                }
            }
        }
        is_found
    };
    assert!(on_disk(b":assignments:") && !on_disk(b"nobody is to find"));
    Arc::get_mut(&mut shared.server).expect("one user").restart();
    let worker = shared.worker("a");
    let lease =
        until(async || worker.take(ACCOUNT, Candidates::All, &[]).await.ok()).await.expect("it waits");
    assert_eq!(lease.job, id);
    assert_eq!(worker.recording(&lease).await.unwrap(), None);
    assert!(worker.miss(&lease).await.unwrap());
    // The gateway's connection is one to the Redis of before, until it is used.
    let standing = until(async || shared.store.read(id, 0).await.ok()).await;
    assert_eq!(standing.map(|it| it.state), Some(State::Unfed));
}

/// What is there is worked off, which frees memory; nothing is added.
#[tokio::test]
async fn a_redis_that_is_out_of_memory_takes_no_recordings_and_lets_workers_go_on() {
    let shared = Shared::new().await;
    let id = shared.assigned(2000, 1, b"recording").await;
    shared.queue.add(&job(3000, 2)).await.unwrap();
    let next = claim_id(&shared.queue).await;
    shared.server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let order = order();
    let feed = Feed { job: next, order: &order, version: "1", line: Line::Others, model: ANY_MODEL };
    let refused = shared.store.assign(&feed, b"recording").await;
    assert!(matches!(refused, Err(QueueError::Unavailable(_))), "{refused:?}");
    let worker = shared.worker("a");
    let lease = take(&worker).await.expect("it waits");
    assert!(worker.begin(&lease).await.unwrap() && worker.renew(&lease).await.unwrap());
    assert!(worker.publish(&lease, &stretch(90_000), true).await.unwrap());
    assert_eq!(shared.standing(id).await.state, State::Done);
}

#[tokio::test]
async fn accounts_share_nothing_and_workers_are_listed_until_they_leave() {
    let mine = Shared::new().await;
    let id = mine.assigned(2000, 1, b"recording").await;
    let worker = mine.worker("a");
    assert_eq!(worker.take(ACCOUNT + 1, Candidates::All, &[]).await.unwrap(), None);
    let card =
        |in_hand| Card { name: "пк".into(), models: vec!["base".into()], in_hand, ..Card::default() };
    worker.beat(&card(0)).await.unwrap();
    worker.beat(&card(1)).await.unwrap();
    mine.worker("b").beat(&card(3)).await.unwrap();
    let seen = mine.store.workers().await.unwrap();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().any(|seen| seen.card == card(1) && seen.ago < LONG), "{seen:?}");
    worker.leave().await.unwrap();
    assert_eq!(mine.store.workers().await.unwrap().len(), 1);
    // A worker that waits is woken by a new assignment.
    mine.server.command::<()>(&["DEL", "{stenogram:fleet}:wake"]);
    let waiting = tokio::spawn(async move { worker.wait(LONG).await.map(|()| std::time::Instant::now()) });
    mine.store.announce(true).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(mine.standing(id).await.state, State::Waiting);
}
