//! What the errors of Redis mean to the owner.

use redis::{ErrorKind, RedisError};

use super::server::Server;
use crate::queue::QueueError::{Configuration, Damaged, Unavailable};
use crate::queue::{QueueError, problems};
use crate::runtime::problem::{Diagnosis, Problem};

/// Explains the errors of one server.
pub(super) struct Explainer {
    /// `host:port`, or the name of a master, for messages.
    pub address: String,
    has_tls: bool,
    /// What the owner has to correct if the password is wrong.
    password: &'static str,
}

/// Parts of TLS errors' texts, and what such an error says, after "Redis at ADDRESS".
const TLS_ERRORS: &[(&str, &str)] = &[
    ("invalid peer certificate: UnknownIssuer", "has a certificate of an authority that is not trusted here"),
    ("invalid peer certificate", "has a certificate that is not valid for it"),
    ("received corrupt message", "does not speak TLS at this port"),
    ("CertificateRequired", "demands a certificate from stenogram"),
    ("received fatal alert", "refused the certificate of stenogram, or the connection with TLS"),
];

impl Explainer {
    pub fn new(server: &Server, is_in_parts: bool) -> Self {
        let password = if is_in_parts { "REDIS_PASSWORD" } else { "the password in REDIS_URL" };
        Self { address: server.name(), has_tls: server.has_tls(), password }
    }

    fn fill(&self, diagnosis: Diagnosis) -> Diagnosis {
        diagnosis.fill("password", self.password)
    }

    /// What it means that no connection could be made.
    pub fn no_connection(&self, error: &RedisError) -> QueueError {
        // A port for TLS closes a connection on which the client begins without it.
        if !self.has_tls && error.is_connection_dropped() && !error.is_connection_refusal() {
            return away(format!(
                "Redis at {} ended the connection before it answered ({error}); if that port is one for TLS, \
                 write rediss:// in REDIS_URL, or set REDIS_TLS=on with REDIS_HOST",
                self.address
            ));
        }
        // A port without TLS waits for the end of what it takes for a command.
        if self.has_tls && error.is_timeout() {
            return away(format!(
                "Redis at {} did not answer in time; if that port is one without TLS, write redis:// in REDIS_URL, \
                 or set REDIS_TLS=off with REDIS_HOST",
                self.address
            ));
        }
        self.explain(error)
    }

    /// What an error means and what the owner can do about it.
    pub fn explain(&self, error: &RedisError) -> QueueError {
        let address = &self.address;
        let text = error.to_string();
        match error.kind() {
            // The crate does not pass on what the server said to the password.
            ErrorKind::AuthenticationFailed => {
                let what = format!("Redis at {address} {REFUSED} ({text})");
                return Configuration(self.fill(problems::REDIS_PASSWORD.with(what)));
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
            ErrorKind::MasterNameNotFoundBySentinel => {
                let what = format!("Sentinel does not name the master: {}", error.detail().unwrap_or(&text));
                return Unavailable(problems::REDIS_SENTINEL.with(what));
            }
            ErrorKind::Io => {
                if let Some((_, says)) = TLS_ERRORS.iter().find(|(part, _)| text.contains(part)) {
                    let what = format!("Redis at {address} {says} ({text})");
                    return Configuration(problems::REDIS_TLS.with(what));
                }
            }
            _ => {}
        }
        // Redis before 7 puts the error of a command in a script into the text of another.
        let said = |code: &&str| error.code() == Some(code) || text.contains(&format!("{code} "));
        let met = ANSWERS.iter().find(|(codes, ..)| codes.iter().any(said));
        if let Some((_, says, means, problem)) = met {
            return means(self.fill(problem.with(format!("Redis at {address} {says} ({text})"))));
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
