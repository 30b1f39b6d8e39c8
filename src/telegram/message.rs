//! From Telegram's schema to plain data: messages, their recordings, and peers.

use grammers_client::tl;
use grammers_session::types::{ChannelKind, PeerId, PeerInfo};

use super::store::peer::{PeerTraits, SeenPeer};
use crate::domain::{ChatInfo, ChatKind, Incoming, JobId, Peer, PeerKind, Recording, RecordingKind, Sender};

/// Telegram's own account, which sends login codes.
const SERVICE_NOTIFICATIONS: i64 = 777_000;

/// A recording in a message, before what is known of its chat and its sender is added.
pub(super) struct UnresolvedRecording {
    pub chat: PeerId,
    pub message: i32,
    from: Option<PeerId>,
    via_bot: bool,
    view_once: bool,
    /// Whether it is a post of a broadcast channel.
    is_post: bool,
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
    /// `people` are of the chat, and perhaps not all of them.
    pub fn incoming(
        self,
        owner: i64,
        chat: Option<&SeenPeer>,
        sender: Option<&SeenPeer>,
        people: Vec<String>,
    ) -> Incoming {
        let sender_id = self.sender(owner).bot_api_dialog_id().unwrap_or(owner);
        let Self { message, mut recording, .. } = self;
        let access = chat.and_then(|chat| chat.info.auth());
        recording.chat.access_hash = access.map_or(0, |auth| auth.hash());
        let mut chat_info = chat_info(&recording.chat, chat, owner);
        if self.is_post {
            chat_info.kind = ChatKind::Channel;
        }
        Incoming {
            id: JobId { account: owner, chat: recording.chat.chat(), message },
            chat: chat_info,
            sender: Sender {
                id: sender_id,
                is_owner: recording.outgoing || sender_id == owner,
                is_bot: self.via_bot || sender.is_some_and(|sender| is_bot(&sender.info)),
                is_contact: sender.and_then(|sender| sender.traits.contact),
                names: sender.and_then(|sender| sender.traits.names.clone()).unwrap_or_default(),
            },
            recording,
            people,
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

/// The voice message or round video in a message, if there is one.
pub(super) fn unresolved_recording(message: &tl::enums::Message) -> Option<UnresolvedRecording> {
    unresolved(message, recording_file)
}

/// Whatever in a message can be listened to.
pub(super) fn unresolved_sound(message: &tl::enums::Message) -> Option<UnresolvedRecording> {
    unresolved(message, sound_file)
}

fn unresolved(
    message: &tl::enums::Message,
    file_in: impl FnOnce(&tl::enums::MessageMedia) -> Option<RecordingFile>,
) -> Option<UnresolvedRecording> {
    let tl::enums::Message::Message(message) = message else { return None };
    let file = file_in(message.media.as_ref()?)?;
    Some(UnresolvedRecording {
        chat: PeerId::from(&message.peer_id),
        message: message.id,
        from: message.from_id.as_ref().map(PeerId::from),
        via_bot: message.via_bot_id.is_some() || message.via_business_bot_id.is_some(),
        view_once: file.view_once,
        is_post: message.post,
        recording: Recording {
            chat: peer_without_hash(&message.peer_id),
            thread: thread(message),
            kind: file.kind,
            document: file.document.id,
            outgoing: message.out,
            date: message.date.into(),
            lifetime: message.ttl_period.and_then(|seconds| u32::try_from(seconds).ok()),
            duration: file.duration,
            size: u64::try_from(file.document.size).unwrap_or(0),
        },
    })
}

fn peer_without_hash(peer: &tl::enums::Peer) -> Peer {
    let (kind, id) = match peer {
        tl::enums::Peer::User(user) => (PeerKind::User, user.user_id),
        tl::enums::Peer::Chat(group) => (PeerKind::Group, group.chat_id),
        tl::enums::Peer::Channel(channel) => (PeerKind::Channel, channel.channel_id),
    };
    Peer { kind, id, access_hash: 0 }
}

/// A text that the owner has written: not forwarded, not sent through a bot, and no quote.
pub(super) struct OwnText<'a> {
    pub chat: PeerId,
    /// Without its access hash.
    pub peer: Peer,
    pub message: i32,
    pub text: &'a str,
    /// In seconds of Unix time.
    pub date: i64,
    /// The message that it replies to.
    pub replies_to: Option<i32>,
}

/// The text in a message, if the `owner` has written it. What this program sends is none: it is
/// sent silently.
pub(super) fn own_text(message: &tl::enums::Message, owner: i64) -> Option<OwnText<'_>> {
    let tl::enums::Message::Message(message) = message else { return None };
    let peer = peer_without_hash(&message.peer_id);
    let is_saved = peer.kind == PeerKind::User && peer.id == owner;
    let is_quote =
        |entity: &tl::enums::MessageEntity| matches!(entity, tl::enums::MessageEntity::Blockquote(_));
    let is_of_others = message.fwd_from.is_some()
        || message.via_bot_id.is_some()
        || message.via_business_bot_id.is_some()
        || message.entities.iter().flatten().any(is_quote);
    if !(message.out || is_saved) || is_of_others || message.silent || message.media.is_some() {
        return None;
    }
    Some(OwnText {
        chat: PeerId::from(&message.peer_id),
        peer,
        message: message.id,
        text: &message.message,
        date: message.date.into(),
        replies_to: replied_to(message),
    })
}

/// The message of the same chat that a message replies to.
pub(super) fn replied_to(message: &tl::types::Message) -> Option<i32> {
    match message.reply_to.as_ref()? {
        // A message in a topic names the message that began it, if it replies to no other.
        tl::enums::MessageReplyHeader::Header(header) if header.forum_topic => {
            header.reply_to_msg_id.filter(|_| header.reply_to_top_id.is_some())
        }
        tl::enums::MessageReplyHeader::Header(header) if header.reply_to_peer_id.is_none() => {
            header.reply_to_msg_id
        }
        _ => None,
    }
}

/// How many messages with recordings the serialised `Updates` in `bytes` announce; `None` if they
/// are not of that type. Fuzzing calls it with any bytes.
#[doc(hidden)]
pub fn recordings_in_updates(bytes: &[u8]) -> Option<usize> {
    use tl::Deserializable as _;
    let updates = match tl::enums::Updates::from_bytes(bytes).ok()? {
        tl::enums::Updates::Updates(updates) => updates.updates,
        tl::enums::Updates::Combined(updates) => updates.updates,
        tl::enums::Updates::UpdateShort(short) => vec![short.update],
        _ => return Some(0),
    };
    Some(updates.iter().filter_map(new_message).filter_map(unresolved_recording).count())
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
fn is_bot(peer: &PeerInfo) -> bool {
    matches!(peer, PeerInfo::User { bot: Some(true), .. })
}

/// A chat as the rules of the `owner` see it, with what is `known` of it.
pub(super) fn chat_info(chat: &Peer, known: Option<&SeenPeer>, owner: i64) -> ChatInfo {
    let kind = match (chat.kind, known.map(|known| &known.info)) {
        (PeerKind::User, _) if chat.id == owner => ChatKind::SavedMessages,
        (PeerKind::User, _) if chat.id == SERVICE_NOTIFICATIONS => ChatKind::Service,
        (PeerKind::User, Some(info)) if is_bot(info) => ChatKind::Bot,
        (PeerKind::User, _) => ChatKind::Private,
        (_, Some(PeerInfo::Channel { kind: Some(ChannelKind::Broadcast), .. })) => ChatKind::Channel,
        (PeerKind::Group | PeerKind::Channel, _) => ChatKind::Group,
    };
    let names = known.and_then(|known| known.traits.names.clone()).unwrap_or_default();
    ChatInfo { id: chat.chat(), kind, names }
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

/// The file in `media`, if it can be listened to.
pub(super) fn sound_file(media: &tl::enums::MessageMedia) -> Option<RecordingFile> {
    use tl::enums::DocumentAttribute::{Animated, Audio, CustomEmoji, Sticker, Video};
    if let Some(file) = recording_file(media) {
        return Some(file);
    }
    let tl::enums::MessageMedia::Document(media) = media else { return None };
    let tl::enums::Document::Document(document) = media.document.as_ref()? else { return None };
    let is_silent = document.attributes.iter().any(|attribute| match attribute {
        Animated | Sticker(_) | CustomEmoji(_) => true,
        Video(video) => video.nosound,
        _ => false,
    });
    if is_silent {
        return None;
    }
    let attribute = document.attributes.iter().find_map(|attribute| match attribute {
        Audio(audio) => Some((RecordingKind::Audio, u32::try_from(audio.duration).unwrap_or(0))),
        Video(video) => Some((RecordingKind::Video, video.duration.ceil() as u32)),
        _ => None,
    });
    let by_type = || match document.mime_type.split_once('/')?.0 {
        "audio" => Some((RecordingKind::Audio, 0)),
        "video" => Some((RecordingKind::Video, 0)),
        _ => None,
    };
    let (kind, duration) = attribute.or_else(by_type)?;
    Some(RecordingFile { document: document.clone(), kind, duration, view_once: media.ttl_seconds.is_some() })
}

/// What a message holds that could be listened to but is no recording, in words for the log.
pub(super) fn other_sound(message: &tl::enums::Message) -> Option<&'static str> {
    let tl::enums::Message::Message(message) = message else { return None };
    match sound_file(message.media.as_ref()?)?.kind {
        RecordingKind::Audio => Some("an audio file, not a voice message"),
        RecordingKind::Video => Some("a video file, not a round video message"),
        RecordingKind::Voice | RecordingKind::VideoNote => None,
    }
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
    contents(answer).0
}

/// The messages of an answer, and the users and chats that it mentions.
pub(super) fn contents(
    answer: tl::enums::messages::Messages,
) -> (Vec<tl::enums::Message>, Vec<tl::enums::User>, Vec<tl::enums::Chat>) {
    use tl::enums::messages::Messages;
    match answer {
        Messages::Messages(all) => (all.messages, all.users, all.chats),
        Messages::Slice(slice) => (slice.messages, slice.users, slice.chats),
        Messages::ChannelMessages(channel) => (channel.messages, channel.users, channel.chats),
        Messages::NotModified(_) => (Vec::new(), Vec::new(), Vec::new()),
    }
}

/// The peers that an answer mentions.
pub(super) fn peers(users: &[tl::enums::User], chats: &[tl::enums::Chat]) -> Vec<SeenPeer> {
    let users = users.iter().map(|user| SeenPeer { info: PeerInfo::from(user), traits: user_traits(user) });
    let chats = chats.iter().map(|chat| SeenPeer { info: PeerInfo::from(chat), traits: chat_traits(chat) });
    users.chain(chats).collect()
}

/// Nothing where Telegram sent an abridged description ("min"), which leaves things out.
fn user_traits(user: &tl::enums::User) -> PeerTraits {
    match user {
        tl::enums::User::User(user) if !user.min => PeerTraits {
            contact: Some(user.contact || user.mutual_contact),
            names: Some(names(user.username.as_ref(), user.usernames.as_ref())),
            called: Some(user_name(user)),
        },
        _ => PeerTraits::default(),
    }
}

/// What a user calls themselves.
pub(super) fn user_name(user: &tl::types::User) -> String {
    let names: Vec<&str> =
        [&user.first_name, &user.last_name].into_iter().flatten().map(String::as_str).collect();
    names.join(" ")
}

fn chat_traits(chat: &tl::enums::Chat) -> PeerTraits {
    match chat {
        tl::enums::Chat::Channel(channel) if !channel.min => PeerTraits {
            contact: None,
            names: Some(names(channel.username.as_ref(), channel.usernames.as_ref())),
            called: None,
        },
        _ => PeerTraits::default(),
    }
}

/// The public names of a peer: the one name that most have, or the list of those that have several.
fn names(single: Option<&String>, several: Option<&Vec<tl::enums::Username>>) -> Vec<String> {
    let several = several.into_iter().flatten().filter_map(|name| match name {
        tl::enums::Username::Username(name) => name.active.then_some(&name.username),
    });
    single.into_iter().chain(several).map(|name| name.to_ascii_lowercase()).collect()
}

/// The peers that an answer with messages mentions.
pub(super) fn peers_of_messages(answer: &tl::enums::messages::Messages) -> Vec<SeenPeer> {
    use tl::enums::messages::Messages;
    match answer {
        Messages::Messages(all) => peers(&all.users, &all.chats),
        Messages::Slice(slice) => peers(&slice.users, &slice.chats),
        Messages::ChannelMessages(channel) => peers(&channel.users, &channel.chats),
        Messages::NotModified(_) => Vec::new(),
    }
}
