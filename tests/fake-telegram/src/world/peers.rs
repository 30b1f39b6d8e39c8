//! Who there is to talk to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The account's owner, whose client this server serves, unless [`Builder::owner`] says another.
///
/// [`Builder::owner`]: crate::Builder::owner
pub const OWNER: i64 = 1000;
/// A friend of the owner.
pub const FRIEND: i64 = 2000;
/// Another one.
pub const SECOND_FRIEND: i64 = 2001;
/// Users with these ids are not among the owner's contacts; all other people are.
pub const STRANGERS: std::ops::Range<i64> = 6000..7000;
/// A bot.
pub const BOT: i64 = 3000;
/// Telegram's own account, which sends login codes.
pub const SERVICE: i64 = 777_000;

/// The notes of [`OWNER`] to themselves.
pub const SAVED_MESSAGES: Chat = Chat::User(OWNER);
/// A basic group of the owner and both friends.
pub const GROUP: Chat = Chat::Group(400);
/// A supergroup of the same people.
pub const SUPERGROUP: Chat = Chat::Channel(500);
/// A broadcast channel that the owner only reads.
pub const BROADCAST: Chat = Chat::Channel(600);

/// A chat as its owner sees it, named by its bare id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub enum Chat {
    /// The private chat with this user.
    User(i64),
    /// A basic group.
    Group(i64),
    /// A supergroup or a broadcast channel.
    Channel(i64),
}

/// Distance of channels from other ids in the Bot API's numbering.
const CHANNELS_FROM: i64 = -1_000_000_000_000;

impl From<Chat> for i64 {
    /// The Bot API's dialog id (<https://core.telegram.org/api/bots/ids>).
    fn from(chat: Chat) -> i64 {
        match chat {
            Chat::User(id) => id,
            Chat::Group(id) => -id,
            Chat::Channel(id) => CHANNELS_FROM - id,
        }
    }
}

impl From<i64> for Chat {
    fn from(dialog: i64) -> Self {
        match dialog {
            0.. => Self::User(dialog),
            _ if dialog < CHANNELS_FROM => Self::Channel(CHANNELS_FROM.wrapping_sub(dialog)),
            _ => Self::Group(-dialog),
        }
    }
}

/// Somebody.
#[derive(Clone, Debug)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub bot: bool,
}

/// What kind of group a [`Group`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    Basic,
    Supergroup,
    /// Only its administrators write, and the owner is none.
    Broadcast,
}

/// A chat of more than two.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: i64,
    pub title: String,
    pub kind: GroupKind,
}

impl Group {
    pub fn chat(&self) -> Chat {
        match self.kind {
            GroupKind::Basic => Chat::Group(self.id),
            GroupKind::Supergroup | GroupKind::Broadcast => Chat::Channel(self.id),
        }
    }
}

/// The access hash of the user or channel `id`: without it the client may not name it.
pub fn access_hash(id: i64) -> i64 {
    id.wrapping_mul(11)
}

/// The phone number of the user `id`, which everybody sees.
pub fn phone_number(id: i64) -> String {
    format!("49151{id:08}")
}

/// Everybody and every group.
pub struct Peers {
    owner: i64,
    users: BTreeMap<i64, User>,
    groups: BTreeMap<Chat, Group>,
    /// Public names, without the @.
    names: BTreeMap<Chat, String>,
}

impl Peers {
    pub fn new(owner: i64) -> Self {
        let mut peers =
            Self { owner, users: BTreeMap::new(), groups: BTreeMap::new(), names: BTreeMap::new() };
        let people =
            [(owner, "Owner"), (FRIEND, "Friend"), (SECOND_FRIEND, "Second Friend"), (SERVICE, "Telegram")];
        for (id, name) in people {
            peers.add_user(User { id, name: name.to_owned(), bot: false });
        }
        peers.add_user(User { id: BOT, name: "Bot".to_owned(), bot: true });
        let groups = [
            (400, "Basic group", GroupKind::Basic),
            (500, "Supergroup", GroupKind::Supergroup),
            (600, "Broadcast", GroupKind::Broadcast),
        ];
        for (id, title, kind) in groups {
            peers.add_group(Group { id, title: title.to_owned(), kind });
        }
        peers
    }

    /// Whose client this server serves.
    pub fn owner(&self) -> i64 {
        self.owner
    }

    /// The owner's notes to themselves.
    pub fn saved_messages(&self) -> Chat {
        Chat::User(self.owner)
    }

    pub fn add_user(&mut self, user: User) {
        self.users.insert(user.id, user);
    }

    pub fn add_group(&mut self, group: Group) {
        self.groups.insert(group.chat(), group);
    }

    pub fn set_name(&mut self, chat: Chat, name: &str) {
        self.names.insert(chat, name.to_owned());
    }

    pub fn name(&self, chat: Chat) -> Option<&String> {
        self.names.get(&chat)
    }

    pub fn user(&self, id: i64) -> Option<&User> {
        self.users.get(&id)
    }

    pub fn group(&self, chat: Chat) -> Option<&Group> {
        self.groups.get(&chat)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub fn knows(&self, chat: Chat) -> bool {
        match chat {
            Chat::User(id) => self.users.contains_key(&id),
            Chat::Group(_) | Chat::Channel(_) => self.groups.contains_key(&chat),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialog_ids_name_chats() {
        for chat in [Chat::User(7), Chat::Group(7), Chat::Channel(7), GROUP, SUPERGROUP] {
            assert_eq!(Chat::from(i64::from(chat)), chat);
        }
        assert_eq!(i64::from(SUPERGROUP), -1_000_000_000_500);
        assert_eq!(Chat::from(i64::MIN), Chat::Channel(i64::MAX - 999_999_999_999));
    }
}
