//! What the owner has said in chats, by commands: it goes before the configuration's rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Command;
use super::rules::AnswerIn;
use super::{LanguageChoice, Task, Vocabulary};

/// The end of a pause that lasts until the owner ends it: the last second of the year 9999.
pub const UNTIL_RESUMED: i64 = 253_402_300_799;

/// What the owner has said in chats. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatRules {
    /// Until when nothing is answered in any chat, in seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
    /// By the Bot API dialog id of the chat.
    pub chats: BTreeMap<i64, ChatRule>,
}

/// What the owner has said in one chat; `None` where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatRule {
    /// Whether recordings are answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_in: Option<AnswerIn>,
    /// What the recogniser is to know here, besides VOCABULARY.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<Vocabulary>,
    /// In seconds of Unix time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<i64>,
}

impl ChatRules {
    /// What holds in `chat`.
    pub fn of(&self, chat: i64) -> ChatRule {
        self.chats.get(&chat).cloned().unwrap_or_default()
    }

    /// Until when nothing is answered in `chat`; `None` if that is over at `now`, in seconds of
    /// Unix time.
    pub fn paused_until(&self, chat: i64, now: i64) -> Option<i64> {
        let of_chat = self.chats.get(&chat).and_then(|rule| rule.paused_until);
        self.paused_until.max(of_chat).filter(|until| *until > now)
    }

    /// The rules after a command that was given in `chat` at `date`, in seconds of Unix time. A
    /// pause that is given in Saved Messages (`everywhere`) is one of all chats. `None` if the
    /// command changes no rules. Applying a command twice is the same as applying it once.
    pub fn after(&self, command: &Command, chat: i64, everywhere: bool, date: i64) -> Option<Self> {
        let mut rules = self.clone();
        let rule = rules.chats.entry(chat).or_default();
        match command.clone() {
            Command::Answer(answer) => rule.answer = Some(answer),
            Command::Language(language) => rule.language = Some(language),
            Command::Translate(translate) => {
                rule.task = Some(if translate { Task::Translate } else { Task::Transcribe });
            }
            Command::Where(place) => rule.answer_in = Some(place),
            Command::Vocabulary(vocabulary) => rule.vocabulary = vocabulary,
            Command::Pause(time) => {
                let end = |time: std::time::Duration| {
                    date.saturating_add_unsigned(time.as_secs()).min(UNTIL_RESUMED)
                };
                let until = Some(time.map_or(UNTIL_RESUMED, end));
                if everywhere { rules.paused_until = until } else { rule.paused_until = until }
            }
            Command::Resume if everywhere => {
                rules.paused_until = None;
                rules.chats.values_mut().for_each(|rule| rule.paused_until = None);
            }
            Command::Resume => rule.paused_until = None,
            Command::Transcribe
            | Command::Again
            | Command::Why
            | Command::Queue
            | Command::Status
            | Command::Help => return None,
        }
        rules.chats.retain(|_, rule| *rule != ChatRule::default());
        Some(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: i64 = 1_800_000_000;
    const CHAT: i64 = -500;

    fn after(commands: &[Command], everywhere: bool) -> ChatRules {
        let say = |rules: ChatRules, command: &Command| {
            let once = rules.after(command, CHAT, everywhere, NOW).unwrap();
            assert_eq!(once.after(command, CHAT, everywhere, NOW), Some(once.clone()), "{command:?}");
            once
        };
        commands.iter().fold(ChatRules::default(), say)
    }

    #[test]
    fn each_command_changes_what_it_names_in_its_chat() {
        let rules = after(
            &[
                Command::Answer(true),
                Command::Language("ru".parse().unwrap()),
                Command::Translate(true),
                Command::Where(AnswerIn::Saved),
                Command::Vocabulary(Some("Анна".parse().unwrap())),
                Command::Answer(false),
            ],
            false,
        );
        let expected = ChatRule {
            answer: Some(false),
            language: Some("ru".parse().unwrap()),
            task: Some(Task::Translate),
            answer_in: Some(AnswerIn::Saved),
            vocabulary: Some("Анна".parse().unwrap()),
            paused_until: None,
        };
        assert_eq!((rules.of(CHAT), rules.of(5)), (expected, ChatRule::default()));
        let words = Command::Vocabulary(Some("Анна".parse().unwrap()));
        assert_eq!(after(&[words, Command::Vocabulary(None)], false), ChatRules::default());
    }

    #[test]
    fn a_pause_ends_by_itself_or_when_the_owner_says_so() {
        let two_hours = Command::Pause(Some(Duration::from_secs(7200)));
        let here = after(std::slice::from_ref(&two_hours), false);
        assert_eq!(here.paused_until(CHAT, NOW), Some(NOW + 7200));
        assert_eq!((here.paused_until(CHAT, NOW + 7200), here.paused_until(5, NOW)), (None, None));
        let everywhere = after(std::slice::from_ref(&two_hours), true);
        assert_eq!(everywhere.paused_until(5, NOW), Some(NOW + 7200));
        let open = after(&[Command::Pause(None)], true);
        assert_eq!(open.paused_until(5, NOW), Some(UNTIL_RESUMED));
        assert_eq!(after(&[two_hours, Command::Resume], false), ChatRules::default());
        let resumed = here.after(&Command::Resume, 1000, true, NOW);
        assert_eq!(resumed, Some(ChatRules::default()));
    }

    #[test]
    fn questions_change_nothing() {
        for command in [Command::Transcribe, Command::Again, Command::Why, Command::Help] {
            assert_eq!(ChatRules::default().after(&command, CHAT, false, NOW), None);
        }
    }

    #[test]
    fn the_file_is_readable_and_what_is_not_understood_is_refused() {
        let rules = after(
            &[
                Command::Language(LanguageChoice::Auto),
                Command::Answer(true),
                Command::Where(AnswerIn::Reply),
            ],
            false,
        );
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(text, r#"{"chats":{"-500":{"answer":true,"language":"auto","answer_in":"reply"}}}"#);
        assert_eq!(serde_json::from_str::<ChatRules>(&text).unwrap(), rules);
        for bad in [r#"{"chats":{"-500":{"answers":true}}}"#, r#"{"chats":{"x":{}}}"#, "[", ""] {
            assert!(serde_json::from_str::<ChatRules>(bad).is_err(), "{bad}");
        }
    }
}
