//! What a server answers, and the segments that it is made into.

use serde::Deserialize;

use crate::domain::LanguageCode;
use crate::speech::hallucination::candidates::Candidates;
use crate::speech::hallucination::guard::Candidate;
use crate::speech::language::named;
use crate::speech::vad::detector::Speech;
use crate::speech::whisper::RATE;

/// Nobody says more in a stretch of 29 s; in bytes.
const LONGEST_TEXT: usize = 32 << 10;
const MOST_SEGMENTS: usize = 1000;

/// An answer in the format `verbose_json`, or in `json`, which has the text alone.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    text: Option<String>,
    /// A code, or an English name as OpenAI's own server gives it.
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    segments: Option<Vec<AnswerSegment>>,
}

/// Times are in seconds from the start of the file that was sent.
#[derive(Debug, Deserialize)]
struct AnswerSegment {
    start: f64,
    end: f64,
    text: String,
    #[serde(default)]
    avg_logprob: Option<f32>,
    #[serde(default)]
    no_speech_prob: Option<f32>,
}

impl Answer {
    /// Reads an answer; the error says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let answer: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let segments = answer.segments.as_deref().unwrap_or_default();
        if answer.text.is_none() && answer.segments.is_none() {
            return Err("there is no text in it".to_owned());
        }
        let length = |text: &String| text.len();
        let bytes = answer.text.as_ref().map_or(0, length)
            + segments.iter().map(|segment| segment.text.len()).sum::<usize>();
        if bytes > 2 * LONGEST_TEXT || segments.len() > MOST_SEGMENTS {
            return Err("there is more text in it than anybody can say in that time".to_owned());
        }
        Ok(answer)
    }

    /// The language that was detected, if Whisper knows it.
    pub fn language(&self) -> Option<LanguageCode> {
        named(self.language.as_deref()?)
    }

    /// The segments. An answer without them is a single one as long as the speech.
    pub fn candidates(&self, speech: &Speech) -> Vec<Candidate> {
        let length = speech.pcm.len();
        let samples = |seconds: f64| ((seconds * RATE as f64).max(0.0) as usize).min(length);
        let mut candidates = Candidates::of(&speech.activity);
        for segment in self.segments.iter().flatten() {
            let range = samples(segment.start)..samples(segment.end);
            // Without a probability there is no evidence either way.
            let logprob = segment.avg_logprob.unwrap_or(0.0);
            candidates.push(range, &segment.text, logprob, segment.no_speech_prob);
        }
        if candidates.list.is_empty() {
            candidates.push(0..length, self.text.as_deref().unwrap_or_default(), 0.0, None);
        }
        candidates.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::vad::detector::Detector;

    fn language(name: &str) -> Option<&'static str> {
        let answer = serde_json::json!({"text": "", "language": name}).to_string();
        Answer::parse(answer.as_bytes()).unwrap().language().map(LanguageCode::as_str)
    }

    #[test]
    fn languages_have_codes_and_names() {
        for (name, code) in
            [("ru", "ru"), ("russian", "ru"), ("English", "en"), ("en-US", "en"), ("haitian creole", "ht")]
        {
            assert_eq!(language(name), Some(code), "{name}");
        }
        assert_eq!((language("klingon"), language("")), (None, None));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for body in ["", "[]", "{}", "{\"error\":\"x\"}", "{\"text\":1}", "<html>", "{\"text\":\"half"] {
            assert!(Answer::parse(body.as_bytes()).is_err(), "{body}");
        }
        let endless = serde_json::json!({"text": "a".repeat(70_000)}).to_string();
        assert!(Answer::parse(endless.as_bytes()).unwrap_err().contains("than anybody can say"));
        assert!(Answer::parse(b"{\"text\":\"\"}").is_ok(), "nothing was said");
    }

    #[test]
    fn times_are_kept_within_the_speech_and_in_order() {
        let speech = Detector::load(None).detect(vec![0.1; 10 * RATE], &|| false).unwrap();
        let times = |body: &str| -> Vec<(u64, u64)> {
            let candidates = Answer::parse(body.as_bytes()).unwrap().candidates(&speech);
            candidates.iter().map(|c| (c.segment.start_ms, c.segment.end_ms)).collect()
        };
        let wild = r#"{"segments":[{"start":-3,"end":4.5,"text":" a"},{"start":2,"end":1e300,"text":"b"}]}"#;
        assert_eq!(times(wild), [(0, 4500), (4500, 10_000)]);
        assert_eq!(times(r#"{"text":" words "}"#), [(0, 10_000)]);
        assert_eq!(times(r#"{"text":"words","segments":[]}"#), [(0, 10_000)]);
        assert_eq!(times(r#"{"text":"","segments":[]}"#), []);
    }
}
