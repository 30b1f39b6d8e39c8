//! whisper.cpp: a model, and one call of whisper_full after another on it.

pub mod audio_context;
pub mod cpu;
pub mod device;
pub(super) mod log;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperSegment,
    WhisperState, WhisperSysContext, WhisperSysState, WhisperTokenId,
};

use super::error::SpeechError;
use crate::domain::{LanguageCode, SAMPLE_RATE, Task};

/// Samples per second of everything Whisper hears.
pub(crate) const RATE: usize = SAMPLE_RATE as usize;
/// Samples of Whisper's window.
pub(crate) const WINDOW: usize = 30 * RATE;
/// Samples for a position of the encoder.
pub(crate) const POSITION: usize = RATE / 50;
/// What whisper_full does when decoding at temperature 0 has failed: tries so many at each higher
/// one.
const BEST_OF: c_int = 5;
/// A probability that is never reached. whisper.cpp 1.8.3 takes the one for no speech from logits
/// that it has not computed in this call (whisper.cpp#3945, #4068): after a glimpse at the language
/// they are those of the glimpse. Above its default of 0.6 it does not decode again at a higher
/// temperature and drops the window, and with it what somebody said.
const NEVER: f32 = 2.0;

/// How a running recognition hears from, and tells, the outside.
pub(crate) struct Control<'a> {
    /// Asked after each pass of the encoder or decoder.
    pub aborted: &'a dyn Fn() -> bool,
    /// Told the share that is done, in percent.
    pub progress: &'a dyn Fn(u8),
    /// Told why a piece of text was dropped.
    pub dropped: &'a dyn Fn(&'static str),
    /// Told what language so much was said in, where it was not given.
    pub spoken: &'a dyn Fn(LanguageCode, Duration),
    /// Told that the shortened window has not sufficed.
    pub repeated: &'a dyn Fn(),
}

/// What one call of whisper_full is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub language: LanguageCode,
    /// What was said before.
    pub prompt: &'a [WhisperTokenId],
    /// Positions that the encoder takes at once, in place of its 1500. Text is then decoded once,
    /// at temperature 0: it is a try.
    pub positions: Option<c_int>,
    /// Whether to go on after the spectrogram.
    pub encode: bool,
}

/// What the decoder expects at the beginning of a window, before it is told a language or a task.
pub(crate) struct Opening {
    /// The probabilities of all languages, by their numbers.
    pub languages: Vec<f32>,
    /// Probability, 0 to 1, that nobody speaks in the window.
    pub no_speech: f32,
}

/// A call that runs, for its callbacks.
struct Run<'a> {
    control: &'a Control<'a>,
    encode: bool,
    /// Passes of the encoder that were begun.
    passes: Cell<u32>,
}

/// The model.
pub(crate) struct Whisper {
    context: WhisperContext,
    /// Buffers of tens to hundreds of MB, with what the last call left in them. None after a
    /// failure: the next call gets fresh ones.
    state: Option<WhisperState>,
    threads: NonZeroUsize,
    task: Task,
    /// By language. Kept, because `set_language` leaks the string it is given.
    params: HashMap<LanguageCode, FullParams<'static, 'static>>,
}

impl Whisper {
    /// `path` has passed [`file_check::check`](super::models::file_check::check), and the model was trained for the `task`.
    pub(crate) fn load(
        path: &Path,
        threads: NonZeroUsize,
        task: Task,
        flash_attention: bool,
    ) -> Result<Self, SpeechError> {
        log::install();
        let failed =
            |error: WhisperError| SpeechError::Load { path: path.to_owned(), why: error.to_string() };
        let mut parameters = WhisperContextParameters::default();
        parameters.flash_attn(flash_attention);
        let context = WhisperContext::new_with_params(path, parameters).map_err(failed)?;
        let state = Some(context.create_state().map_err(failed)?);
        Ok(Self { context, state, threads, task, params: HashMap::new() })
    }

