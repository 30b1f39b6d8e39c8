//! The queue in Redis (tested with 7.0): Streams with a consumer group, and one Lua script for
//! every operation, which is what makes each of them atomic.
//!
//! The oldest unfinished job of each chat has an entry in a stream, the line. Claiming reads the
//! next entry through a consumer group, so that it is pending in Redis until the job is finished;
//! only then does the chat's next job get an entry. That is the order within a chat. There is one
//! consumer: whoever opens the queue (attaching to it is not enough) takes over what is pending,
//! puts it before the line, and is the only one who may claim from then on.
//!
//! All keys of an account begin with `{stenogram:<account>}`, one hash tag, so that a cluster keeps
//! them on one node. That node is spoken to directly: [`QueueError::Configuration`] says which one
//! it is. `<id>` is a job id, `account:chat:message`.
//!
//! Its keys, after `{stenogram:…}`:
//!
//! - the prefix alone (hash): `format`: of all this, a number; `owner`: who may claim; `turn` and
//!   `claimed`: number and job of the last claim; `places`: the last place in the line;
//!   `unfinished`: how many jobs wait, run or are delayed
//! - `:job:<id>` (hash): a job that is not finished. `job`: it, as JSON; `document`: its
//!   recording's; `state`: `waiting`, `claimed`, `delayed` or `dead`; `entry`: its stream entry,
//!   once it had one; `deliveries`; `deaths`: how many are held against its recording, and one more
//!   while it is begun; `died`: when one of them was counted last, in milliseconds of Unix time;
//!   `begun`: 1 where it is; `attempts`; `progress`: how far its recording is recognised, as JSON;
//!   `outbox`: the answer's parts as JSON; `reason`: why it was put back or is dead
//! - `:chat:<chat>` (list): ids of the chat's unfinished jobs in the order they were added
//! - `:ready` (stream): the line, of the jobs that are first in their chat; field `id`, entry
//!   `<place>-0`. Group `stenogram`, consumer `worker`. Entries are deleted when the job leaves the
//!   line
//! - `:first` (zset): ids of pending entries that nobody works on, by place: released, or claimed
//!   by a predecessor
//! - `:delayed` (zset): ids by when they are due, in milliseconds of Unix time
//! - `:dead` (list): ids of the dead letters, oldest first
//! - `:dates` (zset): ids of the unfinished jobs by the date of their message, in seconds of Unix
//!   time
//! - `:suspect:<document>` (string): the job by which a recording under suspicion is tried; expires
//!   after the dedupe time
//! - `:poison:<document>` (string): the job that has shown the recording to be poisonous; expires
//!   after the dedupe time
//! - `:mark:<id>` (string): how a finished job ended, as JSON; expires after the dedupe time
//! - `:result:<document>` (string): a recording's answer, its parts as JSON; expires after the
//!   result time
//! - `:results` (zset): documents that have a result, by when it ends, in milliseconds of Unix time
//! - `:check` (string): written to prove that writing works; expires
//!
//! An operation whose answer was lost (a connection that broke, a time-out) is an error, although
//! the script may have run; repeating it is harmless, see the promises of [`super`]. For `claim`
//! that takes a number: a turn counts as taken only when its answer has arrived, and the script
//! answers the same turn with the same job.

mod connection;

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use redis::Script;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use self::connection::Connection;
pub use self::connection::Endangered;
use super::{
    Added, Claim, Claimed, Counts, CrashRules, DROPPED, Entry, Handled, MAX_DEATHS, MAX_DELIVERIES,
    MAX_DELIVERIES_AT_ONCE, MAX_RESULTS, Mark, Queue, QueueError, State, Upkeep, millis, now, reason,
    tell_of_burial, tell_of_pause,
};
use crate::domain::{Job, JobId, Part, Progress, unix_time};

/// Changes with the meaning of the keys.
const FORMAT: &str = "1";

/// Largest time that is exact as a score, in milliseconds.
const LAST_DUE: u64 = 1 << 53;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("redis/lib.lua"), include_str!($file))))
    };
}

