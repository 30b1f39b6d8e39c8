//! Sends answers, each under its own `random_id`.

use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;
use grammers_session::types::PeerId;
use tokio::time::sleep;
use tracing::warn;

use super::account::Account;
use super::connection::{CallError, Link};
use super::incoming;
use super::rpc_error::{Meaning, Whose};
use crate::domain::reply::utf16_len;
use crate::domain::{Fault, Job, Part, random_id};

/// When a job is taken up again that met with a restriction of the account otherwise than by sending.
const RESTRICTED_PAUSE: Duration = Duration::from_secs(3600);
/// Pause before Telegram is sent again what it has called a bad request.
const SECOND_TRY: Duration = Duration::from_secs(2);

impl Account {
    /// Sends part number `index` of the answer to `job` as a silent reply to its message.
    ///
    /// Sending the same part again is harmless: Telegram knows it by its `random_id`. The number of
    /// the message sent, where Telegram told it.
    ///
    /// A FLOOD_WAIT here is for all that this account sends, so until it is over nothing is even tried,
    /// also after a restart. The same goes for a restriction of the account. What Telegram calls a bad
    /// request is sent a second time, and then given up: it would be no better tomorrow.
    pub async fn deliver(&self, job: &Job, index: usize, part: &Part) -> Result<Option<i32>, Fault> {
        self.may_send()?;
        let link = self.current_link()?;
        let id = random_id(job.id, index);
        let quote = || {
            // At most 4,096, the limit of a message.
            let length = utf16_len(&part.text) as i32;
            vec![tl::types::MessageEntityBlockquote { collapsed: true, offset: 0, length }.into()]
        };
        let reply_to = tl::types::InputReplyToMessage {
            reply_to_msg_id: job.id.message,
            top_msg_id: None,
            reply_to_peer_id: None,
            quote_text: None,
            quote_entities: None,
            quote_offset: None,
            monoforum_peer_id: None,
            todo_item_id: None,
            poll_option: None,
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
            peer: self.address(job).await?,
            reply_to: Some(reply_to.into()),
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
        self.restrictions.check_to_send()?;
        match call_to_send(&link, &request).await {
            Ok(updates) => {
                self.restrictions.sent();
                Ok(sent_id(&updates, id))
            }
            Err(error) if error.meaning() == Some(Meaning::AlreadySent) => Ok(None),
            Err(error) => {
                self.note_flood(&error).await;
                if let Some(Meaning::Restricted(_)) = error.meaning() {
                    // The pause for all of the account's chats has begun.
                    self.restrictions.check()?;
                }
                Err(sending_fault(&error))
            }
        }
    }

    /// Refuses while Telegram does not want this account to send.
    pub(super) fn may_send(&self) -> Result<(), Fault> {
        self.restrictions.check()?;
        match self.store.pause() {
            Some((left, why)) => Err(Fault::wait(left, why)),
            None => Ok(()),
        }
    }

    /// A wait of the account holds up all its chats; one of the chat concerns this job alone.
    async fn note_flood(&self, error: &CallError) {
        let Some(Meaning::Wait { whose: Whose::Account, time: length }) = error.meaning() else { return };
        if let Err(error) = self.store.set_pause(length, error.to_string()).await {
            warn!(%error, "the wait is forgotten by a restart");
        }
    }

    /// Where to send answers to `job`.
    pub(super) async fn address(&self, job: &Job) -> Result<tl::enums::InputPeer, Fault> {
        let peer = &job.peer;
        if peer.access_hash == 0
            && let Some(chat) = PeerId::from_bot_api_dialog_id(peer.chat())
        {
            // It was not known when the message was heard; it may be now, or the message tells it.
            let failed = |error| Fault::retry_in(60, error);
            let mut known = self.peer(chat).await.map_err(failed)?;
            if known.as_ref().is_none_or(|info| info.auth().is_none()) {
                let link = self.current_link()?;
                self.look_up(&link, job).await?;
                known = self.peer(chat).await.map_err(failed)?;
            }
            if let Some(info) = known {
                return Ok(incoming::input_peer(&info));
            }
        }
        Ok(incoming::address(peer))
    }

    pub(super) fn current_link(&self) -> Result<Arc<Link>, Fault> {
        self.link.borrow().clone().ok_or_else(|| Fault::Unavailable("not connected to Telegram".into()))
    }
}

/// What an error means for the job that met it.
pub(super) fn fault(error: &CallError) -> Fault {
    match error.meaning() {
        // After a logout the supervisor, whom the connection itself tells, ends the daemon; the job waits.
        None | Some(Meaning::LoggedOut | Meaning::Deactivated) => Fault::Unavailable(error.to_string()),
        Some(Meaning::Restricted(_)) => Fault::Held { after: RESTRICTED_PAUSE, why: error.to_string() },
        Some(Meaning::Gone) => Fault::Gone(error.to_string()),
        Some(Meaning::InvalidPeer) => Fault::Reject(error.to_string()),
        Some(Meaning::PremiumRequired) => {
            Fault::Reject(format!("this chat takes messages of accounts with Telegram Premium only: {error}"))
        }
        Some(Meaning::ServerTrouble) => Fault::retry_in(10, error),
        Some(Meaning::Wait { time, .. }) => Fault::wait(time, error),
        Some(_) => Fault::retry_in(60, error),
    }
}

/// Calls the home datacentre on the way to send something; a second time after a bad request.
pub(super) async fn call_to_send<R: tl::RemoteCall>(
    link: &Link,
    request: &R,
) -> Result<R::Return, CallError> {
    let result = link.call_for_job(request).await;
    match &result {
        Err(error) if error.meaning() == Some(Meaning::BadRequest) => {
            sleep(SECOND_TRY).await;
            link.call_for_job(request).await
        }
        _ => result,
    }
}

/// What an error of [`call_to_send`] means for the job: there a bad request is final.
pub(super) fn sending_fault(error: &CallError) -> Fault {
    match error.meaning() {
        Some(Meaning::BadRequest) => Fault::Reject(format!("{error}, twice: the answer cannot be sent")),
        _ => fault(error),
    }
}

/// The number that the message sent under `random_id` got.
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

    fn rpc(code: i32, name: &str, value: Option<u32>) -> Fault {
        fault(&CallError::Rpc { code, name: name.into(), value })
    }

    #[test]
    fn a_flood_wait_is_waited_out() {
        let Fault::Wait { after, .. } = rpc(420, "FLOOD_WAIT", Some(77)) else { panic!() };
        assert_eq!(after.as_secs(), 78);
    }

    #[test]
    fn a_lost_right_ends_the_job_and_a_lost_connection_does_not() {
        assert!(matches!(rpc(403, "CHAT_WRITE_FORBIDDEN", None), Fault::Gone(_)));
        assert!(matches!(rpc(400, "USER_IS_BLOCKED", None), Fault::Gone(_)));
        assert!(matches!(rpc(400, "PEER_ID_INVALID", None), Fault::Reject(_)));
        assert!(matches!(rpc(500, "INTERNAL", None), Fault::Retry { .. }));
        assert!(matches!(rpc(401, "SESSION_REVOKED", None), Fault::Unavailable(_)));
        assert!(matches!(fault(&CallError::Lost("x".into())), Fault::Unavailable(_)));
    }
}
