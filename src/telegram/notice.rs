//! Messages to the owner, in Saved Messages: what the daemon has to say of itself.

use grammers_client::tl;

use super::account::Account;
use super::connection::rpc_error::Meaning;
use super::jobs::send::text_message;
use super::store::Paused;
use crate::domain::notice_random_id;

impl Account {
    /// Whether a message could be sent now.
    pub fn can_tell_owner(&self) -> bool {
        let context = &self.context;
        self.is_connected()
            && context.restrictions.check().is_ok()
            && context.store.pause(Paused::Sends).is_none()
    }

    /// Sends a message to Saved Messages, with a sound. Sending it again under the same `id` is
    /// harmless. It counts towards the budget of messages, but does not wait for a turn.
    pub async fn tell_owner(&self, id: &str, text: String) -> Result<(), String> {
        let Some(link) = self.link.borrow().clone() else { return Err("not connected".into()) };
        let user = self.context.user.id;
        let random_id = notice_random_id(user, id);
        let request = tl::functions::messages::SendMessage {
            silent: false,
            ..text_message(tl::enums::InputPeer::PeerSelf, text, random_id)
        };
        self.context.pace.count(user).await;
        match link.call_for_job(&request).await {
            Ok(_) => Ok(()),
            Err(error) if error.meaning() == Some(Meaning::AlreadySent) => Ok(()),
            // A wait that Telegram demands, or a restriction, is one of the answers too.
            Err(error) => {
                self.send_refused(&error).await;
                Err(error.to_string())
            }
        }
    }
}