    /// Recognises `pcm`; the result is in [`segments`](Self::segments). Says how many passes of the
    /// encoder it took.
    pub(crate) fn full(
        &mut self,
        pcm: &[f32],
        call: Call<'_>,
        control: &Control,
    ) -> Result<u32, SpeechError> {
        // Detecting polls nothing.
        if (control.aborted)() {
            return Err(SpeechError::Aborted);
        }
        let mut params = self.params(call);
        let run = Run { control, encode: call.encode, passes: Cell::default() };
        let user_data = std::ptr::from_ref(&run).cast_mut().cast::<c_void>();
        // SAFETY: the callbacks take the pointer for a shared `Run`, which it is and which outlives
        // the call of `full` below, the only one that uses these parameters; whisper.cpp calls them
        // on this thread. (`set_abort_callback_safe` of whisper-rs 0.16 calls the closure through a
        // pointer of another type.)
        unsafe {
            params.set_abort_callback(Some(on_abort));
            params.set_abort_callback_user_data(user_data);
            params.set_start_encoder_callback(Some(on_encode));
            params.set_start_encoder_callback_user_data(user_data);
            params.set_progress_callback(Some(on_progress));
            params.set_progress_callback_user_data(user_data);
        }
        let mut state = self.take_state()?;
        let result = state.full(params, pcm);
        log::set_aborting(false);
        match result {
            Ok(()) => {
                self.state = Some(state);
                Ok(run.passes.get())
            }
            // Encoding (-6) or decoding (-8, -9) was given up, and we had asked for that. The state
            // is as good as before.
            Err(WhisperError::GenericError(-6 | -8 | -9)) if (control.aborted)() => {
                self.state = Some(state);
                Err(SpeechError::Aborted)
            }
            Err(error @ WhisperError::GenericError(-7)) => {
                // Its key-value cache found no memory, and whisper_full_with_state has freed the
                // state. Dropping it would free it again.
                std::mem::forget(state);
                Err(failed(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What the decoder expects by what the encoder has heard last. Costs one token.
    pub(crate) fn opening(&mut self) -> Result<Opening, SpeechError> {
        let mut state = self.take_state()?;
        state.decode(&[self.context.token_sot()], 0, self.threads.get()).map_err(failed)?;
        let logits = state.get_logits().map_err(failed)?;
        // The tokens of the languages follow each other in the order of their numbers.
        let of_languages = [0, whisper_rs::get_lang_max_id()].map(|id| self.context.token_lang(id) as usize);
        let languages = softmax(&logits[of_languages[0]..=of_languages[1]]);
        let no_speech = softmax(logits)[self.context.token_nosp() as usize];
        self.state = Some(state);
        Ok(Opening { languages, no_speech })
    }

    /// The probabilities of all languages, by their numbers, in as much of the last recording as
    /// the encoder takes at once.
    pub(crate) fn language_probabilities(&mut self) -> Result<Vec<f32>, SpeechError> {
        let state = self.take_state()?;
        let (_, probabilities) = state.lang_detect(0, self.threads.get()).map_err(failed)?;
        self.state = Some(state);
        Ok(probabilities)
    }

    /// What the last call of [`full`](Self::full) has heard.
    pub(crate) fn segments(&self) -> impl Iterator<Item = WhisperSegment<'_>> {
        self.state.iter().flat_map(WhisperState::as_iter)
    }

    /// The tokens of a text; none where it has no such thing, as with a NUL in it.
    pub(crate) fn tokens(&self, text: &str) -> Vec<WhisperTokenId> {
        // A token is a byte at least. With fewer than needed whisper-rs 0.16 believes in billions
        // of them.
        self.context.tokenize(text, text.len() + 1).unwrap_or_default()
    }

    /// The token that ends a text; those of text are below it.
    pub(crate) fn eot(&self) -> WhisperTokenId {
        self.context.token_eot()
    }

    /// Whoever takes it puts it back, if it is of use still.
    fn take_state(&mut self) -> Result<WhisperState, SpeechError> {
        self.state.take().map_or_else(|| self.context.create_state().map_err(failed), Ok)
    }

    fn params<'a>(&mut self, call: Call<'a>) -> FullParams<'static, 'a> {
        let (threads, task) = (self.threads, self.task);
        let params = self.params.entry(call.language).or_insert_with(|| params(call.language, threads, task));
        let mut params: FullParams<'static, 'a> = params.clone();
        params.set_tokens(call.prompt);
        if let Some(positions) = call.positions {
            params.set_audio_ctx(positions);
            params.set_temperature_inc(0.0);
        }
        params
    }
}

/// The probabilities that belong to these logits.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    logits.iter().map(|logit| (logit - most).exp() / sum).collect()
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
/// entropy is below 2.4 or its average log probability below -1; but nothing is decided by the
/// probability of no speech.
fn params(language: LanguageCode, threads: NonZeroUsize, task: Task) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: BEST_OF });
    params.set_n_threads(threads.get() as c_int);
    params.set_language(Some(language.as_str()));
    params.set_translate(task == Task::Translate);
    // The state is reused: no recording may be prompted with the text of the one before.
    params.set_no_context(true);
    params.set_no_speech_thold(NEVER);
    params.set_print_progress(false);
    params.set_print_timestamps(false);
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin");

