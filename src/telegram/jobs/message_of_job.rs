//! Finds the message and the chat of a job.

use std::sync::Arc;

use grammers_client::tl;
use grammers_session::Session as _;
use grammers_session::types::PeerId;

use super::super::account::Account;
use super::super::connection::link::Link;
use super::super::message::{self, Recording};
use super::calls::fault;
use crate::domain::{Fault, Job, PeerKind};

impl Account {
    /// Reads the message of a job again. If the access hash of the chat was missing, it is known
    /// afterwards.
    pub(super) async fn look_up(&self, link: &Link, job: &Job) -> Result<Recording, Fault> {
        let id = vec![tl::enums::InputMessage::Id(tl::types::InputMessageId { id: job.id.message })];
        let answer = if job.peer.kind == PeerKind::Channel {
            let channel =
                tl::types::InputChannel { channel_id: job.peer.id, access_hash: job.peer.access_hash }.into();
            link.call_for_job(&tl::functions::channels::GetMessages { channel, id }).await
        } else {
            link.call_for_job(&tl::functions::messages::GetMessages { id }).await
        };
        let answer = answer.map_err(|error| fault(&error))?;
        if job.peer.access_hash == 0 {
            let cached = self.context.store.cache_peers(message::peers_of_messages(&answer)).await;
            cached.map_err(|error| Fault::retry_in(60, error))?;
        }
        let messages = message::messages_of(answer);
        let media = messages.iter().find_map(|message| match message {
            tl::enums::Message::Message(message) if message.id == job.id.message => message.media.as_ref(),
            _ => None,
        });
        media
            .and_then(message::recording)
            .ok_or_else(|| Fault::Gone("the message was deleted, or is no recording any more".into()))
    }

    /// The chat of a job in the form that requests take.
    pub(super) async fn input_peer(&self, job: &Job) -> Result<tl::enums::InputPeer, Fault> {
        let peer = &job.peer;
        if peer.access_hash == 0
            && let Some(chat) = PeerId::from_bot_api_dialog_id(peer.chat())
        {
            // The access hash was not known when the job was added. It may be known by now, or the
            // answer with the message contains it.
            let failed = |error| Fault::retry_in(60, error);
            let mut known = self.context.session.peer(chat).await.map_err(failed)?;
            if known.as_ref().is_none_or(|info| info.auth().is_none()) {
                let link = self.current_link()?;
                self.look_up(&link, job).await?;
                known = self.context.session.peer(chat).await.map_err(failed)?;
            }
            if let Some(info) = known {
                return Ok(message::input_peer(&message::peer(&info)));
            }
        }
        Ok(message::input_peer(peer))
    }

    pub(super) fn current_link(&self) -> Result<Arc<Link>, Fault> {
        self.link.borrow().clone().ok_or_else(|| Fault::Unavailable("not connected to Telegram".into()))
    }
}
