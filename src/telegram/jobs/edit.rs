//! Edits of the account's own messages.

use grammers_client::tl;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::connection::rpc_error::Meaning;
use super::calls::call_to_send;
use super::send::Outgoing;
use crate::domain::Fault;

/// A new text for a message.
pub(super) struct Edit {
    pub peer: tl::enums::InputPeer,
    pub message: i32,
    pub text: String,
    pub entities: Vec<tl::enums::MessageEntity>,
}

impl Edit {
    /// Gives the message of this number the text that a new one would have.
    pub fn into(new: Outgoing, message: i32) -> Self {
        Self { peer: new.peer, message, text: new.text, entities: new.entities }
    }
}

impl Account {
    /// Replaces the text of a message. Repeating it changes nothing. The inner error is Telegram's.
    pub(super) async fn edit(&self, link: &Link, edit: Edit) -> Result<Result<(), CallError>, Fault> {
        let request = tl::functions::messages::EditMessage {
            no_webpage: true,
            invert_media: false,
            peer: edit.peer,
            id: edit.message,
            message: Some(edit.text),
            media: None,
            reply_markup: None,
            entities: (!edit.entities.is_empty()).then_some(edit.entities),
            schedule_date: None,
            schedule_repeat_period: None,
            quick_reply_shortcut_id: None,
            rich_message: None,
        };
        self.context.restrictions.check_to_send()?;
        Ok(match call_to_send(link, &request).await {
            Ok(_) => {
                self.context.restrictions.sent();
                Ok(())
            }
            Err(error) if error.meaning() == Some(Meaning::NotModified) => Ok(()),
            Err(error) => Err(error),
        })
    }
}
