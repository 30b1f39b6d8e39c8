//! The gateway's side: hands recordings over, and reads what became of them.

use std::time::Duration;

use redis::Script;

use super::{BLOCK, CHUNK, Card, LIFE, Line, Order, Outcome, Seen, Stretch, id_of, scripts};
use crate::domain::JobId;
use crate::queue::redis::connection::Connection;
use crate::queue::redis::replies::{damaged, parse};
use crate::queue::redis::{RedisOptions, keys};
use crate::queue::{QueueError, millis};

/// For how long the account counts as one with assignments, unless it is announced again.
pub(super) const ANNOUNCED: Duration = Duration::from_secs(15);

/// The root of what no account owns.
pub(super) const FLEET: &str = "{stenogram:fleet}";

/// The assignments of one account.
pub struct Assignments {
    connection: Connection,
    /// For commands that block.
    waiting: Connection,
    /// With what the account's keys begin.
    root: String,
    account: String,
}

/// Where an assignment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a worker, or until it is due.
    Waiting,
    Leased,
    /// Its recording is gone: it has to be handed over again.
    Unfed,
    Done,
}

/// What is known of an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    pub state: State,
    pub version: String,
    pub outcome: Option<Outcome>,
    /// Who has or had the last lease.
    pub worker: Option<String>,
    /// What was recognised since.
    pub stretches: Vec<Stretch>,
}

/// What is to be handed over besides the recording.
pub struct Feed<'a> {
    pub job: JobId,
    pub order: &'a Order,
    /// By which a later gateway knows that it was made for the same job.
    pub version: &'a str,
    pub line: Line,
    /// The model that is wanted, [`super::ANY_MODEL`] or [`super::ANY_TRANSLATING`].
    pub model: &'a str,
}

impl Assignments {
    /// Checks the options; connects to nothing yet.
    pub fn new(options: &RedisOptions) -> Result<Self, QueueError> {
        let RedisOptions { server, account, timeout, .. } = options;
        Ok(Self {
            connection: Connection::new(server, *timeout)?,
            waiting: Connection::new(server, *timeout + BLOCK)?,
            root: format!("{{stenogram:{account}}}"),
            account: account.to_string(),
        })
    }

    async fn run<T: redis::FromRedisValue>(&self, script: &Script, args: &[&str]) -> Result<T, QueueError> {
        run(&self.connection, script, &self.root, args).await
    }

    /// Hands a recording over, in place of what was handed over of the job before. False if the job
    /// is not claimed any more.
    pub async fn assign(&self, feed: &Feed<'_>, recording: &[u8]) -> Result<bool, QueueError> {
        let Feed { job, order, version, line, model } = feed;
        let (id, life) = (job.to_string(), millis(LIFE).to_string());
        let chunks: Vec<&[u8]> = recording.chunks(CHUNK).collect();
        let mut there = 0;
        while let Some(chunk) = chunks.get(there) {
            let mut call = scripts::FEED.key(&self.root);
            call.arg(&id).arg(there).arg(*chunk).arg(&life);
            let count: usize = self.connection.run(&call).await?;
            // Fewer, if Redis has lost what was there. More, if the reply to the same chunk was
            // lost.
            there = if count > chunks.len() { 0 } else { count };
        }
        let order = serde_json::to_string(order).map_err(damaged)?;
        let size = recording.len().to_string();
        self.run(&scripts::ASSIGN, &[&id, &order, version, line.name(), model, &size, &life]).await
    }

    /// What is known of the job's assignment, with the stretches after the first `known` ones;
    /// `None` if there is none.
    pub async fn read(&self, job: JobId, known: usize) -> Result<Option<Standing>, QueueError> {
        type Reply = (String, String, Option<String>, Option<String>, Vec<String>);
        let args = [job.to_string(), known.to_string()];
        let reply: Option<Reply> = self.run(&scripts::READ, &[&args[0], &args[1]]).await?;
        let Some((state, version, outcome, worker, stretches)) = reply else { return Ok(None) };
        let state = match state.as_str() {
            "waiting" | "later" => State::Waiting,
            "leased" => State::Leased,
            "unfed" => State::Unfed,
            "done" => State::Done,
            _ => return Err(damaged(format!("an assignment is {state:?}"))),
        };
        Ok(Some(Standing {
            state,
            version,
            outcome: outcome.as_deref().map(parse).transpose()?,
            worker,
            stretches: stretches.iter().map(|stretch| parse(stretch)).collect::<Result<_, _>>()?,
        }))
    }

    /// Says that the account has assignments, which counts for some seconds. With `is_new` a worker
    /// is woken.
    pub async fn announce(&self, is_new: bool) -> Result<(), QueueError> {
        let wakes = if is_new { "1" } else { "0" };
        let args = [self.account.as_str(), &millis(ANNOUNCED).to_string(), wakes];
        run(&self.connection, &scripts::ANNOUNCE, FLEET, &args).await
    }

    /// Waits some seconds for news, and returns the jobs of whose assignments there are any. There
    /// may be news of others too.
    pub async fn news(&self) -> Result<Vec<JobId>, QueueError> {
        let key = format!("{}{}", self.root, keys::NEWS);
        let ids = self.waiting.pop(&key, BLOCK, 100).await?;
        Ok(ids.iter().filter_map(|id| id_of(id)).collect())
    }

    /// The workers that were seen in the last ten minutes.
    pub async fn workers(&self) -> Result<Vec<Seen>, QueueError> {
        workers(&self.connection).await
    }
}

pub(super) async fn workers(connection: &Connection) -> Result<Vec<Seen>, QueueError> {
    let found: Vec<(String, u64)> = run(connection, &scripts::WORKERS, FLEET, &[]).await?;
    let read = |(card, ago): (String, u64)| {
        // One of another version may say something else.
        let card: Card = serde_json::from_str(&card).ok()?;
        Some(Seen { card, ago: Duration::from_millis(ago) })
    };
    let mut seen: Vec<Seen> = found.into_iter().filter_map(read).collect();
    seen.sort_by(|a, b| a.card.name.cmp(&b.card.name));
    Ok(seen)
}

pub(super) async fn run<T: redis::FromRedisValue>(
    connection: &Connection,
    script: &Script,
    root: &str,
    args: &[&str],
) -> Result<T, QueueError> {
    let mut call = script.key(root);
    for arg in args {
        call.arg(*arg);
    }
    connection.run(&call).await
}
