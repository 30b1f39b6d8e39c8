//! A chat as rules see it, and how the owner names chats in the configuration.

use std::fmt;
use std::str::FromStr;

/// What kind of chat a message is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatKind {
    /// The owner's notes to themselves.
    SavedMessages,
    /// The private chat with a person.
    Private,
    /// The private chat with a bot.
    Bot,
    /// The private chat with Telegram's own account, which sends login codes.
    Service,
    /// A basic group or a supergroup, also a forum, or the discussion group of a channel.
    Group,
    /// A broadcast channel.
    Channel,
}

/// A chat as rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatInfo {
    /// The Bot API dialog id, see [`Peer::chat`](super::Peer::chat).
    pub id: i64,
    pub kind: ChatKind,
    /// Its public names, without the @ and in lower case, as far as they are known.
    pub names: Vec<String>,
}

/// Chats and people that the owner names: `2000,-1001234567890,@anna`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatList(Vec<ChatName>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum ChatName {
    Id(i64),
    /// Without the @, in lower case.
    Name(String),
}

impl ChatList {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the chat or person with this Bot API dialog id.
    pub(super) fn add(&mut self, id: i64) {
        self.0.push(ChatName::Id(id));
    }

    /// Removes all that names the chat or person with this id and these names.
    pub(super) fn remove(&mut self, id: i64, names: &[String]) {
        self.0.retain(|named| !named.is_of(id, names));
    }

    /// Whether the list names the chat or person with this Bot API dialog id and these names.
    pub fn names(&self, id: i64, names: &[String]) -> bool {
        self.0.iter().any(|named| named.is_of(id, names))
    }
}

impl ChatName {
    fn is_of(&self, id: i64, names: &[String]) -> bool {
        match self {
            Self::Id(named) => *named == id,
            Self::Name(named) => names.contains(named),
        }
    }
}

/// A text that is no [`ChatList`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a chat's id nor a @name")]
pub struct ParseChatListError(String);

impl FromStr for ChatList {
    type Err = ParseChatListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| chat_name(name).ok_or_else(|| ParseChatListError(name.to_owned()))).collect()
    }
}

impl FromIterator<ChatName> for ChatList {
    fn from_iter<T: IntoIterator<Item = ChatName>>(names: T) -> Self {
        Self(names.into_iter().collect())
    }
}

impl fmt::Display for ChatList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, name) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match name {
                ChatName::Id(id) => write!(f, "{comma}{id}")?,
                ChatName::Name(name) => write!(f, "{comma}@{name}")?,
            }
        }
        Ok(())
    }
}

/// The forms of names are those of <https://core.telegram.org/method/account.checkUsername>; names
/// of four letters are sold at auctions.
fn chat_name(text: &str) -> Option<ChatName> {
    let Some(name) = text.strip_prefix('@') else {
        return text.parse().ok().filter(|id| *id != 0).map(ChatName::Id);
    };
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_name = is_plain && (4..=32).contains(&name.len()) && name.as_bytes()[0].is_ascii_alphabetic();
    is_name.then(|| ChatName::Name(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_ids_and_names() {
        let list: ChatList = " 2000, -1001234567890,@Anna_7 ,".parse().unwrap();
        assert_eq!(list.to_string(), "2000,-1001234567890,@anna_7");
        assert!(list.names(2000, &[]) && list.names(-1_001_234_567_890, &[]));
        assert!(list.names(5, &["other".into(), "anna_7".into()]));
        assert!(!list.names(5, &[]) && !list.names(-2000, &["anna".into()]));
        assert!("".parse::<ChatList>().unwrap().is_empty());
    }

    #[test]
    fn what_is_neither_an_id_nor_a_name_is_refused() {
        for bad in ["anna", "0", "2000;3000", "@", "@abc", "@7anna", "@an-na", "@анна", "1.5", "t.me/anna"]
        {
            assert!(bad.parse::<ChatList>().is_err(), "{bad}");
        }
    }
}
