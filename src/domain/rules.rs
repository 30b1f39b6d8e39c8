//! The owner's rules: which recordings are answered, and in which form. Pure functions.

use std::str::FromStr;
use std::time::Duration;

use super::{ChatInfo, ChatKind, ChatList, Form, RecordingKind, Sender, Whose};

/// What the owner wants answered. The default answers private chats and Saved Messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// ANSWER_MINE: whether the owner's own recordings are answered.
    pub mine: bool,
    /// ANSWER_THEIRS.
    pub theirs: Theirs,
    /// ANSWER_GROUPS.
    pub groups: Groups,
    /// CHATS_ALLOW: chats in which everybody's recordings are answered, whatever the three above
    /// say.
    pub allowed: ChatList,
    /// CHATS_DENY: chats and people whose recordings are never answered.
    pub denied: ChatList,
    /// MIN_DURATION: shorter recordings are not answered.
    pub min_duration: Duration,
    /// ANSWER_IN.
    pub answer_in: AnswerIn,
}

/// Where answers appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerIn {
    #[default]
    Reply,
    /// Saved Messages.
    Saved,
    /// The caption of the owner's own voice messages, and replies to everything else.
    Caption,
    /// Nowhere in Telegram: the transcript is only kept.
    Nowhere,
}

/// Whose recordings are answered besides the owner's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theirs {
    #[default]
    All,
    /// Those of people in the owner's list of contacts.
    Contacts,
    None,
}

/// Whose recordings are answered in groups, of those that are answered at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Groups {
    #[default]
    Off,
    Mine,
    All,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mine: true,
            theirs: Theirs::All,
            groups: Groups::Off,
            allowed: ChatList::default(),
            denied: ChatList::default(),
            min_duration: Duration::ZERO,
            answer_in: AnswerIn::Reply,
        }
    }
}

impl Rules {
    /// Why a recording of `seconds` that `sender` sent to `chat` is not answered; `None` if it is.
    pub fn reason_to_ignore(&self, chat: &ChatInfo, sender: &Sender, seconds: u32) -> Option<&'static str> {
        if self.denied.names(sender.id, &sender.names) {
            return Some("CHATS_DENY names the sender");
        }
        self.reason_to_ignore_all_of(chat, sender.whose()).or_else(|| {
            let is_short = u64::from(seconds) < self.min_duration.as_secs();
            is_short.then_some("shorter than MIN_DURATION")
        })
    }

    /// Whether anything in a chat could be answered; what was missed elsewhere need not be read.
    pub fn covers(&self, chat: &ChatInfo) -> bool {
        [Whose::Mine, Whose::Contact].iter().any(|whose| self.reason_to_ignore_all_of(chat, *whose).is_none())
    }

    /// The form of the answer to a recording of this kind.
    pub fn form(&self, chat: &ChatInfo, whose: Whose, kind: RecordingKind) -> Form {
        match self.answer_in {
            AnswerIn::Nowhere => Form::Nowhere,
            AnswerIn::Saved if chat.kind != ChatKind::SavedMessages => Form::SavedMessages,
            // Telegram shows no caption with a round video note.
            AnswerIn::Caption if whose == Whose::Mine && kind == RecordingKind::Voice => Form::Caption,
            _ => Form::Replies,
        }
    }

    /// Why nothing in `chat` is answered that somebody like this sent.
    fn reason_to_ignore_all_of(&self, chat: &ChatInfo, whose: Whose) -> Option<&'static str> {
        match chat.kind {
            ChatKind::Service => return Some("Telegram's service notifications"),
            ChatKind::Bot => return Some("a chat with a bot"),
            ChatKind::Channel => return Some("a channel"),
            ChatKind::SavedMessages | ChatKind::Private | ChatKind::Group => {}
        }
        if whose == Whose::Bot {
            return Some("sent by a bot, or through one");
        }
        if self.denied.names(chat.id, &chat.names) {
            return Some("CHATS_DENY names the chat");
        }
        if self.allowed.names(chat.id, &chat.names) {
            return None;
        }
        match (whose, chat.kind, self.groups) {
            (_, ChatKind::Group, Groups::Off) => return Some("a group, and ANSWER_GROUPS is off"),
            (Whose::Contact | Whose::Stranger, ChatKind::Group, Groups::Mine) => {
                return Some("somebody else's in a group, and ANSWER_GROUPS is mine");
            }
            _ => {}
        }
        match (whose, self.theirs) {
            (Whose::Mine, _) if !self.mine => Some("your own, and ANSWER_MINE is off"),
            (Whose::Contact | Whose::Stranger, Theirs::None) => {
                Some("somebody else's, and ANSWER_THEIRS is off")
            }
            (Whose::Stranger, Theirs::Contacts) => Some("not of a contact, and ANSWER_THEIRS is contacts"),
            _ => None,
        }
    }
}

