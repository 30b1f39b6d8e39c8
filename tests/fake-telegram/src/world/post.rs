//! Messages that were sent.

use grammers_tl_types::{Serializable, enums, name_for_id};
use serde::Serialize;

use super::peers::Chat;

/// A message in a chat, as both sides see it.
#[derive(Clone, Debug, Serialize)]
pub struct Post {
    /// Whose account it is in.
    #[serde(skip)]
    pub(crate) owner: i64,
    pub chat: Chat,
    pub id: i32,
    /// The sender; `None` for a post of a broadcast channel.
    pub from: Option<i64>,
    /// The group or channel that is shown as its sender.
    pub(crate) sent_as: Option<Chat>,
    /// Seconds of Unix time.
    pub date: i32,
    pub text: String,
    #[serde(skip)]
    pub(crate) raw_entities: Vec<enums::MessageEntity>,
    pub reply_to: Option<i32>,
    /// The message that began the forum topic.
    pub topic: Option<i32>,
    pub silent: bool,
    /// Names the file that it holds.
    pub(crate) file: Option<i64>,
    /// Seconds until its media vanishes.
    pub(crate) ttl: Option<i32>,
    /// Seconds until the chat's timer deletes it.
    pub(crate) lifetime: Option<i32>,
    pub(crate) forwarded_from: Option<i64>,
    /// The number that the client gave it; `None` for what others and other devices sent.
    pub random_id: Option<i64>,
    /// How many times the client edited it.
    pub edits: u32,
    #[serde(skip)]
    pub(crate) edit_date: Option<i32>,
    #[serde(skip)]
    pub(crate) deleted: bool,
    pub reactions: Vec<Reaction>,
}

/// A reaction to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reaction {
    pub user: i64,
    pub emoji: String,
    /// Seconds of Unix time.
    pub date: i32,
}

/// A formatted part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// The constructor's name in the schema, such as `messageEntityBlockquote`.
    pub kind: &'static str,
    /// In UTF-16 code units.
    pub offset: i32,
    /// In UTF-16 code units.
    pub length: i32,
    /// A quote shown folded.
    pub collapsed: bool,
}

impl Post {
    /// Whether the owner's client shows it on the owner's side.
    pub fn outgoing(&self) -> bool {
        // Telegram marks nothing in Saved Messages as outgoing.
        self.from == Some(self.owner) && !self.in_saved_messages()
    }

    pub(crate) fn in_saved_messages(&self) -> bool {
        self.chat == Chat::User(self.owner)
    }

    /// Whether the client under test sent it.
    pub fn by_client(&self) -> bool {
        self.random_id.is_some()
    }

    /// The targets of the links that are hidden behind its text.
    pub fn links(&self) -> Vec<String> {
        let link = |raw: &enums::MessageEntity| match raw {
            enums::MessageEntity::TextUrl(link) => Some(link.url.clone()),
            _ => None,
        };
        self.raw_entities.iter().filter_map(link).collect()
    }

    /// How its text is formatted.
    pub fn entities(&self) -> Vec<Entity> {
        let entity = |raw: &enums::MessageEntity| Entity {
            kind: crate::protocol::message::constructor(&raw.to_bytes()).map_or("", name_for_id),
            offset: raw.offset(),
            length: raw.length(),
            collapsed: matches!(raw, enums::MessageEntity::Blockquote(quote) if quote.collapsed),
        };
        self.raw_entities.iter().map(entity).collect()
    }
}