static OPEN: LazyLock<Script> = script!("redis/open.lua");
static ATTACH: LazyLock<Script> = script!("redis/attach.lua");
static ADD: LazyLock<Script> = script!("redis/add.lua");
static CLAIM: LazyLock<Script> = script!("redis/claim.lua");
static BEGIN: LazyLock<Script> = script!("redis/begin.lua");
static STORE_PROGRESS: LazyLock<Script> = script!("redis/store_progress.lua");
static STORE_OUTBOX: LazyLock<Script> = script!("redis/store_outbox.lua");
static FINISH: LazyLock<Script> = script!("redis/finish.lua");
static RETRY: LazyLock<Script> = script!("redis/retry.lua");
static RELEASE: LazyLock<Script> = script!("redis/release.lua");
static BURY: LazyLock<Script> = script!("redis/bury.lua");
static COUNTS: LazyLock<Script> = script!("redis/counts.lua");
static OLDEST: LazyLock<Script> = script!("redis/oldest.lua");
static ENTRIES: LazyLock<Script> = script!("redis/entries.lua");
static REQUEUE: LazyLock<Script> = script!("redis/requeue.lua");
static DISCARD: LazyLock<Script> = script!("redis/discard.lua");

/// Which Redis, and how the queue in it behaves. Not `Debug`: the URL holds the password.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://[user][:password@]host[:port][/database]`
    pub url: String,
    /// Telegram's number of the logged-in user.
    pub account: i64,
    /// How long a finished job is remembered, so that the same message is not answered again.
    pub dedupe_ttl: Duration,
    /// How long a recording's answer is kept for its next copy; zero: no answer is kept beyond its
    /// job, and none that was is left.
    pub result_ttl: Duration,
    pub crashes: CrashRules,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
}

/// The queue in Redis. It connects anew by itself; an operation fails while it cannot.
pub struct RedisQueue {
    connection: Connection,
    /// The hash tag, and the key of the queue's own hash.
    root: String,
    dedupe_ttl: Duration,
    result_ttl: Duration,
    /// What `open.lua` and `claim.lua` are told of processes that died, as JSON.
    rules: String,
    owner: String,
    /// The number of the next claim, held by the claim in progress.
    turn: Mutex<u64>,
}

impl RedisQueue {
    /// Connects and opens the account's queue. What the predecessor had claimed is handed out
    /// first; a predecessor that still lives can claim no more.
    ///
    /// [`QueueError::Unavailable`] where trying again later makes sense: nobody listens, the server
    /// is loading, read-only, or out of memory. [`QueueError::Configuration`] where it does not.
    pub async fn connect(options: RedisOptions) -> Result<Self, QueueError> {
        let queue = Self::reach(options).await?;
        let keeps_results = if queue.result_ttl.is_zero() { "0" } else { "1" };
        let (now, rules) = (now().to_string(), &queue.rules);
        tell(&queue.run::<String>(&OPEN, &[&queue.owner, FORMAT, keeps_results, &now, rules]).await?)?;
        Ok(queue)
    }

    /// Connects to look after the account's queue while another process may be working on it.
    pub async fn attach(options: RedisOptions) -> Result<impl Upkeep, QueueError> {
        let queue = Self::reach(options).await?;
        queue.run::<()>(&ATTACH, &[FORMAT]).await?;
        Ok(queue)
    }

    async fn reach(options: RedisOptions) -> Result<Self, QueueError> {
        let connection = Connection::new(&options.url, options.timeout)?;
        connection.ping().await?;
        let started = unix_time::now();
        Ok(Self {
            connection,
            root: format!("{{stenogram:{}}}", options.account),
            dedupe_ttl: options.dedupe_ttl,
            result_ttl: options.result_ttl,
            rules: rules(&options),
            owner: format!("{}-{}", std::process::id(), started.as_nanos()),
            turn: Mutex::new(1),
        })
    }

    /// Whether the server is there, lets us in, and takes a write; and how its settings endanger
    /// the queue. The queue is not opened: whoever works on it is not disturbed.
    pub async fn examine(options: RedisOptions) -> Result<Vec<Endangered>, QueueError> {
        let queue = Self::reach(options).await?;
        queue.connection.check(&format!("{}:check", queue.root)).await?;
        Ok(queue.durability_warnings().await)
    }

