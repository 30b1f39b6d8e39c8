//! Which recordings are answered, and how: pure functions over plain data.

use std::time::Duration;

use super::rules::Rules;
use super::{ChatInfo, ChatKind, Incoming, Job, Settings, Whose};

/// What the owner wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages older than this when they arrive are left alone.
    pub max_age: Duration,
    pub rules: Rules,
    /// How recordings are recognised and answered, but for the form, which the rules say.
    pub settings: Settings,
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
        self.rules.covers(chat)
    }

    /// Decides at `now`, in seconds of Unix time.
    pub fn decide(&self, incoming: &Incoming, now: i64) -> Decision {
        match self.reason_to_ignore(incoming, now) {
            Some(reason) => Decision::Ignore(reason),
            None => {
                let Incoming { chat, sender, recording, .. } = incoming;
                let whose = sender.whose();
                let form = self.rules.form(chat, whose, recording.kind);
                Decision::Answer(Job {
                    id: incoming.id,
                    recording: recording.clone(),
                    settings: Some(Settings { form, ..self.settings.clone() }),
                    stranger: chat.kind == ChatKind::Private
                        && whose == Whose::Stranger
                        && sender.is_contact == Some(false),
                })
            }
        }
    }

    fn reason_to_ignore(&self, incoming: &Incoming, now: i64) -> Option<&'static str> {
        let Incoming { chat, sender, recording, .. } = incoming;
        if let Some(reason) = self.rules.reason_to_ignore(chat, sender, recording.duration) {
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
    use crate::domain::{ChatKind, JobId, Peer, PeerKind, Recording, RecordingKind, Sender, Task};

    const NOW: i64 = 1_800_000_000;

    fn policy() -> Policy {
        Policy {
            max_age: Duration::from_secs(86_400),
            rules: Rules::default(),
            settings: Settings { task: Task::Translate, ..Settings::default() },
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
                let expected =
                    Job { id: incoming.id, recording: incoming.recording, settings, stranger: false };
                assert_eq!(job, expected);
            }
        }
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
