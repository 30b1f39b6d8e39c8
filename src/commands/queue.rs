//! `stenogram queue`: lists unfinished jobs, puts them back or drops them.
//!
//! It shows numbers and reasons, but never a text, a name or a key.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{CommandError, report_error};
use crate::app::RunError;
use crate::cli::{Jobs, Queue, QueueChange};
use crate::config::Config;
use crate::domain::JobId;
use crate::queue::embedded::{self, Embedded};
use crate::queue::redis::RedisQueue;
use crate::queue::{AdminOutcome, Entry, QueueAdmin, State};
use crate::setup;
use crate::telegram::SessionFile;

/// Runs the command. Returns how many of the given jobs could not be changed.
pub async fn run(config: &Config, args: &Queue, out: &mut impl Write) -> Result<usize, CommandError> {
    let (redis, entries) = match &config.redis {
        Some(redis) => {
            let account = SessionFile::user_in(&config.data_dir).map_err(RunError::from)?;
            let options = setup::redis_queue(config, redis, account);
            let queue = RedisQueue::attach(options).await.map_err(RunError::from)?;
            let entries = queue.entries().await.map_err(RunError::from)?;
            (Some(queue), entries)
        }
        None => (None, embedded::entries(setup::embedded_queue(config).0).await.map_err(RunError::from)?),
    };
    let Some(change) = &args.change else {
        if args.json {
            list_json(&entries, out)?
        } else {
            list(&entries, SystemTime::now(), out)?
        }
        return Ok(0);
    };
    let (QueueChange::Retry(jobs) | QueueChange::Drop(jobs)) = change;
    let (selected, unknown) = select(jobs, &entries);
    for id in &unknown {
        report_error(format_args!("{id}: there is no such job; it may be finished by now"));
    }
    if selected.is_empty() {
        if unknown.is_empty() {
            writeln!(out, "No job is dead.")?;
        }
        return Ok(unknown.len());
    }
    let refused = match redis {
        Some(queue) => apply(&queue, change, &selected, out).await?,
        None => apply(&open(config).await?, change, &selected, out).await?,
    };
    Ok(unknown.len() + refused)
}

/// Opens the embedded queue, which no other process may have open.
async fn open(config: &Config) -> Result<Embedded, CommandError> {
    let (path, options) = setup::embedded_queue(config);
    Ok(Embedded::open(path, options).await.map_err(RunError::from)?)
}

/// The jobs to change, and those that were named but do not exist.
fn select(jobs: &Jobs, entries: &[Entry]) -> (Vec<JobId>, Vec<JobId>) {
    if jobs.all_dead {
        let dead = entries.iter().filter(|entry| entry.state == State::Dead);
        return (dead.map(|entry| entry.job.id).collect(), Vec::new());
    }
    jobs.ids.iter().partition(|id| entries.iter().any(|entry| entry.job.id == **id))
}

async fn apply(
    queue: &impl QueueAdmin,
    change: &QueueChange,
    ids: &[JobId],
    out: &mut impl Write,
) -> Result<usize, CommandError> {
    let mut refused = 0;
    for &id in ids {
        let (outcome, word) = match change {
            QueueChange::Retry(_) => (queue.requeue(id).await, "put back"),
            QueueChange::Drop(_) => (queue.discard(id).await, "dropped"),
        };
        match outcome.map_err(RunError::from)? {
            AdminOutcome::Done => writeln!(out, "{id}: {word}")?,
            AdminOutcome::Unknown => {
                refused += 1;
                report_error(format_args!("{id}: it was finished meanwhile"));
            }
            AdminOutcome::Claimed => {
                refused += 1;
                report_error(format_args!("{id}: it is being worked on"));
            }
        }
    }
    Ok(refused)
}

/// A job as `--json` writes it, one per line. Times are Unix time in seconds.
#[derive(Serialize)]
struct Line<'a> {
    job: String,
    state: &'a str,
    due: Option<u64>,
    /// When the message was sent.
    sent: i64,
    /// The length of the recording, as the sender's app states it.
    seconds: u32,
    deliveries: u32,
    attempts: u32,
    reason: Option<&'a str>,
}

