//! The queue in a Redis whose master Sentinel names, and replaces.

use std::collections::HashSet;
use std::time::Duration;

use stenogram::queue::redis::{RedisOptions, RedisQueue, SentinelOptions, ServerOptions};
use stenogram::queue::{Claimed, JobQueue as _, QueueError};
use support::redis::{DURABLE, RedisServer};

use super::backend::{job, options, until};

const JOBS: i32 = 200;

pub fn sentinel_options(sentinels: &[u16], master: &str) -> RedisOptions {
    let addresses = sentinels.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
    let sentinel = Some(SentinelOptions { addresses, master: master.to_owned() });
    let url = format!("redis://127.0.0.1:{}/0", sentinels[0]);
    RedisOptions {
        server: ServerOptions { sentinel, ..ServerOptions::of_url(url) },
        ..options(String::new())
    }
}

/// A master, a replica that is up to date, and a Sentinel that knows both.
pub async fn start(down_after: Duration) -> (RedisServer, RedisServer, RedisServer) {
    let master = RedisServer::start(DURABLE);
    let of_master = format!("127.0.0.1 {}", master.port());
    let settings = ["--replicaof", &of_master, "--repl-diskless-sync-delay", "0"];
    let replica = RedisServer::start(&[DURABLE, &settings].concat());
    until(async || {
        let info: String = replica.command(&["INFO", "replication"]);
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let sentinel = RedisServer::start_sentinel(&master, down_after, &[]);
    until(async || {
        let info: String = sentinel.command(&["INFO", "sentinel"]);
        info.contains("slaves=1").then_some(())
    })
    .await;
    (master, replica, sentinel)
}

/// Asks again while the store is away.
pub async fn patiently<T>(operation: impl AsyncFn() -> Result<T, QueueError>) -> T {
    until(async || match operation().await {
        Ok(done) => Some(done),
        Err(QueueError::Unavailable(_)) => None,
        Err(other) => panic!("{other:?}"),
    })
    .await
}

/// Adds and finishes jobs, and replaces the master in the middle.
async fn failover(down_after: Duration, replace: impl AsyncFn(&mut RedisServer, &RedisServer)) {
    let (mut master, replica, sentinel) = start(down_after).await;
    let queue = RedisQueue::connect(sentinel_options(&[sentinel.port()], "mymaster")).await.unwrap();
    let adding = async {
        for message in 1..=JOBS {
            patiently(async || queue.add(&job(i64::from(message % 7) + 1, message)).await).await;
        }
    };
    let working = async {
        let mut finished = HashSet::new();
        let mut is_replaced = false;
        while finished.len() < JOBS as usize {
            if finished.len() > JOBS as usize / 2 && !is_replaced {
                is_replaced = true;
                replace(&mut master, &sentinel).await;
            }
            // The last ones are done after it, however quick the others were.
            if finished.len() == JOBS as usize - 10 {
                until(async || is_master(&replica).then_some(())).await;
            }
            let claim = until(async || match queue.claim().await {
                Ok(Claimed::Job(claim)) => Some(claim),
                Ok(Claimed::GivenUp { .. } | Claimed::Empty { .. }) | Err(QueueError::Unavailable(_)) => None,
                Err(other) => panic!("{other:?}"),
            })
            .await;
            let id = claim.job.id;
            // A claim that the new master does not know is made again.
            let is_done = patiently(async || match queue.done(id, &[1]).await {
                Err(QueueError::NotClaimed(_)) => Ok(false),
                result => result.map(|()| true),
            })
            .await;
            if is_done {
                finished.insert(id);
            }
        }
    };
    tokio::join!(adding, working);
    assert_eq!(queue.counts().await.unwrap().waiting, 0);
    assert!(is_master(&replica), "there was no failover");
}

fn is_master(server: &RedisServer) -> bool {
    let info: String = server.command(&["INFO", "replication"]);
    info.contains("role:master")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_replaced_on_request_loses_nothing() {
    failover(Duration::from_secs(60), async |_, sentinel| {
        sentinel.command::<()>(&["SENTINEL", "FAILOVER", "mymaster"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_killed_loses_nothing() {
    failover(Duration::from_secs(1), async |master, _| master.kill()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_sentinel_is_asked_where_one_is_silent() {
    let (_master, _replica, sentinel) = start(Duration::from_secs(60)).await;
    let nobody = RedisServer::free_port();
    RedisQueue::connect(sentinel_options(&[nobody, sentinel.port()], "mymaster")).await.unwrap();
    for (ports, name, expected) in [
        (&[nobody][..], "mymaster", "refused"),
        (&[nobody, sentinel.port()], "other", "knows no master other"),
    ] {
        match RedisQueue::connect(sentinel_options(ports, name)).await {
            Err(QueueError::Unavailable(why)) => {
                assert!(why.what.contains(expected), "{why}");
                assert!(why.remedy.contains("redis-sentinel://"), "{why}");
            }
            other => panic!("{:?}", other.err()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_wants_the_password_gets_it() {
    let master = RedisServer::start(&["--requirepass", "hunter2"]);
    let passwords = ["sentinel auth-pass mymaster hunter2", "requirepass hunter2"];
    let sentinel = RedisServer::start_sentinel(&master, Duration::from_secs(60), &passwords);
    let mut options = sentinel_options(&[sentinel.port()], "mymaster");
    options.server.url = format!("redis://:hunter2@127.0.0.1:{}/0", sentinel.port());
    RedisQueue::connect(options).await.unwrap();
}
