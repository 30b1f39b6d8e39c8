//! The queue in Redis (tested with 7.0): Streams with a consumer group, and one Lua script for
//! every operation, which is what makes each of them atomic.
//!
//! The oldest unfinished job of each chat has an entry in a stream, the line (strangers have a
//! second one). Claiming reads the next entry through a consumer group, so that it is pending in
//! Redis until the job is finished; only then does the chat's next job get an entry. That is the
//! order within a chat. There is one consumer: whoever opens the queue (attaching to it is not
//! enough) takes over what is pending, puts it before the line, and is the only one who may claim
//! from then on.
//!
//! A failover by Sentinel loses what only the old master had. So a change counts as made once a
//! replica has it too (`Connection::confirm`); until then it is an error, and repeated. Claims
//! are not confirmed: one that is lost is made again.
//!
//! `keys` has all keys of an account's queue. A cluster keeps them on one node, which is spoken to
//! directly: [`QueueError::Configuration`] says which one it is.
//!
//! An operation whose reply was lost (a connection that broke, a time-out) is an error, although
//! the script may have run; repeating it is harmless, see the promises of [`super`]. For that,
//! claims are numbered: the number rises only when the reply has arrived, and the script replies to
//! the same number with the same job.

pub(super) mod connection;
mod explain;
pub(super) mod keys;
pub(super) mod replies;
mod scripts;
mod server;

use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use tokio::sync::Mutex;

use self::connection::Connection;
pub use self::connection::DurabilityWarning;
use self::replies::{ClaimReply, EntryReply, damaged, log, parse, parse_entry};
pub use self::server::{SentinelOptions, ServerOptions, TlsFiles};
use super::{
    Added, AdminOutcome, Candidates, Checkpoints, Claimed, Counts, CrashRules, DROPPED, Entry, FINISHED_KEPT,
    JobQueue, MAX_DEATHS, MAX_DELIVERIES, MAX_DELIVERIES_AT_ONCE, MAX_RESULTS, Mark, Obeyed, QueueAdmin,
    QueueError, ResultCache, finished_id, kept_as, log_damaged_row, millis, reason,
};
use crate::domain::unix_time::{self, now_millis};
use crate::domain::{Answer, Job, JobId, Preview, Progress};

/// Changes with the meaning of the keys. Queues of a lower format are read as they are: in format
/// 1 an answer was a list of parts, which [`Answer`] reads, before format 3 strangers had no line,
/// before format 4 those that the owner asks for had none, and before format 5 there were neither
/// previews nor summaries.
const FORMAT: &str = "5";

/// Largest time that is exact as a score, in milliseconds.
const LAST_DUE: u64 = 1 << 53;

/// Which Redis, and how the queue in it behaves.
#[derive(Clone)]
pub struct RedisOptions {
    pub server: ServerOptions,
    /// Telegram's number of the logged-in user.
    pub account: i64,
    /// How long a finished job is remembered, so that the same message is not answered again.
    pub dedupe_ttl: Duration,
    /// How long a recording's answer is kept for its next copy. With zero no answer is kept beyond
    /// its job, and those kept before are removed.
    pub result_ttl: Duration,
    pub crashes: CrashRules,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
}

