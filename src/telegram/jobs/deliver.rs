//! Sends answers, each under its own `random_id`.

use grammers_client::tl;
use tracing::warn;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::rpc_error::{Meaning, WaitScope};
use super::super::problems::FLOOD_WAIT;
use super::calls::{call_to_send, sending_fault};
use crate::domain::reply::utf16_len;
use crate::domain::{Answer, Fault, Form, Job, random_id};

impl Account {
    /// Sends part number `index` of the answer to `job` as a silent reply to its message.
    ///
    /// Returns the number of the message sent, if Telegram tells it. Sending the same part again is
    /// harmless, because Telegram recognises its `random_id`.
    ///
    /// A FLOOD_WAIT here applies to everything that this account sends, so nothing is sent before
    /// it is over, not even after a restart. The same goes for a restriction of the account. A
    /// request that Telegram calls bad is sent a second time, and then the job ends: a later
    /// attempt would fail as well.
    pub async fn deliver(&self, job: &Job, answer: &Answer, index: usize) -> Result<Option<i32>, Fault> {
        // Another form is another request. rustc says so here when there is one.
        let (Form::Replies, part) = (&answer.settings.form, &answer.parts[index]);
        self.may_send(job)?;
        let link = self.current_link()?;
        let id = random_id(job.id, index);
        let quote = || {
            // At most 4,096, the limit of a message.
            let length = utf16_len(&part.text) as i32;
            vec![tl::types::MessageEntityBlockquote { collapsed: true, offset: 0, length }.into()]
        };
        let request = tl::functions::messages::SendMessage {
            no_webpage: true,
            silent: true,
            background: true,
            clear_draft: false,
            noforwards: false,
            update_stickersets_order: false,
            invert_media: false,
            allow_paid_floodskip: false,
            peer: self.input_peer(job).await?,
            reply_to: Some(reply_to(job).into()),
            message: part.text.clone(),
            random_id: id,
            reply_markup: None,
            entities: part.folded.then(quote),
            schedule_date: None,
            schedule_repeat_period: None,
            send_as: None,
            quick_reply_shortcut: None,
            effect: None,
            allow_paid_stars: None,
            suggested_post: None,
            rich_message: None,
        };
        self.context.restrictions.check_to_send()?;
        self.context.pace.take(job).await?;
        match call_to_send(&link, &request).await {
            Ok(updates) => {
                self.context.restrictions.sent();
                Ok(sent_id(&updates, id))
            }
            Err(error) if error.meaning() == Some(Meaning::AlreadySent) => Ok(None),
            Err(error) => {
                self.note_flood_wait(&error).await;
                if let Some(Meaning::Restricted(_)) = error.meaning() {
                    // The pause that has begun applies to all chats of the account.
                    self.context.restrictions.check()?;
                }
                Err(sending_fault(&error))
            }
        }
    }

    /// Fails while Telegram does not let this account send, and until it is the job's turn in the
    /// budget of messages.
    pub(super) fn may_send(&self, job: &Job) -> Result<(), Fault> {
        self.context.restrictions.check()?;
        match self.context.store.pause() {
            Some((left, why)) => Err(Fault::wait(left, FLOOD_WAIT.tag(why))),
            None => self.context.pace.check(job),
        }
    }

    /// Remembers a wait that applies to all chats. One for this chat alone concerns only this job.
    async fn note_flood_wait(&self, error: &CallError) {
        let Some(Meaning::Wait { scope: WaitScope::Account, time: length }) = error.meaning() else { return };
        if let Err(error) = self.context.store.set_pause(length, error.to_string()).await {
            warn!(%error, "The pause that Telegram demands could not be stored, a restart will forget it");
        }
    }
}

/// Names the message that the answer replies to, and its forum topic, where the answer goes even if
/// the message is deleted meanwhile.
fn reply_to(job: &Job) -> tl::types::InputReplyToMessage {
    tl::types::InputReplyToMessage {
        reply_to_msg_id: job.id.message,
        top_msg_id: job.recording.thread,
        reply_to_peer_id: None,
        quote_text: None,
        quote_entities: None,
        quote_offset: None,
        monoforum_peer_id: None,
        todo_item_id: None,
        poll_option: None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobId, Peer, PeerKind, Recording, RecordingKind};

    #[test]
    fn a_reply_names_the_message_and_its_topic() {
        for thread in [None, Some(5)] {
            let chat = Peer { kind: PeerKind::Channel, id: 500, access_hash: 1 };
            let job = Job {
                id: JobId { account: 1000, chat: chat.chat(), message: 7 },
                recording: Recording {
                    chat,
                    thread,
                    kind: RecordingKind::Voice,
                    document: 0,
                    outgoing: false,
                    date: 0,
                    duration: 3,
                    size: 9000,
                },
                settings: None,
                stranger: false,
            };
            let reply_to = reply_to(&job);
            assert_eq!((reply_to.reply_to_msg_id, reply_to.top_msg_id), (7, thread));
        }
    }
}
