//! The unit of work: one recording that is to be answered once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Recording, Settings, Tongue};

/// Names one message of one account; the key under which a job is known to the queue.
///
/// Its text form is `account:chat:message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId {
    /// Telegram's number of the logged-in user.
    pub account: i64,
    /// The chat as a Bot API dialog id (users > 0, groups < 0), see [`Peer::chat`].
    pub chat: i64,
    /// The message's number. Unique within a channel, and within an account for everything else.
    pub message: i32,
}

impl JobId {
    /// Sorts before all others.
    pub const MIN: Self = Self { account: i64::MIN, chat: i64::MIN, message: i32::MIN };

    /// Whether its chat is a supergroup or a channel, which numbers its messages itself.
    pub fn is_in_channel(self) -> bool {
        self.chat <= CHANNELS
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.account, self.chat, self.message)
    }
}

/// A text that is no [`JobId`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job id is account:chat:message, three whole numbers, not {0:?}")]
pub struct ParseJobIdError(String);

impl FromStr for JobId {
    type Err = ParseJobIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut fields = text.split(':');
            let id = JobId {
                account: fields.next()?.parse().ok()?,
                chat: fields.next()?.parse().ok()?,
                message: fields.next()?.parse().ok()?,
            };
            fields.next().is_none().then_some(id)
        };
        parse().ok_or_else(|| ParseJobIdError(text.to_owned()))
    }
}

/// The dialog ids of supergroups and channels are below this.
const CHANNELS: i64 = -1_000_000_000_000;

/// What kind of chat a [`Peer`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerKind {
    User,
    /// A basic group, which Telegram's schema calls a chat.
    Group,
    /// A supergroup or a broadcast channel.
    Channel,
}

/// A chat together with the access hash without which Telegram answers "Peer id invalid".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    pub kind: PeerKind,
    /// The bare id, always positive.
    pub id: i64,
    /// Zero for basic groups, which need none.
    pub access_hash: i64,
}

impl Peer {
    /// The Bot API dialog id, one number that tells kind and id
    /// (<https://core.telegram.org/api/bots/ids>).
    pub fn chat(&self) -> i64 {
        match self.kind {
            PeerKind::User => self.id,
            PeerKind::Group => -self.id,
            PeerKind::Channel => CHANNELS - self.id,
        }
    }
}

/// A recording that is to be answered once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    #[serde(flatten)]
    pub recording: Recording,
    /// `None` in a job of a version that did not store them: then those hold that are configured
    /// when the job is worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Whether it comes from a private chat with somebody who is not among the owner's contacts.
    /// Such jobs come after all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stranger: bool,
    /// Set if the owner has asked for it by a command, whatever the rules say. Such jobs come
    /// before all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// How the owner asked for a recording's transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The number of the message with the command, which is in the recording's chat.
    pub command: i32,
    /// The language of its words.
    #[serde(default)]
    pub tongue: Tongue,
    /// Whether the recording is recognised anew, although its answer may be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The messages of an earlier answer, which are edited in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<i32>,
}

impl Job {
    /// Whether the owner has asked to have its recording recognised anew.
    pub fn is_anew(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.again)
    }

    /// The messages of the answer that its recording had when the owner asked for it.
    pub fn earlier_answer(&self) -> &[i32] {
        self.asked.as_ref().map_or(&[], |asked| &asked.replaces)
    }

    /// The `random_id` under which a part of its answer is sent. If the owner asked for it, it may
    /// have been answered before, so its messages are others.
    pub fn random_id(&self, part: usize) -> i64 {
        match &self.asked {
            None => random_id(self.id, part),
            Some(asked) => number_of(&format!("stenogram/reply/{}/{part}/{}", self.id, asked.command)),
        }
    }

    /// The `random_id` under which its preview is sent. It is another one than that of the first
    /// part of its answer, which is sent if somebody has deleted the preview.
    pub fn preview_random_id(&self) -> i64 {
        match &self.asked {
            None => number_of(&format!("stenogram/preview/{}", self.id)),
            Some(asked) => number_of(&format!("stenogram/preview/{}/{}", self.id, asked.command)),
        }
    }
}

#[cfg(test)]
impl Job {
    /// A voice message of 3 s in `chat`.
    pub fn example(chat: Peer, message: i32) -> Self {
        let recording = Recording {
            chat,
            thread: None,
            kind: super::RecordingKind::Voice,
            document: 0,
            outgoing: false,
            date: 0,
            lifetime: None,
            duration: 3,
            size: 9000,
        };
        let id = JobId { account: 1000, chat: chat.chat(), message };
        Self { id, recording, settings: None, stranger: false, asked: None }
    }
}

/// What a message is about that a command is answered with in Saved Messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The command itself.
    Answer,
    /// The recording that was asked for has no text.
    NoText,
}

