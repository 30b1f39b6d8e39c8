//! The connection to Redis.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Mutex;

use super::explain::Explainer;
use super::server::{Node, Server, ServerOptions};
use crate::queue::QueueError::{Configuration, Damaged, Unavailable};
use crate::queue::{QueueError, problems};
use crate::runtime::problem::Diagnosis;

/// How long a replica may take to confirm what the master was given, in milliseconds.
const REPLICA_LIMIT: u64 = 1000;

/// One connection, made when it is needed and given up when anything fails on it: the next
/// operation makes a new one, so that neither a restart nor a move of the server is the end.
pub struct Connection {
    server: Server,
    explainer: Explainer,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// Whose connection it is, if a Sentinel named it.
    master: Option<Node>,
}

/// A setting of the server that endangers what the queue has promised to keep, and the value that
/// it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.diagnosis())]
pub struct DurabilityWarning {
    address: String,
    pub setting: &'static str,
    wanted: &'static str,
    danger: &'static str,
    /// `None` if the server does not tell.
    pub found: Option<String>,
}

impl DurabilityWarning {
    /// What it is and what follows from it, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        let Self { address, setting, wanted, danger, found } = self;
        let what = match found {
            Some(found) => format!("Redis at {address} has {setting} {found}: {danger}"),
            None => format!(
                "could not check {setting} of Redis at {address} (is CONFIG GET allowed there?): unless it is \
                 {wanted}, {danger}"
            ),
        };
        problems::REDIS_UNSAFE.with(what).fill("setting", setting).fill("wanted", wanted)
    }
}

impl Connection {
    /// Checks the options; connects to nothing yet.
    pub fn new(options: &ServerOptions, timeout: Duration) -> Result<Self, QueueError> {
        let server = Server::new(options, timeout)?;
        let explainer = Explainer::new(&server, options.is_in_parts);
        Ok(Self { server, explainer, open: Mutex::new(None) })
    }

    pub async fn ping(&self) -> Result<(), QueueError> {
        match self.send(&redis::cmd("PING")).await {
            Err(Damaged(why)) => {
                let what = format!("what listens at {} is not Redis ({})", self.explainer.address, why.what);
                Err(Configuration(problems::REDIS_ADDRESS.with(what)))
            }
            answer => answer,
        }
    }

    /// The text at `key`.
    pub async fn get(&self, key: &str) -> Result<Option<String>, QueueError> {
        self.send(redis::cmd("GET").arg(key)).await
    }

    /// The element of the list at `key` with this index.
    pub async fn element(&self, key: &str, index: usize) -> Result<Option<Vec<u8>>, QueueError> {
        self.send(redis::cmd("LINDEX").arg(key).arg(index)).await
    }

    /// Waits until there is something in the list at `key`, for `limit` at most, and takes out as
    /// many elements as there are, up to `most`. Nothing else gets through the connection
    /// meanwhile.
    pub async fn pop(&self, key: &str, limit: Duration, most: usize) -> Result<Vec<String>, QueueError> {
        let seconds = limit.as_secs_f64().max(0.01).to_string();
        let mut wait = redis::cmd("BLPOP");
        let first: Option<(String, String)> = self.send(wait.arg(key).arg(seconds)).await?;
        let Some((_, first)) = first else { return Ok(Vec::new()) };
        if most == 1 {
            return Ok(vec![first]);
        }
        let more: Option<Vec<String>> = self.send(redis::cmd("LPOP").arg(key).arg(most - 1)).await?;
        Ok(std::iter::once(first).chain(more.unwrap_or_default()).collect())
    }

    /// Writes something that expires.
    pub async fn check(&self, key: &str) -> Result<(), QueueError> {
        self.send(&check(key)).await
    }

    /// Runs a script, uploading it where the server does not have it (any more).
    pub async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let mut open = self.open().await?;
        self.outcome(call.invoke_async(&mut open.connection).await).await
    }

    /// See [`super::RedisQueue::durability_warnings`].
    pub async fn durability_warnings(&self) -> Vec<DurabilityWarning> {
        let wanted = [
            ("appendonly", "yes", "what it was given is lost when it stops"),
            ("appendfsync", "always", "what it was given in the last moments is lost in a power cut"),
            ("maxmemory-policy", "noeviction", "it may drop jobs when its memory is full"),
        ];
        let mut warnings = Vec::new();
        for (setting, wanted, danger) in wanted {
            // A map in version 3 of the protocol, and names and values in turn in version 2.
            let answer: Result<HashMap<String, String>, _> =
                self.send(redis::cmd("CONFIG").arg("GET").arg(setting)).await;
            let found = answer.ok().and_then(|mut answer| answer.remove(setting));
            if found.as_deref() == Some(wanted) {
                continue;
            }
            warnings.push(DurabilityWarning {
                address: self.explainer.address.clone(),
                setting,
                wanted,
                danger,
                found,
            });
        }
        warnings
    }

    /// With Sentinel, makes sure that a replica has what was written before: a failover would lose
    /// what only the old master has. Without a replica in time, that is accepted only if no
    /// Sentinel is about to replace the master.
    pub async fn confirm(&self, key: &str) -> Result<(), QueueError> {
        if !self.server.has_sentinel() {
            return Ok(());
        }
        let mut open = self.open().await?;
        // WAIT looks at what was written over the same connection, and the write before may have
        // been made over another.
        self.outcome(check(key).query_async::<()>(&mut open.connection).await).await?;
        let mut wait = redis::cmd("WAIT");
        wait.arg(1).arg(REPLICA_LIMIT);
        let replicas: u64 = self.outcome(wait.query_async(&mut open.connection).await).await?;
        if let (0, Some(master)) = (replicas, &open.master)
            && self.server.is_failing_over(master).await
        {
            *self.open.lock().await = None;
            let what = format!("{} is being replaced by Sentinel", self.explainer.address);
            return Err(Unavailable(problems::REDIS_UNREACHABLE.with(what)));
        }
        Ok(())
    }

    async fn send<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, QueueError> {
        let mut open = self.open().await?;
        self.outcome(command.query_async(&mut open.connection).await).await
    }

    async fn open(&self) -> Result<Open, QueueError> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        match self.server.connect().await {
            Ok((connection, master)) => Ok(open.insert(Open { connection, master }).clone()),
            Err(error) => Err(self.explainer.no_connection(&error)),
        }
    }

    async fn outcome<T>(&self, result: Result<T, RedisError>) -> Result<T, QueueError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                *self.open.lock().await = None;
                Err(self.explainer.explain(&error))
            }
        }
    }
}

/// Writes something that expires.
fn check(key: &str) -> redis::Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key).arg(1).arg("EX").arg(60);
    command
}
