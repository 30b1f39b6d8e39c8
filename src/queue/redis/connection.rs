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

/// A setting of the server's that endangers what the queue has promised to keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", self.danger(), self.remedy())]
pub struct Endangered {
    address: String,
    pub setting: &'static str,
    wanted: &'static str,
    danger: &'static str,
    /// None where the server does not say.
    pub found: Option<String>,
}

impl Endangered {
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

    /// Writes something that goes away by itself.
    pub async fn check(&self, key: &str) -> Result<(), QueueError> {
        self.send(redis::cmd("SET").arg(key).arg(1).arg("EX").arg(60)).await
    }

    /// Runs a script, uploading it where the server does not have it (any more).
    pub async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let mut connection = self.connection().await?;
        self.outcome(call.invoke_async(&mut connection).await).await
    }

    /// See [`super::RedisQueue::durability_warnings`].
    pub async fn durability_warnings(&self) -> Vec<Endangered> {
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
            warnings.push(Endangered { address: self.address.clone(), setting, wanted, danger, found });
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
        use QueueError::{Configuration, Damaged, Unavailable};
        let address = &self.address;
        let text = error.to_string();
        match error.kind() {
            // The crate does not pass on what the server said to the password.
            ErrorKind::AuthenticationFailed => return wrong_password(address, &text),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                return Damaged(format!("Redis at {address} gave an answer that makes no sense: {text}"));
            }
            ErrorKind::Io if error.is_connection_refusal() => {
                return Unavailable(format!("nobody listens at {address}: is Redis running there?"));
            }
            ErrorKind::Io if error.is_timeout() => {
                return Unavailable(format!("Redis at {address} did not answer in time"));
            }
            _ => {}
        }
        // Redis before 7 puts the error of a command in a script into the text of another.
        let said = |code: &str| error.code() == Some(code) || text.contains(&format!("{code} "));
        let first = |codes: &[&str]| codes.iter().any(|code| said(code));
        if first(&["NOAUTH"]) {
            Configuration(format!(
                "Redis at {address} wants a password: set it in REDIS_URL (redis://:password@host:port/0)"
            ))
        } else if first(&["WRONGPASS"]) {
            wrong_password(address, &text)
        } else if first(&["NOPERM"]) {
            Configuration(format!(
                "the Redis user at {address} may not do what the queue needs: grant it the keys \
                 {{stenogram:*}}* and scripts and streams ({text})"
            ))
        } else if first(&["LOADING"]) {
            Unavailable(format!("Redis at {address} is still loading its data"))
        } else if first(&["READONLY"]) {
            Unavailable(format!("Redis at {address} is a read-only replica: point REDIS_URL at the master"))
        } else if first(&["OOM"]) {
            Unavailable(format!("Redis at {address} is out of memory: raise its maxmemory"))
        } else if first(&["MISCONF"]) {
            Unavailable(format!("Redis at {address} cannot write to its disk and takes no more: {text}"))
        } else if first(&["MOVED", "CROSSSLOT"]) {
            Configuration(format!(
                "Redis at {address} is a node of a cluster that does not hold this queue: point REDIS_URL \
                 at the one that does ({text})"
            ))
        } else if first(&["TAKEN"]) {
            Configuration(format!(
                "another stenogram has opened this account's queue in Redis at {address}: run only one"
            ))
        } else if first(&["FORMAT"]) {
            Configuration(format!(
                "the queue in Redis at {address} was written by another version of stenogram ({text}): use \
                 that version, or another database"
            ))
        } else if first(&["WRONGTYPE"]) {
            Damaged(format!("a key of the queue in Redis at {address} holds something else: {text}"))
        } else if text.contains("refused to switch database") {
            Configuration(format!("Redis at {address} has no such database: {text}"))
        } else {
            Unavailable(format!("Redis at {address}: {text}"))
        }
    }
}

fn wrong_password(address: &str, text: &str) -> QueueError {
    QueueError::Configuration(format!(
        "Redis at {address} refused the user or the password of REDIS_URL ({text})"
    ))
}
