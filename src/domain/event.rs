//! What Telegram tells the account, as far as the daemon acts on it.

use super::{ChatInfo, CommandMessage, JobId, Reaction, Recording};

/// Something that happened in a chat.
///
/// Events are handed over before the position in the stream of updates is stored, so one may come
/// again after a crash: whoever acts on an event must be able to tell that it was acted on before.
///
/// A new kind of event takes a variant here, an arm in `telegram::updates::events`, which makes it
/// from an update, and an arm in `jobs::intake`, which acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message with a recording has arrived.
    Recording(Incoming),
    /// The owner has given a command.
    Command(CommandMessage),
    /// The owner has reacted to a recording with the emoji that asks for its text.
    Reaction(Reaction),
    /// Messages were deleted for everybody, or on the owner's side.
    Deleted(Deleted),
}

/// Messages that were deleted. Private chats and basic groups number their messages together, so
/// there Telegram does not name the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    pub account: i64,
    /// The Bot API dialog id of the supergroup or channel; `None` in other chats.
    pub channel: Option<i64>,
    pub messages: Vec<i32>,
}

/// A recording that has arrived, with all that a policy may decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The id of the job that it becomes if it is answered.
    pub id: JobId,
    pub recording: Recording,
    pub chat: ChatInfo,
    pub sender: Sender,
    /// What the people of the chat call themselves, as far as it is known: the sender or the other
    /// one first.
    pub people: Vec<String>,
    /// Whether the recording vanishes once it was played, or after a time.
    pub view_once: bool,
}

/// Who sent a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// A user, or the group or channel in whose name the message was sent, as a Bot API dialog id.
    pub id: i64,
    /// Whether it is the owner of this account, on whichever device.
    pub is_owner: bool,
    /// Whether it is a bot, or a user who sent the message through a bot.
    pub is_bot: bool,
    /// Whether the owner has this user among their contacts; `None` if that is not known.
    pub is_contact: Option<bool>,
    /// Public names, without the @ and in lower case, as far as they are known.
    pub names: Vec<String>,
}

/// Who made a recording, as far as the rules tell people apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Mine,
    Contact,
    /// Somebody else, or a group or channel in whose name the message was sent.
    Stranger,
    /// A bot, or somebody who sent the message through one.
    Bot,
}

impl Sender {
    pub fn whose(&self) -> Whose {
        match self {
            Self { is_bot: true, .. } => Whose::Bot,
            Self { is_owner: true, .. } => Whose::Mine,
            Self { is_contact: Some(true), .. } => Whose::Contact,
            _ => Whose::Stranger,
        }
    }
}
