//! From Telegram's schema to plain data: messages, their recordings, and peers.

use grammers_client::tl;
use grammers_session::types::{PeerId, PeerInfo};

use crate::domain::policy::Incoming;
use crate::domain::{Peer, PeerKind, RecordingKind};

/// A recording in a message, before the access hash of its chat is known.
pub(super) struct UnresolvedRecording {
    pub chat: Option<PeerId>,
    pub message: i32,
    peer: (PeerKind, i64),
    via_bot: bool,
    outgoing: bool,
    date: i32,
    recording: Recording,
}

/// A voice or video message's file and what its attributes claim.
pub(super) struct Recording {
    pub document: tl::types::Document,
    kind: RecordingKind,
    duration: u32,
    view_once: bool,
}

impl UnresolvedRecording {
    pub fn incoming(self, account: i64, access_hash: i64, bot: bool) -> Incoming {
        let (kind, id) = self.peer;
        Incoming {
            account,
            peer: Peer { kind, id, access_hash },
            bot: bot || self.via_bot,
            message: self.message,
            outgoing: self.outgoing,
            date: self.date.into(),
            kind: self.recording.kind,
            document: self.recording.document.id,
            view_once: self.recording.view_once,
            duration: self.recording.duration,
            size: u64::try_from(self.recording.document.size).unwrap_or(0),
        }
    }
}

/// The recording in a message, if there is one.
pub(super) fn unresolved_recording(message: &tl::enums::Message) -> Option<UnresolvedRecording> {
    let tl::enums::Message::Message(message) = message else { return None };
    let recording = recording(message.media.as_ref()?)?;
    let (peer, chat) = match &message.peer_id {
        tl::enums::Peer::User(user) => ((PeerKind::User, user.user_id), PeerId::user(user.user_id)),
        tl::enums::Peer::Chat(chat) => ((PeerKind::Group, chat.chat_id), PeerId::chat(chat.chat_id)),
        tl::enums::Peer::Channel(channel) => {
            ((PeerKind::Channel, channel.channel_id), PeerId::channel(channel.channel_id))
        }
    };
    Some(UnresolvedRecording {
        chat,
        message: message.id,
        peer,
        via_bot: message.via_bot_id.is_some() || message.via_business_bot_id.is_some(),
        outgoing: message.out,
        date: message.date,
        recording,
    })
}

/// The voice message or round video in `media`.
pub(super) fn recording(media: &tl::enums::MessageMedia) -> Option<Recording> {
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
    Some(Recording { document: document.clone(), kind, duration, view_once: media.ttl_seconds.is_some() })
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
pub(super) fn peers(users: &[tl::enums::User], chats: &[tl::enums::Chat]) -> Vec<PeerInfo> {
    users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect()
}

/// The peers that an answer with messages mentions.
pub(super) fn peers_of_messages(answer: &tl::enums::messages::Messages) -> Vec<PeerInfo> {
    use tl::enums::messages::Messages;
    match answer {
        Messages::Messages(all) => peers(&all.users, &all.chats),
        Messages::Slice(slice) => peers(&slice.users, &slice.chats),
        Messages::ChannelMessages(channel) => peers(&channel.users, &channel.chats),
        Messages::NotModified(_) => Vec::new(),
    }
}
