//! Which language is spoken in which chat, remembered over restarts: so that "да" in a Russian chat
//! is no Korean, and that the right language is guessed, which is quicker than to detect it.
//!
//! A small JSON file, rewritten whole. It holds nothing that cannot be learned again: where it
//! cannot be read, the daemon begins anew, and where it cannot be written, it forgets at the next
//! start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::domain::{LanguageCode, unix_time};
use crate::runtime::{atomic_file, lock};
use crate::speech::Habit;

/// What was heard counts half after so many days.
const HALF_LIFE_DAYS: f64 = 14.0;
/// And so much less with each recording after it.
const KEPT: f32 = 0.8;
/// A recording counts for so many seconds: a "yes" is something, a speech of an hour is not
/// everything.
const COUNTS: (f32, f32) = (1.0, 20.0);
/// Those longest unheard are forgotten beyond that.
const CHATS: usize = 2000;

/// The languages of all chats, behind a lock.
pub struct ChatLanguages {
    file: PathBuf,
    chats: Mutex<BTreeMap<i64, Chat>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chat {
    /// Seconds by language, as they counted at the time `at`.
    seconds: BTreeMap<LanguageCode, f32>,
    /// Unix time, in seconds.
    at: u64,
}

impl ChatLanguages {
    /// Those remembered in `file`, which need not be there.
    pub fn open(file: PathBuf) -> Self {
        let chats = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                warn!("{} is damaged, the languages of the chats are learned anew: {error}", file.display());
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                warn!("Cannot read {}, the languages of the chats are learned anew: {error}", file.display());
                BTreeMap::new()
            }
        };
        Self { file, chats: Mutex::new(chats) }
    }

    /// What was heard in `chat` before.
    pub fn habit(&self, chat: i64) -> Habit {
        self.lock().get(&chat).map_or_else(Habit::default, |chat| chat.habit(unix_time::now()))
    }

    /// So much speech was heard in `chat`, in the language with that code.
    pub fn heard(&self, chat: i64, language: LanguageCode, speech: Duration) {
        let now = unix_time::now();
        let mut chats = self.lock();
        chats.entry(chat).or_default().heard(language, speech, now);
        if chats.len() > CHATS {
            let oldest = chats.iter().min_by_key(|(_, chat)| chat.at).map(|(&id, _)| id);
            oldest.map(|id| chats.remove(&id));
        }
        if let Err(error) = self.write(&chats) {
            warn!(
                "Cannot write {}, the languages of the chats are forgotten at the next start: {error}",
                self.file.display()
            );
        }
    }

    fn write(&self, chats: &BTreeMap<i64, Chat>) -> io::Result<()> {
        atomic_file::replace(&self.file, &serde_json::to_vec(chats)?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Chat>> {
        lock(&self.chats)
    }
}

impl Chat {
    fn habit(&self, now: Duration) -> Habit {
        let faded = self.faded(now);
        Habit(self.seconds.iter().map(|(&code, seconds)| (code, seconds * faded)).collect())
    }

    fn heard(&mut self, language: LanguageCode, speech: Duration, now: Duration) {
        let kept = self.faded(now) * KEPT;
        self.seconds.values_mut().for_each(|seconds| *seconds *= kept);
        self.seconds.retain(|_, seconds| *seconds >= 0.1);
        *self.seconds.entry(language).or_default() += speech.as_secs_f32().clamp(COUNTS.0, COUNTS.1);
        self.at = now.as_secs();
    }

    /// What a second is worth that was heard at the time `at`. A clock put back makes nothing worth
    /// more.
    fn faded(&self, now: Duration) -> f32 {
        let age = now.saturating_sub(Duration::from_secs(self.at));
        let days = age.as_secs_f64() / 86_400.0;
        0.5_f64.powf(days / HALF_LIFE_DAYS) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: i64 = 1000;
    const DAY: Duration = Duration::from_secs(86_400);

    fn language(code: &str) -> LanguageCode {
        code.parse().unwrap()
    }

    fn seconds(habit: &Habit, code: &str) -> f32 {
        habit.0.iter().find(|(known, _)| *known == language(code)).map_or(0.0, |(_, seconds)| *seconds)
    }

    #[test]
    fn what_was_heard_is_known_after_a_restart_and_readable_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        let languages = ChatLanguages::open(file.clone());
        assert_eq!(languages.habit(CHAT), Habit::default());
        languages.heard(CHAT, language("ru"), Duration::from_secs(12));

        let habit = ChatLanguages::open(file.clone()).habit(CHAT);
        assert!((seconds(&habit, "ru") - 12.0).abs() < 0.1, "{habit:?}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(languages.habit(CHAT + 1), Habit::default());
    }

    #[test]
    fn a_damaged_file_and_a_lost_folder_cost_the_memory_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        fs::write(&file, "{\"1000\": [").unwrap();
        let languages = ChatLanguages::open(file);
        assert_eq!(languages.habit(CHAT), Habit::default());
        drop(folder);
        languages.heard(CHAT, language("en"), Duration::from_secs(3));
        assert_eq!(seconds(&languages.habit(CHAT), "en").round(), 3.0);
    }

    #[test]
    fn what_was_heard_long_ago_counts_less() {
        let now = DAY * 20_000;
        let mut chat = Chat::default();
        chat.heard(language("ru"), Duration::from_secs(3600), now);
        assert_eq!(seconds(&chat.habit(now), "ru"), 20.0);
        assert_eq!(seconds(&chat.habit(now + DAY * 14), "ru"), 10.0);
        assert_eq!(seconds(&chat.habit(now - DAY), "ru"), 20.0, "the clock was put back");
        chat.heard(language("en"), Duration::from_millis(200), now);
        assert_eq!(seconds(&chat.habit(now), "ru"), 16.0);
        assert_eq!(seconds(&chat.habit(now), "en"), 1.0);
    }

    #[test]
    fn a_chat_that_changes_its_language_is_known_for_the_new_one_soon() {
        let now = DAY * 20_000;
        let mut chat = Chat::default();
        (0..100).for_each(|_| chat.heard(language("ru"), Duration::from_secs(5), now));
        (0..4).for_each(|_| chat.heard(language("en"), Duration::from_secs(5), now));
        let habit = chat.habit(now);
        assert!(seconds(&habit, "en") > seconds(&habit, "ru"), "{habit:?}");
    }

    #[test]
    fn the_chats_longest_unheard_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        let chats: BTreeMap<i64, Chat> =
            (1..=CHATS as i64).map(|id| (id, Chat { at: id as u64, ..Chat::default() })).collect();
        fs::write(&file, serde_json::to_vec(&chats).unwrap()).unwrap();
        let languages = ChatLanguages::open(file);
        languages.heard(0, language("en"), Duration::from_secs(3));
        let chats = languages.lock();
        assert_eq!(chats.len(), CHATS);
        assert!(chats.contains_key(&0) && !chats.contains_key(&1));
    }
}
