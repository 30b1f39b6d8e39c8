//! One recording after another through whisper.cpp, on the thread that owns it.

use std::cell::Cell;
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
use crate::domain::{Segment, Task, Transcript};

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
/// Samples of Whisper's window.
const WINDOW: usize = 30 * RATE;
/// Samples for a position of the encoder.
const POSITION: usize = RATE / 50;
/// Samples that are listened to for a first guess at the language, which is checked later.
const GLIMPSE: usize = 8 * RATE;

/// How a running recognition hears from, and tells, the outside.
pub(super) struct Control<'a> {
    /// Asked after each pass of the encoder or decoder.
    pub aborted: &'a dyn Fn() -> bool,
    /// Told the share that is done, in percent.
    pub progress: &'a dyn Fn(u8),
    /// Told why a piece of text was dropped.
    pub dropped: &'a dyn Fn(&'static str),
    /// Told what language so much was said in, where it was not given.
    pub spoken: &'a dyn Fn(&'static str, Duration),
}

/// One call of whisper_full, for its callbacks.
struct Run<'a> {
    control: &'a Control<'a>,
    /// Whether to go on after the spectrogram.
    encode: bool,
    /// Passes of the encoder that were begun.
    passes: Cell<u32>,
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
    task: Task,
    vad: Option<Vad>,
}

impl Recogniser {
    /// `path` has passed [`super::header::check`], and the model knows all the `candidates` and the `task`.
    pub(super) fn load(
        path: &Path,
        threads: NonZeroUsize,
        candidates: Vec<Language>,
        task: Task,
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
        Ok(Self { context, state, params: HashMap::new(), threads, candidates, task, vad })
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
            Ok(chosen) => {
                let candidates = candidates(&self.context, &state, samples, activity.as_ref());
                let segments = guard(&candidates, control.dropped);
                self.state = Some(state);
                debug!(
                    seconds = seconds(samples),
                    took = ?started.elapsed(),
                    language = chosen.code(),
                    segments = segments.len(),
                    dropped = candidates.len() - segments.len(),
                    "recognised"
                );
                if segments.is_empty() {
                    return Ok(Transcript::default());
                }
                if language.is_none() && self.candidates.len() > 1 {
                    let speech = segments.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
                    (control.spoken)(chosen.code(), Duration::from_millis(speech));
                }
                let language = Some(chosen.code().to_owned());
                Ok(Transcript { task: self.task, language, segments })
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

    /// The result is in the `state`; given back is its language.
    ///
    /// Detecting a language first takes a pass of the encoder, as long as recognising a short clip does. So
    /// the language is guessed, and checked after recognising, when the encoder's output is still there: that
    /// costs one token. Only a wrong guess costs another recognition.
    fn choose_and_run(
        &mut self,
        state: &mut WhisperState,
        pcm: &[f32],
        given: Option<Language>,
        habit: &Habit,
        control: &Control,
    ) -> Result<Language, Outcome> {
        let only = if let &[only] = self.candidates.as_slice() { Some(only) } else { None };
        if let Some(language) = given.or(only) {
            self.run(state, pcm, language, control)?;
            return Ok(language);
        }
        // Of a longer recording the encoder leaves the end.
        if pcm.len() > WINDOW {
            self.prepare(state, &pcm[..WINDOW], control)?;
            let language = self.detect(state, habit)?;
            self.run(state, pcm, language, control)?;
            return Ok(language);
        }
        let guess = match habit.favourite(&self.candidates) {
            Some(favourite) => favourite,
            None => {
                self.prepare(state, &pcm[..pcm.len().min(GLIMPSE)], control)?;
                self.detect(state, habit)?
            }
        };
        let language = match self.run(state, pcm, guess, control)? {
            1 => self.check(state, habit)?,
            // The last pass was for a remainder. Detecting leaves the text in the state.
            _ => self.detect(state, habit)?,
        };
        if language != guess {
            debug!(guess = guess.code(), language = language.code(), "a wrong guess, recognising again");
            self.run(state, pcm, language, control)?;
        }
        Ok(language)
    }

    /// The likeliest language, by the output of the encoder in the `state`.
    fn check(&self, state: &mut WhisperState, habit: &Habit) -> Result<Language, Outcome> {
        state.decode(&[self.context.token_sot()], 0, self.threads.get())?;
        let logits = state.get_logits()?;
        let logit = |language: &Language| logits[self.context.token_lang(language.0) as usize];
        let most = self.candidates.iter().map(logit).fold(f32::NEG_INFINITY, f32::max);
        Ok(self.likeliest(habit, |language| (logit(language) - most).exp()))
    }

    /// The likeliest language, by as much of the spectrogram in the `state` as the encoder takes at once.
    fn detect(&self, state: &mut WhisperState, habit: &Habit) -> Result<Language, Outcome> {
        let (_, probabilities) = state.lang_detect(0, self.threads.get())?;
        Ok(self.likeliest(habit, |language| probabilities[language.0 as usize]))
    }

    fn likeliest(&self, habit: &Habit, probability: impl Fn(&Language) -> f32) -> Language {
        let weight = |language: &&Language| probability(language) * habit.prior(**language);
        let likeliest = self.candidates.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)));
        likeliest.copied().unwrap_or(Language::ENGLISH)
    }

    /// Puts the spectrogram into the state, and has the encoder take no more positions than that needs.
    fn prepare(&mut self, state: &mut WhisperState, pcm: &[f32], control: &Control) -> Result<(), Outcome> {
        let language = self.candidates.first().copied().unwrap_or(Language::ENGLISH);
        let mut params = self.params(language);
        params.set_audio_ctx(pcm.len().div_ceil(POSITION) as c_int);
        self.full(state, params, pcm, &Run { control, encode: false, passes: Cell::default() })
    }

    /// Says how many passes of the encoder it took.
    fn run(
        &mut self,
        state: &mut WhisperState,
        pcm: &[f32],
        language: Language,
        control: &Control,
    ) -> Result<u32, Outcome> {
        let run = Run { control, encode: true, passes: Cell::default() };
        let params = self.params(language);
        self.full(state, params, pcm, &run)?;
        Ok(run.passes.get())
    }

    fn params(&mut self, language: Language) -> FullParams<'static, 'static> {
        let (threads, task) = (self.threads, self.task);
        self.params.entry(language).or_insert_with(|| params(language, threads, task)).clone()
    }

    fn full(
        &self,
        state: &mut WhisperState,
        mut params: FullParams,
        pcm: &[f32],
        run: &Run,
    ) -> Result<(), Outcome> {
        // Detecting polls nothing.
        if (run.control.aborted)() {
            return Err(Outcome::Aborted);
        }
        let user_data = std::ptr::from_ref(run).cast_mut().cast::<c_void>();
        // SAFETY: the callbacks take the pointer for a shared `Run`, which it is and which outlives the
        // call of `full` below, the only one that uses these parameters; whisper.cpp calls them on
        // this thread. (`set_abort_callback_safe` of whisper-rs 0.16 calls the closure through a
        // pointer of another type.)
        unsafe {
            params.set_abort_callback(Some(on_abort));
            params.set_abort_callback_user_data(user_data);
            params.set_start_encoder_callback(Some(on_encode));
            params.set_start_encoder_callback_user_data(user_data);
            params.set_progress_callback(Some(on_progress));
            params.set_progress_callback_user_data(user_data);
        }
        let result = state.full(params, pcm);
        log::set_aborting(false);
        match result {
            Ok(()) => Ok(()),
            // Encoding (-6) or decoding (-8, -9) was given up, and we had asked for that.
            Err(WhisperError::GenericError(-6 | -8 | -9)) if (run.control.aborted)() => Err(Outcome::Aborted),
            // Its key-value cache found no memory; whisper_full_with_state then frees the state.
            Err(error @ WhisperError::GenericError(-7)) => Err(Outcome::StateFreed(error)),
            Err(error) => Err(Outcome::Failed(error)),
        }
    }
}

