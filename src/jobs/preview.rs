//! Shows in the chat what a recording says while it is still being recognised.
//!
//! What a crash leaves open is whether the preview was sent. So it is stored with the job before it
//! is sent, with its text, by which it is found later. Its number is stored afterwards. The answer
//! takes its place by an edit; where that is not possible, it is deleted.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use crate::domain::{Answer, Fault, Form, Job, Part, Preview};
use crate::jobs::gate::Gate;
use crate::jobs::ports::Messenger;
use crate::queue::{Checkpoints, QueueError};

/// The preview of a job in work.
pub struct GrowingPreview<'a> {
    pub job: &'a Job,
    /// The form of the job's answer.
    pub form: Form,
    pub checkpoints: &'a dyn Checkpoints,
    pub messenger: &'a dyn Messenger,
    pub gate: &'a Gate,
    /// The preview, once it may have been sent.
    pub preview: &'a mut Option<Preview>,
}

impl GrowingPreview<'_> {
    /// Shows what `text` holds, from `due` on, until its sender is dropped. It never fails: what
    /// cannot be shown is left out.
    pub async fn follow(mut self, mut text: watch::Receiver<Option<Part>>, mut due: Instant) {
        if self.preview.as_ref().is_some_and(|preview| preview.form != self.form) {
            return;
        }
        while text.changed().await.is_ok() {
            let ended = async { while text.changed().await.is_ok() {} };
            tokio::select! {
                () = ended => return,
                () = async {
                    sleep_until(due).await;
                    self.messenger.preview_turn().await;
                } => {}
            }
            let Some(part) = text.borrow_and_update().clone() else { continue };
            if !self.messenger.may_preview(self.job) {
                continue;
            }
            match self.show(part).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(Fault::Gone(why) | Fault::Reject(why)) => {
                    debug!(reason = why, "There is no preview");
                    return;
                }
                Err(fault) => {
                    debug!(%fault, "The preview is left as it is for now");
                    if let Fault::Wait { after, .. }
                    | Fault::Held { after, .. }
                    | Fault::Retry { after, .. } = fault
                    {
                        due = Instant::now() + after;
                    }
                }
            }
        }
    }

    /// False if there can be no preview any more.
    async fn show(&mut self, part: Part) -> Result<bool, Fault> {
        match self.preview.clone() {
            None => {
                let preview = Preview { form: self.form.clone(), part, message: None };
                self.store(&preview).await?;
                let message = match self.messenger.preview(self.job, &preview).await {
                    // It is not in the chat. The answer is sent as if there had been no preview,
                    // and may be refused itself.
                    Err(refused @ Fault::Reject(_)) => {
                        *self.preview = None;
                        return Err(refused);
                    }
                    sent => sent?,
                };
                if message.is_some() {
                    info!(event = "preview_sent", "What is recognised so far is shown in the chat");
                    self.gate.answered(self.job.id.chat);
                }
                self.sent(preview, message).await
            }
            Some(Preview { message: Some(_), part: shown, .. }) if shown == part => Ok(true),
            Some(Preview { message: Some(message), .. }) => {
                if !self.messenger.edit_preview(self.job, &self.form, &part, message).await? {
                    return Ok(false);
                }
                debug!(event = "preview_edited", "More of it is shown");
                // It need not be stored: the number is.
                self.preview.as_mut().expect("it was there").part = part;
                Ok(true)
            }
            Some(preview) => {
                let message = message_of(self.job, &preview, self.messenger).await?;
                self.sent(preview, message).await
            }
        }
    }

    /// Stores the number of the message; false if it is gone.
    async fn sent(&mut self, preview: Preview, message: Option<i32>) -> Result<bool, Fault> {
        if message.is_none() {
            return Ok(false);
        }
        self.store(&Preview { message, ..preview }).await?;
        Ok(true)
    }

    /// Tries once only: a store that is away is waited for by whoever stores the progress. A number
    /// that is not stored is not used: the message must not be edited before, because it is found
    /// by its text.
    async fn store(&mut self, preview: &Preview) -> Result<(), Fault> {
        let unavailable = |error: QueueError| Fault::Unavailable(error.to_string());
        self.checkpoints.store_preview(self.job.id, preview).await.map_err(unavailable)?;
        *self.preview = Some(preview.clone());
        Ok(())
    }
}

/// The number of the message of a preview. One that may have been sent is sent, with what it was
/// sent with, unless it is found. `None` if it is not in the chat any more.
async fn message_of(job: &Job, preview: &Preview, messenger: &dyn Messenger) -> Result<Option<i32>, Fault> {
    if preview.message.is_some() {
        return Ok(preview.message);
    }
    match messenger.find_preview(job, preview).await? {
        Some(message) => Ok(Some(message)),
        None => messenger.preview(job, preview).await,
    }
}

/// Makes the preview the first part of the answer. Returns the number of its message; `None` if
/// there is no preview, or it cannot be that part.
pub async fn complete(
    job: &Job,
    answer: &Answer,
    preview: &mut Option<Preview>,
    messenger: &dyn Messenger,
) -> Result<Option<i32>, Fault> {
    let fits =
        |preview: &&mut Preview| preview.form == answer.settings.form && answer.parts[0].document.is_none();
    let Some(known) = preview.as_mut().filter(fits) else { return Ok(None) };
    known.message = message_of(job, known, messenger).await?;
    let Some(message) = known.message else {
        *preview = None;
        return Ok(None);
    };
    if !messenger.complete_preview(job, answer, message).await? {
        return Ok(None);
    }
    *preview = None;
    Ok(Some(message))
}

/// Deletes the preview, if there is one and it is none of the `replies` to the job. Repeating it is
/// harmless.
pub async fn withdraw(
    job: &Job,
    preview: &mut Option<Preview>,
    replies: &[i32],
    messenger: &dyn Messenger,
) -> Result<(), Fault> {
    let Some(known) = preview else { return Ok(()) };
    let message = match known.message {
        Some(message) => Some(message),
        None => messenger.find_preview(job, known).await?,
    };
    if let Some(message) = message.filter(|message| !replies.contains(message)) {
        messenger.withdraw(job, &known.form, &[message]).await?;
    }
    *preview = None;
    Ok(())
}
