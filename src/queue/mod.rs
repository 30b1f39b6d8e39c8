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
//!            │        (`requeue` makes a delayed or dead job a waiting one, `discard` leaves a mark)
//!            └── the process died: claimed again by the next one, which is another delivery. The 4th after
//!                three that died over its recording (`begin`) goes to the dead letters
//! ```
//!
//! Promises:
//!  - What `add` said yes to survives a SIGKILL of everything.
//!  - One message is one job: `add` of a job that waits, runs, is delayed, dead, or was finished
//!    within the dedupe time changes nothing and says [`Added::Seen`].
//!  - A claimed job is never lost: a queue opened anew hands out what its predecessor had claimed
//!    before anything else. There is no rescue by time: one daemon per account, held by a lock.
//!  - Within a chat jobs are claimed in the order they were added: while a job of a chat is
//!    unfinished (claimed or delayed), the later ones of that chat wait. Other chats go on.
//!  - Chats take turns: the oldest unfinished job of each chat stands in line, and when it is
//!    finished or dead the chat's next one joins the line's end. A chat that left a hundred
//!    messages does not keep the others waiting. A delayed job joins the end when it is due; a
//!    released or recovered one goes before the whole line.
//!  - What was stored as a recording's answer is kept for the result time from then on, however often
//!    it is asked for, and not longer; the last 10,000 at most. There is one for a recording: a translation
//!    takes the place of a transcript, and the other way round.
//!  - Every operation either happened and says so, or fails with an error. The job is the same
//!    then as before or after, never in between.
//!  - Repeating an operation is harmless, also where the first try did happen and only its answer
//!    was lost: `done` and `reject` of a job that has its mark, `bury` of a dead one, `release` of a
//!    waiting one and `retry` or `wait` of one put back by either say yes and change nothing. `add` says
//!    [`Added::Seen`] then. A `claim` that failed, or whose future was dropped, is answered with the
//!    same job the next time, without counting another delivery.
//!
//! The queue wakes nobody: intake and worker live in one process and share a
//! [`tokio::sync::Notify`]. Whoever adds calls `notify_one` after every successful `add`, New or Seen
//! (a repeated one may say Seen of a job that no one was woken for). The worker claims until it
//! hears [`Claimed::Empty`], then waits for `notified` or for `next_due`. `notify_one` keeps its
//! permit while nobody waits, so no wake-up falls between the two.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::{Job, JobId, Part, Progress, Task};

pub mod embedded;
pub mod redis;

/// A job over whose recording this many processes died is dead: after its [`Queue::begin`], before what
/// came of it was stored.
pub const MAX_DEATHS: u32 = 3;

/// The reason with which such a job goes to the dead letters.
const DIED_OF_IT: &str = "the process died 3 times while it decoded or recognised this recording";

/// A job handed out this many times by processes that died, whatever they did then, is dead. Kills from
/// outside that meet a job while it is fetched or sent do not come near it; a crash there does.
pub const MAX_DELIVERIES: u32 = 20;

/// The reason with which such a job goes to the dead letters.
const DIED_TOO_OFTEN: &str = "the process died 20 times while it had this job";

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
    /// How many of those may have died of its recording, see [`Queue::begin`].
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

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead {
    pub job: Job,
    pub reason: String,
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
    /// has; and a delayed one due. One that waits or runs is left as it is.
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

    /// What can kill a process begins for the claimed job: decoding, recognising. If this one dies before
    /// the answer is stored, its recording is counted a death. Before that, and after it, none is: a process
    /// can be killed from outside at any time, and what it has in hand then is not to blame.
    async fn begin(&self, id: JobId) -> Result<(), QueueError>;

    /// Stores with the claimed job how far its recording is recognised, in place of what was stored
    /// before. Forgets the deliveries and deaths before this one: the job got past what they died over.
    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError>;

    /// C3: stores the composed answer with the claimed job, in place of its progress, and, in the same
    /// step, as the result of its recording, unless there is one of the same task. Forgets the deliveries
    /// before this one, and the deaths.
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

    /// The dead letters, oldest first.
    async fn dead(&self) -> Result<Vec<Dead>, QueueError>;

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

/// Tells the owner of a job that a claim moved to the dead letters.
fn tell_of_poison(job: impl std::fmt::Display, reason: &str) {
    // Under the job's span, as all its lines are.
    tracing::info_span!("job", id = %job)
        .in_scope(|| tracing::error!(reason, "Given up, moved to the dead letters"));
}

/// The task that an answer is of; none where nothing was said.
fn task_of(parts: &[Part]) -> Option<Task> {
    parts.first().map(|part| part.task)
}

/// Milliseconds of Unix time.
fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
