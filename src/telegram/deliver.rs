//! Sends answers, each under its own `random_id`.

use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;
use grammers_session::types::PeerId;
use tracing::{error, warn};

use super::account::Account;
use super::connection::{CallError, Link};
use super::incoming;
use crate::domain::reply::utf16_len;
use crate::domain::{Fault, Job, Part, random_id};

/// How long nothing is sent after PEER_FLOOD, by which Telegram says that the account has
/// disturbed others. It gives no time; trying on makes it worse.
const PEER_FLOOD_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// Errors after which there is nothing to answer any more, or nobody who may be answered. So are all
/// with code 403 (<https://core.telegram.org/api/errors#403-forbidden>).
const GONE: [&str; 15] = [
    "MESSAGE_ID_INVALID",
    "MSG_ID_INVALID",
    "REPLY_MESSAGE_ID_INVALID",
    "REPLY_TO_INVALID",
    "CHANNEL_PRIVATE",
    "CHAT_ADMIN_REQUIRED",
    "CHAT_RESTRICTED",
    "CHAT_FORBIDDEN",
    "USER_BANNED_IN_CHANNEL",
    "USER_IS_BLOCKED",
    "YOU_BLOCKED_USER",
    "INPUT_USER_DEACTIVATED",
    "TOPIC_CLOSED",
    "TOPIC_DELETED",
    "ALLOW_PAYMENT_REQUIRED",
];

/// Errors after which this message can never be answered, though it should be.
const HOPELESS: [&str; 4] = ["PEER_ID_INVALID", "USER_ID_INVALID", "CHANNEL_INVALID", "CHAT_ID_INVALID"];

impl Account {
    /// Sends part number `index` of the answer to `job` as a silent reply to its message.
    ///
    /// Sending the same part again is harmless: Telegram knows it by its `random_id`. The number of
    /// the message sent, where Telegram told it.
    ///
    /// A FLOOD_WAIT here is for all that this account sends, so until it is over nothing is even tried,
    /// also after a restart.
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
        match link.call(&request).await {
            Ok(updates) => Ok(sent_id(&updates, id)),
            Err(error) if error.is("RANDOM_ID_DUPLICATE") => Ok(None),
            Err(error) => {
                self.note_flood(&error).await;
                Err(fault(&error))
            }
        }
    }

    /// Refuses while Telegram does not want this account to send.
    pub(super) fn may_send(&self) -> Result<(), Fault> {
        match self.store.pause() {
            Some((left, why)) => Err(Fault::wait(left, why)),
            None => Ok(()),
        }
    }

    /// FLOOD_WAIT is counted by account and method, whatever the chat. SLOWMODE_WAIT is the chat's own, and
    /// concerns this job alone.
    async fn note_flood(&self, error: &CallError) {
        let length = if error.is("PEER_FLOOD") {
            error!(
                "Telegram limits this account for sending (PEER_FLOOD): nothing is sent for {} h; ask @SpamBot",
                PEER_FLOOD_PAUSE.as_secs() / 3600
            );
            PEER_FLOOD_PAUSE
        } else if let (true, Some(wait)) = (error.is("FLOOD_WAIT"), error.wait()) {
            wait
        } else {
            return;
        };
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
            // It was not known when the message was heard; it may be now.
            match self.peer(chat).await {
                Ok(Some(info)) => return Ok(incoming::input_peer(&info)),
                Ok(None) => {}
                Err(error) => return Err(Fault::retry_in(60, error)),
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
    match error {
        CallError::Lost(why) => Fault::Unavailable(why.clone()),
        // The supervisor is told by the connection itself and ends the daemon; the job waits.
        error if error.logged_out().is_some() => Fault::Unavailable(error.to_string()),
        error if error.is("PEER_FLOOD") => Fault::wait(PEER_FLOOD_PAUSE, error),
        CallError::Rpc { code: 403, .. } => Fault::Gone(error.to_string()),
        CallError::Rpc { name, .. } if GONE.contains(&name.as_str()) => Fault::Gone(error.to_string()),
        CallError::Rpc { name, .. } if HOPELESS.contains(&name.as_str()) => Fault::Reject(error.to_string()),
        CallError::Rpc { code: 500.., .. } => Fault::retry_in(10, error),
        error => match error.wait() {
            Some(wait) => Fault::wait(wait, error),
            None => Fault::retry_in(60, error),
        },
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
        let Fault::Wait { after, .. } = rpc(400, "PEER_FLOOD", None) else { panic!() };
        assert_eq!(after, PEER_FLOOD_PAUSE);
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
