//! What somebody is about to send to the owner, or the owner from another device.

use super::peers::Chat;
use super::post::Post;

/// A message not yet sent. Made by [`Draft::text`], [`Draft::voice`] and the like, and then
/// described further: `Draft::voice(ogg, 3).from(FRIEND).in_dc(4)`.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(crate) text: String,
    pub(crate) recording: Option<Recording>,
    /// A file that an earlier message holds.
    pub(crate) file: Option<i64>,
    pub(crate) author: Author,
    pub(crate) sent_as: Option<Chat>,
    pub(crate) reply_to: Option<i32>,
    pub(crate) topic: Option<i32>,
    pub(crate) date: Option<i32>,
    pub(crate) forwarded_from: Option<i64>,
    pub(crate) silent: bool,
    pub(crate) lifetime: Option<i32>,
}

/// Who sends a [`Draft`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Author {
    /// The other one of a private chat; in a group, the friend; in a broadcast, nobody by name.
    #[default]
    OtherSide,
    /// This user.
    User(i64),
    /// The owner, on another device.
    Owner,
}

/// What a recording is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingKind {
    /// A voice message.
    Voice,
    /// A round video message.
    Round,
    /// A music file: audio, and no voice message.
    Music,
}

#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub kind: RecordingKind,
    pub bytes: Vec<u8>,
    pub seconds: u32,
    pub mime: String,
    pub dc: Option<i32>,
    pub claimed_size: Option<i64>,
    pub ttl: Option<i32>,
}

/// The `ttl_seconds` of media that may be played once only.
const VIEW_ONCE: i32 = i32::MAX;

impl Draft {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// An earlier message forwarded: the same file under the same number.
    pub fn forward(post: &Post) -> Self {
        Self { text: post.text.clone(), file: post.file, forwarded_from: post.from, ..Self::default() }
    }

    /// A voice message: an OGG/Opus file that is said to last `seconds`.
    pub fn voice(bytes: impl Into<Vec<u8>>, seconds: u32) -> Self {
        Self::recording(RecordingKind::Voice, bytes.into(), seconds, "audio/ogg")
    }

    /// A round video message: an MP4 file that is said to last `seconds`.
    pub fn round(bytes: impl Into<Vec<u8>>, seconds: u32) -> Self {
        Self::recording(RecordingKind::Round, bytes.into(), seconds, "video/mp4")
    }

    /// A music file, which is no voice message.
    pub fn music(bytes: impl Into<Vec<u8>>, seconds: u32) -> Self {
        Self::recording(RecordingKind::Music, bytes.into(), seconds, "audio/mpeg")
    }

    fn recording(kind: RecordingKind, bytes: Vec<u8>, seconds: u32, mime: &str) -> Self {
        let mime = mime.to_owned();
        let recording = Recording { kind, bytes, seconds, mime, dc: None, claimed_size: None, ttl: None };
        Self { recording: Some(recording), ..Self::default() }
    }

    /// Text below the recording.
    pub fn caption(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Sent by this user (in a group).
    pub fn from(mut self, user: i64) -> Self {
        self.author = Author::User(user);
        self
    }

    /// Sent by the owner on another device.
    pub fn own(mut self) -> Self {
        self.author = Author::Owner;
        self
    }

    /// Shown as sent by `chat`: by the group itself where an administrator is anonymous, or by a channel
    /// in whose name somebody writes.
    pub fn sent_as(mut self, chat: Chat) -> Self {
        self.sent_as = Some(chat);
        self
    }

    pub fn reply_to(mut self, message: i32) -> Self {
        self.reply_to = Some(message);
        self
    }

    /// In the forum topic that began with the message `topic`.
    pub fn in_topic(mut self, topic: i32) -> Self {
        self.topic = Some(topic);
        self
    }

    /// Sent at this time (seconds of Unix time) instead of now.
    pub fn dated(mut self, unix: i32) -> Self {
        self.date = Some(unix);
        self
    }

    /// First said by this user.
    pub fn forwarded_from(mut self, user: i64) -> Self {
        self.forwarded_from = Some(user);
        self
    }

    /// Without a sound at the receiver's.
    pub fn without_sound(mut self) -> Self {
        self.silent = true;
        self
    }

    /// In a chat whose timer deletes messages after this many seconds. The server does not delete it.
    pub fn deleted_after(mut self, seconds: i32) -> Self {
        self.lifetime = Some(seconds);
        self
    }

    /// The file lies in this datacentre (4 unless told).
    pub fn in_dc(self, dc: i32) -> Self {
        self.with_recording(|recording| recording.dc = Some(dc))
    }

    /// The file's MIME type.
    pub fn mime(self, mime: &str) -> Self {
        self.with_recording(|recording| recording.mime = mime.to_owned())
    }

    /// The message says the file has this many bytes, whatever it has.
    pub fn claiming_size(self, bytes: i64) -> Self {
        self.with_recording(|recording| recording.claimed_size = Some(bytes))
    }

    /// It may be played once.
    pub fn view_once(self) -> Self {
        self.vanishing_after(VIEW_ONCE)
    }

    /// It vanishes this many seconds after it was played.
    pub fn vanishing_after(self, seconds: i32) -> Self {
        self.with_recording(|recording| recording.ttl = Some(seconds))
    }

    fn with_recording(mut self, change: impl FnOnce(&mut Recording)) -> Self {
        if let Some(recording) = &mut self.recording {
            change(recording);
        }
        self
    }
}
