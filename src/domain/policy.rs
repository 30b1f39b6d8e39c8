//! Which recordings are answered, and how: pure functions over plain data.

use std::time::Duration;

use super::rules::Rules;
use super::{
    Asked, ChatInfo, ChatKind, ChatRules, Form, Incoming, Job, LanguageChoice, RecordingKind, Sender,
    Settings, Vocabulary, Whose,
};

/// What the owner wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages older than this when they arrive are left alone.
    pub max_age: Duration,
    pub rules: Rules,
    /// How recordings are recognised and answered, but for the form, which the rules say, and the
    /// names of the chat's people, which are filled in if it has any.
    pub settings: Settings,
    /// What the owner has said in chats, which goes before the rules and the settings.
    pub chats: ChatRules,
}

/// What becomes of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Answer(Job),
    Ignore(&'static str),
}

impl Policy {
    /// Whether anything in a chat could be answered; what was missed elsewhere need not be read.
    pub fn covers(&self, chat: &ChatInfo) -> bool {
        self.chats.of(chat.id).answer != Some(false) && self.rules_in(chat).covers(chat)
    }

    /// The rules that hold in `chat`.
    pub fn rules_in(&self, chat: &ChatInfo) -> Rules {
        self.rules.with(&self.chats.of(chat.id), chat)
    }

