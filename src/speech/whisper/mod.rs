//! whisper.cpp: a loaded model, and single calls of whisper_full on it.

pub mod audio_context;
pub mod cpu;
pub(super) mod decoding;
pub mod device;
pub(super) mod log;

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::path::Path;

use tokio::sync::watch;
use whisper_rs::{
    FullParams, WhisperContext, WhisperContextParameters, WhisperError, WhisperSegment, WhisperState,
    WhisperSysContext, WhisperSysState, WhisperTokenId,
};

use self::decoding::Decoding;
use super::error::SpeechError;
use super::observer::Observer;
use crate::domain::{LanguageCode, SAMPLE_RATE, Task};

/// Samples per second of all audio that Whisper is given.
pub(crate) const RATE: usize = SAMPLE_RATE as usize;
/// Samples of Whisper's window of 30 s.
pub(crate) const WINDOW: usize = 30 * RATE;
/// Samples per position of the encoder.
pub(crate) const POSITION: usize = RATE / 50;

/// Whom a running recognition reports to, and how it is aborted.
pub(crate) struct Control<'a> {
    pub observer: &'a dyn Observer,
    /// Receives the share that is done, in percent.
    pub progress: Option<&'a watch::Sender<u8>>,
    pub aborted: &'a dyn Fn() -> bool,
}

impl Control<'_> {
    /// Reports that the recognition is not stuck, and returns whether it is to be aborted.
    fn poll(&self) -> bool {
        self.observer.on_pass();
        (self.aborted)()
    }
}

/// The parameters of one call of whisper_full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub language: LanguageCode,
    pub task: Task,
    /// The text before the recording.
    pub prompt: &'a [WhisperTokenId],
    /// The audio context: positions that the encoder computes, instead of all its 1500.
    pub positions: Option<c_int>,
    /// None: the call ends when the spectrogram is computed.
    pub decoding: Option<Decoding>,
    /// Whether the tokens get times.
    pub token_times: bool,
}

/// What the decoder expects at the beginning of a window, before it is given a language or a task.
pub(crate) struct Opening {
    /// The probabilities of all languages, indexed by their numbers.
    pub languages: Vec<f32>,
    /// The probability, 0 to 1, that nobody speaks in the window.
    pub no_speech: f32,
}

/// What the callbacks of a running call use.
struct Run<'a> {
    control: &'a Control<'a>,
    /// Whether to continue after the spectrogram is computed.
    encode: bool,
    /// Passes of the encoder that have started.
    passes: Cell<u32>,
}

/// A loaded model.
pub(crate) struct Whisper {
    context: WhisperContext,
    /// Buffers of tens to hundreds of MB, which hold the results of the last call. None after a
    /// failure; the next call then allocates new ones.
    state: Option<WhisperState>,
    threads: NonZeroUsize,
    /// Reused because `set_language` leaks its string.
    params: HashMap<(LanguageCode, Decoding), FullParams<'static, 'static>>,
}

impl Whisper {
    /// `path` must have passed [`check`](super::models::file_check::check).
    pub(crate) fn load(
        path: &Path,
        threads: NonZeroUsize,
        flash_attention: bool,
    ) -> Result<Self, SpeechError> {
        log::install();
        let failed =
            |error: WhisperError| SpeechError::Load { path: path.to_owned(), why: error.to_string() };
        let mut parameters = WhisperContextParameters::default();
        parameters.flash_attn(flash_attention);
        let context = WhisperContext::new_with_params(path, parameters).map_err(failed)?;
        let state = Some(context.create_state().map_err(failed)?);
        Ok(Self { context, state, threads, params: HashMap::new() })
    }

