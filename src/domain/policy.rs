//! Which recordings are answered: a pure function over plain data.

use std::time::Duration;

use super::{Job, JobId, Peer, PeerKind, RecordingKind};

/// Telegram's own account, which sends login codes.
const SERVICE_NOTIFICATIONS: i64 = 777_000;

/// A recording in a message, as far as the policy wants to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub account: i64,
    pub peer: Peer,
    /// The other side is a bot, or the message was sent through one.
    pub bot: bool,
    pub message: i32,
    pub outgoing: bool,
    /// Seconds of Unix time.
    pub date: i64,
    pub kind: RecordingKind,
    /// Telegram's number of the file.
    pub document: i64,
    /// It vanishes once played, or after a time.
    pub view_once: bool,
    /// Seconds, as the sender claims.
    pub duration: u32,
    /// Bytes, as Telegram claims.
    pub size: u64,
}

/// What the owner wants answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Messages older than this when they arrive are left alone.
    pub max_age: Duration,
}

/// What becomes of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Answer(Job),
    Ignore(&'static str),
}

impl Policy {
    /// Whether anything in a chat could be answered; what was missed elsewhere need not be read.
    pub fn covers(&self, peer: &Peer, bot: bool) -> bool {
        self.reason_to_ignore_chat(peer, bot).is_none()
    }

    /// Decides at `now`, in seconds of Unix time.
    pub fn decide(&self, incoming: &Incoming, now: i64) -> Decision {
        match self.reason_to_ignore(incoming, now) {
            Some(reason) => Decision::Ignore(reason),
            None => Decision::Answer(Job {
                id: JobId {
                    account: incoming.account,
                    chat: incoming.peer.chat(),
                    message: incoming.message,
                },
                peer: incoming.peer,
                kind: incoming.kind,
                document: incoming.document,
                outgoing: incoming.outgoing,
                date: incoming.date,
                duration: incoming.duration,
                size: incoming.size,
            }),
        }
    }

    fn reason_to_ignore_chat(&self, peer: &Peer, bot: bool) -> Option<&'static str> {
        if peer.kind != PeerKind::User {
            return Some("not a private chat");
        }
        if peer.id == SERVICE_NOTIFICATIONS {
            return Some("Telegram's service notifications");
        }
        bot.then_some("a bot")
    }

    fn reason_to_ignore(&self, incoming: &Incoming, now: i64) -> Option<&'static str> {
        if let Some(reason) = self.reason_to_ignore_chat(&incoming.peer, incoming.bot) {
            return Some(reason);
        }
        if incoming.view_once {
            return Some("meant to vanish");
        }
        let age = now.saturating_sub(incoming.date).max(0).unsigned_abs();
        if age > self.max_age.as_secs() {
            return Some("older than CATCH_UP_MAX_AGE");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const POLICY: Policy = Policy { max_age: Duration::from_secs(86_400) };

    fn incoming() -> Incoming {
        Incoming {
            account: 1000,
            peer: Peer { kind: PeerKind::User, id: 2000, access_hash: 5 },
            bot: false,
            message: 7,
            outgoing: false,
            date: NOW - 10,
            kind: RecordingKind::Voice,
            document: 9000,
            view_once: false,
            duration: 3,
            size: 9000,
        }
    }

    fn ignored(change: impl FnOnce(&mut Incoming)) -> bool {
        let mut incoming = incoming();
        change(&mut incoming);
        matches!(POLICY.decide(&incoming, NOW), Decision::Ignore(_))
    }

    #[test]
    fn private_recordings_are_answered_whoever_sent_them() {
        for outgoing in [false, true] {
            for kind in [RecordingKind::Voice, RecordingKind::VideoNote] {
                let incoming = Incoming { outgoing, kind, ..incoming() };
                let Decision::Answer(job) = POLICY.decide(&incoming, NOW) else { panic!("ignored") };
                assert_eq!(job.id, JobId { account: 1000, chat: 2000, message: 7 });
                assert_eq!((job.peer, job.kind, job.outgoing), (incoming.peer, kind, outgoing));
            }
        }
    }

    #[test]
    fn groups_and_channels_are_left_alone() {
        assert!(ignored(|i| i.peer.kind = PeerKind::Group));
        assert!(ignored(|i| i.peer.kind = PeerKind::Channel));
        assert!(ignored(|i| {
            i.peer.kind = PeerKind::Group;
            i.outgoing = true;
        }));
    }

    #[test]
    fn a_chat_is_covered_if_something_in_it_could_be_answered() {
        let Incoming { peer, .. } = incoming();
        assert!(POLICY.covers(&peer, false));
        assert!(!POLICY.covers(&peer, true));
        assert!(!POLICY.covers(&Peer { kind: PeerKind::Channel, ..peer }, false));
        assert!(!POLICY.covers(&Peer { id: SERVICE_NOTIFICATIONS, ..peer }, false));
    }

    #[test]
    fn bots_service_messages_and_vanishing_ones_are_left_alone() {
        assert!(ignored(|i| i.bot = true));
        assert!(ignored(|i| i.peer.id = SERVICE_NOTIFICATIONS));
        assert!(ignored(|i| i.view_once = true));
    }

    #[test]
    fn old_messages_are_left_alone_and_a_wrong_clock_is_forgiven() {
        assert!(!ignored(|i| i.date = NOW - 86_400));
        assert!(ignored(|i| i.date = NOW - 86_401));
        assert!(!ignored(|i| i.date = NOW + 600));
        assert!(!ignored(|i| i.date = i64::MAX));
        assert!(ignored(|i| i.date = i64::MIN));
    }
}
