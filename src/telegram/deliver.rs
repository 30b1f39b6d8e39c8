//! Sends answers, each under its own `random_id`.

use std::sync::Arc;

use grammers_client::tl;

use super::account::Account;
use super::connection::{CallError, Link};
use crate::domain::reply::utf16_len;
use crate::domain::{Fault, Job, Part, Peer, PeerKind, random_id};

/// How long nothing is sent after PEER_FLOOD, by which Telegram says that the account has
/// disturbed others. It gives no time; trying on makes it worse.
const PEER_FLOOD_PAUSE: u64 = 6 * 3600;

/// Errors after which this message can never be answered: it is gone, or we may not write there.
const HOPELESS: [&str; 17] = [
    "MESSAGE_ID_INVALID",
    "MSG_ID_INVALID",
    "REPLY_MESSAGE_ID_INVALID",
    "REPLY_TO_INVALID",
    "PEER_ID_INVALID",
    "USER_ID_INVALID",
    "CHANNEL_INVALID",
    "CHANNEL_PRIVATE",
    "CHAT_ID_INVALID",
    "CHAT_WRITE_FORBIDDEN",
    "CHAT_ADMIN_REQUIRED",
    "USER_BANNED_IN_CHANNEL",
    "USER_IS_BLOCKED",
    "YOU_BLOCKED_USER",
    "INPUT_USER_DEACTIVATED",
    "PRIVACY_PREMIUM_REQUIRED",
    "ALLOW_PAYMENT_REQUIRED",
];

impl Account {
    /// Sends part number `index` of the answer to `job` as a silent reply to its message.
    ///
    /// Sending the same part again is harmless: Telegram knows it by its `random_id`. The number of
    /// the message sent, where Telegram told it.
    pub async fn deliver(&self, job: &Job, index: usize, part: &Part) -> Result<Option<i32>, Fault> {
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
            peer: address(&job.peer),
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
            Err(error) => Err(fault(&error)),
        }
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
        CallError::Rpc { name, .. } if HOPELESS.contains(&name.as_str()) => Fault::Reject(error.to_string()),
        CallError::Rpc { code: 500.., .. } => Fault::retry_in(10, error),
        error => match error.wait() {
            // A second more, for the clocks differ.
            Some(seconds) => Fault::wait(seconds + 1, error),
            None => Fault::retry_in(60, error),
        },
    }
}

fn address(peer: &Peer) -> tl::enums::InputPeer {
    let Peer { id, access_hash, .. } = *peer;
    match peer.kind {
        PeerKind::User => tl::types::InputPeerUser { user_id: id, access_hash }.into(),
        PeerKind::Group => tl::types::InputPeerChat { chat_id: id }.into(),
        PeerKind::Channel => tl::types::InputPeerChannel { channel_id: id, access_hash }.into(),
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
        assert_eq!(after.as_secs(), PEER_FLOOD_PAUSE);
    }

    #[test]
    fn a_lost_right_ends_the_job_and_a_lost_connection_does_not() {
        assert!(matches!(rpc(403, "CHAT_WRITE_FORBIDDEN", None), Fault::Reject(_)));
        assert!(matches!(rpc(500, "INTERNAL", None), Fault::Retry { .. }));
        assert!(matches!(rpc(401, "SESSION_REVOKED", None), Fault::Unavailable(_)));
        assert!(matches!(fault(&CallError::Lost("x".into())), Fault::Unavailable(_)));
    }
}
