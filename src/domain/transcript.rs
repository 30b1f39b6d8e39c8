//! What was said, and how it is written down.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::LanguageCode;

/// What is written down of speech.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// What was said, in the language in which it was said.
    #[default]
    Transcribe,
    /// Its translation into English.
    Translate,
}

/// A text that names no [`Task`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither transcribe nor translate")]
pub struct ParseTaskError(String);

impl FromStr for Task {
    type Err = ParseTaskError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "transcribe" => Ok(Self::Transcribe),
            "translate" => Ok(Self::Translate),
            _ => Err(ParseTaskError(text.to_owned())),
        }
    }
}

/// A stretch of recognised speech.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Milliseconds from the start of the recording.
    pub start_ms: u64,
    /// Milliseconds from the start of the recording; not before `start_ms`.
    pub end_ms: u64,
    /// Without surrounding white space.
    pub text: String,
}

/// A word of a recording, without the punctuation around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Milliseconds from the start of the recording.
    pub start_ms: u64,
    /// Milliseconds from the start of the recording; not before `start_ms`.
    pub end_ms: u64,
    pub text: String,
}

/// The speech of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    #[serde(default)]
    pub task: Task,
    /// The language spoken; `None` if nothing was said.
    pub language: Option<LanguageCode>,
    pub segments: Vec<Segment>,
    /// The words of the segments, if their times were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// How far the recognition of a long recording has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Milliseconds from the start of the recording up to which it is recognised.
    pub until_ms: u64,
    /// What was said up to there.
    pub transcript: Transcript,
}

impl Progress {
    /// Adds what was said from [`until_ms`](Self::until_ms) on; the language is the first one
    /// found.
    pub fn add(&mut self, stretch: Self) {
        self.until_ms = stretch.until_ms;
        let Transcript { task, language, segments, words } = stretch.transcript;
        self.transcript.task = task;
        self.transcript.language = self.transcript.language.or(language);
        self.transcript.segments.extend(segments);
        self.transcript.words.extend(words);
    }
}

impl Transcript {
    /// Nothing was said.
    pub fn is_empty(&self) -> bool {
        self.segments.iter().all(|segment| segment.text.is_empty())
    }

    /// The text alone, segments joined by spaces.
    pub fn text(&self) -> String {
        let words: Vec<&str> = self
            .segments
            .iter()
            .map(|segment| segment.text.as_str())
            .filter(|text| !text.is_empty())
            .collect();
        words.join(" ")
    }

    /// SubRip: numbered cues, `00:00:01,500 --> 00:00:02,000`.
    pub fn srt(&self) -> String {
        let mut out = String::new();
        for (n, segment) in self.segments.iter().enumerate() {
            let (start, end) = (clock(segment.start_ms, ','), clock(segment.end_ms, ','));
            let _ = writeln!(out, "{}\n{start} --> {end}\n{}\n", n + 1, segment.text);
        }
        out
    }

    /// WebVTT (<https://www.w3.org/TR/webvtt1/>).
    pub fn vtt(&self) -> String {
        let mut out = String::from("WEBVTT\n\n");
        for segment in &self.segments {
            let (start, end) = (clock(segment.start_ms, '.'), clock(segment.end_ms, '.'));
            // "-->" and a bare "&" or "<" have a meaning of their own in a cue.
            let text = segment.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(out, "{start} --> {end}\n{text}\n");
        }
        out
    }
}

/// `hh:mm:ss` and milliseconds after `point`.
fn clock(ms: u64, point: char) -> String {
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{h:02}:{m:02}:{s:02}{point}{:03}", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        let segment = |start_ms, end_ms, text: &str| Segment { start_ms, end_ms, text: text.into() };
        Transcript {
            task: Task::Transcribe,
            language: Some(LanguageCode::ENGLISH),
            segments: vec![segment(0, 1500, "one <two>"), segment(3_661_020, 3_662_000, "three")],
            words: Vec::new(),
        }
    }

    #[test]
    fn text_joins_segments() {
        assert_eq!(transcript().text(), "one <two> three");
        assert!(Transcript::default().is_empty());
    }

    #[test]
    fn srt_numbers_cues_from_one() {
        assert_eq!(
            transcript().srt(),
            "1\n00:00:00,000 --> 00:00:01,500\none <two>\n\n2\n01:01:01,020 --> 01:01:02,000\nthree\n\n"
        );
    }

    #[test]
    fn vtt_escapes_markup() {
        assert_eq!(
            transcript().vtt(),
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\none &lt;two&gt;\n\n01:01:01.020 --> 01:01:02.000\nthree\n\n"
        );
    }
}