/// A word that names none of the choices.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the choices")]
pub struct ParseChoiceError(pub(super) String);

impl FromStr for Theirs {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::All),
            "contacts" => Ok(Self::Contacts),
            "off" => Ok(Self::None),
            _ => Err(ParseChoiceError(text.to_owned())),
        }
    }
}

impl FromStr for AnswerIn {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reply" => Ok(Self::Reply),
            "saved" => Ok(Self::Saved),
            "caption" => Ok(Self::Caption),
            "nowhere" => Ok(Self::Nowhere),
            _ => Err(ParseChoiceError(text.to_owned())),
        }
    }
}

impl FromStr for Groups {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "mine" => Ok(Self::Mine),
            "all" => Ok(Self::All),
            _ => Err(ParseChoiceError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: Whose = Whose::Mine;
    const CONTACT: Whose = Whose::Contact;
    const STRANGER: Whose = Whose::Stranger;

    fn chat(kind: ChatKind) -> ChatInfo {
        let id = match kind {
            ChatKind::SavedMessages => 1000,
            ChatKind::Group | ChatKind::Channel => -500,
            _ => 2000,
        };
        ChatInfo { id, kind, names: vec!["some_chat".into()] }
    }

    fn sender(whose: Whose) -> Sender {
        Sender {
            id: if whose == MINE { 1000 } else { 2001 },
            is_owner: whose == MINE,
            is_bot: whose == Whose::Bot,
            is_contact: Some(whose == CONTACT),
            names: vec!["some_body".into()],
        }
    }

    fn is_answered(rules: &Rules, kind: ChatKind, whose: Whose) -> bool {
        rules.reason_to_ignore(&chat(kind), &sender(whose), 3).is_none()
    }

    /// For each setting of the three, who is answered in private chats and who in groups.
    #[test]
    fn the_three_switches_combine() {
        let (all, none) = ([true; 3], [false; 3]);
        for (mine, theirs, groups, private, in_groups) in [
            ("on", "on", "off", all, none),
            ("on", "on", "mine", all, [true, false, false]),
            ("on", "on", "all", all, all),
            ("off", "on", "off", [false, true, true], none),
            ("off", "on", "mine", [false, true, true], none),
            ("off", "on", "all", [false, true, true], [false, true, true]),
            ("on", "contacts", "off", [true, true, false], none),
            ("on", "contacts", "mine", [true, true, false], [true, false, false]),
            ("on", "contacts", "all", [true, true, false], [true, true, false]),
            ("on", "off", "off", [true, false, false], none),
            ("on", "off", "mine", [true, false, false], [true, false, false]),
            ("on", "off", "all", [true, false, false], [true, false, false]),
            ("off", "off", "all", none, none),
        ] {
            let rules = Rules {
                mine: mine == "on",
                theirs: theirs.parse().unwrap(),
                groups: groups.parse().unwrap(),
                ..Rules::default()
            };
            for (kind, expected) in [(ChatKind::Private, private), (ChatKind::Group, in_groups)] {
                let answered = [MINE, CONTACT, STRANGER].map(|whose| is_answered(&rules, kind, whose));
                assert_eq!(answered, expected, "{mine} {theirs} {groups} {kind:?}");
                assert_eq!(rules.covers(&chat(kind)), expected != none, "{mine} {theirs} {groups} {kind:?}");
            }
            assert_eq!(is_answered(&rules, ChatKind::SavedMessages, MINE), private[0]);
        }
    }

    #[test]
    fn bots_channels_and_the_service_account_are_never_answered() {
        let allowed = "2000,-500,2001,@some_chat,@some_body".parse().unwrap();
        let rules = Rules { groups: Groups::All, allowed, ..Rules::default() };
        for kind in [ChatKind::Bot, ChatKind::Channel, ChatKind::Service] {
            assert!(!rules.covers(&chat(kind)), "{kind:?}");
            for whose in [MINE, CONTACT, STRANGER, Whose::Bot] {
                assert!(!is_answered(&rules, kind, whose), "{kind:?} {whose:?}");
            }
        }
        assert!(!is_answered(&rules, ChatKind::Private, Whose::Bot));
        assert!(!is_answered(&rules, ChatKind::Group, Whose::Bot));
    }

    #[test]
    fn an_allowed_chat_is_answered_whatever_the_switches_say() {
        for list in ["-500", "@some_chat"] {
            let allowed = list.parse().unwrap();
            let rules = Rules { mine: false, theirs: Theirs::None, allowed, ..Rules::default() };
            for whose in [MINE, CONTACT, STRANGER] {
                assert!(is_answered(&rules, ChatKind::Group, whose), "{list} {whose:?}");
            }
            assert!(rules.covers(&chat(ChatKind::Group)));
        }
        // The list is of chats: somebody in it is not allowed in every group.
        let rules = Rules { allowed: "2001".parse().unwrap(), ..Rules::default() };
        assert!(!is_answered(&rules, ChatKind::Group, CONTACT));
    }

    #[test]
    fn whoever_is_denied_is_denied_everywhere() {
        let groups = Groups::All;
        for (list, of_the_chat, of_others) in
            [("-500", false, false), ("@some_chat", false, false), ("2001", false, true)]
        {
            let rules = Rules { groups, denied: list.parse().unwrap(), ..Rules::default() };
            assert_eq!(is_answered(&rules, ChatKind::Group, STRANGER), of_the_chat, "{list}");
            assert_eq!(is_answered(&rules, ChatKind::Group, MINE), of_others, "{list}");
        }
        let denied: ChatList = "@some_body".parse().unwrap();
        let both = Rules { groups, allowed: "-500".parse().unwrap(), denied, ..Rules::default() };
        assert!(!is_answered(&both, ChatKind::Group, STRANGER));
    }

    #[test]
    fn the_form_follows_where_answers_are_wanted() {
        use RecordingKind::{VideoNote, Voice};
        for (answer_in, kind, whose, recording, form) in [
            (AnswerIn::Reply, ChatKind::Private, MINE, Voice, Form::Replies),
            (AnswerIn::Saved, ChatKind::Private, MINE, Voice, Form::SavedMessages),
            (AnswerIn::Saved, ChatKind::Group, STRANGER, VideoNote, Form::SavedMessages),
            (AnswerIn::Saved, ChatKind::SavedMessages, MINE, Voice, Form::Replies),
            (AnswerIn::Caption, ChatKind::SavedMessages, MINE, Voice, Form::Caption),
            (AnswerIn::Caption, ChatKind::Group, MINE, Voice, Form::Caption),
            (AnswerIn::Caption, ChatKind::Private, MINE, VideoNote, Form::Replies),
            (AnswerIn::Caption, ChatKind::Private, CONTACT, Voice, Form::Replies),
            (AnswerIn::Nowhere, ChatKind::SavedMessages, MINE, Voice, Form::Nowhere),
            (AnswerIn::Nowhere, ChatKind::Group, STRANGER, VideoNote, Form::Nowhere),
        ] {
            let rules = Rules { answer_in, ..Rules::default() };
            assert_eq!(rules.form(&chat(kind), whose, recording), form, "{answer_in:?} {kind:?} {whose:?}");
        }
    }

    #[test]
    fn short_recordings_are_left_alone() {
        let rules = Rules { min_duration: Duration::from_secs(3), ..Rules::default() };
        let of = |seconds| rules.reason_to_ignore(&chat(ChatKind::Private), &sender(STRANGER), seconds);
        assert_eq!((of(3), of(2)), (None, Some("shorter than MIN_DURATION")));
        assert_eq!(Rules::default().reason_to_ignore(&chat(ChatKind::Private), &sender(MINE), 0), None);
    }
}
