//! One recording after another through whisper.cpp, on the thread that owns it.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::debug;
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperSegment,
    WhisperState, WhisperSysContext, WhisperSysState, WhisperTokenId,
};

use super::SpeechError;
use super::activity::Activity;
use super::guard::{Candidate, Evidence, guard};
use super::habit::Habit;
use super::language::Language;
use super::log;
use super::vad::Vad;
use crate::domain::{Segment, Transcript};

/// Samples per second of everything Whisper hears.
const RATE: usize = 16_000;
/// -60 dBFS: below it there is nothing to hear, and Whisper is known to invent text.
const SILENCE: f32 = 0.001;
/// 40 dB over full scale. Codecs overshoot by a few dB; what goes beyond this is no sound.
const LOUDEST: f32 = 100.0;
/// Shorter recordings are padded with silence. whisper.cpp gives nothing for less than 0.1 s and
/// reads 200 samples out of bounds for less than that many.
const SHORTEST: usize = RATE;
/// Samples in whisper.cpp's unit of time, 10 ms.
const TIMESTAMP: usize = RATE / 100;
/// whisper.cpp counts the cells of the spectrogram (100 frames/s of up to 128) in a 32-bit int.
const LONGEST: usize = 24 * 3600 * RATE;
/// What whisper_full does when decoding at temperature 0 has failed: tries so many at each higher one.
const BEST_OF: c_int = 5;
/// Samples of Whisper's window. Beyond it a wrong language costs more than detecting it.
const WINDOW: usize = 30 * RATE;
/// Text with a lower average log probability may be in another language than the one taken for granted.
const DOUBT: f32 = -0.8;

/// How a running recognition hears from, and tells, the outside.
pub(super) struct Control<'a> {
    /// Asked after each pass of the encoder or decoder.
    pub aborted: &'a dyn Fn() -> bool,
    /// Told the share that is done, in percent.
    pub progress: &'a dyn Fn(u8),
    /// Told why a piece of text was dropped.
    pub dropped: &'a dyn Fn(&'static str),
    /// Told what language so much was said in, and whether that was detected, where it was not given.
    pub spoken: &'a dyn Fn(&'static str, Duration, bool),
}

/// The model, and what is reused from recording to recording.
pub(super) struct Recogniser {
    context: WhisperContext,
    /// Buffers of tens to hundreds of MB. None after a failure: the next recording gets a fresh one.
    state: Option<WhisperState>,
    /// By language. Kept, because `set_language` leaks the string it is given.
    params: HashMap<Language, FullParams<'static, 'static>>,
    threads: NonZeroUsize,
    /// Languages to choose from; not empty.
    candidates: Vec<Language>,
    vad: Option<Vad>,
}

impl Recogniser {
    /// `path` has passed [`super::header::check`], and the model knows all the `candidates`.
    pub(super) fn load(
        path: &Path,
        threads: NonZeroUsize,
        candidates: Vec<Language>,
        vad: Option<Vad>,
    ) -> Result<Self, SpeechError> {
        log::install();
        let failed =
            |error: WhisperError| SpeechError::Load { path: path.to_owned(), why: error.to_string() };
        let mut parameters = WhisperContextParameters::default();
        // On a CPU it is slower: base, 11 s of audio, two cores: 3.10 against 2.62 s.
        parameters.flash_attn(false);
        let context = WhisperContext::new_with_params(path, parameters).map_err(failed)?;
        let state = Some(context.create_state().map_err(failed)?);
        Ok(Self { context, state, params: HashMap::new(), threads, candidates, vad })
    }