    /// How the server's settings endanger what the queue has promised to keep, each with the
    /// setting and the value it should have. Empty where all is well.
    pub async fn durability_warnings(&self) -> Vec<Endangered> {
        self.connection.durability_warnings().await
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, args: &[&str]) -> Result<T, QueueError> {
        let mut call = script.key(&self.root);
        for arg in args {
            call.arg(*arg);
        }
        self.connection.run(&call).await
    }

    /// Runs a script that says whether the job was one that it may change.
    async fn change(&self, script: &Script, id: JobId, args: &[&str]) -> Result<(), QueueError> {
        let id_text = id.to_string();
        let args: Vec<&str> = std::iter::once(id_text.as_str()).chain(args.iter().copied()).collect();
        if self.run(script, &args).await? { Ok(()) } else { Err(QueueError::NotClaimed(id)) }
    }

    async fn finish(&self, id: JobId, mark: &Mark) -> Result<(), QueueError> {
        let (mark, life) = self.kept(mark)?;
        self.change(&FINISH, id, &[&mark, &life]).await
    }

    /// The mark as it is written, and its life.
    fn kept(&self, mark: &Mark) -> Result<(String, String), QueueError> {
        Ok((serde_json::to_string(mark).map_err(damaged)?, life(self.dedupe_ttl).to_string()))
    }
}

/// The life of a key, in milliseconds. Redis takes no time of zero.
fn life(ttl: Duration) -> u64 {
    millis(ttl).clamp(1, LAST_DUE)
}

fn rules(options: &RedisOptions) -> String {
    let CrashRules { together, pauses } = options.crashes;
    serde_json::json!({
        "together": millis(together),
        "pauses": pauses.map(millis),
        "life": life(options.dedupe_ttl),
        "deaths": MAX_DEATHS,
        "deliveries": MAX_DELIVERIES,
        "deliveries_at_once": MAX_DELIVERIES_AT_ONCE,
        "suspected": reason::suspected(),
        "unlucky": reason::unlucky(),
        "poisonous": reason::poisonous(),
        "worn_out": reason::worn_out(),
        "copy_of_poisonous": reason::copy_of_poisonous(),
        "copy_of_suspected": reason::copy_of_suspected(),
    })
    .to_string()
}

/// A job that a script has put off or given up.
#[derive(Deserialize)]
struct Told {
    id: String,
    reason: String,
    /// Milliseconds; none where the job was given up.
    pause: Option<u64>,
}

fn tell(told: &str) -> Result<(), QueueError> {
    for Told { id, reason, pause } in parse::<Vec<Told>>(told)? {
        match pause {
            Some(pause) => tell_of_pause(id, &reason, Duration::from_millis(pause)),
            None => tell_of_burial(id, &reason),
        }
    }
    Ok(())
}

