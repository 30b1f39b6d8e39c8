//! The connection to Redis, and what its errors mean to the owner.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::Mutex;

use crate::queue::QueueError;

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
#[error("{}; {}", self.danger(), self.remedy())]
pub struct DurabilityWarning {
    address: String,
    pub setting: &'static str,
    wanted: &'static str,
    danger: &'static str,
    /// `None` if the server does not tell.
    pub found: Option<String>,
}

impl DurabilityWarning {
    /// What it is, and what follows from it.
    pub fn danger(&self) -> String {
        let Self { address, setting, danger, .. } = self;
        match &self.found {
            Some(found) => format!("Redis at {address} has {setting} {found}: {danger}"),
            None => format!("could not check {setting} of Redis at {address} (is CONFIG GET allowed there?)"),
        }
    }

    /// What the owner can do about it.
    pub fn remedy(&self) -> String {
        let Self { setting, wanted, danger, .. } = self;
        match self.found {
            Some(_) => {
                format!("set {setting} {wanted} in redis.conf, and now by CONFIG SET {setting} {wanted}")
            }
            None => format!("see to it that it is {wanted}: otherwise {danger}"),
        }
    }
}

impl Connection {
    /// Checks the URL; connects to nothing yet.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, QueueError> {
        let client = Client::open(url).map_err(|error| {
            QueueError::Configuration(format!(
                "the address of Redis is wrong: {error}; it looks like redis://:password@host:6379/0"
            ))
        })?;
        let address = client.get_connection_info().addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Ok(Self { client, config, address, open: Mutex::new(None) })
    }

    pub async fn ping(&self) -> Result<(), QueueError> {
        match self.send(&redis::cmd("PING")).await {
            Err(QueueError::Damaged(why)) => Err(QueueError::Configuration(format!(
                "what listens at {} is no Redis: check REDIS_URL ({why})",
                self.address
            ))),
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
        use QueueError::{Damaged, Unavailable};
        let address = &self.address;
        let text = error.to_string();
        // Redis before 7 puts the error of a command in a script into the text of another.
        let has = |code: &str| error.code() == Some(code) || text.contains(&format!("{code} "));
        match error.kind() {
            // The crate does not pass on what the server said to the password.
            ErrorKind::AuthenticationFailed => WRONG_PASSWORD.explain(address, &text),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                Damaged(format!("Redis at {address} gave an answer that makes no sense: {text}"))
            }
            ErrorKind::Io if error.is_connection_refusal() => {
                Unavailable(format!("nobody listens at {address}: is Redis running there?"))
            }
            ErrorKind::Io if error.is_timeout() => {
                Unavailable(format!("Redis at {address} did not answer in time"))
            }
            _ => match REFUSALS.iter().find(|refusal| refusal.codes.iter().any(|code| has(code))) {
                Some(refusal) => refusal.explain(address, &text),
                None => Unavailable(format!("Redis at {address}: {text}")),
            },
        }
    }
}

/// What it means that Redis refuses something with one of these codes.
struct Refusal {
    codes: &'static [&'static str],
    error: fn(String) -> QueueError,
    /// For the owner, with `{address}`, and `{text}` for what Redis said.
    message: &'static str,
}

impl Refusal {
    fn explain(&self, address: &str, text: &str) -> QueueError {
        (self.error)(self.message.replace("{address}", address).replace("{text}", text))
    }
}

const WRONG_PASSWORD: Refusal = Refusal {
    codes: &["WRONGPASS"],
    error: QueueError::Configuration,
    message: "Redis at {address} refused the user or the password of REDIS_URL ({text})",
};

const REFUSALS: &[Refusal] = &[
    Refusal {
        codes: &["NOAUTH"],
        error: QueueError::Configuration,
        message: "Redis at {address} wants a password: set it in REDIS_URL (redis://:password@host:port/0)",
    },
    WRONG_PASSWORD,
    Refusal {
        codes: &["NOPERM"],
        error: QueueError::Configuration,
        message: "the Redis user at {address} may not do what the queue needs: grant it the keys {stenogram:*}* \
                  and scripts and streams ({text})",
    },
    Refusal {
        codes: &["LOADING"],
        error: QueueError::Unavailable,
        message: "Redis at {address} is still loading its data",
    },
    Refusal {
        codes: &["READONLY"],
        error: QueueError::Unavailable,
        message: "Redis at {address} is a read-only replica: point REDIS_URL at the master",
    },
    Refusal {
        codes: &["OOM"],
        error: QueueError::Unavailable,
        message: "Redis at {address} is out of memory: raise its maxmemory",
    },
    Refusal {
        codes: &["MISCONF"],
        error: QueueError::Unavailable,
        message: "Redis at {address} cannot write to its disk and takes no more: {text}",
    },
    Refusal {
        codes: &["MOVED", "CROSSSLOT"],
        error: QueueError::Configuration,
        message: "Redis at {address} is a node of a cluster that does not hold this queue: point REDIS_URL at the \
                  one that does ({text})",
    },
    // The next two are errors of our own scripts.
    Refusal {
        codes: &["TAKEN"],
        error: QueueError::Configuration,
        message: "another stenogram has opened this account's queue in Redis at {address}: run only one",
    },
    Refusal {
        codes: &["FORMAT"],
        error: QueueError::Configuration,
        message: "the queue in Redis at {address} was written by another version of stenogram ({text}): use that \
                  version, or another database",
    },
    Refusal {
        codes: &["WRONGTYPE"],
        error: QueueError::Damaged,
        message: "a key of the queue in Redis at {address} holds something else: {text}",
    },
    Refusal {
        // Redis gives no code for this.
        codes: &["refused to switch database"],
        error: QueueError::Configuration,
        message: "Redis at {address} has no such database: {text}",
    },
];
