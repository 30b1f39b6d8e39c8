//! What a million marks of answered messages take: `cargo bench --bench marks [COUNT]`.
//!
//! A mark is first made by the queue itself, then copied under other ids the fast way: a million
//! real jobs would be hours of fsync.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{ReadableDatabase, TableDefinition};
use stenogram::domain::{Job, JobId, Peer, PeerKind, Recording, RecordingKind};
use stenogram::queue::embedded::{self, Embedded, EmbeddedOptions};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{Added, Claimed, CrashRules, Queue};
use support::redis::{Folder, RedisServer};

const ACCOUNT: i64 = 1_234_567_890;
const CHAT: i64 = 2_345_678_901;
/// Chats that the marks are spread over.
const CHATS: i64 = 100;
const TTL: Duration = Duration::from_secs(30 * 86_400);

#[tokio::main]
async fn main() {
    // Cargo passes --bench.
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    in_redis(count).await;
    in_a_file(count).await;
}

fn job(number: i64) -> Job {
    let chat = CHAT + number % CHATS;
    Job {
        id: JobId { account: ACCOUNT, chat, message: 1_000_000 + number as i32 },
        recording: Recording {
            chat: Peer { kind: PeerKind::User, id: chat, access_hash: i64::MAX },
            thread: None,
            kind: RecordingKind::Voice,
            document: 0,
            outgoing: false,
            date: 1_800_000_000,
            lifetime: None,
            duration: 3,
            size: 9000,
        },
        settings: None,
        stranger: false,
        asked: None,
    }
}

async fn finish(queue: &dyn Queue, job: &Job) {
    queue.add(job).await.expect("add");
    assert!(matches!(queue.claim().await.expect("claim"), Claimed::Job(_)));
    queue.done(job.id, &[job.id.message + 1]).await.expect("done");
}

/// The median time of an `add` of a known job.
async fn look_up(queue: &dyn Queue, count: i64) -> Duration {
    let mut times = Vec::new();
    for n in 0..1000 {
        let started = Instant::now();
        assert_eq!(queue.add(&job(n * 7919 % count)).await.expect("add"), Added::Seen);
        times.push(started.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

async fn in_redis(count: i64) {
    let server = RedisServer::start(&[]);
    let url = server.url();
    let options = RedisOptions {
        server: ServerOptions::of_url(url),
        account: ACCOUNT,
        dedupe_ttl: TTL,
        result_ttl: Duration::ZERO,
        crashes: CrashRules::default(),
        timeout: Duration::from_secs(60),
    };
    let queue = RedisQueue::connect(options).await.expect("connect");
    finish(&queue, &job(0)).await;
    let used = || -> i64 {
        let info: String = server.command(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|number| number.trim().parse().ok()).expect("used_memory")
    };
    let before = used();
    let root = format!("{{stenogram:{ACCOUNT}}}:mark:");
    let copy = "local mark = redis.call('GET', KEYS[1] .. ARGV[1] .. ':' .. ARGV[2] .. ':' .. 1000000)
        for n = ARGV[4], ARGV[5] do
          local id = string.format('%s:%d:%d', ARGV[1], ARGV[2] + n % ARGV[3], 1000000 + n)
          redis.call('SET', KEYS[1] .. id, (mark:gsub('%d+', 1000001 + n)), 'PX', ARGV[6])
        end";
    let numbers = [ACCOUNT, CHAT, CHATS, 1, count - 1, TTL.as_millis() as i64].map(|n| n.to_string());
    let mut command = vec!["EVAL", copy, "1", &root];
    command.extend(numbers.iter().map(String::as_str));
    server.command::<()>(&command);
    let bytes = used() - before;
    println!(
        "Redis: {count} marks take {:.1} MB, {} bytes each; a look-up {:.2?}",
        bytes as f64 / 1e6,
        bytes / count,
        look_up(&queue, count).await
    );
}

async fn in_a_file(count: i64) {
    const MARKS: TableDefinition<(i64, i64, i32), (u64, &[u8])> = TableDefinition::new("marks");
    const EXPIRY: TableDefinition<(u64, (i64, i64, i32)), ()> = TableDefinition::new("expiry");
    let folder = Folder::new("marks");
    let path = folder.path().join("queue.redb");
    let options =
        EmbeddedOptions { dedupe_ttl: TTL, result_ttl: Duration::ZERO, crashes: CrashRules::default() };
    let queue = Embedded::open(&path, options.clone()).await.expect("open");
    finish(&queue, &job(0)).await;
    drop(queue);
    let key = |number| {
        let JobId { account, chat, message } = job(number).id;
        (account, chat, message)
    };
    let database = redb::Database::open(&path).expect("open");
    let (until, mark) = {
        let marks = database.begin_read().expect("read").open_table(MARKS).expect("marks");
        let mark = marks.get(key(0)).expect("read").expect("one mark");
        (mark.value().0, mark.value().1.to_vec())
    };
    // In many transactions, as they come in life, and so with pages that are split and half full.
    for first in (1..count).step_by(1000) {
        let mut tx = database.begin_write().expect("write");
        tx.set_durability(redb::Durability::None).expect("durability");
        {
            let mut marks = tx.open_table(MARKS).expect("marks");
            let mut expiry = tx.open_table(EXPIRY).expect("expiry");
            for number in first..count.min(first + 1000) {
                let until = until + number as u64;
                marks.insert(key(number), (until, mark.as_slice())).expect("insert");
                expiry.insert((until, key(number)), ()).expect("insert");
            }
        }
        tx.commit().expect("commit");
    }
    database.begin_write().expect("write").commit().expect("commit");
    drop(database);
    let bytes = fs::metadata(&path).expect("the file").len();
    let before = resident();
    let started = Instant::now();
    let queue = Embedded::open(&path, options).await.expect("open");
    let opened = started.elapsed();
    let time = look_up(&queue, count).await;
    let started = Instant::now();
    finish(&queue, &job(count)).await;
    let finished = started.elapsed();
    let started = Instant::now();
    embedded::entries(&path).await.expect("list");
    println!(
        "File: {count} marks take {:.1} MB, {} bytes each; opening {opened:.2?}, a look-up {time:.2?}, a job \
         {finished:.2?}, listing from a copy {:.2?}, memory {:+.1} MB",
        bytes as f64 / 1e6,
        bytes as i64 / count,
        started.elapsed(),
        (resident() - before) / 1e6,
    );
}

/// Bytes of this process in memory.
fn resident() -> f64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}
