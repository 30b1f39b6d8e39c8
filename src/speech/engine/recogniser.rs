//! From speech to transcript: one recording after another through whisper.cpp, on its thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;
use whisper_rs::{WhisperSegment, WhisperTokenId};

use super::words::WordReader;
use crate::domain::{AudioContext, LanguageCode, Languages, Segment, Task, Transcript, Vocabulary, Word};
use crate::speech::error::SpeechError;
use crate::speech::hallucination::candidates::Candidates;
use crate::speech::hallucination::echo::has_echo;
use crate::speech::hallucination::guard::{Candidate, Guarded, guard};
use crate::speech::hallucination::words::kept;
use crate::speech::language::choice::Choice;
use crate::speech::language::detect::{Detected, LanguageDetection};
use crate::speech::language::prior::LanguagePrior;
use crate::speech::options::OwnersLists;
use crate::speech::vad::activity::Activity;
use crate::speech::vad::detector::{LONGEST, Speech, seconds};
use crate::speech::whisper::audio_context::{careful_pass, default_pass, first_pass, rejection_reason};
use crate::speech::whisper::decoding::{Decoding, Pass};
use crate::speech::whisper::{Control, RATE, Whisper};

/// Shorter recordings are padded with silence. whisper.cpp returns no text for less than 0.1 s, and
/// reads out of bounds for less than 200 samples.
const SHORTEST: usize = RATE;
/// The most tokens before a recording. whisper.cpp takes half of the text context, 224, less one,
/// and drops the first ones of a longer prompt.
const PROMPT_LIMIT: usize = 223;
/// Samples in whisper.cpp's unit of time, 10 ms.
const TIMESTAMP: usize = RATE / 100;

/// The sample that a time of whisper.cpp means.
pub(super) fn samples(timestamp: i64) -> usize {
    timestamp.clamp(0, (LONGEST / TIMESTAMP) as i64) as usize * TIMESTAMP
}

/// A recording that is to be recognised.
pub(super) struct Input {
    /// Not empty.
    pub speech: Speech,
    /// Known to the model. None: it is detected.
    pub language: Option<LanguageCode>,
    /// What the language was found to be before.
    pub guess: Option<LanguageCode>,
    /// The model must have been trained for it.
    pub task: Task,
    pub prior: LanguagePrior,
    /// The end of the text before this recording.
    pub previous_text: String,
    /// What Whisper is to know.
    pub vocabulary: Vocabulary,
    /// Those of its owner, of which the languages are taken in place of the recogniser's.
    pub lists: Option<Arc<OwnersLists>>,
    /// Whether the times of words are wanted.
    pub words: bool,
}

/// Recognises recordings. It holds what is the same for all of them.
pub(super) struct WhisperRecogniser {
    choice: Choice,
    /// How many languages the model knows.
    languages: usize,
    audio_context: AudioContext,
}

/// The result of one recognition.
struct Attempt {
    language: LanguageCode,
    segments: Vec<Segment>,
    /// Of the segments, if they are wanted.
    words: Vec<Word>,
    /// The reason for each piece of text that was dropped.
    dropped: Vec<&'static str>,
    /// Why the recording must be recognised again more carefully.
    rejection: Option<&'static str>,
    /// Whisper may have repeated the vocabulary.
    is_echo: bool,
}

impl WhisperRecogniser {
    /// The model must know all languages of `choice`.
    pub(super) fn new(choice: Choice, languages: usize, audio_context: AudioContext) -> Self {
        Self { choice, languages, audio_context }
    }

    /// Chooses among those of the owner's languages that the model knows.
    fn choice_of(&self, lists: &OwnersLists) -> Choice {
        let Languages { mut listed, others } = lists.languages.clone();
        listed.retain(|language| language.number() < self.languages);
        Choice::new(Languages { listed, others }, self.languages)
    }