    fn load() -> Whisper {
        Whisper::load(Path::new(MODEL), NonZeroUsize::MIN, Task::Transcribe, false).unwrap()
    }

    const CONTROL: Control = Control {
        aborted: &|| false,
        progress: &|_| (),
        dropped: &|_| (),
        spoken: &|_, _| (),
        repeated: &|| (),
    };

    fn one_two() -> Vec<f32> {
        let spoken = include_bytes!("../../../tests/fixtures/micro/one-two.s16");
        let samples = spoken.as_chunks().0.iter();
        samples.map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32768.0).collect()
    }

    fn call(positions: Option<c_int>) -> Call<'static> {
        Call { language: LanguageCode::ENGLISH, prompt: &[], positions, encode: true }
    }

    #[test]
    fn no_speech_is_that_of_the_last_window_whatever_was_heard_before() {
        let mut whisper = load();
        let (silence, speech) = (vec![0.0; 2 * RATE], one_two());
        let mut no_speech = |pcm: &[f32]| {
            whisper.full(pcm, call(None), &CONTROL).unwrap();
            let no_speech = whisper.opening().unwrap().no_speech;
            // A glimpse at something else.
            whisper.full(&silence, call(Some(50)), &CONTROL).unwrap();
            no_speech
        };
        let (first, quiet, again) = (no_speech(&speech), no_speech(&silence), no_speech(&speech));
        assert!(first < 0.1 && quiet > 0.6, "{first} {quiet}");
        assert_eq!(first, again);
    }

    #[test]
    fn what_was_said_before_reaches_the_decoder_and_is_gone_after_the_call() {
        let mut whisper = load();
        let prompt = whisper.tokens(" one two three");
        assert_eq!(prompt.len(), 3);
        assert!(whisper.tokens("a\0b").is_empty());
        let pcm = one_two();
        // How sure the decoder is depends on all that it was told.
        let mut evidence = |prompt: &[WhisperTokenId]| {
            whisper.full(&pcm, Call { prompt, ..call(None) }, &CONTROL).unwrap();
            let tokens = |segment: WhisperSegment| -> Vec<f32> {
                let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
                tokens.map(|token| token.token_probability()).collect()
            };
            whisper.segments().map(tokens).collect::<Vec<_>>()
        };
        let (without, with, again) = (evidence(&[]), evidence(&prompt), evidence(&[]));
        assert!(!without.is_empty() && !with.is_empty());
        assert_ne!(without, with);
        assert_eq!(without, again);
    }
}
