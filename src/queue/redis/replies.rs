//! What the scripts reply.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::unix_time::at_millis;
use crate::queue::problems::QUEUE_DAMAGED;
use crate::queue::{Claim, Claimed, Entry, QueueError, State, log_dead_letter, log_put_off};

pub fn damaged(error: impl std::fmt::Display) -> QueueError {
    QueueError::Damaged(QUEUE_DAMAGED.with(format_args!("an entry in Redis cannot be read: {error}")))
}

pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, QueueError> {
    serde_json::from_str(json).map_err(damaged)
}

/// A job that a script has put off or given up.
#[derive(Deserialize)]
struct LogLine {
    id: String,
    reason: String,
    /// Milliseconds; `None` if the job was given up.
    pause: Option<u64>,
}

/// Logs what a script has to say, given as JSON.
pub fn log(lines: &str) -> Result<(), QueueError> {
    for LogLine { id, reason, pause } in parse::<Vec<LogLine>>(lines)? {
        match pause {
            Some(pause) => log_put_off(id, &reason, Duration::from_millis(pause)),
            None => log_dead_letter(id, &reason),
        }
    }
    Ok(())
}

/// What `claim.lua` replies: fields by name.
pub struct ClaimReply(pub HashMap<String, Option<String>>);

impl ClaimReply {
    pub fn log_lines(&self) -> Result<&str, QueueError> {
        self.0.get("log").and_then(Option::as_deref).ok_or_else(|| damaged("a reply is empty"))
    }

    /// The id of the claimed job as its keys have it.
    pub fn id(&self) -> Option<&str> {
        self.0.get("id").and_then(Option::as_deref)
    }

    pub fn claimed(&self) -> Result<Claimed, QueueError> {
        if let Some(job) = self.field("given_up")? {
            let reason = self.0.get("reason").cloned().flatten().unwrap_or_default();
            return Ok(Claimed::GivenUp { job, preview: self.field("preview")?, reason });
        }
        let Some(job) = self.field("job")? else {
            let due = self.field("next_due")?;
            return Ok(Claimed::Empty { next_due: due.and_then(at_millis) });
        };
        Ok(Claimed::Job(Box::new(Claim {
            job,
            delivery: self.needed("deliveries")?,
            deaths: self.field("deaths")?.unwrap_or(0),
            attempts: self.needed("attempts")?,
            progress: self.field("progress")?,
            preview: self.field("preview")?,
            outbox: self.field("outbox")?,
        })))
    }

    fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, QueueError> {
        self.0.get(name).and_then(Option::as_deref).map(parse).transpose()
    }

    fn needed<T: DeserializeOwned>(&self, name: &str) -> Result<T, QueueError> {
        self.field(name)?.ok_or_else(|| damaged(format!("a job has no {name}")))
    }
}

/// One entry of what `entries.lua` replies: job, state, deliveries, attempts, reason, due.
pub type EntryReply = (String, String, u32, u32, Option<String>, Option<u64>);

pub fn parse_entry((job, state, deliveries, attempts, reason, due): EntryReply) -> Result<Entry, QueueError> {
    let state = match (state.as_str(), due.and_then(at_millis)) {
        ("claimed", _) => State::Claimed,
        ("waiting", _) => State::Waiting,
        ("delayed", Some(due)) => State::Delayed { due },
        ("dead", _) => State::Dead,
        _ => return Err(damaged(format!("a job is {state:?}"))),
    };
    Ok(Entry { job: parse(&job)?, state, deliveries, attempts, reason })
}
