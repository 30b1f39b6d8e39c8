//! What is said to a command of the owner.

use grammers_client::tl;

use super::super::account::Account;
use super::super::connection::error::CallError;
use super::super::connection::link::Link;
use super::super::message;
use super::calls::call_to_send;
use super::edit::Edit;
use super::send::{Outgoing, reply_to};
use crate::domain::{Fault, JobId, Note, Peer, PeerKind};

impl Account {
    /// Replaces the text of the owner's message `number` of `chat`.
    pub async fn rewrite(&self, chat: &Peer, number: i32, text: &str) -> Result<(), Fault> {
        let link = self.current_link()?;
        let peer = message::input_peer(&self.with_access(*chat).await?);
        let edit = Edit { peer, message: number, text: text.to_owned(), entities: Vec::new() };
        match self.edit(&link, edit).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.send_refused(&error).await),
        }
    }

    /// Deletes a message of `chat` for everybody.
    pub async fn delete(&self, chat: &Peer, number: i32) -> Result<(), Fault> {
        let link = self.current_link()?;
        let chat = self.with_access(*chat).await?;
        match self.delete_messages(&link, &chat, &[number]).await? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.send_refused(&error).await),
        }
    }

    /// Writes into Saved Messages what there is to say of `command`, as a reply to it if it was
    /// given there. Repeating it is harmless, because Telegram recognises the `random_id`.
    pub async fn note(&self, command: JobId, note: Note, text: &str) -> Result<(), Fault> {
        self.may_send((command, false))?;
        let link = self.current_link()?;
        let is_there = command.chat == self.context.user.id;
        let outgoing = Outgoing {
            peer: tl::enums::InputPeer::PeerSelf,
            reply_to: is_there.then(|| reply_to(command.message, None)),
            text: text.to_owned(),
            entities: Vec::new(),
            file: None,
            index: 0,
        };
        match self.send_text(&link, (command, false), outgoing, note.random_id(command)).await? {
            Ok(_) => Ok(()),
            Err(error) => Err(self.send_refused(&error).await),
        }
    }

    /// Gives up the turn of a note that is not written after all.
    pub fn give_up_turn(&self, command: JobId) {
        self.context.pace.forget(command);
    }

    /// The inner error is Telegram's.
    pub(super) async fn delete_messages(
        &self,
        link: &Link,
        chat: &Peer,
        numbers: &[i32],
    ) -> Result<Result<(), CallError>, Fault> {
        self.context.restrictions.check_to_send()?;
        let id = numbers.to_vec();
        let deleted = if chat.kind == PeerKind::Channel {
            let channel = tl::types::InputChannel { channel_id: chat.id, access_hash: chat.access_hash };
            call_to_send(link, &tl::functions::channels::DeleteMessages { channel: channel.into(), id }).await
        } else {
            call_to_send(link, &tl::functions::messages::DeleteMessages { revoke: true, id }).await
        };
        Ok(deleted.map(drop))
    }
}