    /// Recognises the speech in `pcm` in `language`, or in the likeliest of the candidates for somebody of
    /// that `habit`.
    pub(super) fn recognise(
        &mut self,
        mut pcm: Vec<f32>,
        language: Option<Language>,
        habit: &Habit,
        control: &Control,
    ) -> Result<Transcript, SpeechError> {
        let samples = pcm.len();
        if samples > LONGEST {
            return Err(SpeechError::TooLong);
        }
        if !pcm.iter().all(|sample| sample.abs() <= LOUDEST) {
            return Err(SpeechError::Samples);
        }
        if pcm.iter().all(|sample| sample.abs() < SILENCE) {
            return Ok(Transcript::default());
        }

        let started = Instant::now();
        let activity = self.activity(&pcm, control);
        if (control.aborted)() {
            return Err(SpeechError::Aborted);
        }
        if let Some(activity) = &activity {
            activity.cut(&mut pcm);
            debug!(
                seconds = seconds(samples),
                kept = seconds(pcm.len()),
                took = ?started.elapsed(),
                "voice activity"
            );
            if activity.is_empty() {
                return Ok(Transcript::default());
            }
        }
        if pcm.len() < SHORTEST {
            pcm.resize(SHORTEST, 0.0);
        }

        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.context.create_state().map_err(failed)?,
        };
        let outcome = self.choose_and_run(&mut state, &pcm, language, habit, control);
        match outcome {
            Ok(Choice { language, how }) => {
                let candidates = candidates(&self.context, &state, samples, activity.as_ref());
                let segments = guard(&candidates, control.dropped);
                self.state = Some(state);
                debug!(
                    seconds = seconds(samples),
                    took = ?started.elapsed(),
                    language = language.code(),
                    segments = segments.len(),
                    dropped = candidates.len() - segments.len(),
                    "recognised"
                );
                if segments.is_empty() {
                    return Ok(Transcript::default());
                }
                if how != How::Given {
                    let speech = segments.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
                    (control.spoken)(language.code(), Duration::from_millis(speech), how == How::Detected);
                }
                Ok(Transcript { language: Some(language.code().to_owned()), segments })
            }
            // Aborted: the state is as good as before.
            Err(Outcome::Aborted) => {
                self.state = Some(state);
                Err(SpeechError::Aborted)
            }
            Err(Outcome::StateFreed(error)) => {
                // Dropping it would free it again.
                std::mem::forget(state);
                Err(failed(error))
            }
            Err(Outcome::Failed(error)) => Err(failed(error)),
        }
    }

    /// Where there is speech. None without a model for that, after a failure of it (whisper.cpp logs
    /// those), and when aborted.
    fn activity(&mut self, pcm: &[f32], control: &Control) -> Option<Activity> {
        let probabilities = self.vad.as_mut()?.probabilities(pcm, control.aborted)?;
        Some(Activity::of(&probabilities, pcm.len()))
    }

    /// The result is in the `state`.
    fn choose_and_run(
        &mut self,
        state: &mut WhisperState,
        pcm: &[f32],
        given: Option<Language>,
        habit: &Habit,
        control: &Control,
    ) -> Result<Choice, Outcome> {
        let settled = || habit.settled(&self.candidates).filter(|_| pcm.len() <= WINDOW);
        let (language, how) = match (given, self.candidates.as_slice()) {
            (Some(language), _) => (language, How::Given),
            (None, &[only]) => (only, How::Given),
            (None, candidates) => match settled() {
                Some(language) => (language, How::Settled),
                None => (detect(state, pcm, candidates, habit, self.threads)?, How::Detected),
            },
        };
        self.run(state, pcm, language, control)?;
        if how != How::Settled || !is_doubtful(&self.context, state) {
            return Ok(Choice { language, how });
        }
        let detected = detect(state, pcm, &self.candidates, habit, self.threads)?;
        debug!(
            taken = language.code(),
            detected = detected.code(),
            "a doubtful text, detecting its language"
        );
        // Detecting leaves the text in the state.
        if detected != language {
            self.run(state, pcm, detected, control)?;
        }
        Ok(Choice { language: detected, how: How::Detected })
    }

    fn run(
        &mut self,
        state: &mut WhisperState,
        pcm: &[f32],
        language: Language,
        control: &Control,
    ) -> Result<(), Outcome> {
        // Detecting polls nothing.
        if (control.aborted)() {
            return Err(Outcome::Aborted);
        }
        let threads = self.threads;
        let mut params = self.params.entry(language).or_insert_with(|| params(language, threads)).clone();
        let user_data = std::ptr::from_ref(control).cast_mut().cast::<c_void>();
        // SAFETY: the callbacks take the pointer for a shared `Control`, which it is and which outlives
        // the call of `full` below, the only one that uses these parameters; whisper.cpp calls them on
        // this thread. (`set_abort_callback_safe` of whisper-rs 0.16 calls the closure through a
        // pointer of another type.)
        unsafe {
            params.set_abort_callback(Some(on_abort));
            params.set_abort_callback_user_data(user_data);
            params.set_progress_callback(Some(on_progress));
            params.set_progress_callback_user_data(user_data);
        }
        let result = state.full(params, pcm);
        log::set_aborting(false);
        match result {
            Ok(()) => Ok(()),
            // Encoding (-6) or decoding (-8, -9) was given up, and we had asked for that.
            Err(WhisperError::GenericError(-6 | -8 | -9)) if (control.aborted)() => Err(Outcome::Aborted),
            // Its key-value cache found no memory; whisper_full_with_state then frees the state.
            Err(error @ WhisperError::GenericError(-7)) => Err(Outcome::StateFreed(error)),
            Err(error) => Err(Outcome::Failed(error)),
        }
    }
}