fn damaged(error: impl std::fmt::Display) -> QueueError {
    QueueError::Damaged(format!("an entry in Redis cannot be read: {error}"))
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, QueueError> {
    serde_json::from_str(json).map_err(damaged)
}

/// What `claim.lua` returns after what it tells.
fn parse_claim(reply: &[Option<String>]) -> Result<Claimed, QueueError> {
    match reply {
        [due] => {
            let due = due.as_ref().map(|due| due.parse().map_err(damaged)).transpose()?;
            let time = |due| UNIX_EPOCH.checked_add(Duration::from_millis(due));
            Ok(Claimed::Empty { next_due: due.and_then(time) })
        }
        [Some(job), Some(delivery), deaths, Some(attempts), progress, outbox] => {
            Ok(Claimed::Job(Box::new(Claim {
                job: parse(job)?,
                delivery: parse(delivery)?,
                deaths: deaths.as_deref().map(parse).transpose()?.unwrap_or(0),
                attempts: parse(attempts)?,
                progress: progress.as_deref().map(parse).transpose()?,
                outbox: outbox.as_deref().map(parse).transpose()?,
            })))
        }
        _ => Err(damaged("fields of a job are missing")),
    }
}

/// One entry of what `entries.lua` returns.
type EntryReply = (String, String, u32, u32, Option<String>, Option<u64>);

fn parse_entry((job, state, deliveries, attempts, reason, due): EntryReply) -> Result<Entry, QueueError> {
    let due = due.and_then(|due| UNIX_EPOCH.checked_add(Duration::from_millis(due)));
    let state = match (state.as_str(), due) {
        ("claimed", _) => State::Claimed,
        ("waiting", _) => State::Waiting,
        ("delayed", Some(due)) => State::Delayed { due },
        ("dead", _) => State::Dead,
        _ => return Err(damaged(format!("a job is {state:?}"))),
    };
    Ok(Entry { job: serde_json::from_str(&job).map_err(damaged)?, state, deliveries, attempts, reason })
}

#[async_trait]
impl Upkeep for RedisQueue {
    async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let replies: Vec<EntryReply> = self.run(&ENTRIES, &[]).await?;
        let mut entries: Vec<Entry> = replies.into_iter().map(parse_entry).collect::<Result<_, _>>()?;
        entries.sort_by_key(|entry| entry.state);
        Ok(entries)
    }

    async fn requeue(&self, id: JobId) -> Result<Handled, QueueError> {
        let known: bool = self.run(&REQUEUE, &[&id.to_string()]).await?;
        Ok(if known { Handled::Yes } else { Handled::Unknown })
    }

    async fn discard(&self, id: JobId) -> Result<Handled, QueueError> {
        let (mark, life) = self.kept(&Mark::Rejected { reason: DROPPED.to_owned() })?;
        Ok(match self.run::<i64>(&DISCARD, &[&id.to_string(), &mark, &life]).await? {
            0 => Handled::Unknown,
            1 => Handled::Yes,
            _ => Handled::Claimed,
        })
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        let text = serde_json::to_string(job).map_err(damaged)?;
        let new: bool = self.run(&ADD, &[&job.id.to_string(), &text, &job.document.to_string()]).await?;
        Ok(if new { Added::New } else { Added::Seen })
    }

    async fn claim(&self) -> Result<Claimed, QueueError> {
        let mut turn = self.turn.lock().await;
        let [number, now] = [*turn, now()].map(|number| number.to_string());
        let reply: Vec<Option<String>> = self.run(&CLAIM, &[&self.owner, &number, &now, &self.rules]).await?;
        let [Some(told), reply @ ..] = &reply[..] else { return Err(damaged("an answer is empty")) };
        let claimed = parse_claim(reply)?;
        *turn += 1;
        tell(told)?;
        Ok(claimed)
    }

    async fn begin(&self, id: JobId) -> Result<(), QueueError> {
        self.change(&BEGIN, id, &[]).await
    }

    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError> {
        let progress = serde_json::to_string(progress).map_err(damaged)?;
        self.change(&STORE_PROGRESS, id, &[&progress]).await
    }

    async fn store_outbox(&self, id: JobId, parts: &[Part]) -> Result<(), QueueError> {
        let parts = serde_json::to_string(parts).map_err(damaged)?;
        let (now, life) = (now(), millis(self.result_ttl).min(LAST_DUE));
        let ends = now.saturating_add(life).min(LAST_DUE);
        let numbers = [life, ends, now, MAX_RESULTS as u64].map(|number| number.to_string());
        let args: Vec<&str> =
            std::iter::once(parts.as_str()).chain(numbers.iter().map(String::as_str)).collect();
        self.change(&STORE_OUTBOX, id, &args).await
    }

    async fn result(&self, document: i64) -> Result<Option<Vec<Part>>, QueueError> {
        let parts = self.connection.get(&format!("{}:result:{document}", self.root)).await?;
        parts.map(|parts| serde_json::from_str(&parts).map_err(damaged)).transpose()
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        self.finish(id, &Mark::Answered { replies: replies.to_vec() }).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.finish(id, &Mark::Rejected { reason: reason.to_owned() }).await
    }

    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let due = now().saturating_add(millis(after)).min(LAST_DUE);
        self.change(&RETRY, id, &[&due.to_string(), reason, "1"]).await
    }

    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let due = now().saturating_add(millis(after)).min(LAST_DUE);
        self.change(&RETRY, id, &[&due.to_string(), reason, "0"]).await
    }

    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.change(&RELEASE, id, &[]).await
    }

    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.change(&BURY, id, &[reason]).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        let (waiting, claimed, delayed, dead) = self.run(&COUNTS, &[]).await?;
        Ok(Counts { waiting, claimed, delayed, dead })
    }

    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        let date: Option<String> = self.run(&OLDEST, &[]).await?;
        date.as_deref().map(parse).transpose()
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.connection.check(&format!("{}:check", self.root)).await
    }
}
