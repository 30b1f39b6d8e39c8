//! Messages to the owner, in Saved Messages: what the daemon has to say of itself.

use grammers_client::tl;
use sha2::{Digest as _, Sha256};

use super::account::Account;
use super::connection::rpc_error::Meaning;

impl Account {
    /// Whether a message could be sent now.
    pub fn can_tell_owner(&self) -> bool {
        let context = &self.context;
        self.is_connected() && context.restrictions.check().is_ok() && context.store.pause().is_none()
    }

    /// Sends a message to Saved Messages, with a sound. Sending it again under the same `id` is
    /// harmless. It counts towards the budget of messages, but does not wait for a turn.
    pub async fn tell_owner(&self, id: &str, text: String) -> Result<(), String> {
        let Some(link) = self.link.borrow().clone() else { return Err("not connected".into()) };
        let user = self.context.user.id;
        let request = tl::functions::messages::SendMessage {
            no_webpage: true,
            silent: false,
            background: true,
            clear_draft: false,
            noforwards: false,
            update_stickersets_order: false,
            invert_media: false,
            allow_paid_floodskip: false,
            peer: tl::enums::InputPeer::PeerSelf,
            reply_to: None,
            message: text,
            random_id: random_id(user, id),
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
        };
        self.context.pace.count(user).await;
        match link.call_for_job(&request).await {
            Ok(_) => Ok(()),
            Err(error) if error.meaning() == Some(Meaning::AlreadySent) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The `random_id` of a message to the owner, by which Telegram recognises a repetition.
fn random_id(account: i64, id: &str) -> i64 {
    let digest = Sha256::digest(format!("stenogram/notice/{account}/{id}"));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // Telegram takes zero for "none given".
    i64::from_le_bytes(first) | 1
}