    pub(super) fn recognise(
        &self,
        whisper: &mut Whisper,
        mut input: Input,
        control: &Control,
    ) -> Result<Transcript, SpeechError> {
        let started = Instant::now();
        let pcm = &mut input.speech.pcm;
        pcm.resize(pcm.len().max(SHORTEST), 0.0);

        let samples = pcm.len();
        let mut pass = first_pass(self.audio_context, samples);
        let its_choice = input.lists.as_ref().map(|lists| self.choice_of(lists));
        let choice = its_choice.as_ref().unwrap_or(&self.choice);
        let (nothing, mut vocabulary) = (Vocabulary::default(), &input.vocabulary);
        let mut attempt = Self::attempt(whisper, &input, pass, input.guess, (choice, vocabulary), control)?;
        if let Some(why) = attempt.rejection {
            debug!(why, "rejected, recognising again more carefully");
            control.observer.on_retry();
            // What was echoed once would be echoed again.
            if attempt.is_echo {
                vocabulary = &nothing;
            }
            pass = careful_pass(samples);
            let guess = Some(attempt.language);
            attempt = Self::attempt(whisper, &input, pass, guess, (choice, vocabulary), control)?;
        }
        // The likeliest at temperature 0 may be no text at all. Then higher temperatures are tried.
        // What the guard has dropped is not tried again.
        if pass.decoding == Decoding::Careful && attempt.segments.is_empty() && attempt.dropped.is_empty() {
            debug!("no text after a careful pass, recognising again at higher temperatures");
            let (pass, guess) = (default_pass(samples), Some(attempt.language));
            attempt = Self::attempt(whisper, &input, pass, guess, (choice, vocabulary), control)?;
        }
        debug!(
            seconds = seconds(input.speech.samples),
            took = ?started.elapsed(),
            language = attempt.language.as_str(),
            segments = attempt.segments.len(),
            dropped = attempt.dropped.len(),
            "recognised"
        );
        Self::report(&attempt, &input, choice, control);
        let Attempt { language, segments, words, .. } = attempt;
        let language = (!segments.is_empty()).then_some(language);
        Ok(Transcript { task: input.task, language, segments, words })
    }

    /// The likeliest language of the beginning of a recording.
    pub(super) fn detect_language(
        &self,
        whisper: &mut Whisper,
        mut input: Input,
        control: &Control,
    ) -> Result<LanguageCode, SpeechError> {
        let pcm = &mut input.speech.pcm;
        pcm.resize(pcm.len().max(SHORTEST), 0.0);
        let pass = first_pass(self.audio_context, pcm.len());
        let its_choice = input.lists.as_ref().map(|lists| self.choice_of(lists));
        let choice = its_choice.as_ref().unwrap_or(&self.choice);
        Self::detection(whisper, &input, choice, pass, None, &[], control).first_guess()
    }

    fn detection<'a>(
        whisper: &'a mut Whisper,
        input: &'a Input,
        choice: &'a Choice,
        pass: Pass,
        guess: Option<LanguageCode>,
        prompt: &'a [WhisperTokenId],
        control: &'a Control<'a>,
    ) -> LanguageDetection<'a> {
        let Speech { pcm, activity, .. } = &input.speech;
        let (prior, task) = (&input.prior, input.task);
        let spoken = activity.voiced(0..pcm.len()).unwrap_or(pcm.len());
        LanguageDetection {
            whisper,
            pcm,
            spoken,
            choice,
            prior,
            guess,
            task,
            prompt,
            pass,
            token_times: input.words,
            control,
        }
    }

    /// Recognises the recording once. `guess` is the language of an earlier pass.
    fn attempt(
        whisper: &mut Whisper,
        input: &Input,
        pass: Pass,
        guess: Option<LanguageCode>,
        (choice, vocabulary): (&Choice, &Vocabulary),
        control: &Control,
    ) -> Result<Attempt, SpeechError> {
        let prompt = &prompt(whisper, vocabulary, &input.previous_text);
        let detected = Self::detection(whisper, input, choice, pass, guess, prompt, control)
            .recognise(input.language)?;
        let Detected { language, no_speech } = detected;

        let activity = &input.speech.activity;
        let reader = input.words.then(|| WordReader { activity, language, eot: whisper.eot() });
        let (candidates, words) = candidates(whisper, activity, no_speech, reader.as_ref());
        let is_echo = has_echo(&candidates, vocabulary);
        let Guarded { kept: segments, dropped } = guard(&candidates);
        let words = kept(&candidates, words, &segments);
        let rejection = match pass.decoding {
            _ if is_echo => Some("an echo of the vocabulary"),
            Decoding::Quick => rejection_reason(whisper, &segments, !dropped.is_empty()),
            Decoding::Greedy | Decoding::Careful => None,
        };
        Ok(Attempt { language, segments, words, dropped, rejection, is_echo })
    }

    /// Reports what was dropped, and the language if it was detected.
    fn report(attempt: &Attempt, input: &Input, choice: &Choice, control: &Control) {
        attempt.dropped.iter().for_each(|reason| control.observer.on_dropped(reason));
        let is_detected = input.language.is_none() && choice.only().is_none();
        if is_detected && !attempt.segments.is_empty() {
            let speech = attempt.segments.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
            control.observer.on_language(attempt.language, Duration::from_millis(speech));
        }
    }
}

