//! One recording after another through whisper.cpp, on the thread that owns it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tracing::debug;
use whisper_rs::{WhisperSegment, WhisperTokenId};

use crate::domain::{AudioContext, LanguageCode, Segment, Transcript};
use crate::speech::error::SpeechError;
use crate::speech::hallucination::guard::{Candidate, Evidence, guard};
use crate::speech::language::choice::Choice;
use crate::speech::language::detect::{Heard, Listening};
use crate::speech::language::prior::Habit;
use crate::speech::vad::activity::Activity;
use crate::speech::vad::detector::{LONGEST, Speech, seconds};
use crate::speech::whisper::audio_context::{doubt, positions};
use crate::speech::whisper::{Control, RATE, Whisper};

/// Shorter recordings are padded with silence. whisper.cpp gives nothing for less than 0.1 s and
/// reads 200 samples out of bounds for less than that many.
const SHORTEST: usize = RATE;
/// Samples in whisper.cpp's unit of time, 10 ms.
const TIMESTAMP: usize = RATE / 100;

/// What is the same for all recordings.
pub(crate) struct Recogniser {
    choice: Choice,
    audio_context: AudioContext,
}

/// What one recognition gave.
struct Attempt {
    language: LanguageCode,
    segments: Vec<Segment>,
    /// Why each piece that is not in them was dropped.
    dropped: Vec<&'static str>,
    /// Why the whole window should be recognised, where that was not done.
    doubt: Option<&'static str>,
}

impl Recogniser {
    pub(crate) fn new(choice: Choice, audio_context: AudioContext) -> Self {
        Self { choice, audio_context }
    }

    /// Recognises `speech`, which is not empty, in `language`, or in the likeliest of its choice
    /// for somebody of that `habit`, who has just said what was `before`. The model, `whisper`,
    /// knows all of them.
    pub(crate) fn recognise(
        &self,
        whisper: &mut Whisper,
        mut speech: Speech,
        language: Option<LanguageCode>,
        habit: &Habit,
        before: &str,
        control: &Control,
    ) -> Result<Transcript, SpeechError> {
        let started = Instant::now();
        let pcm = &mut speech.pcm;
        if pcm.len() < SHORTEST {
            pcm.resize(SHORTEST, 0.0);
        }

        let spoken = speech.activity.voiced(0..speech.pcm.len()).unwrap_or(speech.pcm.len());
        // Text begins with a space, where it does not go on with a word.
        let prompt = if before.is_empty() { Vec::new() } else { whisper.tokens(&format!(" {before}")) };
        let mut attempt = |positions| {
            let choice = &self.choice;
            let pcm = &speech.pcm;
            let prompt = &prompt;
            let mut listening = Listening { whisper, pcm, spoken, choice, habit, prompt, positions, control };
            let Heard { language, no_speech } = listening.recognise(language)?;
            let candidates = heard(whisper, &speech.activity, no_speech);
            let dropped = RefCell::new(Vec::new());
            let segments = guard(&candidates, &|why| dropped.borrow_mut().push(why));
            let dropped = dropped.into_inner();
            let doubt =
                if positions.is_some() { doubt(whisper, &segments, !dropped.is_empty()) } else { None };
            Ok(Attempt { language, segments, dropped, doubt })
        };
        let mut outcome: Result<_, SpeechError> = attempt(positions(self.audio_context, speech.pcm.len()));
        if let Ok(Attempt { doubt: Some(why), .. }) = outcome {
            debug!(why, "doubtful with a shortened window, recognising again");
            (control.repeated)();
            outcome = attempt(None);
        }
        let Attempt { language: chosen, segments, dropped, .. } = outcome?;
        debug!(
            seconds = seconds(speech.samples),
            took = ?started.elapsed(),
            language = chosen.as_str(),
            segments = segments.len(),
            dropped = dropped.len(),
            "recognised"
        );
        dropped.into_iter().for_each(control.dropped);
        if segments.is_empty() {
            return Ok(Transcript::default());
        }
        if language.is_none() && self.choice.only().is_none() {
            let speech = segments.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
            (control.spoken)(chosen, Duration::from_millis(speech));
        }
        let language = Some(chosen);
        Ok(Transcript { language, segments, ..Transcript::default() })
    }
}

/// What `whisper` has heard, trimmed, without empty segments, in order and within the recording, of
/// which whisper.cpp heard what `activity` keeps; nobody speaks in it with the probability
/// `no_speech`.
fn heard(whisper: &Whisper, activity: &Activity, no_speech: Option<f32>) -> Vec<Candidate> {
    let place = |timestamp: i64| timestamp.clamp(0, (LONGEST / TIMESTAMP) as i64) as usize * TIMESTAMP;
    let ms = |samples: usize| (samples * 1000 / RATE) as u64;
    let mut candidates = Vec::new();
    let (mut bytes, mut end) = (Vec::new(), 0);
    for segment in whisper.segments() {
        bytes.extend_from_slice(segment.to_bytes().unwrap_or_default());
        let text = take_text(&mut bytes);
        let start = place(segment.start_timestamp()).max(end);
        end = place(segment.end_timestamp()).max(start);
        let place = activity.in_recording(start..end);
        let text = text.trim();
        if !text.is_empty() {
            let (start_ms, end_ms) = (ms(place.start), ms(place.end));
            let evidence = Evidence {
                no_speech,
                logprob: logprob(&segment, whisper.eot()),
                voiced_ms: activity.voiced(start..end).map(|voiced| ms(voiced) as usize),
            };
            let segment = Segment { start_ms, end_ms, text: text.to_owned() };
            candidates.push(Candidate { segment, evidence });
        }
    }
    candidates
}

/// The average over the tokens of text, which are those below `eot`; 0 without any.
fn logprob(segment: &WhisperSegment, eot: WhisperTokenId) -> f32 {
    let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
    let data = tokens.map(|token| token.token_data()).filter(|data| data.id < eot);
    let (sum, count) = data.fold((0.0, 0), |(sum, count), data| (sum + data.plog, count + 1));
    sum / count.max(1) as f32
}

/// Takes the text out of `bytes`. A token may end within a character, and a segment with it: such a
/// beginning stays in `bytes` for the next segment. What is no UTF-8 otherwise becomes U+FFFD.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let unfinished = bytes.utf8_chunks().last().map_or(0, |chunk| {
        let tail = chunk.invalid();
        let begins = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
        if begins { tail.len() } else { 0 }
    });
    let rest = bytes.split_off(bytes.len() - unfinished);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::take_text;

    #[test]
    fn a_character_split_over_segments_is_whole_in_the_later_one() {
        let mut bytes = "да".as_bytes()[..3].to_vec();
        assert_eq!(take_text(&mut bytes), "д");
        bytes.extend_from_slice(&"да".as_bytes()[3..]);
        assert_eq!(take_text(&mut bytes), "а");
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        let mut bytes = b"a\xffb\xd0c\x80".to_vec();
        assert_eq!(take_text(&mut bytes), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert!(bytes.is_empty());
    }
}
