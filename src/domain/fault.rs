//! What a failure means for the job that met it.

use std::time::Duration;

/// How a stage of the pipeline failed, said in terms of what becomes of the job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something outside the job is away (the connection, say): the job waits until it is back.
    /// That is nobody's failed attempt.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Telegram wants us to wait. That is nobody's failed attempt either.
    #[error("must wait for {after:?}: {why}")]
    Wait { after: Duration, why: String },
    /// Not now, for something on this machine that is no failure of this job: other long recordings
    /// go first, or the model cannot be loaded. It goes on where it was.
    #[error("goes on in {after:?}: {why}")]
    Later { after: Duration, why: String },
    /// The account may not send now, the job's chat has used up its budget, or no recogniser can be
    /// asked. That is said once for all jobs that it applies to; they wait.
    #[error("is held for {after:?}: {why}")]
    Held { after: Duration, why: String },
    /// Worth another attempt, not before `after`.
    #[error("is tried again in {after:?}: {why}")]
    Retry { after: Duration, why: String },
    /// This job can never be answered, though it should be; the next one can.
    #[error("rejected: {0}")]
    Reject(String),
    /// Processes die of its recording. It is given up, and kept as a dead letter.
    #[error("given up: {0}")]
    Poisonous(String),
    /// The answer is a document, and its chat takes none: it has to be sent as messages.
    #[error("takes no documents: {0}")]
    NoDocuments(String),
    /// There is nothing to answer any more, or we may not write there: the message was deleted,
    /// say. Nothing is wrong.
    #[error("gone: {0}")]
    Gone(String),
    /// The daemon is shutting down; the job stays as it is and is claimed again after the start.
    #[error("aborted by the shutdown")]
    Aborted,
    /// Nothing can go on: the account is logged out, the model is gone.
    #[error("{0}")]
    Fatal(String),
}

impl Fault {
    /// A wait that Telegram demands.
    pub fn wait(after: Duration, why: impl ToString) -> Self {
        Self::Wait { after, why: why.to_string() }
    }

    /// A failure to be tried again after `seconds`.
    pub fn retry_in(seconds: u64, why: impl ToString) -> Self {
        Self::Retry { after: Duration::from_secs(seconds), why: why.to_string() }
    }
}
