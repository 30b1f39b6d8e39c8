//! The reasons of the rules in Russian, for whoever asks in Russian.

/// A reason of the rules in Russian.
pub(super) fn in_russian(reason: &str) -> &str {
    let known = REASONS.iter().find(|(english, _)| *english == reason);
    known.map_or(reason, |(_, russian)| russian)
}

/// The reasons of `rules` and `policy`.
const REASONS: &[(&str, &str)] = &[
    ("CHATS_DENY names the sender", "отправитель назван в CHATS_DENY"),
    ("CHATS_DENY names the chat", "чат назван в CHATS_DENY"),
    ("shorter than MIN_DURATION", "короче MIN_DURATION"),
    ("Telegram's service notifications", "это служебные уведомления Telegram"),
    ("a chat with a bot", "это чат с ботом"),
    ("a channel", "это канал"),
    ("sent by a bot, or through one", "отправлено ботом или через бота"),
    ("a group, and ANSWER_GROUPS is off", "это группа, а ANSWER_GROUPS=off"),
    (
        "somebody else's in a group, and ANSWER_GROUPS is mine",
        "это чужая запись в группе, а ANSWER_GROUPS=mine",
    ),
    ("your own, and ANSWER_MINE is off", "это ваша запись, а ANSWER_MINE=off"),
    ("somebody else's, and ANSWER_THEIRS is off", "это чужая запись, а ANSWER_THEIRS=off"),
    (
        "not of a contact, and ANSWER_THEIRS is contacts",
        "отправитель не из контактов, а ANSWER_THEIRS=contacts",
    ),
    ("the command off was given in this chat", "в этом чате дана команда «выкл»"),
    ("the command pause was given, and holds", "действует команда «пауза»"),
    ("a file, neither a voice message nor a round video note", "это файл, а не голосовое и не «кружок»"),
    ("meant to vanish", "запись исчезает после просмотра"),
    ("older than CATCH_UP_MAX_AGE", "она старше CATCH_UP_MAX_AGE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A reason that is added to the rules has to be added here.
    #[test]
    fn every_reason_is_known_in_russian() {
        let sources = [include_str!("rules.rs"), include_str!("policy.rs")];
        let mut found = 0;
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap();
            for (at, _) in code.match_indices("Some(\"") {
                let reason = code[at + 6..].split('"').next().unwrap();
                assert_ne!(in_russian(reason), reason, "{reason:?} has no Russian text");
                found += 1;
            }
        }
        assert!(found >= 12, "only {found} reasons were found");
        for (english, _) in REASONS {
            assert!(sources.iter().any(|source| source.contains(&format!("\"{english}\""))), "{english:?}");
        }
    }
}