/// The tokens of the vocabulary and of the text before the recording. Whisper's tokens for a new
/// word begin with a space. Of a vocabulary that is too long the last terms are left out.
fn prompt(whisper: &Whisper, vocabulary: &Vocabulary, previous_text: &str) -> Vec<WhisperTokenId> {
    let tokens = |text: &str| if text.is_empty() { Vec::new() } else { whisper.tokens(&format!(" {text}")) };
    let previous = tokens(previous_text);
    let room = PROMPT_LIMIT.saturating_sub(previous.len());
    let terms = vocabulary.terms();
    let fitting = (1..=terms.len()).rev().map(|count| tokens(&format!("{}.", terms[..count].join(", "))));
    let known = fitting.into_iter().find(|tokens| tokens.len() <= room).unwrap_or_default();
    [known, previous].concat()
}

/// The segments of the last call of `whisper`, which was given the parts that `activity` keeps;
/// with a reader, also the words of each.
fn candidates(
    whisper: &Whisper,
    activity: &Activity,
    no_speech: Option<f32>,
    reader: Option<&WordReader>,
) -> (Vec<Candidate>, Vec<Vec<Word>>) {
    let mut candidates = Candidates::of(activity);
    let mut words = Vec::new();
    let mut bytes = Vec::new();
    for segment in whisper.segments() {
        bytes.extend_from_slice(segment.to_bytes().unwrap_or_default());
        let range = samples(segment.start_timestamp())..samples(segment.end_timestamp());
        candidates.push(range, &take_text(&mut bytes), logprob(&segment, whisper.eot()), no_speech);
        // One without text was left out.
        if candidates.list.len() > words.len() {
            words.push(reader.map(|reader| reader.words(&segment)).unwrap_or_default());
        }
    }
    (candidates.list, words)
}

/// The average log probability of the tokens of text, which are those below `eot`; 0 without any.
fn logprob(segment: &WhisperSegment, eot: WhisperTokenId) -> f32 {
    let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
    let data = tokens.map(|token| token.token_data()).filter(|data| data.id < eot);
    let (sum, count) = data.fold((0.0, 0), |(sum, count), data| (sum + data.plog, count + 1));
    sum / count.max(1) as f32
}

/// Takes the text out of `bytes`. A token, and with it a segment, may end within a character: the
/// bytes of such a character stay in `bytes` for the next segment. Other invalid UTF-8 becomes
/// U+FFFD.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let unfinished = bytes.utf8_chunks().last().map_or(0, |chunk| {
        let tail = chunk.invalid();
        let is_unfinished = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
        if is_unfinished { tail.len() } else { 0 }
    });
    let rest = bytes.split_off(bytes.len() - unfinished);
    let text = String::from_utf8_lossy(bytes).into_owned();
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::Path;

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin");

    #[test]
    fn the_vocabulary_comes_first_and_leaves_room_for_the_text_before() {
        let whisper = Whisper::load(Path::new(MODEL), NonZeroUsize::MIN, false).unwrap();
        let vocabulary = |terms: &str| terms.parse::<Vocabulary>().unwrap();
        let tokens = |text: &str| whisper.tokens(text);
        let prompt = |terms: &str, previous: &str| prompt(&whisper, &vocabulary(terms), previous);
        assert_eq!(prompt("one, two", ""), tokens(" one, two."));
        assert_eq!(prompt("one, two", "three"), [tokens(" one, two."), tokens(" three")].concat());
        assert_eq!(super::prompt(&whisper, &Vocabulary::default(), "three"), tokens(" three"));
        assert!(super::prompt(&whisper, &Vocabulary::default(), "").is_empty());
        let many = vec!["one"; 200].join(", ");
        for previous in ["", "three four", &"two ".repeat(100)] {
            let (all, before) = (prompt(&many, previous), tokens(&format!(" {previous}")));
            assert!(all.len() <= PROMPT_LIMIT && all.len() > PROMPT_LIMIT - 4, "{}", all.len());
            assert!(all.starts_with(&tokens(" one, one")) && (previous.is_empty() || all.ends_with(&before)));
        }
    }

    #[test]
    fn a_character_split_over_segments_is_whole_in_the_later_one() {
        let mut bytes = "да".as_bytes()[..3].to_vec();
        assert_eq!(take_text(&mut bytes), "д");
        bytes.extend_from_slice(&"да".as_bytes()[3..]);
        assert_eq!(take_text(&mut bytes), "а");
        assert!(bytes.is_empty());
    }

    #[test]
    fn other_invalid_utf_8_is_replaced() {
        let mut bytes = b"a\xffb\xd0c\x80".to_vec();
        assert_eq!(take_text(&mut bytes), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert!(bytes.is_empty());
    }
}