fn list_json(entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
    for entry in entries {
        let due = match entry.state {
            State::Delayed { due } => Some(due.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
            _ => None,
        };
        let line = Line {
            job: entry.job.id.to_string(),
            state: name(entry.state),
            due,
            sent: entry.job.recording.date,
            seconds: entry.job.recording.duration,
            deliveries: entry.deliveries,
            attempts: entry.attempts,
            reason: entry.reason.as_deref(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

const HEAD: [&str; 8] = ["JOB", "STATE", "SENT", "LENGTH", "DELIVERIES", "ATTEMPTS", "DUE", "REASON"];

/// Prints a table and a line with the totals.
fn list(entries: &[Entry], now: SystemTime, out: &mut impl Write) -> io::Result<()> {
    if entries.is_empty() {
        return writeln!(out, "The queue is empty.");
    }
    let rows: Vec<[String; 8]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(entries.iter().map(|entry| row(entry, now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    let count = |name_of: &str| entries.iter().filter(|entry| name(entry.state) == name_of).count();
    let counts = ["claimed", "waiting", "delayed", "dead"].map(|state| format!("{} {state}", count(state)));
    writeln!(out, "\n{}", counts.join(", "))?;
    out.flush()
}

fn row(entry: &Entry, now: SystemTime) -> [String; 8] {
    let sent =
        UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(entry.job.recording.date).unwrap_or(0));
    let age = now.duration_since(sent).unwrap_or_default().as_secs();
    let due = match entry.state {
        State::Delayed { due } => match due.duration_since(now).unwrap_or_default().as_secs() {
            0 => "now".to_owned(),
            seconds => format!("in {}", span(seconds)),
        },
        _ => "-".to_owned(),
    };
    // A reason may quote an error from outside, so control characters are removed.
    let reason = entry.reason.as_deref().unwrap_or("-").replace(char::is_control, " ");
    [
        entry.job.id.to_string(),
        name(entry.state).to_owned(),
        format!("{} ago", span(age)),
        span(entry.job.recording.duration.into()),
        entry.deliveries.to_string(),
        entry.attempts.to_string(),
        due,
        reason,
    ]
}

fn name(state: State) -> &'static str {
    match state {
        State::Claimed => "claimed",
        State::Waiting => "waiting",
        State::Delayed { .. } => "delayed",
        State::Dead => "dead",
    }
}

/// A time in its largest unit.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Job, Peer, PeerKind, Recording, RecordingKind};

    fn entry(message: i32, state: State, reason: Option<&str>) -> Entry {
        let job = Job {
            id: JobId { account: 1000, chat: 2000, message },
            recording: Recording {
                chat: Peer { kind: PeerKind::User, id: 2000, access_hash: 77_777 },
                thread: None,
                kind: RecordingKind::Voice,
                document: 88_888,
                outgoing: false,
                date: 1_800_000_000,
                lifetime: None,
                duration: 150,
                size: 9000,
            },
            settings: None,
            stranger: false,
            asked: None,
        };
        Entry { job, state, deliveries: 1, attempts: 2, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn columns_line_up() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_090);
        let due = now + Duration::from_secs(300);
        let entries = [
            entry(7, State::Claimed, None),
            entry(12_345, State::Delayed { due }, Some("no\nconnection")),
            entry(8, State::Dead, Some("hopeless")),
        ];
        let mut table = Vec::new();
        list(&entries, now, &mut table).unwrap();
        assert_eq!(
            String::from_utf8(table).unwrap(),
            "JOB              STATE    SENT      LENGTH  DELIVERIES  ATTEMPTS  DUE       REASON\n\
             1000:2000:7      claimed  90 s ago  2 min   1           2         -         -\n\
             1000:2000:12345  delayed  90 s ago  2 min   1           2         in 5 min  no connection\n\
             1000:2000:8      dead     90 s ago  2 min   1           2         -         hopeless\n\
             \n1 claimed, 0 waiting, 1 delayed, 1 dead\n"
        );
        let mut lines = Vec::new();
        list_json(&entries[1..2], &mut lines).unwrap();
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "{\"job\":\"1000:2000:12345\",\"state\":\"delayed\",\"due\":1800000390,\"sent\":1800000000,\
             \"seconds\":150,\"deliveries\":1,\"attempts\":2,\"reason\":\"no\\nconnection\"}\n"
        );
    }

    #[test]
    fn jobs_are_selected_by_name_or_because_they_are_dead() {
        let entries = [entry(1, State::Waiting, None), entry(2, State::Dead, None)];
        let id = |message| JobId { account: 1000, chat: 2000, message };
        let named = Jobs { ids: vec![id(1), id(3)], all_dead: false };
        assert_eq!(select(&named, &entries), (vec![id(1)], vec![id(3)]));
        let dead = Jobs { ids: vec![], all_dead: true };
        assert_eq!(select(&dead, &entries), (vec![id(2)], vec![]));
    }
}
