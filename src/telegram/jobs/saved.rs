//! Answers in Saved Messages, each under a line that says of which message it is.

use grammers_client::tl;

use super::super::message::user_name;
use super::message_of_job::FoundMessage;
use super::send::{Outgoing, quote};
use super::upload::Upload;
use crate::domain::reply::utf16_len;
use crate::domain::saved::{header, message_link};
use crate::domain::{Job, Part};

/// The message for Saved Messages that carries a part of the answer to a job.
pub(super) fn saved_message(job: &Job, part: &Part, index: usize, origin: &FoundMessage) -> Outgoing {
    let message = &origin.message;
    let is_private = matches!(message.peer_id, tl::enums::Peer::User(_));
    let chat = name(&message.peer_id, origin);
    let sender = match (&message.from_id, message.out) {
        (_, true) => None,
        (Some(from), false) => Some(name(from, origin)),
        (None, false) => Some(chat.clone()),
    };
    let chat = (!is_private || message.out).then_some(chat);
    let header = header(sender.as_deref(), chat.as_deref(), job.recording.date);
    let length = utf16_len(&header);
    let link = tl::types::MessageEntityTextUrl { offset: 0, length: length as i32, url: message_link(job) };
    let entities = [vec![link.into()], quote(part, length + 1)].concat();
    Outgoing {
        peer: tl::enums::InputPeer::PeerSelf,
        reply_to: None,
        text: format!("{header}\n{}", part.shown()),
        entities,
        file: Upload::of(part, job),
        index,
    }
}

/// The part of an answer to `job` that a message in Saved Messages carries, if it carries one. It
/// is known by its link: names in the header may have changed. A document may have no text below
/// it.
pub(super) fn saved_part(job: &Job, message: &tl::types::Message) -> Option<String> {
    let link = message_link(job);
    let is_of_job = message.entities.iter().flatten().any(|entity| match entity {
        tl::enums::MessageEntity::TextUrl(entity) => entity.url == link,
        _ => false,
    });
    is_of_job.then(|| message.message.split_once('\n').map_or("", |(_, part)| part).to_owned())
}

/// What a user, a group or a channel is called; its id where that is not known.
fn name(peer: &tl::enums::Peer, origin: &FoundMessage) -> String {
    let known = match peer {
        tl::enums::Peer::User(peer) => origin.users.iter().find_map(|user| match user {
            tl::enums::User::User(user) if user.id == peer.user_id => Some(user_name(user)),
            _ => None,
        }),
        tl::enums::Peer::Chat(_) | tl::enums::Peer::Channel(_) => {
            origin.chats.iter().find_map(|chat| match (chat, peer) {
                (tl::enums::Chat::Chat(chat), tl::enums::Peer::Chat(peer)) if chat.id == peer.chat_id => {
                    Some(chat.title.clone())
                }
                (tl::enums::Chat::Channel(channel), tl::enums::Peer::Channel(peer))
                    if channel.id == peer.channel_id =>
                {
                    Some(channel.title.clone())
                }
                _ => None,
            })
        }
    };
    known.unwrap_or_else(|| match peer {
        tl::enums::Peer::User(peer) => peer.user_id.to_string(),
        tl::enums::Peer::Chat(peer) => peer.chat_id.to_string(),
        tl::enums::Peer::Channel(peer) => peer.channel_id.to_string(),
    })
}
