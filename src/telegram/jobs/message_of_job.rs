//! Finds the message and the chat of a job.

use std::sync::Arc;

use grammers_client::tl;
use grammers_session::Session as _;
use grammers_session::types::PeerId;

use super::super::account::Account;
use super::super::connection::link::Link;
use super::super::message::{self, RecordingFile};
use super::calls::fault;
use crate::domain::{Fault, Job, Peer, PeerKind};

/// How long a job waits for the access hash of its channel, the first time.
const UNKNOWN_CHANNEL_PAUSE: u64 = 60;

/// The message of a job, and who is mentioned with it.
pub(super) struct FoundMessage {
    pub message: tl::types::Message,
    pub users: Vec<tl::enums::User>,
    pub chats: Vec<tl::enums::Chat>,
}

fn deleted() -> Fault {
    Fault::Gone("the message was deleted, or is no recording any more".into())
}

impl Account {
    /// Reads the message of a job again for its recording.
    pub(super) async fn look_up(&self, link: &Link, job: &Job) -> Result<RecordingFile, Fault> {
        let message = self.found_message(link, job).await?.message;
        let file_in = if job.asked.is_some() { message::sound_file } else { message::recording_file };
        message.media.as_ref().and_then(file_in).ok_or_else(deleted)
    }

    /// Reads the message of a job again. If the access hash of the chat was missing, it is known
    /// afterwards.
    pub(super) async fn found_message(&self, link: &Link, job: &Job) -> Result<FoundMessage, Fault> {
        let chat = self.chat(job).await?;
        let (messages, users, chats) = self.messages(link, &chat, &[job.id.message]).await?;
        let message = messages.into_iter().next().ok_or_else(deleted)?;
        Ok(FoundMessage { message, users, chats })
    }

    /// Those of the messages of a chat that are there.
    pub(super) async fn messages(
        &self,
        link: &Link,
        chat: &Peer,
        numbers: &[i32],
    ) -> Result<(Vec<tl::types::Message>, Vec<tl::enums::User>, Vec<tl::enums::Chat>), Fault> {
        let id = numbers.iter().map(|&id| tl::types::InputMessageId { id }.into()).collect();
        let answer = if chat.kind == PeerKind::Channel {
            // Each channel numbers its messages itself, so the request must name the channel.
            if chat.access_hash == 0 {
                let why = "the access hash of the channel is not known yet";
                return Err(Fault::retry_in(UNKNOWN_CHANNEL_PAUSE, why));
            }
            let channel =
                tl::types::InputChannel { channel_id: chat.id, access_hash: chat.access_hash }.into();
            link.call_for_job(&tl::functions::channels::GetMessages { channel, id }).await
        } else {
            link.call_for_job(&tl::functions::messages::GetMessages { id }).await
        };
        let answer = answer.map_err(|error| fault(&error))?;
        if chat.access_hash == 0 {
            let cached = self.context.store.cache_peers(message::peers_of_messages(&answer)).await;
            cached.map_err(|error| Fault::retry_in(60, error))?;
        }
        let (messages, users, chats) = message::contents(answer);
        let found = messages.into_iter().filter_map(|message| match message {
            tl::enums::Message::Message(message) if numbers.contains(&message.id) => Some(message),
            _ => None,
        });
        Ok((found.collect(), users, chats))
    }

    /// The chat of a job in the form that requests take.
    pub(super) async fn input_peer(&self, job: &Job) -> Result<tl::enums::InputPeer, Fault> {
        let mut chat = self.chat(job).await?;
        if chat.access_hash == 0 && chat.kind != PeerKind::Group {
            // An answer with the message contains it.
            self.look_up(&*self.current_link()?, job).await?;
            chat = self.chat(job).await?;
        }
        Ok(message::input_peer(&chat))
    }

    /// The chat of a job. If its access hash was not known when the job was added, it may be known
    /// by now.
    pub(super) async fn chat(&self, job: &Job) -> Result<Peer, Fault> {
        self.with_access(job.recording.chat).await
    }

    /// A chat with its access hash, if that is known by now.
    pub(super) async fn with_access(&self, chat: Peer) -> Result<Peer, Fault> {
        let Some(id) = PeerId::from_bot_api_dialog_id(chat.chat()).filter(|_| chat.access_hash == 0) else {
            return Ok(chat);
        };
        let known = self.context.session.peer(id).await.map_err(|error| Fault::retry_in(60, error))?;
        Ok(known.map_or(chat, |known| message::peer(&known)))
    }

    pub(super) fn current_link(&self) -> Result<Arc<Link>, Fault> {
        self.link.borrow().clone().ok_or_else(|| Fault::Unavailable("not connected to Telegram".into()))
    }
}