    /// Recognises `pcm` and returns how many passes of the encoder that took. The text is in
    /// [`segments`](Self::segments).
    pub(crate) fn full(
        &mut self,
        pcm: &[f32],
        call: Call<'_>,
        control: &Control,
    ) -> Result<u32, SpeechError> {
        // A language detection before this call has not polled.
        if control.poll() {
            return Err(SpeechError::Aborted);
        }
        let mut params = self.params(call);
        let run = Run { control, encode: call.decoding.is_some(), passes: Cell::default() };
        let user_data = std::ptr::from_ref(&run).cast_mut().cast::<c_void>();
        // SAFETY: the callbacks cast the pointer back to a shared `Run`. It outlives the call of
        // `full` below, which alone uses these parameters, and whisper.cpp calls them on this
        // thread. (`set_abort_callback_safe` of whisper-rs 0.16 calls the closure through a pointer
        // of the wrong type.)
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
            // Encoding (-6) or decoding (-8, -9) ended because we aborted it. The state is still
            // usable.
            Err(WhisperError::GenericError(-6 | -8 | -9)) if control.poll() => {
                self.state = Some(state);
                Err(SpeechError::Aborted)
            }
            Err(error @ WhisperError::GenericError(-7)) => {
                // There was no memory for the key-value cache, and whisper_full_with_state has
                // freed the state. Dropping it would free it a second time.
                std::mem::forget(state);
                Err(failed(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What the decoder expects for the last output of the encoder. Costs one token.
    pub(crate) fn opening(&mut self) -> Result<Opening, SpeechError> {
        let mut state = self.take_state()?;
        state.decode(&[self.context.token_sot()], 0, self.threads.get()).map_err(failed)?;
        let logits = state.get_logits().map_err(failed)?;
        // The languages have consecutive tokens, in the order of their numbers.
        let [first, last] = [0, whisper_rs::get_lang_max_id()].map(|id| self.context.token_lang(id) as usize);
        let languages = softmax(&logits[first..=last]);
        let no_speech = softmax(logits)[self.context.token_nosp() as usize];
        self.state = Some(state);
        Ok(Opening { languages, no_speech })
    }

    /// Runs the encoder on the spectrogram in the state, and returns the probabilities of all
    /// languages, indexed by their numbers. Only the first window, or audio context, is used.
    pub(crate) fn language_probabilities(&mut self) -> Result<Vec<f32>, SpeechError> {
        let state = self.take_state()?;
        let (_, probabilities) = state.lang_detect(0, self.threads.get()).map_err(failed)?;
        self.state = Some(state);
        Ok(probabilities)
    }

    /// The text of the last call of [`full`](Self::full).
    pub(crate) fn segments(&self) -> impl Iterator<Item = WhisperSegment<'_>> {
        self.state.iter().flat_map(WhisperState::as_iter)
    }

    /// The tokens of a text; empty if it cannot be tokenised, for instance because of a NUL.
    pub(crate) fn tokens(&self, text: &str) -> Vec<WhisperTokenId> {
        // A token has at least one byte. If the limit is too low, whisper-rs 0.16 takes the
        // negative result for billions of tokens.
        self.context.tokenize(text, text.len() + 1).unwrap_or_default()
    }

    /// The token that ends a text. The tokens of text have smaller numbers.
    pub(crate) fn eot(&self) -> WhisperTokenId {
        self.context.token_eot()
    }

    /// The caller puts it back, unless it has become unusable.
    fn take_state(&mut self) -> Result<WhisperState, SpeechError> {
        self.state.take().map_or_else(|| self.context.create_state().map_err(failed), Ok)
    }

    fn params<'a>(&mut self, call: Call<'a>) -> FullParams<'static, 'a> {
        let threads = self.threads;
        let decoding = call.decoding.unwrap_or(Decoding::Quick);
        let params = self.params.entry((call.language, decoding));
        let params = params.or_insert_with(|| decoding.params(call.language, threads));
        let mut params: FullParams<'static, 'a> = params.clone();
        params.set_translate(call.task == Task::Translate);
        params.set_tokens(call.prompt);
        params.set_token_timestamps(call.token_times);
        params.set_audio_ctx(call.positions.unwrap_or(0));
        params
    }
}

/// Converts logits to probabilities.
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
    let aborted = run.control.poll();
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
    // If we end the call here, whisper.cpp logs that as a failure.
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
    if let Some(progress) = run.control.progress {
        // The last window may begin past the end, which gives more than 100.
        progress.send_replace(percent.clamp(0, 100) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/micro/ggml-micro-q8_0.bin");

    fn load() -> Whisper {
        Whisper::load(Path::new(MODEL), NonZeroUsize::MIN, false).unwrap()
    }

    const CONTROL: Control = Control { observer: &(), progress: None, aborted: &|| false };

    fn one_two() -> Vec<f32> {
        let spoken = include_bytes!("../../../tests/fixtures/micro/one-two.s16");
        let samples = spoken.as_chunks().0.iter();
        samples.map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32768.0).collect()
    }

    fn call(positions: Option<c_int>) -> Call<'static> {
        let (language, task) = (LanguageCode::ENGLISH, Task::Transcribe);
        Call { language, task, prompt: &[], positions, decoding: Some(Decoding::Greedy), token_times: false }
    }

    #[test]
    fn the_no_speech_probability_is_that_of_the_last_window() {
        let mut whisper = load();
        let (silence, speech) = (vec![0.0; 2 * RATE], one_two());
        let mut no_speech = |pcm: &[f32]| {
            whisper.full(pcm, call(None), &CONTROL).unwrap();
            let no_speech = whisper.opening().unwrap().no_speech;
            // A call on other audio in between, as a language detection makes it.
            whisper.full(&silence, call(Some(50)), &CONTROL).unwrap();
            no_speech
        };
        let (first, quiet, again) = (no_speech(&speech), no_speech(&silence), no_speech(&speech));
        assert!(first < 0.1 && quiet > 0.6, "{first} {quiet}");
        assert_eq!(first, again);
    }

    #[test]
    fn careful_decoding_finds_a_likelier_text() {
        let mut whisper = load();
        let mut logprob = |pcm: &[f32], decoding| {
            let call = Call { decoding: Some(decoding), ..call(Some(1_472)) };
            whisper.full(pcm, call, &CONTROL).unwrap();
            let mut logprobs = Vec::new();
            for segment in whisper.segments() {
                let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
                logprobs.extend(tokens.map(|token| token.token_data().plog));
            }
            logprobs.iter().sum::<f32>() / logprobs.len() as f32
        };
        // Slowed down: the likeliest first token does not begin the likeliest text.
        let mut gain = 0.0;
        for (times, start) in [(2, 0), (2, 4000), (3, 2000), (3, 4000)] {
            let slow = |&sample| std::iter::repeat_n(sample, times);
            let pcm: Vec<f32> = one_two()[start..].iter().flat_map(slow).collect();
            gain += logprob(&pcm, Decoding::Careful) - logprob(&pcm, Decoding::Quick);
        }
        assert!(gain > 0.2, "{gain}");
    }

    #[test]
    fn a_prompt_reaches_the_decoder_and_is_gone_after_the_call() {
        let mut whisper = load();
        let prompt = whisper.tokens(" one two three");
        assert_eq!(prompt.len(), 3);
        assert!(whisper.tokens("a\0b").is_empty());
        let pcm = one_two();
        // The probabilities of the tokens depend on everything that the decoder was given.
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