/// The queue in Redis. It connects anew by itself; an operation fails while it cannot.
pub struct RedisQueue {
    connection: Connection,
    /// With what all keys begin, see [`keys`].
    root: String,
    dedupe_ttl: Duration,
    result_ttl: Duration,
    /// The rules for processes that died, as `open.lua` and `claim.lua` take them.
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
        let queue = Self::connect_only(options).await?;
        let keeps_results = if queue.result_ttl.is_zero() { "0" } else { "1" };
        let (now, rules) = (now_millis().to_string(), &queue.rules);
        let args = [&queue.owner, FORMAT, keeps_results, &now, rules];
        log(&queue.run::<String>(&scripts::OPEN, &args).await?)?;
        Ok(queue)
    }

    /// Connects to look after the account's queue while another process may be working on it.
    pub async fn attach(options: RedisOptions) -> Result<impl QueueAdmin, QueueError> {
        let queue = Self::connect_only(options).await?;
        queue.run::<()>(&scripts::ATTACH, &[FORMAT]).await?;
        Ok(queue)
    }

    /// Connects, and touches no key.
    async fn connect_only(options: RedisOptions) -> Result<Self, QueueError> {
        let connection = Connection::new(&options.server, options.timeout)?;
        connection.ping().await?;
        let started = unix_time::now();
        Ok(Self {
            connection,
            root: format!("{{stenogram:{}}}", options.account),
            dedupe_ttl: options.dedupe_ttl,
            result_ttl: options.result_ttl,
            rules: rules(options.crashes, options.dedupe_ttl),
            owner: format!("{}-{}", std::process::id(), started.as_nanos()),
            turn: Mutex::new(1),
        })
    }

    /// Checks that the server is there, lets us in, and takes a write; returns how its settings
    /// endanger the queue. The queue is not opened, so a daemon that works on it is not disturbed.
    pub async fn probe(options: RedisOptions) -> Result<Vec<DurabilityWarning>, QueueError> {
        let queue = Self::connect_only(options).await?;
        queue.check().await?;
        Ok(queue.durability_warnings().await)
    }

    /// The settings of the server that endanger what the queue has promised to keep.
    pub async fn durability_warnings(&self) -> Vec<DurabilityWarning> {
        self.connection.durability_warnings().await
    }

    fn check_key(&self) -> String {
        format!("{}{}", self.root, keys::CHECK)
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, args: &[&str]) -> Result<T, QueueError> {
        let mut call = script.key(&self.root);
        for arg in args {
            call.arg(*arg);
        }
        self.connection.run(&call).await
    }

    /// Runs a script that replies whether the job was one that it may change.
    async fn change(&self, script: &Script, id: JobId, args: &[&str]) -> Result<(), QueueError> {
        let id_text = id.to_string();
        let args: Vec<&str> = std::iter::once(id_text.as_str()).chain(args.iter().copied()).collect();
        let is_changed: bool = self.run(script, &args).await?;
        self.connection.confirm(&self.check_key()).await?;
        if is_changed { Ok(()) } else { Err(QueueError::NotClaimed(id)) }
    }

    async fn finish(&self, id: JobId, mark: &Mark) -> Result<(), QueueError> {
        let kept = kept_as(id, mark).map_or_else(String::new, |kept| kept.to_string());
        let kept_for = life(self.dedupe_ttl.min(FINISHED_KEPT)).to_string();
        let (mark, life) = self.kept(mark)?;
        self.change(&scripts::FINISH, id, &[&mark, &life, &kept, &kept_for]).await
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

/// The rules for processes that died, as the scripts take them.
pub(super) fn rules(CrashRules { together, pauses }: CrashRules, dedupe_ttl: Duration) -> String {
    serde_json::json!({
        "together": millis(together),
        "pauses": pauses.map(millis),
        "life": life(dedupe_ttl),
        "max_deaths": MAX_DEATHS,
        "max_deliveries": MAX_DELIVERIES,
        "max_deliveries_at_once": MAX_DELIVERIES_AT_ONCE,
        "reason": {
            "died_over_recording": reason::died_over_recording(),
            "died_repeatedly": reason::died_repeatedly(),
            "too_many_deaths": reason::too_many_deaths(),
            "too_many_deliveries": reason::too_many_deliveries(),
            "copy_of_poisonous": reason::copy_of_poisonous(),
            "copy_of_suspect": reason::copy_of_suspect(),
        },
    })
    .to_string()
}

#[async_trait]
impl QueueAdmin for RedisQueue {
    async fn entries(&self) -> Result<Vec<Entry>, QueueError> {
        let replies: Vec<EntryReply> = self.run(&scripts::ENTRIES, &[]).await?;
        // What cannot be read is set aside when it is claimed.
        let readable = |reply| parse_entry(reply).inspect_err(log_damaged_row).ok();
        let mut entries: Vec<Entry> = replies.into_iter().filter_map(readable).collect();
        entries.sort_by_key(|entry| entry.state);
        Ok(entries)
    }

    async fn results(&self, most: usize) -> Result<Vec<Answer>, QueueError> {
        let answers: Vec<String> = self.run(&scripts::RESULTS, &[&most.min(MAX_RESULTS).to_string()]).await?;
        let readable = |answer: &String| parse(answer).inspect_err(log_damaged_row).ok();
        Ok(answers.iter().filter_map(readable).collect())
    }

    async fn requeue(&self, id: JobId) -> Result<AdminOutcome, QueueError> {
        let known: bool = self.run(&scripts::REQUEUE, &[&id.to_string()]).await?;
        Ok(if known { AdminOutcome::Done } else { AdminOutcome::Unknown })
    }

    async fn discard(&self, id: JobId) -> Result<AdminOutcome, QueueError> {
        let (mark, life) = self.kept(&Mark::Rejected { reason: DROPPED.to_owned() })?;
        Ok(match self.run::<i64>(&scripts::DISCARD, &[&id.to_string(), &mark, &life]).await? {
            0 => AdminOutcome::Unknown,
            1 => AdminOutcome::Done,
            _ => AdminOutcome::Claimed,
        })
    }
}

#[async_trait]
impl JobQueue for RedisQueue {
    async fn add(&self, job: &Job) -> Result<Added, QueueError> {
        let text = serde_json::to_string(job).map_err(damaged)?;
        let stranger = if job.stranger { "1" } else { "0" };
        let [id, document] = [job.id.to_string(), job.recording.document.to_string()];
        let new: bool = self.run(&scripts::ADD, &[&id, &text, &document, stranger]).await?;
        self.connection.confirm(&self.check_key()).await?;
        Ok(if new { Added::New } else { Added::Seen })
    }

    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError> {
        let (mark, life) = self.kept(&Mark::Obeyed)?;
        let command = command.to_string();
        let [id, text, document] = match job {
            None => [const { String::new() }; 3],
            Some(job) => [
                job.id.to_string(),
                serde_json::to_string(job).map_err(damaged)?,
                job.recording.document.to_string(),
            ],
        };
        let args = [&command, &mark, &life, &id, &text, &document].map(String::as_str);
        let reply: i64 = self.run(&scripts::OBEY, &args).await?;
        self.connection.confirm(&self.check_key()).await?;
        Ok(match reply {
            0 => Obeyed::Seen,
            1 => Obeyed::New,
            _ => Obeyed::Underway,
        })
    }

    async fn mark(&self, id: JobId) -> Result<Option<Mark>, QueueError> {
        let found = self.connection.get(&format!("{}{}{id}", self.root, keys::MARK)).await?;
        // One that cannot be read counts as one without messages: what it names must not be done
        // again.
        let read =
            |text: String| serde_json::from_str(&text).unwrap_or(Mark::Answered { replies: Vec::new() });
        Ok(found.map(read))
    }

    async fn finished(
        &self,
        account: i64,
        channel: Option<i64>,
        message: i32,
    ) -> Result<Option<Job>, QueueError> {
        let id = finished_id(account, channel, message);
        let found = self.connection.get(&format!("{}{}{id}", self.root, keys::FINISHED)).await?;
        // One that cannot be read counts as none.
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn forget(&self, job: &Job) -> Result<(), QueueError> {
        let JobId { account, chat, message } = job.id;
        let id = finished_id(account, job.id.is_in_channel().then_some(chat), message);
        let args = [id, job.id].map(|id| id.to_string());
        self.run(&scripts::FORGET, &[&args[0], &job.recording.document.to_string(), &args[1]]).await
    }

    async fn claim_of(&self, candidates: Candidates) -> Result<Claimed, QueueError> {
        let mut turn = self.turn.lock().await;
        loop {
            let [number, now] = [*turn, now_millis()].map(|number| number.to_string());
            let lines = if candidates == Candidates::NoStrangers { "2" } else { "3" };
            let args = [&self.owner, &number, &now, &self.rules, FORMAT, lines];
            let reply = ClaimReply(self.run(&scripts::CLAIM, &args).await?);
            let claimed = match (reply.claimed(), reply.id()) {
                (Err(error @ QueueError::Damaged(_)), Some(id)) => {
                    self.run::<bool>(&scripts::SET_ASIDE, &[id]).await?;
                    log_damaged_row(&error);
                    None
                }
                (claimed, _) => Some(claimed?),
            };
            *turn += 1;
            log(reply.log_lines()?)?;
            if let Some(claimed) = claimed {
                return Ok(claimed);
            }
        }
    }

    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError> {
        self.finish(id, &Mark::Answered { replies: replies.to_vec() }).await
    }

    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.finish(id, &Mark::Rejected { reason: reason.to_owned() }).await
    }

    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let due = now_millis().saturating_add(millis(after)).min(LAST_DUE);
        self.change(&scripts::RETRY, id, &[&due.to_string(), reason, "1"]).await
    }

    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError> {
        let due = now_millis().saturating_add(millis(after)).min(LAST_DUE);
        self.change(&scripts::RETRY, id, &[&due.to_string(), reason, "0"]).await
    }

    async fn release(&self, id: JobId) -> Result<(), QueueError> {
        self.change(&scripts::RELEASE, id, &[]).await
    }

    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError> {
        self.change(&scripts::BURY, id, &[reason]).await
    }

    async fn counts(&self) -> Result<Counts, QueueError> {
        let (waiting, claimed, delayed, dead) = self.run(&scripts::COUNTS, &[]).await?;
        Ok(Counts { waiting, claimed, delayed, dead })
    }

    async fn oldest(&self) -> Result<Option<i64>, QueueError> {
        let date: Option<String> = self.run(&scripts::OLDEST, &[]).await?;
        date.as_deref().map(parse).transpose()
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.connection.check(&self.check_key()).await
    }
}

