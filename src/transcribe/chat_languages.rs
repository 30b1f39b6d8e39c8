//! The languages spoken in each chat, remembered across restarts. They keep a "да" in a Russian
//! chat from being taken for Korean, and let the right language be guessed, which is faster than to
//! detect it.
//!
//! They are in a small JSON file, which is rewritten as a whole. It holds nothing that cannot be
//! learned again: if it cannot be read, the daemon starts with nothing, and if it cannot be
//! written, the daemon forgets at the next start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::domain::{LanguageCode, unix_time};
use crate::runtime::{atomic_file, lock, problem};
use crate::speech::LanguagePrior;

/// Recorded seconds count half after this many days.
const HALF_LIFE_DAYS: f64 = 14.0;
/// Each further recording multiplies the earlier seconds by this.
const DECAY_PER_RECORDING: f32 = 0.8;
/// The seconds that one recording may count, at least and at most: a "yes" counts for something,
/// and an hour does not outweigh everything else.
const SECONDS_RANGE: (f32, f32) = (1.0, 20.0);
/// If there are more chats, the one with the oldest recording is forgotten.
const MAX_CHATS: usize = 2000;

/// The languages of all chats, behind a lock.
pub struct ChatLanguages {
    file: PathBuf,
    chats: Mutex<BTreeMap<i64, Chat>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chat {
    /// The seconds of each language, as they counted at the time `at`.
    seconds: BTreeMap<LanguageCode, f32>,
    /// The Unix time of the last recording, in seconds.
    at: u64,
}

impl ChatLanguages {
    /// Reads the languages from `file`, if it exists.
    pub fn open(file: PathBuf) -> Self {
        let chats = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                warn!("{} is damaged, the languages of the chats are learned anew: {error}", file.display());
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                let what = "The languages of the chats are learned anew, cannot read";
                warn!("{}", problem::of_file(what, &file, &error));
                BTreeMap::new()
            }
        };
        Self { file, chats: Mutex::new(chats) }
    }

    /// The languages spoken in `chat` before.
    pub fn prior(&self, chat: i64) -> LanguagePrior {
        self.lock().get(&chat).map_or_else(LanguagePrior::default, |chat| chat.prior(unix_time::now()))
    }

    /// Records that there was this much speech in `chat`, in this language.
    pub fn record(&self, chat: i64, language: LanguageCode, speech: Duration) {
        let now = unix_time::now();
        let mut chats = self.lock();
        chats.entry(chat).or_default().record(language, speech, now);
        if chats.len() > MAX_CHATS {
            let oldest = chats.iter().min_by_key(|(_, chat)| chat.at).map(|(&id, _)| id);
            oldest.map(|id| chats.remove(&id));
        }
        if let Err(error) = self.write(&chats) {
            let what = "The next start forgets the languages of the chats, cannot write";
            warn!("{}", problem::of_file(what, &self.file, &error));
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
    fn prior(&self, now: Duration) -> LanguagePrior {
        let decay = self.decay(now);
        LanguagePrior(self.seconds.iter().map(|(&language, seconds)| (language, seconds * decay)).collect())
    }

    fn record(&mut self, language: LanguageCode, speech: Duration, now: Duration) {
        let decay = self.decay(now) * DECAY_PER_RECORDING;
        self.seconds.values_mut().for_each(|seconds| *seconds *= decay);
        self.seconds.retain(|_, seconds| *seconds >= 0.1);
        *self.seconds.entry(language).or_default() +=
            speech.as_secs_f32().clamp(SECONDS_RANGE.0, SECONDS_RANGE.1);
        self.at = now.as_secs();
    }

    /// How much a second recorded at the time `at` counts now: at most 1, also after the clock was
    /// put back.
    fn decay(&self, now: Duration) -> f32 {
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

    fn seconds(prior: &LanguagePrior, code: &str) -> f32 {
        prior.0.iter().find(|(known, _)| *known == language(code)).map_or(0.0, |(_, seconds)| *seconds)
    }

    #[test]
    fn languages_are_remembered_across_restarts_in_a_private_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        let languages = ChatLanguages::open(file.clone());
        assert_eq!(languages.prior(CHAT), LanguagePrior::default());
        languages.record(CHAT, language("ru"), Duration::from_secs(12));

        let prior = ChatLanguages::open(file.clone()).prior(CHAT);
        assert!((seconds(&prior, "ru") - 12.0).abs() < 0.1, "{prior:?}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(languages.prior(CHAT + 1), LanguagePrior::default());
    }

    #[test]
    fn a_damaged_file_and_a_missing_folder_only_lose_what_was_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        fs::write(&file, "{\"1000\": [").unwrap();
        let languages = ChatLanguages::open(file);
        assert_eq!(languages.prior(CHAT), LanguagePrior::default());
        drop(folder);
        languages.record(CHAT, language("en"), Duration::from_secs(3));
        assert_eq!(seconds(&languages.prior(CHAT), "en").round(), 3.0);
    }

    #[test]
    fn old_recordings_count_less() {
        let now = DAY * 20_000;
        let mut chat = Chat::default();
        chat.record(language("ru"), Duration::from_secs(3600), now);
        assert_eq!(seconds(&chat.prior(now), "ru"), 20.0);
        assert_eq!(seconds(&chat.prior(now + DAY * 14), "ru"), 10.0);
        assert_eq!(seconds(&chat.prior(now - DAY), "ru"), 20.0, "the clock was put back");
        chat.record(language("en"), Duration::from_millis(200), now);
        assert_eq!(seconds(&chat.prior(now), "ru"), 16.0);
        assert_eq!(seconds(&chat.prior(now), "en"), 1.0);
    }

    #[test]
    fn a_chat_that_changes_its_language_is_known_for_the_new_one_soon() {
        let now = DAY * 20_000;
        let mut chat = Chat::default();
        (0..100).for_each(|_| chat.record(language("ru"), Duration::from_secs(5), now));
        (0..4).for_each(|_| chat.record(language("en"), Duration::from_secs(5), now));
        let prior = chat.prior(now);
        assert!(seconds(&prior, "en") > seconds(&prior, "ru"), "{prior:?}");
    }

    #[test]
    fn the_chats_with_the_oldest_recordings_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("languages.json");
        let chats: BTreeMap<i64, Chat> =
            (1..=MAX_CHATS as i64).map(|id| (id, Chat { at: id as u64, ..Chat::default() })).collect();
        fs::write(&file, serde_json::to_vec(&chats).unwrap()).unwrap();
        let languages = ChatLanguages::open(file);
        languages.record(0, language("en"), Duration::from_secs(3));
        let chats = languages.lock();
        assert_eq!(chats.len(), MAX_CHATS);
        assert!(chats.contains_key(&0) && !chats.contains_key(&1));
    }
}
