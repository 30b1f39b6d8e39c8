//! What Telegram tells the account, as far as the daemon acts on it.

use super::{JobId, Recording};

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
}

/// A recording that has arrived, with all that a policy may decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The id of the job that it becomes if it is answered.
    pub id: JobId,
    pub recording: Recording,
    pub sender: Sender,
    /// Whether the chat is the private chat with a bot.
    pub chat_is_bot: bool,
    /// Whether the recording vanishes once it was played, or after a time.
    pub view_once: bool,
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// A user, or the group or channel in whose name the message was sent, as a Bot API dialog id.
    pub id: i64,
    /// Whether it is the owner of this account, on whichever device.
    pub is_owner: bool,
    /// Whether it is a bot, or a user who sent the message through a bot.
    pub is_bot: bool,
    /// Whether it is known to be somebody who is not among the owner's contacts.
    pub is_stranger: bool,
}
