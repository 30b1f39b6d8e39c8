//! The durable queue between hearing a voice message and having answered it.
//!
//! One trait, two backends: `embedded` on a file of its own, the default, and `redis`. One suite of
//! tests, `tests/queue.rs`, holds both to the promises below.
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
//!    or until the owner puts one of them back.
//!
//! A job that is put off is delayed with its reason, and the later messages of its chat wait for
//! it, as always. `stenogram queue` shows it, and `stenogram queue retry` makes it due at once.
//!
//! Promises:
//!  - What `add` said yes to survives a SIGKILL of everything.
//!  - One message is one job: `add` of a job that waits, runs, is delayed, dead, or was finished
//!    within the dedupe time changes nothing and says [`Added::Seen`].
//!  - A claimed job is never lost: a queue opened anew hands out what its predecessor had claimed
//!    before anything else, or later where it has to be put off. There is no rescue by time: one
//!    daemon per account, held by a lock.
//!  - Within a chat jobs are claimed in the order they were added: while a job of a chat is
//!    unfinished (claimed or delayed), the later ones of that chat wait. Other chats go on.
//!  - Chats take turns: the oldest unfinished job of each chat stands in line, and when it is
//!    finished or dead the chat's next one joins the line's end. A chat that left a hundred
//!    messages does not keep the others waiting. A delayed job joins the end when it is due; a
//!    released or recovered one goes before the whole line.
//!  - What was stored as a recording's answer is kept for the result time from then on, however
//!    often it is asked for, and not longer; the last 10,000 at most. There is one for a recording:
//!    a translation takes the place of a transcript, and the other way round.
//!  - Every operation either happened and says so, or fails with an error. The job is the same then
//!    as before or after, never in between.
//!  - Repeating an operation is harmless, also where the first try did happen and only its answer
//!    was lost: `done` and `reject` of a job that has its mark, `bury` of a dead one, `release` of
//!    a waiting one and `retry` or `wait` of one put back by either say yes and change nothing.
//!    `add` says [`Added::Seen`] then. A `claim` that failed, or whose future was dropped, is
//!    answered with the same job the next time, without counting another delivery.
//!
//! The queue wakes nobody: intake and worker live in one process and share a
//! [`tokio::sync::Notify`]. Whoever adds calls `notify_one` after every successful `add`, New or
//! Seen (a repeated one may say Seen of a job that no one was woken for). The worker claims until
//! it hears [`Claimed::Empty`], then waits for `notified` or for `next_due`. `notify_one` keeps its
//! permit while nobody waits, so no wake-up falls between the two.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::unix_time::now_millis as now;
use crate::domain::{Job, JobId, Part, Progress, Task};

pub mod embedded;
pub mod redis;

/// A job over whose recording this many processes died is dead: after its [`Queue::begin`], before
/// what came of it was stored. Deaths in quick succession count as one, see [`CrashRules`].
pub const MAX_DEATHS: u32 = 3;

/// A job handed out this many times by processes that died, whatever they did then, is dead.
pub const MAX_DELIVERIES: u32 = 20;

/// A job handed out this many times by processes that died is put off before each further delivery.
pub const MAX_DELIVERIES_AT_ONCE: u32 = 5;

/// How attempts at a job are spaced after processes died that had it in hand; see the module's
/// text.
#[derive(Clone, Copy, Debug)]
pub struct CrashRules {
    /// Deaths over one recording that lie closer together than this count as one.
    pub together: Duration,
    /// How long a job is put off: after deaths that count as one, and after the second that counts.
    /// Whenever the queue is opened, a job that is put off waits for the first of these at least.
    pub pauses: [Duration; 2],
}

impl CrashRules {
    const MINUTE: Duration = Duration::from_secs(60);

    /// Every death counts, and no job is put off: for tests that are not about these rules.
    pub const STRICT: Self = Self { together: Duration::ZERO, pauses: [Duration::ZERO; 2] };
}

