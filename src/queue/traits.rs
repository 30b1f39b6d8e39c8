//! What the queue's users see of it: three traits for the daemon, one for its owner, and what their
//! operations return. The module's text has their promises.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::Mark;
use crate::domain::{Answer, Job, JobId, Preview, Progress};
use crate::runtime::problem::Diagnosis;

/// What [`JobQueue::add`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The job is in the queue now.
    New,
    /// It was known already; nothing changed.
    Seen,
}

/// What [`JobQueue::obey`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obeyed {
    /// The command has its mark now; its job, if it has one, is in the queue.
    New,
    /// The command had its mark before; nothing changed.
    Seen,
    /// The command has its mark now. Its recording is being worked on already, or its answer waits
    /// to be sent, or it was asked for before; that job is left as it is.
    Underway,
}

/// Which jobs a claim may hand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    All,
    /// Not those of strangers ([`Job::stranger`]).
    NoStrangers,
}

/// A job handed out to be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: Job,
    /// 1 for the first time; higher when earlier processes died while they had it.
    pub delivery: u32,
    /// How many deaths are held against its recording, see [`Checkpoints::begin`].
    pub deaths: u32,
    /// How often it was put back by [`JobQueue::retry`].
    pub attempts: u32,
    /// How far the recording was recognised by an earlier claim, if not to its end.
    pub progress: Option<Progress>,
    /// The message that shows its text so far, if an earlier claim stored that it is sent.
    pub preview: Option<Preview>,
    /// The answer, if an earlier claim stored it.
    pub outbox: Option<Answer>,
}

/// What [`JobQueue::claim`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    Job(Box<Claim>),
    /// No job to work on: this one was moved to the dead letters. The owner asked for it, so that
    /// they can be told why, or it has a preview, which is of no use any more. Claim again for the
    /// next one. If the reply was lost, it is not repeated.
    GivenUp {
        job: Box<Job>,
        preview: Option<Preview>,
        reason: String,
    },
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
    /// How often it was put back by [`JobQueue::retry`].
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
pub enum AdminOutcome {
    /// It is so now, or was before.
    Done,
    /// The queue has no such job: it never had, or it is finished.
    Unknown,
    /// It is being worked on.
    Claimed,
}

/// Why an operation did not happen. Only [`QueueError::Unavailable`] is worth trying again.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store is away or refuses to write; the same operation may succeed later. If only the
    /// reply was lost it may also have happened, which repeating it finds out.
    #[error("the queue is not available: {0}")]
    Unavailable(Diagnosis),
    /// The store holds something that this program does not understand.
    #[error("the queue's data is damaged: {0}")]
    Damaged(Diagnosis),
    /// The queue has no such claimed job: a mistake in this program.
    #[error("job {0} is not claimed")]
    NotClaimed(JobId),
    /// Another process has the queue open, and only one can.
    #[error("{0}")]
    InUse(Diagnosis),
    /// The queue cannot be used as configured; the owner has to change something first.
    #[error("{0}")]
    Configuration(Diagnosis),
}

impl QueueError {
    /// What went wrong and what to do; none for a mistake in this program.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Unavailable(it) | Self::Damaged(it) | Self::InUse(it) | Self::Configuration(it) => Some(it),
            Self::NotClaimed(_) => None,
        }
    }
}

