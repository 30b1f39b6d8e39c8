//! A sequence of updates that a client follows by `pts`: the account has one, each channel its own
//! (<https://core.telegram.org/api/updates>).

use std::collections::BTreeMap;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    New,
    Edited,
    Deleted,
}

/// One step of a mailbox's `pts`.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub pts: i32,
    pub kind: EventKind,
    /// The number of the message that it happened to.
    pub message: i32,
    /// Seconds of Unix time.
    pub date: i32,
}

/// Messages numbered together, and what happened to them.
pub struct Mailbox {
    /// The `pts` before anything happened.
    first_pts: i32,
    /// Message number to its place among all posts.
    posts: BTreeMap<i32, usize>,
    events: Vec<Event>,
}

/// What a client missed, or the first part of it.
pub struct Difference<'a> {
    pub events: &'a [Event],
    /// The `pts` after these events.
    pub pts: i32,
    /// Nothing is left.
    pub last: bool,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Mailbox {
    pub fn new(first_pts: i32) -> Self {
        Self { first_pts, posts: BTreeMap::new(), events: Vec::new() }
    }

    pub fn pts(&self) -> i32 {
        self.events.last().map_or(self.first_pts, |event| event.pts)
    }

    /// When the last thing happened.
    pub fn last_date(&self) -> Option<i32> {
        self.events.last().map(|event| event.date)
    }

    /// The number that the next message will have.
    pub fn next_id(&self) -> i32 {
        self.posts.last_key_value().map_or(1, |(id, _)| id + 1)
    }

    /// Notes that the message `id` is the post at `place`.
    pub fn insert(&mut self, id: i32, place: usize) {
        self.posts.insert(id, place);
    }

    /// The place of the message `id` among all posts.
    pub fn place(&self, id: i32) -> Option<usize> {
        self.posts.get(&id).copied()
    }

    /// Moves on by one step.
    pub fn record(&mut self, kind: EventKind, message: i32, date: i32) -> Event {
        let event = Event { pts: self.pts() + 1, kind, message, date };
        self.events.push(event);
        event
    }

    /// The event that brought the message `id`.
    pub fn arrival(&self, id: i32) -> Option<Event> {
        self.events.iter().copied().find(|event| event.kind == EventKind::New && event.message == id)
    }

    /// What came after `pts`, at most `limit` events of it.
    pub fn since(&self, pts: i32, limit: usize) -> Difference<'_> {
        let start = self.events.partition_point(|event| event.pts <= pts);
        let end = self.events.len().min(start.saturating_add(limit.max(1)));
        let events = &self.events[start..end];
        Difference {
            events,
            pts: events.last().map_or(self.pts(), |event| event.pts),
            last: end == self.events.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_comes_in_slices() {
        let mut mailbox = Mailbox::default();
        assert!(mailbox.since(0, 5).events.is_empty());
        let start = mailbox.pts();
        for id in 1..=5 {
            mailbox.record(EventKind::New, id, 0);
        }
        let first = mailbox.since(start, 3);
        assert_eq!((first.events.len(), first.pts, first.last), (3, start + 3, false));
        let second = mailbox.since(first.pts, 3);
        assert_eq!((second.events.len(), second.pts, second.last), (2, start + 5, true));
        assert!(mailbox.since(i32::MAX, 3).events.is_empty());
    }
}