impl Note {
    /// The `random_id` under which it is sent.
    pub fn random_id(self, command: JobId) -> i64 {
        number_of(&format!("stenogram/{self:?}/{command}"))
    }
}

/// The `random_id` under which one part of a job's answer is sent.
///
/// It is a function of the job, so that a part sent again after a crash is the same message to
/// Telegram, which drops the second one.
pub fn random_id(job: JobId, part: usize) -> i64 {
    number_of(&format!("stenogram/reply/{job}/{part}"))
}

/// The `random_id` of a message to the owner that is no answer. Under the same `id` it is the same
/// message.
pub fn notice_random_id(account: i64, id: &str) -> i64 {
    number_of(&format!("stenogram/notice/{account}/{id}"))
}

/// The first eight bytes of a SHA-256, never zero.
fn number_of(text: &str) -> i64 {
    let digest = Sha256::digest(text);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // Telegram takes zero for "none given".
    i64::from_le_bytes(first) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Form, RecordingKind, Task};

    const ID: JobId = JobId { account: 1000, chat: -1_000_000_000_042, message: 7 };

    #[test]
    fn id_survives_its_text_form() {
        assert_eq!(ID.to_string().parse(), Ok(ID));
        for bad in ["", "1:2", "1:2:3:4", "a:b:c", "1:2:99999999999"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn dialog_ids_tell_kinds_apart() {
        let peer = |kind| Peer { kind, id: 42, access_hash: 0 };
        assert_eq!(peer(PeerKind::User).chat(), 42);
        assert_eq!(peer(PeerKind::Group).chat(), -42);
        assert_eq!(peer(PeerKind::Channel).chat(), -1_000_000_000_042);
    }

    /// The value is part of the promise "never twice": a release that computed another one
    /// would answer again what the one before it had half answered.
    #[test]
    fn random_id_is_fixed_for_ever() {
        assert_eq!(random_id(ID, 0), random_id(ID, 0));
        assert_ne!(random_id(ID, 0), random_id(ID, 1));
        assert_ne!(random_id(ID, 0), random_id(JobId { message: 8, ..ID }, 0));
        assert_eq!(random_id(ID, 0), RANDOM_ID_OF_FIRST_PART);
    }

    /// Jobs that earlier versions stored, without a document, a thread or settings.
    #[test]
    fn an_old_job_can_be_read() {
        let oldest = r#"{"id":{"account":1000,"chat":2000,"message":7},
            "peer":{"kind":"user","id":2000,"access_hash":5},"kind":"voice","outgoing":true,
            "date":1800000000,"duration":3,"size":9000}"#;
        let old = oldest.replace(r#""outgoing""#, r#""document":8,"outgoing""#);
        for (stored, document) in [(oldest, 0), (&old, 8)] {
            let job: Job = serde_json::from_str(stored).unwrap();
            let chat = Peer { kind: PeerKind::User, id: 2000, access_hash: 5 };
            let recording = Recording {
                chat,
                thread: None,
                kind: RecordingKind::Voice,
                document,
                outgoing: true,
                date: 1_800_000_000,
                lifetime: None,
                duration: 3,
                size: 9000,
            };
            let id = JobId { account: 1000, chat: 2000, message: 7 };
            assert_eq!(job, Job { id, recording, settings: None, stranger: false, asked: None });
        }
    }

    /// The scripts in Redis read the date, and a version before this one reads all it knows.
    #[test]
    fn the_fields_of_a_job_are_stored_side_by_side() {
        let job = Job {
            id: ID,
            recording: Recording {
                chat: Peer { kind: PeerKind::Channel, id: 42, access_hash: i64::MIN },
                thread: Some(9),
                kind: RecordingKind::VideoNote,
                document: i64::MAX,
                outgoing: false,
                date: 1_800_000_000,
                lifetime: Some(604_800),
                duration: 3,
                size: u64::MAX,
            },
            settings: Some(Settings {
                language: Some("ru".parse().unwrap()),
                task: Task::Translate,
                form: Form::Replies,
                fold_from: 800,
                ..Settings::default()
            }),
            stranger: true,
            asked: None,
        };
        let stored = serde_json::to_string(&job).unwrap();
        assert_eq!(
            stored,
            r#"{"id":{"account":1000,"chat":-1000000000042,"message":7},"peer":{"kind":"channel","id":42,"#
                .to_owned()
                + r#""access_hash":-9223372036854775808},"thread":9,"kind":"video_note","#
                + r#""document":9223372036854775807,"outgoing":false,"date":1800000000,"lifetime":604800,"duration":3,"#
                + r#""size":18446744073709551615,"settings":{"language":"ru","task":"translate","form":"replies"},"#
                + r#""stranger":true}"#
        );
        assert_eq!(serde_json::from_str::<Job>(&stored).unwrap(), job);
    }

    const RANDOM_ID_OF_FIRST_PART: i64 = 5_192_257_310_934_557_473;
}
