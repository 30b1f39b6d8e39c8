//! The durable queue between hearing a voice message and having answered it.
//!
//! One trait, two backends: `embedded` on a file of its own, the default, and `redis`. One suite of
//! tests, `tests/queue.rs`, holds both to the promises below.
//!
//! A job's life:
//!
//! ```text
//! add ──▶ waiting ──claim──▶ claimed ──done──▶ mark (kept for the dedupe time)
//!            ▲                │ │ │
//!            ├────release─────┘ │ └──reject──▶ mark
//!            │                  └──retry──▶ delayed ──when due──▶ waiting
//!            └── the process died: claimed again by the next one;
//!                the 4th such delivery goes to the dead letters
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
//!  - Every operation either happened and says so, or fails with an error. The job is the same
//!    then as before or after, never in between; repeating the operation is harmless.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::domain::{Job, JobId, Part};

pub mod embedded;
pub mod redis;

/// A job claimed this many times by processes that died over it is dead.
pub const MAX_DELIVERIES: u32 = 3;

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
    /// How often it was put back by [`Queue::retry`].
    pub attempts: u32,
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

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store is away or refuses to write; the same operation may succeed later.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
    /// The store holds something that this program does not understand.
    #[error("the queue's data is damaged: {0}")]
    Damaged(String),
    /// The queue has no such claimed job: a mistake in this program.
    #[error("job {0} is not claimed")]
    NotClaimed(JobId),
    /// The queue cannot be used as configured.
    #[error("{0}")]
    Configuration(String),
}

/// The operations of the queue; see the module's text for their promises.
#[async_trait]
pub trait Queue: Send + Sync {
    /// C1: adds `job` unless it is known, in one atomic step.
    async fn add(&self, job: &Job) -> Result<Added, QueueError>;

    /// Hands out the next job that may run now.
    async fn claim(&self) -> Result<Claimed, QueueError>;

    /// C3: stores the composed answer with the claimed job.
    async fn store_outbox(&self, id: JobId, parts: &[Part]) -> Result<(), QueueError>;

    /// C4: ends the claimed job as answered by `replies` (message numbers, empty where there was
    /// nothing to say) and keeps its mark, in one atomic step.
    async fn done(&self, id: JobId, replies: &[i32]) -> Result<(), QueueError>;

    /// Ends the claimed job as one that can never be answered and keeps its mark.
    async fn reject(&self, id: JobId, reason: &str) -> Result<(), QueueError>;

    /// Puts the claimed job back, not to be claimed before `after` has passed. Counts an attempt,
    /// forgets the deliveries.
    async fn retry(&self, id: JobId, after: Duration, reason: &str) -> Result<(), QueueError>;

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
