//! A reaction of the owner to a recording, which asks for its text.

use std::fmt;
use std::str::FromStr;

use super::{Incoming, JobId};

/// The emoji that everybody can react with, as the Bot API lists them
/// (<https://core.telegram.org/bots/api#reactiontypeemoji>), without variation selectors.
const STANDARD: &str = "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤\u{200D}🔥 \
    🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u{200D}💻 👀 🎃 🙈 😇 😨 \
    🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷\u{200D}♂ 🤷 \
    🤷\u{200D}♀ 😡";

/// REACTION: the emoji by which the owner asks for the text of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReactionEmoji(String);

/// A text that is none of Telegram's standard reactions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of Telegram's standard reactions")]
pub struct ParseReactionError(String);

impl FromStr for ReactionEmoji {
    type Err = ParseReactionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let emoji = plain(text);
        if STANDARD.split(' ').any(|known| known == emoji) {
            Ok(Self(emoji))
        } else {
            Err(ParseReactionError(text.into()))
        }
    }
}

impl fmt::Display for ReactionEmoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ReactionEmoji {
    /// Whether a reaction with `emoji` is one with this.
    pub fn is(&self, emoji: &str) -> bool {
        plain(emoji) == self.0
    }
}

/// Keyboards add variation selectors, Telegram leaves them out.
fn plain(emoji: &str) -> String {
    emoji.chars().filter(|c| *c != '\u{FE0F}').collect()
}

/// The owner has reacted to a recording with the [`ReactionEmoji`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reaction {
    pub incoming: Incoming,
    /// When, in seconds of Unix time.
    pub date: i64,
}

impl Reaction {
    /// Under which number the reaction is marked, as a command is under that of its message. No
    /// message has a negative one. It is the same for all reactions to a recording, so one that is
    /// removed and given again is obeyed once.
    pub fn id(&self) -> JobId {
        let id = self.incoming.id;
        JobId { message: id.message.saturating_neg(), ..id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_standard_reactions_are_taken_with_or_without_a_variation_selector() {
        for (text, other) in [("👍", "👍"), ("❤️", "❤"), ("❤", "❤️"), ("✍️", "✍"), ("🤷‍♂️", "🤷‍♂")]
        {
            let reaction: ReactionEmoji = text.parse().unwrap();
            assert!(reaction.is(text) && reaction.is(other) && !reaction.is("👎"), "{text}");
        }
        for text in ["", "x", "👍👍", "🙂", "👍🏽", ":+1:"] {
            assert!(text.parse::<ReactionEmoji>().is_err(), "{text:?}");
        }
    }
}
