//! A transcript in the format that was asked for.

use std::str::FromStr;

use serde_json::json;

use crate::domain::{Segment, Task, Transcript, Word};
use crate::speech::language_name;

/// The field `response_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Json,
    Text,
    Srt,
    Vtt,
    VerboseJson,
}

/// The field `timestamp_granularities[]`: what has times in an answer that has any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub segments: bool,
    pub words: bool,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "json" => Self::Json,
            "text" => Self::Text,
            "srt" => Self::Srt,
            "vtt" => Self::Vtt,
            "verbose_json" => Self::VerboseJson,
            _ => return Err("response_format must be json, text, srt, vtt or verbose_json"),
        })
    }
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::VerboseJson => "application/json",
            Self::Text | Self::Srt => "text/plain; charset=utf-8",
            Self::Vtt => "text/vtt; charset=utf-8",
        }
    }

    /// The body of the answer, for a recording of so many seconds.
    pub fn body(self, transcript: &Transcript, seconds: f64, times: Times) -> String {
        match self {
            Self::Text => transcript.text() + "\n",
            Self::Srt => transcript.srt(),
            Self::Vtt => transcript.vtt(),
            Self::Json => json!({"text": transcript.text()}).to_string(),
            Self::VerboseJson => verbose(transcript, seconds, times),
        }
    }
}

/// Times are in seconds. As in OpenAI's answers, the language has its English name, and that of a
/// translation is English.
fn verbose(transcript: &Transcript, seconds: f64, times: Times) -> String {
    let time = |ms: u64| ms as f64 / 1000.0;
    let (task, language) = match transcript.task {
        Task::Transcribe => ("transcribe", transcript.language.map(language_name).unwrap_or_default()),
        Task::Translate => ("translate", "english"),
    };
    let text = transcript.text();
    let mut answer = json!({"task": task, "language": language, "duration": seconds, "text": text});
    if times.segments {
        let segment = |(id, Segment { start_ms, end_ms, text }): (usize, &Segment)| json!({"id": id, "start": time(*start_ms), "end": time(*end_ms), "text": text});
        answer["segments"] = transcript.segments.iter().enumerate().map(segment).collect();
    }
    if times.words {
        let word = |Word { start_ms, end_ms, text }: &Word| json!({"word": text, "start": time(*start_ms), "end": time(*end_ms)});
        answer["words"] = transcript.words.iter().map(word).collect();
    }
    answer.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LanguageCode;

    #[test]
    fn a_verbose_answer_has_times_in_seconds_and_the_name_of_the_language() {
        let segments = vec![Segment { start_ms: 1500, end_ms: 2040, text: "да".into() }];
        let russian = "ru".parse().ok();
        let words = vec![Word { start_ms: 1510, end_ms: 2000, text: "да".into() }];
        let transcript = Transcript { task: Task::Transcribe, language: russian, segments, words };
        let answer = |segments, words| -> serde_json::Value {
            let times = Times { segments, words };
            serde_json::from_str(&Format::VerboseJson.body(&transcript, 3.25, times)).unwrap()
        };
        let segment = json!({"id": 0, "start": 1.5, "end": 2.04, "text": "да"});
        assert_eq!(
            answer(true, false),
            json!({"task": "transcribe", "language": "russian", "duration": 3.25, "text": "да", "segments": [segment]})
        );
        let word = json!({"word": "да", "start": 1.51, "end": 2.0});
        assert_eq!(
            answer(false, true),
            json!({"task": "transcribe", "language": "russian", "duration": 3.25, "text": "да", "words": [word]})
        );
        let translated = Transcript { task: Task::Translate, ..transcript };
        assert!(
            Format::VerboseJson
                .body(&translated, 3.25, Times::default())
                .contains("\"language\":\"english\"")
        );
        assert_eq!(language_name(LanguageCode::ENGLISH), "english");
    }
}
