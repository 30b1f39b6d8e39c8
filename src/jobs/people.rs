//! Who has sent recordings to a group lately: their names are said there.
//!
//! It is in memory only. After a restart it is learned again, and in private chats it is not
//! needed.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::domain::{ChatKind, Incoming};
use crate::runtime::lock;

/// How many people of a group are remembered, besides the sender and the owner.
const PEOPLE: usize = 6;
/// How many groups are.
const GROUPS: usize = 1000;

/// The people of all groups.
#[derive(Default)]
pub struct People(Mutex<HashMap<i64, Vec<String>>>);

impl People {
    /// Adds to a recording in a group the names of those who have sent recordings there before, and
    /// remembers those that come with it.
    pub fn complete(&self, incoming: &mut Incoming) {
        if incoming.chat.kind != ChatKind::Group {
            return;
        }
        let mut groups = lock(&self.0);
        if groups.len() >= GROUPS && !groups.contains_key(&incoming.chat.id) {
            groups.clear();
        }
        let known = groups.entry(incoming.chat.id).or_default();
        known.retain(|name| !incoming.people.contains(name));
        let before = known.clone();
        known.splice(0..0, incoming.people.iter().cloned());
        known.truncate(PEOPLE);
        incoming.people.extend(before);
    }

    /// Adds to an earlier recording in a group, which the owner asks for now, the names of those
    /// who have sent recordings there. Nobody is remembered for that.
    pub fn complete_earlier(&self, incoming: &mut Incoming) {
        if incoming.chat.kind != ChatKind::Group {
            return;
        }
        let groups = lock(&self.0);
        let known = groups.get(&incoming.chat.id).into_iter().flatten();
        let others: Vec<String> = known.filter(|name| !incoming.people.contains(name)).cloned().collect();
        incoming.people.extend(others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChatInfo, Job, JobId, Peer, PeerKind, Sender};

    fn incoming(chat: i64, kind: ChatKind, names: &[&str]) -> Incoming {
        let group = Peer { kind: PeerKind::Group, id: -chat, access_hash: 0 };
        Incoming {
            id: JobId { account: 1000, chat, message: 1 },
            recording: Job::example(group, 1).recording,
            chat: ChatInfo { id: chat, kind, names: Vec::new() },
            sender: Sender { id: 1, is_owner: false, is_bot: false, is_contact: None, names: Vec::new() },
            people: names.iter().map(|name| (*name).to_owned()).collect(),
            view_once: false,
        }
    }

    fn heard(people: &People, chat: i64, kind: ChatKind, names: &[&str]) -> Vec<String> {
        let mut incoming = incoming(chat, kind, names);
        people.complete(&mut incoming);
        incoming.people
    }

    #[test]
    fn those_who_spoke_in_a_group_before_are_its_people() {
        let people = People::default();
        let group = ChatKind::Group;
        assert_eq!(heard(&people, -5, group, &["Anna", "Owner"]), ["Anna", "Owner"]);
        assert_eq!(heard(&people, -5, group, &["Boris", "Owner"]), ["Boris", "Owner", "Anna"]);
        assert_eq!(heard(&people, -5, group, &["Anna", "Owner"]), ["Anna", "Owner", "Boris"]);
        // No other chat hears of them.
        assert_eq!(heard(&people, -6, group, &["Clara"]), ["Clara"]);
        assert_eq!(heard(&people, -5, ChatKind::Private, &["Clara"]), ["Clara"]);
        for name in ["c", "d", "e", "f", "g", "h"] {
            heard(&people, -5, group, &[name]);
        }
        assert_eq!(heard(&people, -5, group, &["i"]).len(), 1 + PEOPLE);
    }

    #[test]
    fn one_that_is_asked_for_gets_the_names_and_adds_none() {
        let people = People::default();
        let group = ChatKind::Group;
        heard(&people, -5, group, &["Anna", "Owner"]);
        for (chat, kind, names, expected) in [
            (-5, group, &["Boris", "Owner"][..], &["Boris", "Owner", "Anna"][..]),
            (-5, group, &["Clara", "Owner"], &["Clara", "Owner", "Anna"]),
            (-6, group, &["Clara"], &["Clara"]),
            (-5, ChatKind::Private, &["Clara"], &["Clara"]),
        ] {
            let mut asked_for = incoming(chat, kind, names);
            people.complete_earlier(&mut asked_for);
            assert_eq!(asked_for.people, expected);
        }
        assert_eq!(heard(&people, -5, group, &["Dora"]), ["Dora", "Anna", "Owner"]);
    }
}
