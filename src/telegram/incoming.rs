//! From Telegram's schema to plain data: what of a message the policy wants to know.

use grammers_client::session::types::{PeerId, PeerInfo};
use grammers_client::tl;

use crate::domain::policy::Incoming;
use crate::domain::{Peer, PeerKind, RecordingKind};

/// A recording in a message, before it is known how to reach its chat.
pub(super) struct Sighting {
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

impl Sighting {
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
pub(super) fn sighting(message: &tl::enums::Message) -> Option<Sighting> {
    let tl::enums::Message::Message(message) = message else { return None };
    let recording = recording(message.media.as_ref()?)?;
    let (peer, chat) = match &message.peer_id {
        tl::enums::Peer::User(user) => ((PeerKind::User, user.user_id), PeerId::user(user.user_id)),
        tl::enums::Peer::Chat(chat) => ((PeerKind::Group, chat.chat_id), PeerId::chat(chat.chat_id)),
        tl::enums::Peer::Channel(channel) => {
            ((PeerKind::Channel, channel.channel_id), PeerId::channel(channel.channel_id))
        }
    };
    Some(Sighting {
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
            // `as` saturates, and makes nothing of a NaN.
            Some((RecordingKind::VideoNote, video.duration.ceil() as u32))
        }
        _ => None,
    })?;
    Some(Recording { document: document.clone(), kind, duration, view_once: media.ttl_seconds.is_some() })
}

/// The address of a peer in requests.
pub(super) fn input_peer(info: &PeerInfo) -> tl::enums::InputPeer {
    let access_hash = info.auth().map_or(0, |auth| auth.hash());
    match *info {
        PeerInfo::User { id: user_id, .. } => tl::types::InputPeerUser { user_id, access_hash }.into(),
        PeerInfo::Chat { id: chat_id } => tl::types::InputPeerChat { chat_id }.into(),
        PeerInfo::Channel { id: channel_id, .. } => {
            tl::types::InputPeerChannel { channel_id, access_hash }.into()
        }
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

/// The people and chats that an answer mentions.
pub(super) fn peers_of(answer: &tl::enums::messages::Messages) -> Vec<PeerInfo> {
    use tl::enums::messages::Messages;
    let (users, chats) = match answer {
        Messages::Messages(all) => (&all.users, &all.chats),
        Messages::Slice(slice) => (&slice.users, &slice.chats),
        Messages::ChannelMessages(channel) => (&channel.users, &channel.chats),
        Messages::NotModified(_) => return Vec::new(),
    };
    users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect()
}

/// One page of the list of chats.
pub(super) struct DialogsPage {
    pub peers: Vec<PeerInfo>,
    /// Channel id and the position in its stream of updates.
    pub channels: Vec<(i64, i32)>,
    /// Where the next page begins.
    pub next: Option<DialogsOffset>,
}

pub(super) struct DialogsOffset {
    pub date: i32,
    pub message: i32,
    pub chat: PeerId,
}

impl From<tl::enums::messages::Dialogs> for DialogsPage {
    fn from(answer: tl::enums::messages::Dialogs) -> Self {
        use tl::enums::messages::Dialogs;
        let (dialogs, messages, users, chats, more) = match answer {
            Dialogs::Dialogs(all) => (all.dialogs, all.messages, all.users, all.chats, false),
            Dialogs::Slice(slice) => (slice.dialogs, slice.messages, slice.users, slice.chats, true),
            Dialogs::NotModified(_) => (vec![], vec![], vec![], vec![], false),
        };
        let dialogs = dialogs.into_iter().filter_map(|dialog| match dialog {
            tl::enums::Dialog::Dialog(dialog) => Some(dialog),
            _ => None,
        });
        let dialogs: Vec<tl::types::Dialog> = dialogs.collect();
        let channels = dialogs.iter().filter_map(|dialog| match &dialog.peer {
            tl::enums::Peer::Channel(channel) => dialog.pts.map(|pts| (channel.channel_id, pts)),
            _ => None,
        });
        let offset = |dialog: &tl::types::Dialog| {
            let date = messages.iter().find_map(|message| match message {
                tl::enums::Message::Message(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                    Some(m.date)
                }
                tl::enums::Message::Service(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                    Some(m.date)
                }
                _ => None,
            })?;
            Some(DialogsOffset { date, message: dialog.top_message, chat: PeerId::from(&dialog.peer) })
        };
        Self {
            next: more.then(|| dialogs.iter().rev().find_map(offset)).flatten(),
            channels: channels.collect(),
            peers: users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from)).collect(),
        }
    }
}
