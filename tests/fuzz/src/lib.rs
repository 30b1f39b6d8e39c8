//! What fuzzing feeds with bytes.
//!
//! Each target takes any bytes and panics if the code behind it breaks a promise: it panics, takes
//! more time or memory than the size of its input allows, or gives a wrong result. `fuzz/run.sh`
//! runs them under libFuzzer; the tests of this crate run them on the seeds, and on every input
//! that ever failed (`regressions/TARGET/`).

mod containers;
pub mod seeds;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stenogram::audio::{self, Limits};
use stenogram::config::{Config, Needs, RawConfig};
use stenogram::domain::reply::{self, MESSAGE_LIMIT};
use stenogram::domain::{Answer, Form, Job, Progress, Segment, Settings, Transcript, Vocabulary, summary};
use stenogram::speech::models::file_check;
use stenogram::telegram::{SessionFile, recordings_in_updates};
use support::allocations::peak_of;
use tempfile::TempDir;

/// A target: its name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("audio", audio),
    ("containers", containers),
    ("model", model),
    ("stored", stored),
    ("session", session),
    ("updates", updates),
    ("messages", messages),
    ("configuration", configuration),
];

/// What one input may cost.
struct Cost {
    /// Processor time, besides [`Cost::TIME_PER_BYTE`]. Generous, because the code is instrumented.
    time: Duration,
    /// Bytes of memory, besides [`Cost::MEMORY_PER_BYTE`].
    memory: usize,
}

impl Cost {
    const TIME_PER_BYTE: Duration = Duration::from_micros(50);
    const MEMORY_PER_BYTE: usize = 64;
    const SMALL: Self = Self { time: Duration::from_secs(1), memory: 4 << 20 };
    /// For a minute of decoded audio at most. Resampling from the oddest of rates takes the
    /// greatest part of the memory.
    const AUDIO: Self = Self { time: Duration::from_secs(5), memory: 64 << 20 };

    /// grammers allocates a string of the length that it claims before it reads it, 16 MiB at most,
    /// and fails if there is less. Telegram's server is trusted that far.
    const UPDATES: Self = Self { time: Duration::from_secs(1), memory: 20 << 20 };

    /// Runs `work` on an input of `size` bytes and panics if it costs more than it may.
    fn limit<T>(&self, size: usize, work: impl FnOnce() -> T) -> T {
        let start = clock_gettime(ClockId::ThreadCPUTime);
        let (result, memory) = peak_of(work);
        let end = clock_gettime(ClockId::ThreadCPUTime);
        let nanoseconds = (end.tv_sec - start.tv_sec) * 1_000_000_000 + (end.tv_nsec - start.tv_nsec);
        let time = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
        let most_time = self.time + Self::TIME_PER_BYTE * u32::try_from(size).expect("inputs are small");
        assert!(time <= most_time, "{size} bytes took {time:?} of processor time");
        let most_memory = self.memory + Self::MEMORY_PER_BYTE * size;
        assert!(memory <= most_memory, "{size} bytes took {memory} bytes of memory");
        result
    }
}

/// A recording: any bytes, and the same with the checksums of their Ogg pages put right, which no
/// random change would get right.
fn audio(bytes: &[u8]) {
    decode(bytes);
    if let Some(ogg) = containers::with_right_checksums(bytes) {
        decode(&ogg);
    }
}

/// A recording made of well-formed boxes, elements, chunks or pages, whose contents lie.
fn containers(bytes: &[u8]) {
    if let Some(file) = containers::file(bytes) {
        decode(&file);
    }
}

fn decode(bytes: &[u8]) {
    static RUN: AtomicBool = AtomicBool::new(false);
    let limits =
        Limits { length: Duration::from_secs(60), time: Duration::from_secs(60), ..Limits::default() };
    // A panic of symphonia is caught by `decode` and becomes an error, so it is no finding here.
    if let Ok(pcm) = Cost::AUDIO.limit(bytes.len(), || audio::decode(bytes, &limits, &RUN)) {
        assert!(!pcm.samples.is_empty());
        assert!(pcm.samples.iter().all(|sample| sample.is_finite()));
    }
}

/// A model file, as it is checked before whisper.cpp reads it.
fn model(bytes: &[u8]) {
    in_file("model.bin", bytes, |path| {
        let _ = Cost::SMALL.limit(bytes.len(), || file_check::check(path));
    });
}

