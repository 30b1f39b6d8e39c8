//! Previews: a message that shows the text so far is sent, edited, and made the first part of the
//! answer. An edit that is repeated changes nothing, so a crash does no harm.

use std::time::Duration;

use tracing::{debug, info};

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::{Meaning, WaitScope};
use super::super::problems::FLOOD_WAIT;
use super::super::store::Paused;
use super::calls::{sending_fault, slow_mode_refusal};
use super::edit::Edit;
use crate::domain::{Answer, Fault, Form, Job, Part, Preview};

/// The longest pause in edits after which an answer still takes the place of its preview. When it
/// is longer, the answer is a new message, and the preview is deleted.
const LONGEST_WAIT: Duration = Duration::from_secs(31);

impl Account {
    /// Waits until it is a preview's turn to be sent or edited.
    pub async fn preview_turn(&self) {
        self.preview_turns.take().await;
    }

    /// Whether a preview may be sent or edited now. It could as well wait, so it must not use up
    /// what answers need.
    pub fn may_preview(&self, job: &Job) -> bool {
        let store = &self.context.store;
        self.is_connected()
            && self.context.restrictions.subscribe().borrow().is_none()
            && Paused::ALL.iter().all(|what| store.pause(*what).is_none())
            && self.context.pace.has_room()
            && !self.refusing.refuse(&job.recording)
    }

    /// Sends a preview. Returns the number of its message; `None` if Telegram has had it before and
    /// it is not in the chat any more. Sending it again is harmless.
    pub async fn preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        let whose = (job.id, job.stranger);
        self.may_send(whose)?;
        let link = self.current_link()?;
        let outgoing = self.outgoing(&link, job, &preview.form, &preview.part, 0).await?;
        match self.send_text(&link, whose, outgoing, job.preview_random_id()).await? {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) => self.find_preview(job, preview).await,
            Err(error) => {
                let refusal = slow_mode_refusal(&error, true);
                // That the chat takes no text is not noted: the answer may be a document.
                let failure = self.send_refused(&error).await;
                Err(refusal.unwrap_or(failure))
            }
        }
    }

    /// Finds the preview that an earlier attempt may have sent, by what it was sent with.
    pub async fn find_preview(&self, job: &Job, preview: &Preview) -> Result<Option<i32>, Fault> {
        let link = self.current_link()?;
        let part = std::slice::from_ref(&preview.part);
        Ok(self.search_for(&link, job, &preview.form, part).await?.into_iter().next().flatten())
    }

    /// Gives the message of a preview another text. False if it cannot be edited any more.
    pub async fn edit_preview(
        &self,
        job: &Job,
        form: &Form,
        part: &Part,
        message: i32,
    ) -> Result<bool, Fault> {
        let link = self.current_link()?;
        match self.edit_into(&link, job, form, part, message).await? {
            Ok(()) => Ok(true),
            Err(error) => self.edit_failed(&error).await,
        }
    }

    /// Makes the message of a preview the first part of the answer. False if it cannot be edited
    /// any more, or not for a long time: then the answer is a message of its own.
    pub async fn complete_preview(&self, job: &Job, answer: &Answer, message: i32) -> Result<bool, Fault> {
        self.context.restrictions.check()?;
        self.check_pause(Paused::Sends)?;
        let link = self.current_link()?;
        // There is nothing to answer any more if the recording was deleted.
        self.found_message(&link, job).await?;
        let outcome = match self.check_pause(Paused::Edits) {
            Ok(()) => {
                match self.edit_into(&link, job, &answer.settings.form, &answer.parts[0], message).await? {
                    Ok(()) => Ok(true),
                    Err(error) => self.edit_failed(&error).await,
                }
            }
            Err(paused) => Err(paused),
        };
        match outcome {
            Ok(false) => info!(
                event = "preview_replaced",
                "The preview cannot be edited, the answer is a message of its own"
            ),
            Err(Fault::Wait { after, why }) if after > LONGEST_WAIT => {
                info!(
                    event = "preview_replaced",
                    reason = why,
                    "The preview cannot be edited for {} s, the answer is a message of its own",
                    after.as_secs()
                );
                return Ok(false);
            }
            _ => {}
        }
        outcome
    }

    /// The inner error is Telegram's.
    async fn edit_into(
        &self,
        link: &Link,
        job: &Job,
        form: &Form,
        part: &Part,
        message: i32,
    ) -> Result<Result<(), CallError>, Fault> {
        let new = self.outgoing(link, job, form, part, 0).await?;
        self.edit(link, Edit::into(new, message)).await
    }

    /// What a failed edit of a preview means: false if the message cannot be edited any more. A
    /// wait is one for edits alone; messages are sent all the same.
    async fn edit_failed(&self, error: &CallError) -> Result<bool, Fault> {
        match error.meaning() {
            Some(Meaning::BadRequest | Meaning::MayNotEdit | Meaning::MayNotWrite | Meaning::Gone) => {
                debug!(%error, "A preview cannot be edited any more");
                Ok(false)
            }
            Some(Meaning::Wait { scope: WaitScope::Account, time }) => {
                self.note_flood_wait(Paused::Edits, error).await;
                Err(Fault::wait(time, FLOOD_WAIT.tag(error)))
            }
            Some(Meaning::Restricted(_)) => Err(self.send_refused(error).await),
            _ => Err(sending_fault(error)),
        }
    }
}
