//! From Telegram's updates to events.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerKind};
use tracing::debug;

use super::super::message::{self, UnresolvedRecording};
use super::super::reactions;
use super::error::UpdatesEnded;
use super::event_sink::EventSink;
use super::update_loop::UpdateLoop;
use crate::domain::command::LATEST;
use crate::domain::unix_time::seconds_since;
use crate::domain::{CommandMessage, Deleted, Event, Incoming, JobId, Reaction, RepliesTo};

impl<S: EventSink> UpdateLoop<'_, S> {
    /// The event that an update means, if it means one.
    pub(super) async fn event(&self, update: &tl::enums::Update) -> Result<Option<Event>, UpdatesEnded> {
        let account = self.link.context.user.id;
        match update {
            tl::enums::Update::DeleteMessages(update) => {
                let messages = update.messages.clone();
                return Ok(Some(Event::Deleted(Deleted { account, channel: None, messages })));
            }
            tl::enums::Update::DeleteChannelMessages(update) => {
                let channel = PeerId::channel(update.channel_id).and_then(PeerId::bot_api_dialog_id);
                let messages = update.messages.clone();
                // Without its channel a number would be taken for that of another chat's message.
                return Ok(channel
                    .map(|channel| Event::Deleted(Deleted { account, channel: Some(channel), messages })));
            }
            _ => {}
        }
        if let Some(message) = message::new_message(update) {
            return self.event_in_message(message).await;
        }
        self.reaction(update).await
    }

    /// The reaction by which the owner asks for the text of a recording, if an update tells of one.
    async fn reaction(&self, update: &tl::enums::Update) -> Result<Option<Event>, UpdatesEnded> {
        let Some(reacted) = reactions::in_update(update) else { return Ok(None) };
        let given = reacted.of(self.link.context.user.id);
        // An update lists reactions of any age, whoever has reacted now. For an old one nothing is
        // to be asked of Telegram.
        let asks = |reaction: &reactions::Given| {
            seconds_since(reaction.date) <= LATEST && self.sink.is_request(reaction.emoji)
        };
        let Some(date) = given.filter(asks).map(|reaction| reaction.date).max() else { return Ok(None) };
        let incoming = match reacted.message {
            Some(message) => match message::unresolved_sound(message) {
                Some(sound) => Some(self.resolve(sound).await?),
                None => None,
            },
            None => self.sound_in(reacted.chat, reacted.number).await?,
        };
        Ok(incoming.map(|incoming| Event::Reaction(Reaction { incoming, date })))
    }

    /// The event that a message means, be it new or read from a history.
    pub(super) async fn event_in_message(
        &self,
        message: &tl::enums::Message,
    ) -> Result<Option<Event>, UpdatesEnded> {
        if let Some(recording) = message::unresolved_recording(message) {
            return Ok(Some(Event::Recording(self.resolve(recording).await?)));
        }
        if let Some(reason) = message::other_sound(message) {
            let chat = message::chat(message).and_then(PeerId::bot_api_dialog_id);
            debug!(event = "ignored", chat, message = message.id(), reason, "Left alone");
            return Ok(None);
        }
        self.command(message).await
    }

    /// The command that a message of the owner is, with the recording that it replies to.
    async fn command(&self, message: &tl::enums::Message) -> Result<Option<Event>, UpdatesEnded> {
        let context = &self.link.context;
        let owner = context.user.id;
        let Some(text) = message::own_text(message, owner) else { return Ok(None) };
        let in_saved_messages = text.peer.chat() == owner;
        let Some(said) = self.sink.command_in(text.text, in_saved_messages) else { return Ok(None) };
        let replies_to = match text.replies_to {
            None => RepliesTo::Nothing,
            Some(replied) => match self.sound_in(text.chat, replied).await? {
                Some(incoming) => RepliesTo::Recording(Box::new(incoming)),
                None => RepliesTo::Other,
            },
        };
        // There the answer to a recording may read like a command.
        if in_saved_messages && replies_to.is_recording() && !said.command.is_about_a_recording() {
            return Ok(None);
        }
        let known = context.seen_peer(text.chat).await?;
        let chat = message::chat_info(&text.peer, known.as_ref(), owner);
        let peer = known.map_or(text.peer, |known| message::peer(&known.info));
        let id = JobId { account: owner, chat: peer.chat(), message: text.message };
        Ok(Some(Event::Command(CommandMessage { id, peer, chat, date: text.date, said, replies_to })))
    }

    /// What can be listened to in a message that is in `chat` already; `None` if there is nothing,
    /// or it cannot be read.
    async fn sound_in(&self, chat: PeerId, message: i32) -> Result<Option<Incoming>, UpdatesEnded> {
        let Some(answer) = self.read_message(chat, message).await? else { return Ok(None) };
        let messages = message::messages_of(answer);
        let found = messages.iter().find(|found| found.id() == message);
        let sound = found.and_then(message::unresolved_sound).filter(|sound| sound.chat == chat);
        match sound {
            Some(sound) => Ok(Some(self.resolve(sound).await?)),
            None => Ok(None),
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
        let themselves = match PeerId::user(owner) {
            Some(owner) => context.seen_peer(owner).await?,
            None => None,
        };
        let known = [&chat, &sender, &themselves].into_iter().flatten();
        let people = known.filter_map(|peer| peer.traits.called.clone()).collect();
        Ok(recording.incoming(owner, chat.as_ref(), sender.as_ref(), people))
    }

    /// Stores the peers that an answer with a message of a private chat or a basic group mentions.
    async fn look_up_peers(&self, message: i32) -> Result<(), UpdatesEnded> {
        let id = vec![tl::types::InputMessageId { id: message }.into()];
        self.read(&tl::functions::messages::GetMessages { id }).await.map(drop)
    }

    /// Reads a message of `chat`; `None` if Telegram refuses.
    async fn read_message(
        &self,
        chat: PeerId,
        message: i32,
    ) -> Result<Option<tl::enums::messages::Messages>, UpdatesEnded> {
        let id = vec![tl::types::InputMessageId { id: message }.into()];
        if chat.kind() != PeerKind::Channel {
            return self.read(&tl::functions::messages::GetMessages { id }).await;
        }
        let known = self.link.context.seen_peer(chat).await?;
        match known.map(|known| message::peer(&known.info)) {
            Some(peer) if peer.access_hash != 0 => {
                let channel_id = peer.id;
                let channel = tl::types::InputChannel { channel_id, access_hash: peer.access_hash }.into();
                self.read(&tl::functions::channels::GetMessages { channel, id }).await
            }
            _ => Ok(None),
        }
    }

    /// Reads messages, and stores the peers that the answer mentions; `None` if Telegram refuses.
    async fn read<R>(&self, request: &R) -> Result<Option<R::Return>, UpdatesEnded>
    where
        R: tl::RemoteCall<Return = tl::enums::messages::Messages>,
    {
        match self.link.call_until_answered(request).await {
            Ok(answer) => {
                self.link.context.store.cache_peers(message::peers_of_messages(&answer)).await?;
                Ok(Some(answer))
            }
            Err(error) if error.is_refusal() => {
                debug!(%error, "A message could not be looked up");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