impl Default for CrashRules {
    fn default() -> Self {
        Self { together: Self::MINUTE, pauses: [Self::MINUTE, 10 * Self::MINUTE] }
    }
}

/// Transcripts kept at most; the oldest go first. At a kilobyte each these are 10 MB.
const MAX_RESULTS: usize = 10_000;

/// The reason that the mark of a dropped job holds.
const DROPPED: &str = "dropped by the owner";

/// What [`Queue::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The job is in the queue now.
    New,
    /// It was known already; nothing changed.
    Seen,
}

/// A job handed out to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: Job,
    /// 1 for the first time; higher when earlier processes died while they had it.
    pub delivery: u32,
    /// How many deaths are held against its recording, see [`Queue::begin`].
    pub deaths: u32,
    /// How often it was put back by [`Queue::retry`].
    pub attempts: u32,
    /// How far the recording was recognised by an earlier claim, if not to its end.
    pub progress: Option<Progress>,
    /// The answer, where an earlier claim had come as far as storing it.
    pub outbox: Option<Vec<Part>>,
}

/// What [`Queue::claim`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    Job(Box<Claim>),
    /// Nothing to do now; the next delayed job is due then, if there is one.
    Empty {
        next_due: Option<SystemTime>,
    },
}

/// How many jobs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: u64,
    pub claimed: u64,
    pub delayed: u64,
    pub dead: u64,
}

/// A job that is not finished, as its owner may see it: nothing of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub job: Job,
    pub state: State,
    /// How often it was handed out since it was added or put back.
    pub deliveries: u32,
    /// How often it was put back by [`Queue::retry`].
    pub attempts: u32,
    /// Why it was put back last, or is dead.
    pub reason: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Claimed,
    Waiting,
    Delayed { due: SystemTime },
    Dead,
}

/// Whether a job could be put back or dropped by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It is so now, or was before.
    Yes,
    /// The queue has no such job: it never had, or it is finished.
    Unknown,
    /// It is being worked on.
    Claimed,
}

/// Why an operation did not happen. Only [`QueueError::Unavailable`] is worth trying again.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store is away or refuses to write; the same operation may succeed later. Where an
    /// answer was lost it may also have happened, which repeating it finds out.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
    /// The store holds something that this program does not understand.
    #[error("the queue's data is damaged: {0}")]
    Damaged(String),
    /// The queue has no such claimed job: a mistake in this program.
    #[error("job {0} is not claimed")]
    NotClaimed(JobId),
    /// Another process has the queue open, and only one can.
    #[error("{0}")]
    InUse(String),
    /// The queue cannot be used as configured; the owner has to change something first.
    #[error("{0}")]
    Configuration(String),
}

/// Looking after the queue by hand. It needs not be its one consumer, and disturbs none; repeating
/// is harmless.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Every job that is not finished: the claimed ones, the waiting, the delayed in the order they
    /// are due, the dead from the oldest on; those of one chat in their order.
    async fn entries(&self) -> Result<Vec<Entry>, QueueError>;

    /// Makes a dead job one that was just added, behind the others of its chat, with the outbox it
    /// has, and forgets that its recording is poisonous; makes a delayed one due. One that waits or
    /// runs is left as it is.
    async fn requeue(&self, id: JobId) -> Result<Handled, QueueError>;

    /// Ends a job, unless it is claimed, as one that will not be answered, and keeps its mark.
    async fn discard(&self, id: JobId) -> Result<Handled, QueueError>;
}

/// The operations of the queue; see the module's text for their promises.
#[async_trait]
pub trait Queue: Upkeep {
    /// C1: adds `job` unless it is known, in one atomic step.
    async fn add(&self, job: &Job) -> Result<Added, QueueError>;

    /// Hands out the next job that may run now.
    async fn claim(&self) -> Result<Claimed, QueueError>;

