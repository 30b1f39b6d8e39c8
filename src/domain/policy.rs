//! Which recordings are answered, and how: pure functions over plain data.

use std::time::Duration;

use super::{Incoming, Job, Peer, PeerKind, Settings};

/// Telegram's own account, which sends login codes.
const SERVICE_NOTIFICATIONS: i64 = 777_000;

/// What the owner wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages older than this when they arrive are left alone.
    pub max_age: Duration,
    /// How recordings are recognised and answered.
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
    pub fn covers(&self, chat: &Peer, is_bot: bool) -> bool {
        self.reason_to_ignore_chat(chat, is_bot).is_none()
    }

    /// Decides at `now`, in seconds of Unix time.
    pub fn decide(&self, incoming: &Incoming, now: i64) -> Decision {
        match self.reason_to_ignore(incoming, now) {
            Some(reason) => Decision::Ignore(reason),
            None => Decision::Answer(Job {
                id: incoming.id,
                recording: incoming.recording.clone(),
                settings: Some(self.settings.clone()),
                stranger: incoming.sender.is_stranger && incoming.recording.chat.kind == PeerKind::User,
            }),
        }
    }

    fn reason_to_ignore_chat(&self, chat: &Peer, is_bot: bool) -> Option<&'static str> {
        if chat.kind != PeerKind::User {
            return Some("not a private chat");
        }
        if chat.id == SERVICE_NOTIFICATIONS {
            return Some("Telegram's service notifications");
        }
        is_bot.then_some("a chat with a bot")
    }

    fn reason_to_ignore(&self, incoming: &Incoming, now: i64) -> Option<&'static str> {
        let chat = &incoming.recording.chat;
        if let Some(reason) = self.reason_to_ignore_chat(chat, incoming.chat_is_bot) {
            return Some(reason);
        }
        if incoming.sender.is_bot {
            return Some("sent by a bot, or through one");
        }
        if incoming.view_once {
            return Some("meant to vanish");
        }
        let age = now.saturating_sub(incoming.recording.date).max(0).unsigned_abs();
        if age > self.max_age.as_secs() {
            return Some("older than CATCH_UP_MAX_AGE");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Form, JobId, Recording, RecordingKind, Sender, Task};

    const NOW: i64 = 1_800_000_000;
    const POLICY: Policy = Policy {
        max_age: Duration::from_secs(86_400),
        settings: Settings { language: None, task: Task::Translate, form: Form::Replies },
    };

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
                duration: 3,
                size: 9000,
            },
            sender: Sender { id: 2000, is_owner: false, is_bot: false, is_stranger: false },
            chat_is_bot: false,
            view_once: false,
        }
    }

    fn ignored(change: impl FnOnce(&mut Incoming)) -> bool {
        let mut incoming = incoming();
        change(&mut incoming);
        matches!(POLICY.decide(&incoming, NOW), Decision::Ignore(_))
    }

    #[test]
    fn private_recordings_are_answered_whoever_sent_them() {
        for is_owner in [false, true] {
            for kind in [RecordingKind::Voice, RecordingKind::VideoNote] {
                let mut incoming = incoming();
                incoming.sender.is_owner = is_owner;
                (incoming.recording.outgoing, incoming.recording.kind) = (is_owner, kind);
                let Decision::Answer(job) = POLICY.decide(&incoming, NOW) else { panic!("ignored") };
                let settings = Some(POLICY.settings);
                let expected =
                    Job { id: incoming.id, recording: incoming.recording, settings, stranger: false };
                assert_eq!(job, expected);
            }
        }
    }

    #[test]
    fn a_stranger_is_one_in_a_private_chat() {
        let mut incoming = incoming();
        incoming.sender.is_stranger = true;
        let Decision::Answer(job) = POLICY.decide(&incoming, NOW) else { panic!("ignored") };
        assert!(job.stranger);
    }

    #[test]
    fn groups_and_channels_are_left_alone() {
        for kind in [PeerKind::Group, PeerKind::Channel] {
            assert!(ignored(|i| i.recording.chat.kind = kind));
            assert!(ignored(|i| {
                i.recording.chat.kind = kind;
                i.sender.is_owner = true;
            }));
        }
    }

    #[test]
    fn a_chat_is_covered_if_something_in_it_could_be_answered() {
        let chat = incoming().recording.chat;
        assert!(POLICY.covers(&chat, false));
        assert!(!POLICY.covers(&chat, true));
        assert!(!POLICY.covers(&Peer { kind: PeerKind::Channel, ..chat }, false));
        assert!(!POLICY.covers(&Peer { id: SERVICE_NOTIFICATIONS, ..chat }, false));
    }

    #[test]
    fn bots_service_messages_and_vanishing_ones_are_left_alone() {
        assert!(ignored(|i| i.chat_is_bot = true));
        assert!(ignored(|i| i.sender.is_bot = true));
        assert!(ignored(|i| i.recording.chat.id = SERVICE_NOTIFICATIONS));
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
