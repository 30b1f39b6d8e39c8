//! One request that sends or edits a message, and what its errors mean.

use grammers_client::tl;
use tracing::warn;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::{Meaning, WaitScope};
use super::super::problems::FLOOD_WAIT;
use super::super::store::Paused;
use super::calls::{call_to_send, sending_fault, slow_mode_refusal};
use super::upload::Upload;
use crate::domain::reply::utf16_len;
use crate::domain::{Fault, Job, JobId, Part};

/// A message to be sent.
pub(super) struct Outgoing {
    pub peer: tl::enums::InputPeer,
    pub reply_to: Option<tl::types::InputReplyToMessage>,
    pub text: String,
    pub entities: Vec<tl::enums::MessageEntity>,
    /// The file that it carries; `text` is then its caption.
    pub file: Option<Upload>,
    /// The part of the answer.
    pub index: usize,
}

impl Account {
    /// Sends a message for a job, silently. Returns its number, if Telegram tells it. Sending it
    /// again is harmless, because Telegram recognises its `random_id`.
    ///
    /// A FLOOD_WAIT here applies to everything that this account sends, so nothing is sent before
    /// it is over, not even after a restart. The same goes for a restriction of the account. A
    /// request that Telegram calls bad is sent a second time, a file uploaded again, and then the
    /// job ends: a later attempt would fail as well.
    pub(super) async fn send(
        &self,
        link: &Link,
        job: &Job,
        mut outgoing: Outgoing,
    ) -> Result<Option<i32>, Fault> {
        let (index, random_id) = (outgoing.index, job.random_id(outgoing.index));
        let whose = (job.id, job.stranger);
        let sent = match outgoing.file.take() {
            Some(file) => self.send_file(link, whose, outgoing, file, random_id).await?,
            None => self.send_text(link, whose, outgoing, random_id).await?,
        };
        match sent {
            Ok(sent) => Ok(sent),
            Err(error) => {
                let refusal = slow_mode_refusal(&error, index == 0);
                let failure = self.sending_failed(job, &error).await;
                Err(refusal.unwrap_or(failure))
            }
        }
    }

    /// Sends a message without a file for the job or command that `whose` names, and whether it is
    /// a stranger's, once the budget of messages allows it. The inner error is Telegram's.
    pub(super) async fn send_text(
        &self,
        link: &Link,
        whose: (JobId, bool),
        outgoing: Outgoing,
        random_id: i64,
    ) -> Result<Result<Option<i32>, CallError>, Fault> {
        let Outgoing { peer, reply_to, text, entities, .. } = outgoing;
        let request = tl::functions::messages::SendMessage {
            reply_to: reply_to.map(Into::into),
            entities: (!entities.is_empty()).then_some(entities),
            ..text_message(peer, text, random_id)
        };
        self.context.restrictions.check_to_send()?;
        self.context.pace.take(whose).await?;
        Ok(self.number_of(call_to_send(link, &request).await, random_id))
    }

    /// The number of a message that was sent, if Telegram tells it.
    pub(super) fn number_of(
        &self,
        answer: Result<tl::enums::Updates, CallError>,
        random_id: i64,
    ) -> Result<Option<i32>, CallError> {
        match answer {
            Ok(updates) => {
                self.context.restrictions.sent();
                Ok(sent_id(&updates, random_id))
            }
            Err(error) if error.meaning() == Some(Meaning::AlreadySent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a failed send or edit means for its job. A wait or a restriction that applies to the
    /// whole account is remembered, and for a while a group in which the account may not write.
    pub(super) async fn sending_failed(&self, job: &Job, error: &CallError) -> Fault {
        if error.meaning() == Some(Meaning::MayNotWrite) {
            self.refusing.note(&job.recording);
        }
        self.send_refused(error).await
    }

    /// What a failed send, edit or deletion means for whatever it was for.
    pub(in crate::telegram) async fn send_refused(&self, error: &CallError) -> Fault {
        self.note_flood_wait(Paused::Sends, error).await;
        if let Some(Meaning::Restricted(_)) = error.meaning()
            && let Err(held) = self.context.restrictions.check()
        {
            // The pause that has begun applies to all chats of the account.
            return held;
        }
        sending_fault(error)
    }

    /// Fails while Telegram does not let this account send, and until it is the job's turn in the
    /// budget of messages.
    pub(super) fn may_send(&self, whose: (JobId, bool)) -> Result<(), Fault> {
        self.context.restrictions.check()?;
        self.check_pause(Paused::Sends)?;
        self.context.pace.check(whose)
    }

    /// Fails during a pause that Telegram demands.
    pub(super) fn check_pause(&self, what: Paused) -> Result<(), Fault> {
        match self.context.store.pause(what) {
            Some((left, why)) => Err(Fault::wait(left, FLOOD_WAIT.tag(why))),
            None => Ok(()),
        }
    }

    /// Remembers a wait that applies to all chats. One for this chat alone concerns only this job.
    pub(super) async fn note_flood_wait(&self, what: Paused, error: &CallError) {
        let Some(Meaning::Wait { scope: WaitScope::Account, time: length }) = error.meaning() else { return };
        if let Err(error) = self.context.store.set_pause(what, length, error.to_string()).await {
            warn!(%error, "The pause that Telegram demands could not be stored, a restart will forget it");
        }
    }
}

/// A message with a text and nothing else, sent without a sound.
pub(in crate::telegram) fn text_message(
    peer: tl::enums::InputPeer,
    text: String,
    random_id: i64,
) -> tl::functions::messages::SendMessage {
    tl::functions::messages::SendMessage {
        no_webpage: true,
        silent: true,
        background: true,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer,
        reply_to: None,
        message: text,
        random_id,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
        suggested_post: None,
        rich_message: None,
    }
}

/// Names the message that another one replies to, and its forum topic.
pub(super) fn reply_to(message: i32, topic: Option<i32>) -> tl::types::InputReplyToMessage {
    tl::types::InputReplyToMessage {
        reply_to_msg_id: message,
        top_msg_id: topic,
        reply_to_peer_id: None,
        quote_text: None,
        quote_entities: None,
        quote_offset: None,
        monoforum_peer_id: None,
        todo_item_id: None,
        poll_option: None,
    }
}

/// Has the text of a folded part, which is shown from `offset` on in its message, appear as an
/// expandable quote. A summary above it stays open.
pub(super) fn quote(part: &Part, offset: usize) -> Vec<tl::enums::MessageEntity> {
    if !part.folded {
        return Vec::new();
    }
    // At most 4,096, the limit of a message.
    let (offset, length) = ((offset + part.offset()) as i32, utf16_len(&part.text) as i32);
    vec![tl::types::MessageEntityBlockquote { collapsed: true, offset, length }.into()]
}

/// The number of the message that was sent under `random_id`.
fn sent_id(updates: &tl::enums::Updates, random_id: i64) -> Option<i32> {
    let list = match updates {
        tl::enums::Updates::UpdateShortSentMessage(sent) => return Some(sent.id),
        tl::enums::Updates::Updates(updates) => &updates.updates,
        tl::enums::Updates::Combined(updates) => &updates.updates,
        _ => return None,
    };
    list.iter().find_map(|update| match update {
        tl::enums::Update::MessageId(sent) if sent.random_id == random_id => Some(sent.id),
        _ => None,
    })
}