/// The language in which a recording was recognised.
struct Choice {
    language: Language,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Given,
    /// By the speaker's habit.
    Settled,
    Detected,
}

/// Why [`Recogniser::run`] came back without a result.
enum Outcome {
    Aborted,
    Failed(WhisperError),
    /// Failed, and whisper.cpp has freed the state that we still own.
    StateFreed(WhisperError),
}

impl From<WhisperError> for Outcome {
    fn from(error: WhisperError) -> Self {
        Self::Failed(error)
    }
}

fn failed(error: WhisperError) -> SpeechError {
    SpeechError::Failed(error.to_string())
}

unsafe extern "C" fn on_abort(user_data: *mut c_void) -> bool {
    // SAFETY: see `run`.
    let control = unsafe { &*user_data.cast::<Control>() };
    let aborted = (control.aborted)();
    if aborted {
        log::set_aborting(true);
    }
    aborted
}

unsafe extern "C" fn on_progress(
    _context: *mut WhisperSysContext,
    _state: *mut WhisperSysState,
    percent: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: see `run`.
    let control = unsafe { &*user_data.cast::<Control>() };
    // The last window may begin past the end.
    (control.progress)(percent.clamp(0, 100) as u8);
}

/// whisper_full's defaults for greedy decoding: temperature 0, then by 0.2 up to 1 while a window's
/// entropy is below 2.4 or its average log probability below -1.
fn params(language: Language, threads: NonZeroUsize) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: BEST_OF });
    params.set_n_threads(threads.get() as c_int);
    params.set_language(Some(language.code()));
    // The state is reused: no recording may be prompted with the text of the one before.
    params.set_no_context(true);
    params.set_print_progress(false);
    params.set_print_timestamps(false);
    params
}

/// Whether what the state holds may be in another language. No text where somebody spoke is doubtful too.
fn is_doubtful(context: &WhisperContext, state: &WhisperState) -> bool {
    let (sum, count) = state
        .as_iter()
        .map(|segment| logprob(&segment, context.token_eot()))
        .fold((0.0, 0), |(sum, count), logprob| (sum + logprob, count + 1));
    count == 0 || sum / (count as f32) < DOUBT
}

/// The likeliest of the `candidates`, by the first 30 s and the speaker's `habit`. Costs one pass of the
/// encoder.
fn detect(
    state: &mut WhisperState,
    pcm: &[f32],
    candidates: &[Language],
    habit: &Habit,
    threads: NonZeroUsize,
) -> Result<Language, WhisperError> {
    state.pcm_to_mel(pcm, threads.get())?;
    let (_, probabilities) = state.lang_detect(0, threads.get())?;
    let probability = |language: &Language| probabilities[language.0 as usize] * habit.prior(*language);
    let likeliest = candidates.iter().max_by(|a, b| probability(a).total_cmp(&probability(b)));
    Ok(likeliest.copied().unwrap_or(Language::ENGLISH))
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / RATE as f64
}

/// What the state holds, trimmed, without empty segments, in order and within the recording of so
/// many samples, of which whisper.cpp heard what `activity` keeps.
fn candidates(
    context: &WhisperContext,
    state: &WhisperState,
    samples: usize,
    activity: Option<&Activity>,
) -> Vec<Candidate> {
    let place = |timestamp: i64| timestamp.clamp(0, (LONGEST / TIMESTAMP) as i64) as usize * TIMESTAMP;
    let ms = |samples: usize| (samples * 1000 / RATE) as u64;
    let mut candidates = Vec::new();
    let (mut bytes, mut end) = (Vec::new(), 0);
    for segment in state.as_iter() {
        bytes.extend_from_slice(segment.to_bytes().unwrap_or_default());
        let text = take_text(&mut bytes);
        let start = place(segment.start_timestamp()).max(end);
        end = place(segment.end_timestamp()).max(start);
        let place = match activity {
            Some(activity) => activity.in_recording(start..end),
            None => start.min(samples)..end.min(samples),
        };
        let text = text.trim();
        if !text.is_empty() {
            let (start_ms, end_ms) = (ms(place.start), ms(place.end));
            let evidence = Evidence {
                no_speech: segment.no_speech_probability(),
                logprob: logprob(&segment, context.token_eot()),
                voiced_ms: activity.map(|activity| ms(activity.voiced(start..end)) as usize),
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