/// Why [`Recogniser::full`] came back without a result.
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
    // SAFETY: see `full`.
    let run = unsafe { &*user_data.cast::<Run>() };
    let aborted = (run.control.aborted)();
    if aborted {
        log::set_aborting(true);
    }
    aborted
}

unsafe extern "C" fn on_encode(
    _context: *mut WhisperSysContext,
    _state: *mut WhisperSysState,
    user_data: *mut c_void,
) -> bool {
    // SAFETY: see `full`.
    let run = unsafe { &*user_data.cast::<Run>() };
    run.passes.set(run.passes.get() + 1);
    // To whisper.cpp not to go on is a failure.
    log::set_aborting(!run.encode);
    run.encode
}

unsafe extern "C" fn on_progress(
    _context: *mut WhisperSysContext,
    _state: *mut WhisperSysState,
    percent: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: see `full`.
    let run = unsafe { &*user_data.cast::<Run>() };
    // The last window may begin past the end.
    (run.control.progress)(percent.clamp(0, 100) as u8);
}

/// whisper_full's defaults for greedy decoding: temperature 0, then by 0.2 up to 1 while a window's
/// entropy is below 2.4 or its average log probability below -1.
fn params(language: Language, threads: NonZeroUsize, task: Task) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: BEST_OF });
    params.set_n_threads(threads.get() as c_int);
    params.set_language(Some(language.code()));
    params.set_translate(task == Task::Translate);
    // The state is reused: no recording may be prompted with the text of the one before.
    params.set_no_context(true);
    params.set_print_progress(false);
    params.set_print_timestamps(false);
    params
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
