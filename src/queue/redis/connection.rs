//! The connection to Redis, and what its errors mean to the owner.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Mutex;

use crate::queue::QueueError::{Configuration, Damaged, Unavailable};
use crate::queue::{QueueError, problems};
use crate::runtime::problem::{Diagnosis, Problem};

/// One connection, made when it is needed and given up when anything fails on it: the next
/// operation makes a new one, so that neither a restart nor a move of the server is the end.
pub struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    /// `host:port`, for messages.
    address: String,
    open: Mutex<Option<MultiplexedConnection>>,
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
    /// Checks the URL; connects to nothing yet.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, QueueError> {
        let client = Client::open(url).map_err(|error| {
            let what = format!("the address of Redis is wrong: {error}");
            Configuration(problems::REDIS_ADDRESS.with(what))
        })?;
        let address = client.get_connection_info().addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self { client, config, address, open: Mutex::new(None) })
    }

    pub async fn ping(&self) -> Result<(), QueueError> {
        match self.send(&redis::cmd("PING")).await {
            Err(Damaged(why)) => {
                let what = format!("what listens at {} is not Redis ({})", self.address, why.what);
                Err(Configuration(problems::REDIS_ADDRESS.with(what)))
            }
            answer => answer,
        }
    }

    /// The text at `key`.
    pub async fn get(&self, key: &str) -> Result<Option<String>, QueueError> {
        self.send(redis::cmd("GET").arg(key)).await
    }

    /// Writes something that expires.
    pub async fn check(&self, key: &str) -> Result<(), QueueError> {
        self.send(redis::cmd("SET").arg(key).arg(1).arg("EX").arg(60)).await
    }

    /// Runs a script, uploading it where the server does not have it (any more).
    pub async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let mut connection = self.connection().await?;
        self.outcome(call.invoke_async(&mut connection).await).await
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
            let answer: Result<Vec<String>, _> =
                self.send(redis::cmd("CONFIG").arg("GET").arg(setting)).await;
            let found = match answer.as_deref() {
                Ok([_, found]) if found == wanted => continue,
                Ok([_, found]) => Some(found.clone()),
                Ok(_) | Err(_) => None,
            };
            warnings.push(DurabilityWarning {
                address: self.address.clone(),
                setting,
                wanted,
                danger,
                found,
            });
        }
        warnings
    }

    async fn send<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, QueueError> {
        let mut connection = self.connection().await?;
        self.outcome(command.query_async(&mut connection).await).await
    }

    async fn connection(&self) -> Result<MultiplexedConnection, QueueError> {
        let mut open = self.open.lock().await;
        if let Some(connection) = &*open {
            return Ok(connection.clone());
        }
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config)
            .await
            .map_err(|error| self.explain(&error))?;
        Ok(open.insert(connection).clone())
    }

    async fn outcome<T>(&self, result: Result<T, RedisError>) -> Result<T, QueueError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                *self.open.lock().await = None;
                Err(self.explain(&error))
            }
        }
    }

    /// What an error means and what the owner can do about it.
    fn explain(&self, error: &RedisError) -> QueueError {
        let address = &self.address;
        let text = error.to_string();
        match error.kind() {
            // The crate does not pass on what the server said to the password.
            ErrorKind::AuthenticationFailed => {
                let what = format!("Redis at {address} {REFUSED} ({text})");
                return Configuration(problems::REDIS_PASSWORD.with(what));
            }
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                let what = format!("Redis at {address} gave an answer that makes no sense: {text}");
                return Damaged(problems::QUEUE_DAMAGED.with(what));
            }
            ErrorKind::Io if error.is_connection_refusal() => {
                return away(format!("nobody listens at {address}"));
            }
            ErrorKind::Io if error.is_timeout() => {
                return away(format!("Redis at {address} did not answer in time"));
            }
            _ => {}
        }
        // Redis before 7 puts the error of a command in a script into the text of another.
        let said = |code: &&str| error.code() == Some(code) || text.contains(&format!("{code} "));
        let met = ANSWERS.iter().find(|(codes, ..)| codes.iter().any(said));
        if let Some((_, says, means, problem)) = met {
            return means(problem.with(format!("Redis at {address} {says} ({text})")));
        }
        if text.contains("refused to switch database") {
            let what = format!("Redis at {address} has no such database: {text}");
            return Configuration(problems::REDIS_ADDRESS.with(what));
        }
        away(format!("Redis at {address}: {text}"))
    }
}

/// What an answer of Redis, or of one of our scripts, begins with; what it says, after "Redis at
/// ADDRESS"; what that means; and the problem. The first one that fits counts.
type Answer = (&'static [&'static str], &'static str, fn(Diagnosis) -> QueueError, &'static Problem);
static ANSWERS: &[Answer] = &[
    (&["NOAUTH"], "wants a password", Configuration, &problems::REDIS_PASSWORD),
    (&["WRONGPASS"], REFUSED, Configuration, &problems::REDIS_PASSWORD),
    (&["NOPERM"], "does not allow this user what the queue needs", Configuration, &problems::REDIS_RIGHTS),
    (&["LOADING"], "is still loading its data", Unavailable, &problems::REDIS_UNREACHABLE),
    (&["READONLY"], "is a read-only replica", Unavailable, &problems::REDIS_READ_ONLY),
    (&["OOM"], "is out of memory", Unavailable, &problems::REDIS_MEMORY),
    (&["MISCONF"], "cannot write to its disk and takes no more", Unavailable, &problems::REDIS_DISK),
    (
        &["MOVED", "CROSSSLOT"],
        "is a node of a cluster that does not hold this queue",
        Configuration,
        &problems::REDIS_CLUSTER,
    ),
    (
        &["TAKEN"],
        "holds a queue that another stenogram has opened for this account since",
        Configuration,
        &problems::QUEUE_IN_USE,
    ),
    (
        &["FORMAT"],
        "holds a queue that was written by another version of stenogram",
        Configuration,
        &problems::QUEUE_FORMAT,
    ),
    (&["WRONGTYPE"], "holds something else under a key of the queue", Damaged, &problems::QUEUE_DAMAGED),
];

const REFUSED: &str = "refused the user or the password";

fn away(what: String) -> QueueError {
    Unavailable(problems::REDIS_UNREACHABLE.with(what))
}
