//! Notices an account whose messages are made from our answers: a program that answers text with
//! voice would send messages for ever.

use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// A message follows an answer if it comes within so many milliseconds after it.
const FOLLOWS_WITHIN: u64 = 10_000;
/// How long the messages of the chat wait then, in milliseconds. The time doubles if it goes on
/// afterwards, up to a day, and starts anew after a day without.
const FIRST_PAUSE: u64 = 15 * MINUTE;

/// The chats in which answers were sent lately. All times are in milliseconds of Unix time.
#[derive(Debug)]
pub struct LoopWatch {
    /// So many messages of one sender in a row that follow answers are a loop; 0 for never.
    loop_after: u32,
    chats: BTreeMap<i64, Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// When the last answer was sent.
    answered: u64,
    /// Whether no message of the sender has followed it yet.
    is_unfollowed: bool,
    sender: i64,
    in_a_row: u32,
    /// How many pauses there were, and until when the last one lasts.
    pauses: u32,
    paused_until: u64,
}

impl LoopWatch {
    pub fn new(loop_after: u32) -> Self {
        Self { loop_after, chats: BTreeMap::new() }
    }

    /// An answer was sent in the chat.
    pub fn answered(&mut self, chat: i64, now: u64) {
        self.chats.retain(|_, watched| {
            watched.answered.max(watched.paused_until).saturating_add(DAY) > now
                && watched.answered <= now + DAY
        });
        let watched = self.chats.entry(chat).or_default();
        (watched.answered, watched.is_unfollowed) = (now, true);
    }

    /// A recording of somebody else has come. Returns how long the chat's messages wait if a loop
    /// is noticed by this one.
    pub fn heard(&mut self, chat: i64, sender: i64, now: u64) -> Option<Duration> {
        let watched = self.chats.get_mut(&chat)?;
        if now.saturating_sub(watched.answered) > FOLLOWS_WITHIN {
            watched.in_a_row = 0;
            return None;
        }
        // Further messages after the same answer say nothing.
        if !std::mem::take(&mut watched.is_unfollowed) {
            return None;
        }
        watched.in_a_row = if watched.sender == sender { watched.in_a_row + 1 } else { 1 };
        watched.sender = sender;
        if self.loop_after == 0 || watched.in_a_row < self.loop_after {
            return None;
        }
        watched.in_a_row = 0;
        let pause = FIRST_PAUSE.saturating_mul(1 << watched.pauses.min(10)).min(DAY);
        watched.pauses += 1;
        watched.paused_until = now + pause;
        Some(Duration::from_millis(pause))
    }

    /// How much longer the chat's messages wait; zero if they do not.
    pub fn paused_for(&self, chat: i64, now: u64) -> Duration {
        let until = self.chats.get(&chat).map_or(0, |watched| watched.paused_until);
        // A clock that was set back makes no pause longer than the longest.
        Duration::from_millis(until.saturating_sub(now).min(DAY))
    }

    /// How many chats are paused.
    pub fn paused(&self, now: u64) -> usize {
        self.chats.values().filter(|watched| watched.paused_until > now).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const SECOND: u64 = 1000;
    const IN_A_ROW: u32 = 10;

    /// The pauses that a sender brings who lets so many milliseconds pass after each answer, and
    /// when it was noticed last.
    fn pauses(watch: &mut LoopWatch, answers: u32, delay: u64, mut now: u64) -> (Vec<u64>, u64) {
        let mut pauses = Vec::new();
        for _ in 0..answers {
            watch.answered(1, now);
            now += delay;
            pauses.extend(watch.heard(1, 2, now).map(|pause| pause.as_secs() / 60));
        }
        (pauses, now)
    }

    #[test]
    fn ten_messages_in_a_row_that_follow_answers_are_a_loop() {
        let mut watch = LoopWatch::new(IN_A_ROW);
        assert_eq!(pauses(&mut watch, IN_A_ROW - 1, 3 * SECOND, NOW).0, [0; 0]);
        let (noticed, now) = pauses(&mut watch, 1, 3 * SECOND, NOW + 60 * SECOND);
        assert_eq!(noticed, [15]);
        assert_eq!((watch.paused_for(1, now).as_secs(), watch.paused(now)), (900, 1));
        assert_eq!(watch.paused_for(2, now), Duration::ZERO);
        assert_eq!(
            (watch.paused_for(1, now + 15 * MINUTE), watch.paused(now + 15 * MINUTE)),
            (Duration::ZERO, 0)
        );
    }

    #[test]
    fn a_loop_that_goes_on_is_paused_for_longer_each_time_and_forgotten_after_a_day() {
        let mut watch = LoopWatch::new(IN_A_ROW);
        let mut now = NOW;
        for minutes in [15, 30, 60, 120, 240, 480, 960, 1440, 1440] {
            let (noticed, at) = pauses(&mut watch, IN_A_ROW, SECOND, now);
            assert_eq!(noticed, [minutes]);
            now = at + minutes * MINUTE;
        }
        assert_eq!(pauses(&mut watch, IN_A_ROW, SECOND, now + DAY + MINUTE).0, [15]);
    }

    #[test]
    fn people_are_no_loop() {
        let mut watch = LoopWatch::new(IN_A_ROW);
        // They take their time, or do not wait for the answer.
        assert_eq!(pauses(&mut watch, 100, 11 * SECOND, NOW).0, [0; 0]);
        for n in 0..100 {
            let now = NOW + 10 * MINUTE + n * 20 * SECOND;
            assert_eq!(watch.heard(1, 2, now), None);
            watch.answered(1, now + 4 * SECOND);
            assert_eq!(watch.heard(1, 2, now + 5 * SECOND), None);
            assert_eq!(watch.heard(1, 2, now + 16 * SECOND), None);
        }
        // Several talk with each other.
        for n in 0..100 {
            let now = NOW + 2 * DAY + n * 2 * SECOND;
            watch.answered(1, now);
            assert_eq!(watch.heard(1, i64::try_from(n).unwrap() % 3, now + SECOND), None);
        }
    }

    #[test]
    fn two_messages_after_each_answer_do_not_hide_a_loop() {
        let mut watch = LoopWatch::new(IN_A_ROW);
        let mut noticed = 0;
        for n in 0..20 {
            let now = NOW + n * 5 * SECOND;
            watch.answered(1, now);
            for _ in 0..2 {
                noticed += u32::from(watch.heard(1, 2, now + SECOND).is_some());
            }
        }
        assert_eq!(noticed, 2);
    }
}