    /// Marks the start of what can kill a process: decoding and recognising the claimed job's
    /// recording. A process that dies between this and [`store_outbox`](Self::store_outbox) is
    /// counted as a death of it, by the rules of the module's text. Before and after, none is
    /// counted.
    async fn begin(&self, id: JobId) -> Result<(), QueueError>;

    /// Stores with the claimed job how far its recording is recognised, in place of what was stored
    /// before. Forgets the deliveries and deaths before this one: the job got past what they died
    /// over.
    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError>;

    /// C3: stores the composed answer with the claimed job, in place of its progress, and, in the
    /// same step, as the result of its recording, unless there is one of the same task. Forgets the
    /// deliveries before this one, and the deaths.
    async fn store_outbox(&self, id: JobId, parts: &[Part]) -> Result<(), QueueError>;

    /// The answer that was stored for this recording within the result time, for whichever message
    /// that held it.
    async fn result(&self, document: i64) -> Result<Option<Vec<Part>>, QueueError>;

    /// C4: ends the claimed job as answered by `replies` (message numbers, empty where there was
    /// nothing to say) and keeps its mark, in one atomic step.
    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError>;

    /// Ends the claimed job as one that can never be answered and keeps its mark.
    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError>;

    /// Puts the claimed job back, not to be claimed before `after` has passed. Counts an attempt,
    /// forgets the deliveries and deaths.
    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError>;

    /// As [`retry`](Self::retry), but it was nobody's failed attempt and counts as none.
    async fn wait(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError>;

    /// Puts the claimed job back as if it had never been claimed, for an orderly shutdown.
    async fn release(&self, id: JobId) -> Result<(), QueueError>;

    /// Moves the claimed job to the dead letters.
    async fn bury(&self, id: JobId, reason: &str) -> Result<(), QueueError>;

    async fn counts(&self) -> Result<Counts, QueueError>;

    /// The earliest date of an unfinished job, in seconds of Unix time, however many jobs there
    /// are.
    async fn oldest(&self) -> Result<Option<i64>, QueueError>;

    /// Proves that the store would take a write now.
    async fn check(&self) -> Result<(), QueueError>;
}

/// How a finished job ended, as both backends keep it, in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Answered { replies: Vec<i32> },
    Rejected { reason: String },
}

/// The reasons of jobs that the queue itself puts off or gives up.
mod reason {
    use super::{MAX_DEATHS, MAX_DELIVERIES};

    pub fn suspected() -> String {
        "the process died while it decoded or recognised this recording".to_owned()
    }

    pub fn unlucky() -> String {
        "the process died again and again while it had this job".to_owned()
    }

    pub fn poisonous() -> String {
        format!("the process died {MAX_DEATHS} times while it decoded or recognised this recording")
    }

    pub fn worn_out() -> String {
        format!("the process died {MAX_DELIVERIES} times while it had this job")
    }

    /// To be followed by the id of the message that was tried.
    pub fn copy_of_poisonous() -> String {
        format!("the process died {MAX_DEATHS} times over the same recording in ")
    }

    pub fn copy_of_suspected() -> String {
        "another message with the same recording is tried first".to_owned()
    }
}

/// Tells the owner of a job that a claim moved to the dead letters.
fn tell_of_burial(job: impl std::fmt::Display, reason: &str) {
    // Under the job's span, as all its lines are.
    tracing::info_span!("job", id = %job)
        .in_scope(|| tracing::error!(reason, "Given up, moved to the dead letters"));
}

/// Tells the owner of a job that the queue put off because of the processes that died.
fn tell_of_pause(job: impl std::fmt::Display, reason: &str, pause: Duration) {
    tracing::info_span!("job", id = %job).in_scope(|| {
        let seconds = pause.as_secs();
        tracing::warn!(reason, "Put off for {seconds} s; later messages of this chat wait for it");
    });
}

/// The task that an answer is of; none where nothing was said.
fn task_of(parts: &[Part]) -> Option<Task> {
    parts.first().map(|part| part.task)
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
