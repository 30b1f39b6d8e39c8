//! What is particular to the queue in Redis: a server that dies, refuses, or is another one, and
//! answers that are lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stenogram::domain::{JobId, Task};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{
    Added, AdminOutcome, Checkpoints, Claimed, Counts, JobQueue, QueueAdmin, QueueError, ResultCache,
};
use support::redis::{DURABLE, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::backend::{
    LONG, answer, claim, claim_id, dated, dead, id, is_empty, job, options, silence, until, with_document,
};

async fn connect(url: String) -> Result<RedisQueue, QueueError> {
    RedisQueue::connect(options(url)).await
}

async fn open(server: &RedisServer) -> RedisQueue {
    connect(server.url()).await.expect("connect to Redis")
}

/// The message of the error with which connecting has to fail, and whether trying again makes sense.
async fn refusal(url: String) -> (String, bool) {
    match connect(url).await {
        Err(QueueError::Unavailable(why)) => (why.to_string(), true),
        Err(QueueError::Configuration(why)) => (why.to_string(), false),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, QueueError>) -> String {
    match result {
        Err(QueueError::Unavailable(why)) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_between_operations_loses_nothing() {
    let mut server = RedisServer::start(DURABLE);
    let queue = open(&server).await;
    let mut steps = 0;
    // Kills the server before every third operation; the operation fails, and works afterwards.
    let mut kill = async |operation: &Operation| {
        steps += 1;
        if steps % 3 == 0 {
            server.kill();
            unavailable(operation.run(&queue).await);
            server.restart();
        }
        operation.run(&queue).await.unwrap();
    };
    for message in 1..=10 {
        kill(&Operation::Add(message)).await;
    }
    for message in 1..=10 {
        let job = id(1, message);
        kill(&Operation::Claim(job)).await;
        kill(&Operation::Outbox(job)).await;
        match message % 3 {
            0 => kill(&Operation::Retry(job)).await,
            1 => kill(&Operation::Release(job)).await,
            _ => {}
        }
        if message % 3 < 2 {
            kill(&Operation::Claim(job)).await;
        }
        kill(&Operation::Done(job)).await;
    }
    assert_eq!(queue.counts().await.unwrap(), Counts::default());
    for message in 1..=10 {
        assert_eq!(queue.add(&job(1, message)).await.unwrap(), Added::Seen);
    }
}

/// An operation that can be repeated, with what it has to find.
enum Operation {
    Add(i32),
    Claim(JobId),
    Outbox(JobId),
    Retry(JobId),
    Release(JobId),
    Done(JobId),
}

impl Operation {
    async fn run(&self, queue: &RedisQueue) -> Result<(), QueueError> {
        match *self {
            Self::Add(message) => queue.add(&job(1, message)).await.map(drop),
            Self::Claim(id) => {
                let claimed = queue.claim().await?;
                assert!(matches!(&claimed, Claimed::Job(claim) if claim.job.id == id && claim.delivery == 1));
                Ok(())
            }
            Self::Outbox(id) => queue.store_outbox(id, &answer("x")).await,
            Self::Retry(id) => queue.retry(id, Duration::ZERO, "").await,
            Self::Release(id) => queue.release(id).await,
            Self::Done(id) => queue.done(id, &[1]).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_loses_nothing_that_was_acknowledged() {
    let mut server = RedisServer::start(DURABLE);
    let queue = Arc::new(open(&server).await);
    let mut acknowledged = HashSet::new();
    for round in 0..5 {
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move {
                    let mut added = Vec::new();
                    // Until the server is gone.
                    for n in 0.. {
                        let job = job(1 + task, round * 1_000_000 + n);
                        match queue.add(&job).await {
                            Ok(_) => added.push(job.id),
                            Err(_) => break,
                        }
                    }
                    added
                })
            })
            .collect();
        until(async || match queue.counts().await {
            Ok(counts) => (counts.waiting > acknowledged.len() as u64 + 100).then_some(()),
            Err(error) => panic!("{error}"),
        })
        .await;
        server.kill();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        server.restart();
    }
    let mut found = HashSet::new();
    while let Claimed::Job(claim) = queue.claim().await.unwrap() {
        assert!(found.insert(claim.job.id));
        queue.done(claim.job.id, &[]).await.unwrap();
    }
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absent_server_is_worth_waiting_for() {
    let mut server = RedisServer::start(&[]);
    let url = server.url();
    server.kill();
    let (why, again) = refusal(url.clone()).await;
    assert!(again && why.contains("start Redis"), "{why}");
    let (why, again) = refusal("redis://no-such-host.invalid:6379/".into()).await;
    assert!(again && why.contains("no-such-host.invalid"), "{why}");
    server.restart();
    connect(url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let options = RedisOptions { timeout: Duration::from_millis(200), ..options(url) };
    let Err(QueueError::Unavailable(why)) = RedisQueue::connect(options).await else { panic!("connected") };
    assert!(why.what.contains("in time"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_kind_of_server_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        client.read_to_end(&mut Vec::new()).await
    });
    let (why, again) = refusal(url).await;
    assert!(!again && why.contains("is not Redis"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_url_or_password_is_not_worth_waiting_for() {
    let server = RedisServer::start(&["--requirepass", "hunter2"]);
    let at = |login: &str, path: &str| format!("redis://{login}127.0.0.1:{}/{path}", server.port());
    for (url, expected) in [
        (at("", ""), "wants a password"),
        (at(":wrong@", ""), "refused the user or the password"),
        (at("nobody:hunter2@", ""), "refused the user or the password"),
        (at(":hunter2@", "99"), "no such database"),
        ("http://localhost/".into(), "address of Redis is wrong"),
    ] {
        let (why, again) = refusal(url.clone()).await;
        assert!(!again && why.contains(expected), "{url}: {why}");
        assert!(!why.contains("hunter2"), "{why}");
    }
    connect(at(":hunter2@", "3")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variable_with_the_password_is_named() {
    let server = RedisServer::start(&["--requirepass", "hunter2"]);
    for login in ["", ":wrong@", "nobody:hunter2@"] {
        let url = format!("redis://{login}127.0.0.1:{}/", server.port());
        for (is_in_parts, expected) in
            [(true, "set REDIS_PASSWORD to"), (false, "set the password in REDIS_URL to")]
        {
            let server = ServerOptions { is_in_parts, ..ServerOptions::of_url(&url) };
            match RedisQueue::connect(RedisOptions { server, ..options(String::new()) }).await {
                Err(QueueError::Configuration(why)) => {
                    assert!(why.remedy.starts_with(expected), "{login}: {why}");
                }
                other => panic!("{:?}", other.err()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_rights_is_told_so() {
    let server = RedisServer::start(&[]);
    server.command::<()>(&["ACL", "SETUSER", "steno", "on", ">pass", "~{stenogram:*}*", "+@all", "-config"]);
    server.command::<()>(&["ACL", "SETUSER", "guest", "on", ">pass", "+ping"]);
    let at = |user: &str| format!("redis://{user}:pass@127.0.0.1:{}/", server.port());
    let (why, again) = refusal(at("guest")).await;
    assert!(!again && why.contains("grant that user"), "{why}");

    // The keys that the module names are all it needs.
    let queue = connect(at("steno")).await.unwrap();
    queue.add(&job(1, 1)).await.unwrap();
    queue.done(claim_id(&queue).await, &[1]).await.unwrap();
    let warnings = queue.durability_warnings().await;
    assert_eq!(warnings.len(), 3);
    assert!(
        warnings.iter().all(|warning| warning.to_string().starts_with("could not check")),
        "{warnings:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused_and_waited_for() {
    let master = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    until(async || {
        let info: String = replica.command(&["INFO", "replication"]);
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let (why, again) = refusal(replica.url()).await;
    assert!(again && why.contains("read-only replica"), "{why}");

    // A master that becomes a replica under way, and one again.
    let queue = open(&master).await;
    queue.add(&job(1, 1)).await.unwrap();
    replica.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    master.command::<()>(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    assert!(unavailable(queue.add(&job(1, 2)).await).contains("read-only replica"));
    unavailable(queue.check().await);
    master.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    queue.add(&job(1, 2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_refuses_jobs_and_lets_them_go() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let queue = open(&server).await;
    for chat in 1..=5 {
        queue.add(&job(chat, 1)).await.unwrap();
    }
    queue.add(&job(1, 2)).await.unwrap();
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(unavailable(queue.add(&job(6, 1)).await).contains("maxmemory"));
    unavailable(queue.check().await);
    // What it holds can be worked off, also by a process that starts now.
    let queue = open(&server).await;
    for chat in 1..=5 {
        assert_eq!(claim_id(&queue).await, id(chat, 1));
        queue.store_outbox(id(chat, 1), &answer("x")).await.unwrap();
    }
    queue.done(id(1, 1), &[1]).await.unwrap();
    queue.reject(id(2, 1), "").await.unwrap();
    queue.bury(id(3, 1), "").await.unwrap();
    queue.retry(id(4, 1), Duration::ZERO, "").await.unwrap();
    queue.release(id(5, 1)).await.unwrap();
    for expected in [id(5, 1), id(1, 2), id(4, 1)] {
        assert_eq!(claim_id(&queue).await, expected);
        queue.done(expected, &[1]).await.unwrap();
    }
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    queue.add(&job(6, 1)).await.unwrap();
    queue.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loading_server_is_waited_for() {
    let slow = ["--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024"];
    let mut server = RedisServer::start(&[DURABLE, &slow].concat());
    let queue = open(&server).await;
    for chat in 1..=100 {
        queue.add(&job(chat, 1)).await.unwrap();
    }
    // A compact file is loaded by keys, and slowly.
    server.command::<()>(&["BGREWRITEAOF"]);
    until(async || {
        let info: String = server.command(&["INFO", "persistence"]);
        info.contains("aof_rewrite_in_progress:0").then_some(())
    })
    .await;
    server.restart_in_background();
    let mut loading = false;
    until(async || match queue.counts().await {
        Ok(_) => Some(()),
        Err(QueueError::Unavailable(why)) => {
            loading |= why.what.contains("still loading");
            None
        }
        Err(other) => panic!("{other:?}"),
    })
    .await;
    assert!(loading, "it was never seen loading");
    assert_eq!(queue.counts().await.unwrap().waiting, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_lose_jobs_are_named() {
    let lax = RedisServer::start(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    let warnings = open(&lax).await.durability_warnings().await;
    let expected = ["set appendonly yes", "set appendfsync always", "set maxmemory-policy noeviction"];
    assert_eq!(warnings.len(), expected.len());
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.to_string().contains(expected), "{warning}");
    }
    let strict = RedisServer::start(DURABLE);
    for query in ["", "?protocol=resp3"] {
        let queue = connect(format!("{}{query}", strict.url())).await.unwrap();
        assert_eq!(queue.durability_warnings().await, [], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_last_to_open_claims() {
    let server = RedisServer::start(&[]);
    let (first, other_account) = (open(&server).await, RedisOptions { account: 2, ..options(server.url()) });
    first.add(&job(1, 1)).await.unwrap();
    let other_account = RedisQueue::connect(other_account).await.unwrap();
    assert!(is_empty(&other_account).await);
    assert_eq!(claim_id(&first).await, id(1, 1));

    let second = open(&server).await;
    match first.claim().await {
        Err(QueueError::Configuration(why)) => assert!(why.remedy.contains("run only one"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(claim(&second).await.delivery, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_attaches_takes_nothing_over() {
    let server = RedisServer::start(&[]);
    let attach = async || RedisQueue::attach(options(server.url())).await;
    assert_eq!(attach().await.unwrap().entries().await.unwrap(), []);
    assert_eq!(server.command::<Vec<String>>(&["KEYS", "*"]), [""; 0]);
    let queue = open(&server).await;
    for chat in 1..=3 {
        queue.add(&job(chat, 1)).await.unwrap();
    }
    assert_eq!(claim_id(&queue).await, id(1, 1));
    let admin = attach().await.unwrap();
    assert_eq!(admin.entries().await.unwrap(), queue.entries().await.unwrap());
    assert_eq!(admin.discard(id(1, 1)).await.unwrap(), AdminOutcome::Claimed);
    assert_eq!(admin.discard(id(2, 1)).await.unwrap(), AdminOutcome::Done);
    queue.bury(id(1, 1), "").await.unwrap();
    assert_eq!(admin.requeue(id(1, 1)).await.unwrap(), AdminOutcome::Done);
    assert_eq!(claim_id(&queue).await, id(3, 1));
    assert_eq!(claim(&queue).await.delivery, 1);
    server.command::<()>(&["HSET", "{stenogram:1000}", "format", "6"]);
    assert!(
        matches!(attach().await.err(), Some(QueueError::Configuration(why)) if why.what.contains("version"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_server_is_an_empty_queue() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    for message in 1..=2 {
        queue.add(&job(1, message)).await.unwrap();
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        queue.done(claim_id(&queue).await, &[]).await.unwrap();
    }
    server.command::<()>(&["FLUSHALL"]);
    assert_eq!(queue.counts().await.unwrap(), Counts::default());
    queue.add(&job(1, 1)).await.unwrap();
    assert_eq!(claim_id(&queue).await, id(1, 1));
    // A program that knows an earlier format only must refuse what is stored from here on.
    assert_eq!(server.command::<String>(&["HGET", "{stenogram:1000}", "format"]), "5");
    queue.done(id(1, 1), &[]).await.unwrap();
    assert!(is_empty(&queue).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_data_is_an_error() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    server.command::<()>(&["SET", "{stenogram:1000}:chat:7", "mine"]);
    let result = queue.add(&job(7, 1)).await;
    assert!(matches!(result, Err(QueueError::Damaged(_))), "{result:?}");
    server.command::<()>(&["HSET", "{stenogram:1000}", "format", "6"]);
    let (why, again) = refusal(server.url()).await;
    assert!(!again && why.contains("another version"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_costs_its_job_and_no_other() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    for (chat, message) in [(1, 1), (1, 2), (2, 1)] {
        queue.add(&job(chat, message)).await.unwrap();
    }
    server.command::<()>(&["HSET", "{stenogram:1000}:job:1000:1:1", "job", "{\"id\":"]);
    assert_eq!(queue.entries().await.unwrap().len(), 2);
    for next in [id(2, 1), id(1, 2)] {
        assert_eq!(claim_id(&queue).await, next);
        queue.done(next, &[]).await.unwrap();
    }
    assert!(is_empty(&queue).await);
    assert_eq!(queue.counts().await.unwrap(), Counts::default());
    let kept: String = server.command(&["HGET", "{stenogram:1000}:damaged:1000:1:1", "job"]);
    assert_eq!(kept, "{\"id\":");
}

/// A cluster refuses a script that touches keys of another slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_of_a_cluster_holds_it_all() {
    let server = RedisServer::start(&["--cluster-enabled", "yes"]);
    server.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until(async || {
        let info: String = server.command(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    })
    .await;
    let queue = open(&server).await;
    for chat in 1..=6 {
        queue.add(&job(chat, 1)).await.unwrap();
        queue.add(&job(chat, 2)).await.unwrap();
        claim(&queue).await;
    }
    queue.store_outbox(id(1, 1), &answer("x")).await.unwrap();
    queue.done(id(1, 1), &[1]).await.unwrap();
    queue.reject(id(2, 1), "").await.unwrap();
    queue.bury(id(3, 1), "").await.unwrap();
    queue.retry(id(4, 1), LONG, "").await.unwrap();
    queue.release(id(5, 1)).await.unwrap();
    queue.check().await.unwrap();
    let queue = open(&server).await;
    assert_eq!(queue.counts().await.unwrap(), Counts { waiting: 8, claimed: 0, delayed: 1, dead: 1 });
    assert_eq!(dead(&queue).await.len(), 1);
    assert_eq!(claim_id(&queue).await, id(5, 1));
    let keys: Vec<String> = server.command(&["KEYS", "*"]);
    assert!(keys.iter().all(|key| key.starts_with("{stenogram:1000}")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_marks_is_left_of_finished_jobs() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    for message in 1..=20 {
        queue.add(&job(1, message)).await.unwrap();
    }
    for _ in 1..=20 {
        let id = claim_id(&queue).await;
        queue.store_outbox(id, &answer("x")).await.unwrap();
        queue.done(id, &[1]).await.unwrap();
    }
    let keys: Vec<String> = server.command(&["KEYS", "*"]);
    let (marks, others): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.contains(":mark:"));
    let (results, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|key| key.contains(":result:"));
    assert_eq!((marks.len(), results.len()), (20, 20));
    assert!(server.command::<u64>(&["PTTL", &results[0]]) > 3_590_000);
    let (finished, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|key| key.contains(":finished:"));
    assert_eq!(finished.len(), 20);
    assert!(server.command::<u64>(&["PTTL", &finished[0]]) > 3_590_000);
    let expected =
        ["", ":asked", ":ready", ":results", ":strangers"].map(|key| format!("{{stenogram:1000}}{key}"));
    assert_eq!(HashSet::from_iter(others), HashSet::from(expected));
    assert_eq!(server.command::<u64>(&["XLEN", "{stenogram:1000}:ready"]), 0);
    assert!(server.command::<u64>(&["PTTL", &marks[0]]) > 3_590_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_results_make_room() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    let fill = "for n = 1, 10000 do
        redis.call('ZADD', KEYS[1] .. ':results', n + 4e12, n)
        redis.call('SET', KEYS[1] .. ':result:' .. n, '[]')
    end";
    server.command::<()>(&["EVAL", fill, "1", "{stenogram:1000}"]);
    queue.add(&job(1, 1)).await.unwrap();
    queue.store_outbox(claim_id(&queue).await, &answer("x")).await.unwrap();
    // The new one ends before those planted here, so it is itself what goes first.
    assert_eq!(server.command::<u64>(&["ZCARD", "{stenogram:1000}:results"]), 10_000);
    assert_eq!(queue.result(&job(1, 1)).await.unwrap(), None);
    let planted = with_document(1, job(1, 2));
    assert_eq!(queue.result(&planted).await.unwrap(), Some(silence(Task::Transcribe)));
    assert_eq!(server.command::<u64>(&["EXISTS", "{stenogram:1000}:result:1"]), 1);
}

/// Every operation whose answer never came did happen, and is repeated without harm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_harmless() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::start(server.port()).await;
    let queue = connect(proxy.url.clone()).await.unwrap();
    // The scripts are on the server then, so that the answer lost is that of the operation itself.
    for chat in 101..=105 {
        queue.add(&job(chat, 1)).await.unwrap();
        claim(&queue).await;
        queue.store_outbox(id(chat, 1), &answer("x")).await.unwrap();
    }
    queue.release(id(101, 1)).await.unwrap();
    claim(&queue).await;
    queue.retry(id(101, 1), LONG, "").await.unwrap();
    queue.done(id(102, 1), &[]).await.unwrap();
    queue.bury(id(103, 1), "").await.unwrap();
    queue.reject(id(104, 1), "").await.unwrap();
    queue.done(id(105, 1), &[]).await.unwrap();

    proxy.lose_next_answer();
    unavailable(queue.add(&job(1, 1)).await);
    assert_eq!(queue.add(&job(1, 1)).await.unwrap(), Added::Seen);
    queue.add(&job(2, 1)).await.unwrap();
    for delivered in 0..2 {
        proxy.lose_next_answer();
        unavailable(queue.claim().await);
        let claim = claim(&queue).await;
        assert_eq!((claim.job.id, claim.delivery, claim.attempts), (id(1, 1), 1, delivered));
        if delivered == 0 {
            proxy.lose_next_answer();
            unavailable(queue.release(id(1, 1)).await);
            queue.release(id(1, 1)).await.unwrap();
            assert_eq!(claim_id(&queue).await, id(1, 1));
            assert_eq!(claim_id(&queue).await, id(2, 1));
            proxy.lose_next_answer();
            unavailable(queue.retry(id(1, 1), Duration::ZERO, "").await);
            queue.retry(id(1, 1), Duration::ZERO, "").await.unwrap();
        }
    }
    proxy.lose_next_answer();
    unavailable(queue.store_outbox(id(1, 1), &answer("y")).await);
    queue.store_outbox(id(1, 1), &answer("y")).await.unwrap();
    proxy.lose_next_answer();
    unavailable(queue.done(id(1, 1), &[1]).await);
    queue.done(id(1, 1), &[1]).await.unwrap();
    proxy.lose_next_answer();
    unavailable(queue.bury(id(2, 1), "first").await);
    queue.bury(id(2, 1), "second").await.unwrap();
    assert_eq!(dead(&queue).await[1].reason.as_deref(), Some("first"));
    assert_eq!(queue.counts().await.unwrap(), Counts { delayed: 1, dead: 2, ..Counts::default() });
}

/// Queues of before the dates were noted go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dates_of_an_older_queue_are_noted() {
    let server = RedisServer::start(&[]);
    let queue = open(&server).await;
    for (chat, message) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
        let date = 1_800_000_000 - i64::from(message);
        queue.add(&dated(date, job(chat, message))).await.unwrap();
    }
    claim(&queue).await;
    assert_eq!(claim_id(&queue).await, id(2, 1));
    queue.retry(id(2, 1), LONG, "").await.unwrap();
    server.command::<()>(&["DEL", "{stenogram:1000}:dates"]);
    assert_eq!(queue.oldest().await.unwrap(), None);
    let queue = open(&server).await;
    assert_eq!(queue.oldest().await.unwrap(), Some(1_799_999_998));
    assert_eq!(server.command::<u64>(&["ZCARD", "{stenogram:1000}:dates"]), 4);
}

/// Stands before the server and can take an answer away together with its connection.
struct Proxy {
    url: String,
    lose: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}/", listener.local_addr().unwrap());
        let lose = Arc::new(AtomicBool::new(false));
        let loses = Arc::clone(&lose);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&loses)));
            }
        });
        Self { url, lose }
    }

    fn lose_next_answer(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, lose: Arc<AtomicBool>) {
    let (mut question, mut answer) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            Ok(len) = client.read(&mut question) => {
                if len == 0 || server.write_all(&question[..len]).await.is_err() {
                    return;
                }
            }
            Ok(len) = server.read(&mut answer) => {
                if len == 0 || lose.swap(false, Ordering::SeqCst) {
                    return;
                }
                if client.write_all(&answer[..len]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