#[async_trait]
impl Checkpoints for RedisQueue {
    async fn begin(&self, id: JobId) -> Result<(), QueueError> {
        self.change(&scripts::BEGIN, id, &[]).await
    }

    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError> {
        let progress = serde_json::to_string(progress).map_err(damaged)?;
        self.change(&scripts::STORE_PROGRESS, id, &[&progress]).await
    }

    async fn store_preview(&self, id: JobId, preview: &Preview) -> Result<(), QueueError> {
        let preview = serde_json::to_string(preview).map_err(damaged)?;
        self.change(&scripts::STORE_PREVIEW, id, &[&preview]).await
    }

    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError> {
        let answer = serde_json::to_string(answer).map_err(damaged)?;
        let (now, life) = (now_millis(), millis(self.result_ttl).min(LAST_DUE));
        let ends = now.saturating_add(life).min(LAST_DUE);
        let numbers = [life, ends, now, MAX_RESULTS as u64].map(|number| number.to_string());
        let args: Vec<&str> =
            std::iter::once(answer.as_str()).chain(numbers.iter().map(String::as_str)).collect();
        self.change(&scripts::STORE_OUTBOX, id, &args).await
    }
}

#[async_trait]
impl ResultCache for RedisQueue {
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError> {
        let key = format!("{}{}{}", self.root, keys::RESULT, job.recording.document);
        self.connection.get(&key).await?.as_deref().map(parse).transpose()
    }
}
