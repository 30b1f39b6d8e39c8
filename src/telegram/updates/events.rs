//! From Telegram's updates to events.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerKind};
use tracing::debug;

use super::super::message::{self, UnresolvedRecording};
use super::error::UpdatesEnded;
use super::event_sink::EventSink;
use super::update_loop::UpdateLoop;
use crate::domain::{Event, Incoming};

impl<S: EventSink> UpdateLoop<'_, S> {
    /// The event that an update means, if it means one. What else a later feature acts on (edits,
    /// deletions, reactions) comes in updates of other types, and gets its arm here.
    pub(super) async fn event(&self, update: &tl::enums::Update) -> Result<Option<Event>, UpdatesEnded> {
        match message::new_message(update) {
            Some(message) => self.event_in_message(message).await,
            None => Ok(None),
        }
    }

    /// The event that a message means, be it new or read from a history.
    pub(super) async fn event_in_message(
        &self,
        message: &tl::enums::Message,
    ) -> Result<Option<Event>, UpdatesEnded> {
        match message::unresolved_recording(message) {
            Some(recording) => Ok(Some(Event::Recording(self.resolve(recording).await?))),
            None => {
                if let Some(reason) = message::other_sound(message) {
                    let chat = message::chat(message).and_then(PeerId::bot_api_dialog_id);
                    debug!(event = "ignored", chat, message = message.id(), reason, "Left alone");
                }
                Ok(None)
            }
        }
    }

    /// Adds what is known of the chat and the sender, above all the access hash of the chat,
    /// without which no reply can be sent, and whether the sender is a contact.
    async fn resolve(&self, recording: UnresolvedRecording) -> Result<Incoming, UpdatesEnded> {
        let context = &self.link.context;
        let mut chat = context.seen_peer(recording.chat).await?;
        // Telegram leaves out users that it thinks we know. An answer with the message has them.
        // This does not help in a channel: its messages can be asked for with its access hash only.
        let is_incomplete =
            chat.as_ref().is_none_or(|chat| chat.info.auth().is_none() || chat.traits.contact.is_none());
        if is_incomplete && recording.chat.kind() == PeerKind::User {
            self.look_up_peers(recording.message).await?;
            chat = context.seen_peer(recording.chat).await?;
        }
        let owner = context.user.id;
        let sender = context.seen_peer(recording.sender(owner)).await?;
        Ok(recording.incoming(owner, chat.as_ref(), sender.as_ref()))
    }

    /// Stores the peers that an answer with a message of a private chat or a basic group mentions.
    async fn look_up_peers(&self, message: i32) -> Result<(), UpdatesEnded> {
        let id = vec![tl::types::InputMessageId { id: message }.into()];
        match self.link.call_until_answered(&tl::functions::messages::GetMessages { id }).await {
            Ok(answer) => {
                let peers = message::peers_of_messages(&answer);
                Ok(self.link.context.store.cache_peers(peers).await?)
            }
            Err(error) if error.is_refusal() => {
                debug!(%error, "the sender of a message could not be looked up");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
