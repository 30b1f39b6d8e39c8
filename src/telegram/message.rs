//! From Telegram's schema to plain data: messages, their recordings, and peers.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerInfo};

use super::store::peer::MetPeer;
use crate::domain::{Incoming, JobId, Peer, PeerKind, Recording, RecordingKind, Sender};

/// A recording in a message, before what is known of its chat and its sender is added.
pub(super) struct UnresolvedRecording {
    pub chat: PeerId,
    pub message: i32,
    from: Option<PeerId>,
    via_bot: bool,
    view_once: bool,
    /// Without the access hash of the chat.
    recording: Recording,
}

/// The file of a voice message or round video, and what its attributes claim.
pub(super) struct RecordingFile {
    pub document: tl::types::Document,
    kind: RecordingKind,
    duration: u32,
    view_once: bool,
}

impl UnresolvedRecording {
    /// Who sent it: the `owner` of the account, another user, or a group or channel in whose name
    /// it was sent.
    pub fn sender(&self, owner: i64) -> PeerId {
        // Telegram may leave the sender out of a message in a private chat, and does so where
        // somebody writes in the name of the chat.
        let is_private = self.recording.chat.kind == PeerKind::User;
        let from =
            self.from.or_else(|| PeerId::user(owner).filter(|_| is_private && self.recording.outgoing));
        from.unwrap_or(self.chat)
    }

    /// The recording with what is known of its chat and its sender. An access hash that is not
    /// known is 0.
    pub fn incoming(
        self,
        owner: i64,
        chat: Option<&PeerInfo>,
        sender: Option<&PeerInfo>,
        is_stranger: bool,
    ) -> Incoming {
        let sender_id = self.sender(owner).bot_api_dialog_id().unwrap_or(owner);
        let Self { message, mut recording, .. } = self;
        recording.chat.access_hash = chat.and_then(PeerInfo::auth).map_or(0, |auth| auth.hash());
        Incoming {
            id: JobId { account: owner, chat: recording.chat.chat(), message },
            sender: Sender {
                id: sender_id,
                is_owner: recording.outgoing || sender_id == owner,
                is_bot: self.via_bot || sender.is_some_and(is_bot),
                is_stranger: is_stranger && !recording.outgoing && sender_id != owner,
            },
            recording,
            chat_is_bot: chat.is_some_and(is_bot),
            view_once: self.view_once,
        }
    }
}

/// The message in an update that announces a new one.
pub(super) fn new_message(update: &tl::enums::Update) -> Option<&tl::enums::Message> {
    match update {
        tl::enums::Update::NewMessage(update) => Some(&update.message),
        tl::enums::Update::NewChannelMessage(update) => Some(&update.message),
        _ => None,
    }
}

/// The recording in a message, if there is one.
pub(super) fn unresolved_recording(message: &tl::enums::Message) -> Option<UnresolvedRecording> {
    let tl::enums::Message::Message(message) = message else { return None };
    let file = recording_file(message.media.as_ref()?)?;
    let (chat, kind, id) = match &message.peer_id {
        tl::enums::Peer::User(user) => (PeerId::user(user.user_id)?, PeerKind::User, user.user_id),
        tl::enums::Peer::Chat(group) => (PeerId::chat(group.chat_id)?, PeerKind::Group, group.chat_id),
        tl::enums::Peer::Channel(channel) => {
            (PeerId::channel(channel.channel_id)?, PeerKind::Channel, channel.channel_id)
        }
    };
    Some(UnresolvedRecording {
        chat,
        message: message.id,
        from: message.from_id.as_ref().map(PeerId::from),
        via_bot: message.via_bot_id.is_some() || message.via_business_bot_id.is_some(),
        view_once: file.view_once,
        recording: Recording {
            chat: Peer { kind, id, access_hash: 0 },
            thread: thread(message),
            kind: file.kind,
            document: file.document.id,
            outgoing: message.out,
            date: message.date.into(),
            duration: file.duration,
            size: u64::try_from(file.document.size).unwrap_or(0),
        },
    })
}

/// The forum topic of a message, by the message that began it; `None` in the General topic, of
/// whose messages Telegram does not say that they are in a topic.
fn thread(message: &tl::types::Message) -> Option<i32> {
    match message.reply_to.as_ref()? {
        tl::enums::MessageReplyHeader::Header(header) if header.forum_topic => {
            header.reply_to_top_id.or(header.reply_to_msg_id)
        }
        _ => None,
    }
}

