//! What was told, across restarts: a small JSON file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::topic::{Notice, Present, Topic, over};
use crate::runtime::{atomic_file, problem};

/// A trouble is told once in this time, in seconds.
const DAY: u64 = 86_400;
/// How often a notice is tried.
const ATTEMPTS: u32 = 5;

/// What was told of a topic by one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// When it was told that the trouble is there, in seconds of Unix time.
    at: i64,
    /// The trouble is there as far as was told, or tried to be.
    open: bool,
    /// The last notice has arrived.
    arrived: bool,
    /// How often the last notice was tried.
    attempts: u32,
    /// How many dead letters there were.
    count: u64,
}

/// How a topic stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The trouble has lasted long enough to be told.
    There(Present),
    /// It is over.
    Over,
}

/// The file, and what is in it: by channel and topic.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    told: BTreeMap<String, BTreeMap<Topic, Told>>,
}

impl Journal {
    /// Reads the file. One that is missing or damaged counts as empty: then troubles are told
    /// again.
    pub fn open(path: PathBuf) -> Self {
        let text = std::fs::read(&path).ok();
        let told = text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path, told }
    }

    /// The topics of which somebody was told that they are there.
    pub fn open_topics(&self) -> Vec<Topic> {
        let told = self.told.values().flatten();
        told.filter(|(_, told)| told.open || !told.arrived).map(|(topic, _)| *topic).collect()
    }

    /// The notice that `channel` has to tell of a topic now, which counts as tried from here on:
    /// what a crash interrupts is tried again as the same notice.
    pub fn due(&mut self, channel: &str, topic: Topic, state: &State, now: i64) -> Option<Notice> {
        let told = self.told.entry(channel.to_owned()).or_default();
        let next = match (state, told.get(&topic).copied()) {
            (State::There(present), None) => Told::begin(present, now),
            (State::There(_), Some(it)) if it.open && !it.arrived && it.attempts < ATTEMPTS => it,
            (State::There(present), Some(it)) if it.is_due_again(present, now) => Told::begin(present, now),
            // Whoever was not told that it began is not told that it is over.
            (State::Over, Some(it)) if it.open && !it.arrived => {
                told.insert(topic, Told { open: false, arrived: true, ..it });
                self.store();
                return None;
            }
            (State::Over, Some(it)) if it.open => Told { open: false, arrived: false, attempts: 0, ..it },
            (State::Over, Some(it)) if !it.arrived && it.attempts < ATTEMPTS => it,
            _ => return None,
        };
        let next = Told { attempts: next.attempts + 1, ..next };
        told.insert(topic, next);
        self.store();
        Some(match state {
            State::There(present) => present.notice(next.at),
            State::Over => over(topic, next.at),
        })
    }

    /// The notice that was due has arrived.
    pub fn arrived(&mut self, channel: &str, topic: Topic) {
        if let Some(told) = self.told.get_mut(channel).and_then(|told| told.get_mut(&topic)) {
            told.arrived = true;
        }
        self.store();
    }

    fn store(&self) {
        let kept = serde_json::to_vec_pretty(&self.told)
            .map_err(std::io::Error::from)
            .and_then(|text| atomic_file::replace(&self.path, &text));
        if let Err(error) = kept {
            let what = "A restart will tell again what was told, that cannot be stored in";
            warn!("{}", problem::of_file(what, &self.path, &error));
        }
    }
}

impl Told {
    fn begin(present: &Present, now: i64) -> Self {
        Self { at: now, open: true, arrived: false, attempts: 0, count: present.count }
    }

    /// Whether a day has passed. Dead letters that are known are not told again.
    fn is_due_again(&self, present: &Present, now: i64) -> bool {
        let is_news = present.topic != Topic::DeadLetters || !self.open || present.count > self.count;
        is_news && now.abs_diff(self.at) >= DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Survey, Trouble};
    use crate::notices::topic::present;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    fn opened(folder: &tempfile::TempDir) -> Journal {
        Journal::open(folder.path().join("notices.json"))
    }

    fn there(survey: &Survey) -> State {
        State::There(present(survey).remove(0))
    }

    fn model_gone() -> State {
        there(&Survey { troubles: vec![Trouble::ModelMissing], ..Survey::default() })
    }

    fn dead(dead: u64) -> State {
        there(&Survey { dead, ..Survey::default() })
    }

    /// Whether something is told, and if so, that it arrives.
    fn tells(journal: &mut Journal, topic: Topic, state: &State, now: i64) -> Option<bool> {
        let notice = journal.due("web", topic, state, now)?;
        journal.arrived("web", topic);
        Some(notice.is_over)
    }

    #[test]
    fn a_trouble_is_told_once_a_day_and_when_it_is_over_also_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        for (now, state, told) in [
            (NOW, model_gone(), Some(false)),
            (NOW + 60, model_gone(), None),
            (NOW + DAY - 1, model_gone(), None),
            (NOW + DAY, model_gone(), Some(false)),
            (NOW + DAY + 60, State::Over, Some(true)),
            (NOW + DAY + 120, State::Over, None),
            // The same trouble within the day is not told, and so neither is its end.
            (NOW + DAY + 180, model_gone(), None),
            (NOW + DAY + 240, State::Over, None),
            (NOW + 2 * DAY, model_gone(), Some(false)),
            // A clock that was set back by more than a day does not silence it.
            (NOW, model_gone(), Some(false)),
        ] {
            assert_eq!(tells(&mut opened(&folder), Topic::Model, &state, now), told, "{now}");
        }
        std::fs::write(folder.path().join("notices.json"), "{").unwrap();
        assert_eq!(tells(&mut opened(&folder), Topic::Model, &model_gone(), NOW), Some(false));
    }

    #[test]
    fn dead_letters_are_told_again_only_when_there_are_more() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = opened(&folder);
        for (days, state, told) in [
            (0, dead(2), Some(false)),
            (1, dead(2), None),
            (2, dead(3), Some(false)),
            (2, dead(4), None),
            (3, dead(4), Some(false)),
            (4, State::Over, Some(true)),
            (5, dead(1), Some(false)),
        ] {
            let now = NOW + days * DAY;
            assert_eq!(tells(&mut journal, Topic::DeadLetters, &state, now), told, "{days}");
        }
    }

    #[test]
    fn what_does_not_arrive_is_tried_some_times_as_the_same_notice() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = None;
        for attempt in 0..i64::from(ATTEMPTS) {
            let notice = opened(&folder).due("web", Topic::Model, &model_gone(), NOW + attempt).unwrap();
            assert_eq!(*first.get_or_insert(notice.at), notice.at);
        }
        let mut journal = opened(&folder);
        assert_eq!(journal.due("web", Topic::Model, &model_gone(), NOW + 60), None);
        // Another channel knows nothing of that.
        assert!(journal.due("saved", Topic::Model, &model_gone(), NOW + 60).is_some());
        journal.arrived("saved", Topic::Model);
        assert_eq!(journal.due("web", Topic::Model, &State::Over, NOW + 90), None);
        assert!(journal.due("saved", Topic::Model, &State::Over, NOW + 90).unwrap().is_over);
        assert_eq!(journal.open_topics(), [Topic::Model]);
    }
}
