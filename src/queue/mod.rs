//! The durable queue between hearing a voice message and having answered it.
//!
//! There are two backends: `embedded` on a file of its own, the default, and `redis`. One suite of
//! tests, `tests/queue.rs`, holds both to the promises below. Their users see three traits:
//! [`JobQueue`], which hands out the jobs, [`Checkpoints`], which keeps how far a claimed job has
//! come, and [`ResultCache`], which keeps answers for copies of a recording. A fourth,
//! [`QueueAdmin`], is for the owner's own hand.
//!
//! A job's life:
//!
//! ```text
//! add ──▶ waiting ──claim──▶ claimed ──done──▶ mark (kept for the dedupe time)
//!            ▲                │ │ │ └──bury───▶ dead
//!            ├────release─────┘ │ └──reject──▶ mark
//!            │                  └──retry──▶ delayed ──when due──▶ waiting
//!            │        (`requeue` makes a delayed or dead job wait, `discard` leaves a mark)
//!            └── the process died: claimed again by the next one, which is another delivery,
//!                at once or after a pause, see below
//! ```
//!
//! When a process dies, the queue cannot tell a recording that killed it from a kill that came
//! from outside: SIGKILL, the kernel's OOM killer, a power cut. A death is held against a job
//! only if the job's recording was being decoded or recognised (`begin`), and [`CrashRules`]
//! space the next attempts:
//!
//!  - After the first death the job is handed out again at once. The worker works on it alone, so
//!    that no other job is counted a death that this one caused.
//!  - Deaths less than a minute after one that was counted are not counted again: kills in quick
//!    succession are one event. The job is then put off until the queue has been open for a minute,
//!    so that it is not in hand when the next kill of a series comes.
//!  - After the second counted death it is put off for ten minutes, and after the third it goes to
//!    the dead letters. A recording that really kills the process causes four deaths in eleven
//!    minutes; between them all other chats are served.
//!  - A job that a process had in hand without having begun it (fetching, sending) is handed out
//!    again at once five times, then a minute apart, and given up after [`MAX_DELIVERIES`].
//!  - Each time the queue is opened, jobs put off in this way wait for a minute at least. However
//!    many recordings are poisonous, they kill the process about once a minute.
//!  - While a recording is under suspicion, other messages with the same document wait for it. Once
//!    it is in the dead letters they go there at once, without being worked on, for the dedupe time
//!    or until the owner puts one of them back or asks for one.
//!  - The owner is told of a job that they asked for and that ends so ([`Claimed::GivenUp`]).
//!
//! A job that is put off is delayed with its reason, and the later messages of its chat wait for it
//! as they always do. `stenogram queue` shows it, and `stenogram queue retry` makes it due at once.
//!
//! Promises:
//!  - A job whose `add` succeeded survives a SIGKILL of everything.
//!  - One message is one job: `add` of a job that waits, runs, is delayed, dead, or was finished
//!    within the dedupe time changes nothing and returns [`Added::Seen`].
//!  - A claimed job is never lost: a queue opened anew hands out what its predecessor had claimed
//!    before anything else, or later if it has to be put off. There is no rescue by time: one
//!    daemon per account, held by a lock.
//!  - Within a chat jobs are claimed in the order they were added: while a job of a chat is
//!    unfinished (claimed or delayed), the later ones of that chat wait. Other chats go on.
//!  - Chats take turns: the oldest unfinished job of each chat stands in line, and when it is
//!    finished or dead the chat's next one joins the line's end. A chat that left a hundred
//!    messages does not keep the others waiting. A delayed job joins the end when it is due; a
//!    released or recovered one goes before the whole line.
//!  - The jobs that the owner asks for by a command ([`Job::asked`](crate::domain::Job::asked))
//!    have a line of their own, which comes before the others. There they keep the order of their
//!    chat too, but wait for no other job of it.
//!  - A command is obeyed once: `obey` of one that has its mark changes nothing.
//!  - The jobs of strangers ([`Job::stranger`](crate::domain::Job::stranger)) have a line of their
//!    own, which comes after the other ones: however many there are, they keep nobody else waiting.
//!  - What was stored as a recording's answer is kept for the result time from then on, however
//!    often it is asked for, and not longer; the last 10,000 at most. There is one for a recording:
//!    an answer that was made under other settings takes its place.
//!  - Accounts share nothing: neither a chat's order, nor answers, nor suspicion of a recording,
//!    although both may name the same chat or document.
//!  - An operation either succeeds or returns an error. After an error the job is as before the
//!    operation or as after it, never in between.
//!  - Repeating an operation is harmless, also if the first try succeeded and only its reply was
//!    lost: `done` and `reject` of a job that has its mark, `bury` of a dead one, `release` of a
//!    waiting one, and `retry` or `wait` of one that either has put back succeed and change
//!    nothing. `add` returns [`Added::Seen`]. If a `claim` failed or its future was dropped, the
//!    next one returns the same job, without counting another delivery.
//!
//! The queue does not wake the worker: intake and worker live in one process and share a
//! [`tokio::sync::Notify`]. The intake calls `notify_one` after every successful `add`, New or Seen
//! (a repeated one may be Seen although nobody was woken for the job). The worker claims until it
//! gets [`Claimed::Empty`], then waits for `notified` or for `next_due`. `notify_one` keeps its
//! permit while nobody waits, so no wake-up falls between the two.

mod crash_rules;
pub mod embedded;
pub mod fleet;
pub mod problems;
pub mod redis;
mod traits;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::crash_rules::{CrashRules, MAX_DEATHS, MAX_DELIVERIES, MAX_DELIVERIES_AT_ONCE};
use self::crash_rules::{log_dead_letter, log_put_off, reason};
pub use self::traits::{
    Added, AdminOutcome, Candidates, Checkpoints, Claim, Claimed, Counts, Entry, JobQueue, Obeyed, Queue,
    QueueAdmin, QueueError, ResultCache, State,
};
use crate::domain::{Job, JobId};

/// Answers kept at most; the oldest go first. At a kilobyte each these are 10 MB.
const MAX_RESULTS: usize = 10_000;

/// The reason that the mark of a dropped job holds.
const DROPPED: &str = "dropped by the owner";

/// What both backends keep of a finished job or of a command, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// By these messages.
    Answered {
        replies: Vec<i32>,
    },
    Rejected {
        reason: String,
    },
    /// A command.
    Obeyed,
}

/// For how long an answered job is kept, so that its answer can follow it when it is deleted.
const FINISHED_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// The id under which an answered job is kept. Only channels number their messages themselves, and
/// of other chats Telegram does not say in which a message was deleted.
fn finished_id(account: i64, channel: Option<i64>, message: i32) -> JobId {
    JobId { account, chat: channel.unwrap_or(0), message }
}

/// Under which id the job is kept once it has ended with this mark, if at all.
fn kept_as(job: JobId, mark: &Mark) -> Option<JobId> {
    let JobId { account, chat, message } = job;
    let is_answered = matches!(mark, Mark::Answered { .. });
    is_answered.then(|| finished_id(account, job.is_in_channel().then_some(chat), message))
}

/// The lines of the queue, in the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Asked,
    Others,
    Strangers,
}

impl Line {
    fn of(job: &Job) -> Self {
        match job {
            Job { asked: Some(_), .. } => Self::Asked,
            Job { stranger: true, .. } => Self::Strangers,
            _ => Self::Others,
        }
    }
}

/// Logs that an entry of the store cannot be read. It costs that job, and the others go on.
fn log_damaged_row(error: &QueueError) {
    tracing::error!(
        event = "damaged_row",
        "An entry of the queue is set aside and will not be answered: {error}"
    );
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