/// The jobs: from C1, which adds one, to C4, which ends it.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// C1: adds `job` unless it is known, in one atomic step.
    async fn add(&self, job: &Job) -> Result<Added, QueueError>;

    /// Marks `command` as obeyed and adds the job that it asks for, if any, in one atomic step,
    /// unless the command has its mark. Such a job ([`Job::asked`]) comes before all others. It
    /// takes the place of one of the same recording that waits or is dead, and is added although
    /// the recording has a mark. It has the outbox of the dead one, unless the recording is to be
    /// recognised anew or the answer to appear elsewhere, and the preview of any. That the
    /// recording is poisonous is forgotten.
    async fn obey(&self, command: JobId, job: Option<&Job>) -> Result<Obeyed, QueueError>;

    /// How a job or a command has ended; `None` if it has not, or longer ago than the dedupe time.
    async fn mark(&self, id: JobId) -> Result<Option<Mark>, QueueError>;

    /// An answered job, by the number of its message in `channel`, or in any other chat of the
    /// account if that is `None`; for a week after it was answered, or for the dedupe time if that
    /// is shorter.
    async fn finished(
        &self,
        account: i64,
        channel: Option<i64>,
        message: i32,
    ) -> Result<Option<Job>, QueueError>;

    /// Removes what is kept of a finished job besides its mark: the job, and its recording's result
    /// unless that was made for another message ([`Answer::origin`]).
    async fn forget(&self, job: &Job) -> Result<(), QueueError>;

    /// Hands out the next job that may run now: a stranger's only if there is no other.
    async fn claim(&self) -> Result<Claimed, QueueError> {
        self.claim_of(Candidates::All).await
    }

    /// Hands out the next job that may run now and that is one of these.
    async fn claim_of(&self, candidates: Candidates) -> Result<Claimed, QueueError>;

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

    /// The earliest date of an unfinished job, in seconds of Unix time. Takes as long with many
    /// jobs as with few.
    async fn oldest(&self) -> Result<Option<i64>, QueueError>;

    /// Proves that the store would take a write now.
    async fn check(&self) -> Result<(), QueueError>;
}

/// What a later process need not do again of a claimed job.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// Marks the start of what may crash the process: decoding and recognising the claimed job's
    /// recording. A process that dies between this and [`store_outbox`](Self::store_outbox) counts
    /// as one death of this job, by the rules of the module's text. Before and after, none counts.
    async fn begin(&self, id: JobId) -> Result<(), QueueError>;

    /// Stores with the claimed job how far its recording is recognised, in place of what was stored
    /// before. Forgets the deliveries and deaths before this one: the job got past the point where
    /// those processes died.
    async fn store_progress(&self, id: JobId, progress: &Progress) -> Result<(), QueueError>;

    /// Stores the preview of the claimed job, in place of the one that was stored before. It is
    /// kept until the job ends or goes to the dead letters.
    async fn store_preview(&self, id: JobId, preview: &Preview) -> Result<(), QueueError>;

    /// C3: stores the composed answer with the claimed job, in place of its progress, and, in the
    /// same step, as the result of its recording, unless there is one of the same settings. Forgets
    /// the deliveries before this one, and the deaths.
    async fn store_outbox(&self, id: JobId, answer: &Answer) -> Result<(), QueueError>;
}

/// Answers kept for copies of a recording, which any message may hold.
#[async_trait]
pub trait ResultCache: Send + Sync {
    /// The answer that was stored for the job's recording within the result time, in whichever chat
    /// of its account.
    async fn result(&self, job: &Job) -> Result<Option<Answer>, QueueError>;
}

/// All that the daemon needs of a queue.
pub trait Queue: JobQueue + Checkpoints + ResultCache {}

impl<Q: JobQueue + Checkpoints + ResultCache> Queue for Q {}

/// What the owner does to the queue by hand. It need not be done by the process that works on the
/// queue, and does not disturb that one. Repeating an operation is harmless.
#[async_trait]
pub trait QueueAdmin: Send + Sync {
    /// Every job that is not finished: the claimed ones, the waiting, the delayed in the order they
    /// are due, the dead from the oldest on; those of one chat in their order.
    async fn entries(&self) -> Result<Vec<Entry>, QueueError>;

    /// The results that end last, which are the newest but for those of chats that delete their
    /// messages: so many at most, the last one first.
    async fn results(&self, most: usize) -> Result<Vec<Answer>, QueueError>;

    /// Makes a dead job one that was just added, behind the others of its chat, with the outbox it
    /// has, and forgets that its recording is poisonous; makes a delayed one due. One that waits or
    /// runs is left as it is.
    async fn requeue(&self, id: JobId) -> Result<AdminOutcome, QueueError>;

    /// Ends a job, unless it is claimed, as one that will not be answered, and keeps its mark.
    async fn discard(&self, id: JobId) -> Result<AdminOutcome, QueueError>;
}
