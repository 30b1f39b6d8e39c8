//! Reactions in Telegram's updates.
//!
//! Telegram's schema has an update of its own for them, but in private chats and basic groups a
//! reaction arrives as an edit of its message (Telethon #4093, WTelegramBot #19), which also comes
//! after an outage. Both kinds list the last reactions with their givers and times, where members
//! may see who has reacted: everywhere but in channels, and in Saved Messages, where they are tags.

use grammers_client::tl;
use grammers_session::types::PeerId;

/// A message about whose reactions an update tells.
pub(super) struct Reacted<'a> {
    pub chat: PeerId,
    pub number: i32,
    /// The message, where it comes with the update.
    pub message: Option<&'a tl::enums::Message>,
    reactions: &'a tl::types::MessageReactions,
}

/// A reaction with a standard emoji.
pub(super) struct Given<'a> {
    pub emoji: &'a str,
    /// In seconds of Unix time.
    pub date: i64,
}

/// The message whose reactions an update tells of.
pub(super) fn in_update(update: &tl::enums::Update) -> Option<Reacted<'_>> {
    let edited = match update {
        tl::enums::Update::MessageReactions(update) => {
            let tl::enums::MessageReactions::Reactions(reactions) = &update.reactions;
            let (chat, number) = (PeerId::from(&update.peer), update.msg_id);
            return Some(Reacted { chat, number, message: None, reactions });
        }
        tl::enums::Update::EditMessage(update) => &update.message,
        tl::enums::Update::EditChannelMessage(update) => &update.message,
        _ => return None,
    };
    let tl::enums::Message::Message(message) = edited else { return None };
    let tl::enums::MessageReactions::Reactions(reactions) = message.reactions.as_ref()?;
    Some(Reacted {
        chat: PeerId::from(&message.peer_id),
        number: message.id,
        message: Some(edited),
        reactions,
    })
}

impl<'a> Reacted<'a> {
    /// The reactions of the `owner` that are listed.
    pub fn of(&self, owner: i64) -> impl Iterator<Item = Given<'a>> + use<'a> {
        let listed = self.reactions.recent_reactions.iter().flatten();
        listed.filter_map(move |tl::enums::MessagePeerReaction::Reaction(given)| {
            let is_owners = matches!(&given.peer_id, tl::enums::Peer::User(user) if user.user_id == owner);
            match &given.reaction {
                tl::enums::Reaction::Emoji(emoji) if given.my || is_owners => {
                    Some(Given { emoji: &emoji.emoticon, date: given.date.into() })
                }
                _ => None,
            }
        })
    }
}
