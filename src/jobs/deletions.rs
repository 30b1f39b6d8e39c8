//! What becomes of an answer whose recording is deleted.
//!
//! A recording that is deleted before its turn is found to be gone when it is to be fetched. Here
//! are those that were answered: the stored transcript goes, and the messages of an answer to a
//! recording of the owner too. If the process dies in between, those messages may stay.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::domain::{Deleted, Form, Job};
use crate::jobs::persist::persist;
use crate::jobs::ports::{Conversation, Transcriber};
use crate::jobs::retry::retry_until_available;
use crate::queue::{Mark, Queue, QueueError};

/// Follows deletions.
pub struct Deletions {
    pub queue: Arc<dyn Queue>,
    pub conversation: Arc<dyn Conversation>,
    /// DELETE_ANSWERS: whether answers to the owner's own recordings go with them.
    pub delete_answers: bool,
    pub shutdown: CancellationToken,
    /// Has the recordings that are being recognised; `None`: they are recognised to their end.
    pub transcriber: Option<Arc<dyn Transcriber>>,
}

impl Deletions {
    /// Returns true once the transcripts are removed, and false if the daemon shuts down first or
    /// the queue cannot be used.
    pub async fn take(&self, deleted: Deleted) -> bool {
        if let Some(transcriber) = &self.transcriber {
            transcriber.deleted(&deleted);
        }
        for message in &deleted.messages {
            match self.follow(&deleted, *message).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    error!(%error, "The transcript of a deleted recording cannot be removed");
                    return false;
                }
                None => return false,
            }
        }
        true
    }

    async fn follow(&self, deleted: &Deleted, message: i32) -> Option<Result<(), QueueError>> {
        let Deleted { account, channel, .. } = *deleted;
        let finished = retry_until_available("look for a finished job", &self.shutdown, || {
            self.queue.finished(account, channel, message)
        });
        let job = match finished.await? {
            Ok(Some(job)) => job,
            Ok(None) => return Some(Ok(())),
            Err(error) => return Some(Err(error)),
        };
        let mark = retry_until_available("look for a mark", &self.shutdown, || self.queue.mark(job.id));
        match mark.await? {
            Ok(Some(Mark::Answered { replies })) if self.takes_its_answer(&job) => {
                let is_answer = |id: &i32| *id != job.id.message;
                self.delete(&job, replies.into_iter().filter(is_answer).collect());
            }
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        retry_until_available("remove a transcript", &self.shutdown, || self.queue.forget(&job)).await
    }

    /// Whether the answer to this recording is deleted with it. What is in Saved Messages stays.
    fn takes_its_answer(&self, job: &Job) -> bool {
        let is_own = job.recording.outgoing || job.id.chat == job.id.account;
        let is_elsewhere = job.settings.as_ref().is_some_and(|it| it.form == Form::SavedMessages);
        self.delete_answers && is_own && !is_elsewhere
    }

    fn delete(&self, job: &Job, replies: Vec<i32>) {
        let (conversation, shutdown) = (Arc::clone(&self.conversation), self.shutdown.clone());
        let (id, chat) = (job.id, job.recording.chat);
        tokio::spawn(async move {
            for reply in replies {
                let ready = || conversation.ready();
                let deleted = persist(ready, &shutdown, || conversation.delete(&chat, reply)).await;
                if deleted {
                    info!(event = "answer_deleted", job = %id, "The recording was deleted, and its answer with it");
                }
            }
        });
    }
}