/// Whether a peer is a bot, as far as that is known.
pub(super) fn is_bot(peer: &PeerInfo) -> bool {
    matches!(peer, PeerInfo::User { bot: Some(true), .. })
}

/// The voice message or round video in `media`.
pub(super) fn recording_file(media: &tl::enums::MessageMedia) -> Option<RecordingFile> {
    let tl::enums::MessageMedia::Document(media) = media else { return None };
    let tl::enums::Document::Document(document) = media.document.as_ref()? else { return None };
    let (kind, duration) = document.attributes.iter().find_map(|attribute| match attribute {
        tl::enums::DocumentAttribute::Audio(audio) if audio.voice => {
            Some((RecordingKind::Voice, u32::try_from(audio.duration).unwrap_or(0)))
        }
        tl::enums::DocumentAttribute::Video(video) if video.round_message => {
            // `as` saturates, and turns a NaN into 0.
            Some((RecordingKind::VideoNote, video.duration.ceil() as u32))
        }
        _ => None,
    })?;
    Some(RecordingFile { document: document.clone(), kind, duration, view_once: media.ttl_seconds.is_some() })
}

/// A peer as plain data. Its access hash is 0 if it is not known.
pub(super) fn peer(info: &PeerInfo) -> Peer {
    let access_hash = info.auth().map_or(0, |auth| auth.hash());
    let (kind, id) = match *info {
        PeerInfo::User { id, .. } => (PeerKind::User, id),
        PeerInfo::Chat { id } => (PeerKind::Group, id),
        PeerInfo::Channel { id, .. } => (PeerKind::Channel, id),
    };
    Peer { kind, id, access_hash }
}

/// The chat of a message.
pub(super) fn chat(message: &tl::enums::Message) -> Option<PeerId> {
    match message {
        tl::enums::Message::Message(message) => Some(PeerId::from(&message.peer_id)),
        tl::enums::Message::Service(message) => Some(PeerId::from(&message.peer_id)),
        tl::enums::Message::Empty(_) => None,
    }
}

/// When a message was sent, in seconds of Unix time.
pub(super) fn date(message: &tl::enums::Message) -> Option<i64> {
    match message {
        tl::enums::Message::Message(message) => Some(message.date.into()),
        tl::enums::Message::Service(message) => Some(message.date.into()),
        tl::enums::Message::Empty(_) => None,
    }
}

/// A peer in the form that requests take.
pub(super) fn input_peer(peer: &Peer) -> tl::enums::InputPeer {
    let Peer { id, access_hash, .. } = *peer;
    match peer.kind {
        PeerKind::User => tl::types::InputPeerUser { user_id: id, access_hash }.into(),
        PeerKind::Group => tl::types::InputPeerChat { chat_id: id }.into(),
        PeerKind::Channel => tl::types::InputPeerChannel { channel_id: id, access_hash }.into(),
    }
}

/// The messages of an answer.
pub(super) fn messages_of(answer: tl::enums::messages::Messages) -> Vec<tl::enums::Message> {
    use tl::enums::messages::Messages;
    match answer {
        Messages::Messages(all) => all.messages,
        Messages::Slice(slice) => slice.messages,
        Messages::ChannelMessages(channel) => channel.messages,
        Messages::NotModified(_) => Vec::new(),
    }
}

/// The peers that an answer mentions.
pub(super) fn peers(users: &[tl::enums::User], chats: &[tl::enums::Chat]) -> Vec<MetPeer> {
    let chats = chats.iter().map(|chat| MetPeer::from(PeerInfo::from(chat)));
    users.iter().map(MetPeer::from).chain(chats).collect()
}

/// The peers that an answer with messages mentions.
pub(super) fn peers_of_messages(answer: &tl::enums::messages::Messages) -> Vec<MetPeer> {
    use tl::enums::messages::Messages;
    match answer {
        Messages::Messages(all) => peers(&all.users, &all.chats),
        Messages::Slice(slice) => peers(&slice.users, &slice.chats),
        Messages::ChannelMessages(channel) => peers(&channel.users, &channel.chats),
        Messages::NotModified(_) => Vec::new(),
    }
}