/// What the queue stores. Whatever can be read is written and read again as the same.
fn stored(bytes: &[u8]) {
    fn read<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        let Ok(value) = Cost::SMALL.limit(bytes.len(), || serde_json::from_slice::<T>(bytes)) else { return };
        let written = serde_json::to_vec(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<T>(&written).expect("what was written can be read"), value);
    }
    read::<Job>(bytes);
    read::<Answer>(bytes);
    read::<Progress>(bytes);
    read::<Settings>(bytes);
}

/// The session file.
fn session(bytes: &[u8]) {
    in_file("account.session", bytes, |path| {
        let folder = path.parent().expect("a file lies in a folder");
        let _ = Cost::SMALL.limit(bytes.len(), || SessionFile::user_in(folder));
    });
}

/// An answer of Telegram that contains updates.
fn updates(bytes: &[u8]) {
    let _ = Cost::UPDATES.limit(bytes.len(), || recordings_in_updates(bytes));
}

/// A transcript, as it becomes messages: one segment a line.
fn messages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let segments = text
        .lines()
        .zip(0..)
        .map(|(text, at)| Segment { start_ms: at * 1000, end_ms: at * 1000 + 900, text: text.trim().into() })
        .collect();
    let transcript = Transcript { segments, ..Transcript::default() };
    let answer = Cost::SMALL.limit(bytes.len(), || reply::compose(&transcript, Settings::default()));
    for part in &answer.parts {
        assert!(!part.text.trim().is_empty(), "an empty message");
        assert!(reply::utf16_len(&part.text) <= MESSAGE_LIMIT, "a message is too long");
        assert!(!part.text.contains(|c: char| c.is_control() && c != '\n'), "a control character is sent");
    }
    // What is sent is clean: to compose it once more changes no character.
    let sent: Vec<&str> = answer.parts.iter().map(|part| part.text.as_str()).collect();
    let segment = Segment { start_ms: 0, end_ms: 0, text: sent.join(" ") };
    let again = Transcript { segments: vec![segment], ..Transcript::default() };
    let visible = |answer: &Answer| -> String {
        answer.parts.iter().flat_map(|part| part.text.split_whitespace()).collect()
    };
    let again = reply::compose(&again, Settings::default());
    assert_eq!(visible(&again), visible(&answer), "composing twice changes the text");
    for subtitles in [transcript.srt(), transcript.vtt()] {
        assert!(subtitles.len() >= transcript.segments.len());
    }
    // What a language model may answer stands above the text, within the limits.
    if let Some(above) = Cost::SMALL.limit(bytes.len(), || summary::summary(&text, &text)) {
        assert!(above.lines().count() <= 5 && !above.contains(|c: char| c.is_control() && c != '\n'));
        for (form, limit) in [(Form::Replies, MESSAGE_LIMIT), (Form::Caption, reply::CAPTION_LIMIT)] {
            let settings = Settings { form, ..Settings::default() };
            let answer = reply::compose_below(Some(above.clone()), &transcript, settings);
            assert!(answer.parts.iter().take(1).all(|part| reply::utf16_len(&part.shown()) <= limit));
        }
    }
    let people = Cost::SMALL.limit(bytes.len(), || Vocabulary::of_people(text.lines()));
    let is_name = |term: &String| term.chars().all(|c| c.is_alphabetic() || " -'’".contains(c));
    assert!(people.terms().len() <= 8 && people.terms().iter().all(is_name), "{people}");
}

/// A `.env` file.
fn configuration(bytes: &[u8]) {
    in_file("env", bytes, |path| {
        let environment = HashMap::from([("ENV_FILE", OsString::from(path))]);
        let _ = Cost::SMALL.limit(bytes.len(), || {
            let raw = RawConfig::from_environment(|name| environment.get(name).cloned());
            Config::check(&raw, Needs::Telegram).map_err(|errors| errors.to_string())
        });
    });
}

/// Calls `work` with a file of these bytes; the file is in memory where the system allows that.
fn in_file(name: &str, bytes: &[u8], work: impl FnOnce(&Path)) {
    thread_local! {
        static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("make a folder")
        });
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("write the input");
        work(&path);
    });
}
