//! A recording in a message: what a job and the event that announced it have in common.

use serde::{Deserialize, Serialize};

use super::Peer;

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingKind {
    /// A voice message: OGG/Opus.
    Voice,
    /// A round video message: MP4 with an AAC track.
    VideoNote,
    /// An audio file. Transcribed only if the owner asks for it.
    Audio,
    /// A video with sound, the same.
    Video,
}

/// A recording, and where its message is.
///
/// It names the message, not the file: file references expire, so the file is looked up when the
/// job is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    #[serde(rename = "peer")]
    pub chat: Peer,
    /// The forum topic, by the id of the message that began it; `None` outside of forums, and in a
    /// forum's General topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<i32>,
    pub kind: RecordingKind,
    /// Telegram's id of the file, the same in every message that the recording is forwarded to.
    /// Zero if it is not known.
    #[serde(default)]
    pub document: i64,
    /// Whether Telegram marks the message as sent by this account.
    pub outgoing: bool,
    /// When the message was sent, in seconds of Unix time.
    pub date: i64,
    /// After how many seconds Telegram deletes the message, in a chat with an auto-delete timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<u32>,
    /// The length that the sender claims, in seconds.
    pub duration: u32,
    /// The size of the file that Telegram claims, in bytes.
    pub size: u64,
}

impl Recording {
    /// When Telegram deletes the message, in milliseconds of Unix time; `None` if never.
    pub fn deleted_at_millis(&self) -> Option<u64> {
        let end = self.date.saturating_add(self.lifetime?.into());
        Some(u64::try_from(end).unwrap_or(0).saturating_mul(1000))
    }
}