    /// Why a recording of `seconds` that `sender` sent to `chat` is not answered at `now`, in
    /// seconds of Unix time; `None` if it is.
    pub fn reason_to_ignore(
        &self,
        chat: &ChatInfo,
        sender: &Sender,
        seconds: u32,
        now: i64,
    ) -> Option<&'static str> {
        if self.chats.of(chat.id).answer == Some(false) {
            return Some("the command off was given in this chat");
        }
        if self.chats.paused_until(chat.id, now).is_some() {
            return Some("the command pause was given, and holds");
        }
        self.rules_in(chat).reason_to_ignore(chat, sender, seconds)
    }

    /// Decides at `now`, in seconds of Unix time.
    pub fn decide(&self, incoming: &Incoming, now: i64) -> Decision {
        match self.reason_to_ignore_it(incoming, now) {
            Some(reason) => Decision::Ignore(reason),
            None => {
                let Incoming { chat, sender, .. } = incoming;
                let stranger = chat.kind == ChatKind::Private
                    && sender.whose() == Whose::Stranger
                    && sender.is_contact == Some(false);
                Decision::Answer(Job { stranger, ..self.job(incoming) })
            }
        }
    }

    /// The job for a recording that the owner asks for, whatever the rules say of it.
    pub fn asked_for(&self, incoming: &Incoming, asked: Asked) -> Job {
        let mut job = Job { asked: Some(asked), ..self.job(incoming) };
        // What the owner asks for has to appear somewhere, and where nobody else sees it.
        if let Some(settings) = job.settings.as_mut().filter(|settings| settings.form == Form::Nowhere) {
            settings.form = match incoming.chat.kind {
                ChatKind::SavedMessages => Form::Replies,
                _ => Form::SavedMessages,
            };
        }
        job
    }

    fn job(&self, incoming: &Incoming) -> Job {
        let Incoming { id, chat, sender, recording, .. } = incoming;
        let said = self.chats.of(chat.id);
        let people = || Vocabulary::of_people(incoming.people.iter().map(String::as_str));
        let settings = Settings {
            vocabulary: said.vocabulary.unwrap_or_default(),
            people: self.settings.people.as_ref().map(|_| people()),
            language: said.language.map_or(self.settings.language, LanguageChoice::code),
            task: said.task.unwrap_or(self.settings.task),
            form: self.rules_in(chat).form(chat, sender.whose(), recording.kind),
            ..self.settings.clone()
        };
        let recording = recording.clone();
        Job { id: *id, recording, settings: Some(settings), stranger: false, asked: None }
    }

    /// As [`reason_to_ignore`](Self::reason_to_ignore), but of a message with all that it is.
    pub fn reason_to_ignore_it(&self, incoming: &Incoming, now: i64) -> Option<&'static str> {
        let Incoming { chat, sender, recording, .. } = incoming;
        if matches!(recording.kind, RecordingKind::Audio | RecordingKind::Video) {
            return Some("a file, neither a voice message nor a round video note");
        }
        if let Some(reason) = self.reason_to_ignore(chat, sender, recording.duration, now) {
            return Some(reason);
        }
        if incoming.view_once {
            return Some("meant to vanish");
        }
        let age = now.saturating_sub(recording.date).max(0).unsigned_abs();
        if age > self.max_age.as_secs() {
            return Some("older than CATCH_UP_MAX_AGE");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::AnswerIn;
    use crate::domain::{
        ChatKind, Command, Form, JobId, Peer, PeerKind, Recording, RecordingKind, Sender, Task,
    };

    const NOW: i64 = 1_800_000_000;

    fn policy() -> Policy {
        Policy {
            max_age: Duration::from_secs(86_400),
            rules: Rules::default(),
            settings: Settings { task: Task::Translate, ..Settings::default() },
            chats: ChatRules::default(),
        }
    }

    fn incoming() -> Incoming {
        Incoming {
            id: JobId { account: 1000, chat: 2000, message: 7 },
            recording: Recording {
                chat: Peer { kind: PeerKind::User, id: 2000, access_hash: 5 },
                thread: None,
                kind: RecordingKind::Voice,
                document: 9000,
                outgoing: false,
                date: NOW - 10,
                lifetime: None,
                duration: 3,
                size: 9000,
            },
            chat: ChatInfo { id: 2000, kind: ChatKind::Private, names: Vec::new() },
            sender: Sender { id: 2000, is_owner: false, is_bot: false, is_contact: None, names: Vec::new() },
            people: vec!["Anna 🌸".to_owned(), "Owner".to_owned()],
            view_once: false,
        }
    }

    fn ignored(change: impl FnOnce(&mut Incoming)) -> bool {
        let mut incoming = incoming();
        change(&mut incoming);
        matches!(policy().decide(&incoming, NOW), Decision::Ignore(_))
    }

    #[test]
    fn private_recordings_are_answered_whoever_sent_them() {
        for is_owner in [false, true] {
            for kind in [RecordingKind::Voice, RecordingKind::VideoNote] {
                let mut incoming = incoming();
                incoming.sender.is_owner = is_owner;
                (incoming.recording.outgoing, incoming.recording.kind) = (is_owner, kind);
                let Decision::Answer(job) = policy().decide(&incoming, NOW) else { panic!("ignored") };
                let settings = Some(policy().settings);
                let expected = Job {
                    id: incoming.id,
                    recording: incoming.recording,
                    settings,
                    stranger: false,
                    asked: None,
                };
                assert_eq!(job, expected);
            }
        }
    }

    #[test]
    fn what_the_recogniser_is_told_is_decided_with_the_job() {
        let known = |policy: Policy| {
            let Decision::Answer(job) = policy.decide(&incoming(), NOW) else { panic!("ignored") };
            let settings = job.settings.unwrap();
            (settings.vocabulary.to_string(), settings.people.map(|people| people.to_string()))
        };
        assert_eq!(known(policy()), (String::new(), None));
        let words = Command::Vocabulary(Some("Karl, Novak".parse().unwrap()));
        let mut policy = after(policy(), &[words]);
        policy.settings.people = Some(Vocabulary::default());
        assert_eq!(known(policy), ("Karl, Novak".to_owned(), Some("Anna, Owner".to_owned())));
    }

    #[test]
    fn a_stranger_is_one_in_a_private_chat() {
        for (contact, kind, stranger) in [
            (Some(false), ChatKind::Private, true),
            (Some(true), ChatKind::Private, false),
            (None, ChatKind::Private, false),
        ] {
            let mut incoming = incoming();
            incoming.sender.is_contact = contact;
            incoming.chat.kind = kind;
            let Decision::Answer(job) = policy().decide(&incoming, NOW) else { panic!("ignored") };
            assert_eq!(job.stranger, stranger, "{contact:?}");
        }
    }

    #[test]
    fn what_the_rules_exclude_is_left_alone() {
        assert!(ignored(|i| i.chat.kind = ChatKind::Group));
        assert!(ignored(|i| i.sender.is_bot = true));
        assert!(!policy().covers(&ChatInfo { kind: ChatKind::Group, ..incoming().chat }));
        assert!(policy().covers(&incoming().chat));
    }

    /// The policy after these commands in the chat of [`incoming`].
    fn after(policy: Policy, commands: &[Command]) -> Policy {
        let say = |chats: ChatRules, command| chats.after(command, 2000, false, NOW).unwrap();
        Policy { chats: commands.iter().fold(policy.chats.clone(), say), ..policy }
    }

    #[test]
    fn what_the_owner_says_in_a_chat_goes_before_the_configuration() {
        let denied = Rules { mine: false, denied: "2000".parse().unwrap(), ..Rules::default() };
        let denying = Policy { rules: denied, ..policy() };
        let switched = |policy: &Policy, answer| after(policy.clone(), &[Command::Answer(answer)]);
        for (policy, answered) in [
            (policy(), true),
            (denying.clone(), false),
            (switched(&policy(), false), false),
            (switched(&denying, true), true),
            (after(policy(), &[Command::Pause(None)]), false),
            (after(policy(), &[Command::Pause(None), Command::Resume]), true),
            (after(switched(&denying, true), &[Command::Pause(None)]), false),
        ] {
            let decision = policy.decide(&incoming(), NOW);
            assert_eq!(matches!(decision, Decision::Answer(_)), answered, "{policy:?}");
        }
        assert!(!switched(&policy(), false).covers(&incoming().chat));
        assert!(switched(&denying, true).covers(&incoming().chat));
        // In another chat nothing has changed.
        let mut elsewhere = incoming();
        elsewhere.chat.id = 2001;
        assert!(matches!(switched(&policy(), false).decide(&elsewhere, NOW), Decision::Answer(_)));
    }

    #[test]
    fn the_language_the_task_and_the_place_of_a_chat_are_those_of_its_jobs() {
        let commands = [
            Command::Language("ru".parse().unwrap()),
            Command::Translate(false),
            Command::Where(AnswerIn::Saved),
        ];
        let policy = after(policy(), &commands);
        let Decision::Answer(job) = policy.decide(&incoming(), NOW) else { panic!("ignored") };
        let settings = job.settings.unwrap();
        assert_eq!(
            (settings.language, settings.task, settings.form),
            (Some("ru".parse().unwrap()), Task::Transcribe, Form::SavedMessages)
        );
    }

    #[test]
    fn what_the_owner_asks_for_is_answered_whatever_the_rules_say() {
        let mut incoming = incoming();
        (incoming.chat.kind, incoming.sender.is_bot) = (ChatKind::Bot, true);
        incoming.recording.kind = RecordingKind::Audio;
        assert!(matches!(policy().decide(&incoming, NOW), Decision::Ignore(_)));
        let asked = Asked { command: 9, ..Asked::default() };
        let job = policy().asked_for(&incoming, asked.clone());
        assert_eq!((job.asked, job.stranger), (Some(asked.clone()), false));

        let mut nowhere = policy();
        nowhere.rules.answer_in = AnswerIn::Nowhere;
        let form = |incoming: &Incoming| {
            nowhere.asked_for(incoming, asked.clone()).settings.map(|settings| settings.form)
        };
        assert_eq!(form(&incoming), Some(Form::SavedMessages), "it has to appear somewhere");
        incoming.chat.kind = ChatKind::SavedMessages;
        assert_eq!(form(&incoming), Some(Form::Replies));
    }

    #[test]
    fn vanishing_messages_are_left_alone() {
        assert!(ignored(|i| i.view_once = true));
    }

    #[test]
    fn old_messages_are_left_alone_and_a_wrong_clock_is_forgiven() {
        assert!(!ignored(|i| i.recording.date = NOW - 86_400));
        assert!(ignored(|i| i.recording.date = NOW - 86_401));
        assert!(!ignored(|i| i.recording.date = NOW + 600));
        assert!(!ignored(|i| i.recording.date = i64::MAX));
        assert!(ignored(|i| i.recording.date = i64::MIN));
    }
}
