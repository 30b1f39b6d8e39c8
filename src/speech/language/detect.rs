//! Recognises a recording in its own language: guesses the language, recognises, then checks the
//! guess.

use std::ffi::c_int;

use tracing::{debug, info};
use whisper_rs::WhisperTokenId;

use super::choice::Choice;
use super::prior::LanguagePrior;
use crate::domain::{LanguageCode, Task};
use crate::speech::error::SpeechError;
use crate::speech::whisper::decoding::Pass;
use crate::speech::whisper::{Call, Control, POSITION, RATE, WINDOW, Whisper};

/// Samples from which the language is guessed. The guess is checked afterwards.
const FIRST_GUESS_SAMPLES: usize = 8 * RATE;

/// What is known of a recognised recording beside its text.
pub(crate) struct Detected {
    pub language: LanguageCode,
    /// The probability, 0 to 1, that nobody speaks in it. None if it took more than one window.
    pub no_speech: Option<f32>,
}

/// A recording that is recognised in its likeliest language.
pub(crate) struct LanguageDetection<'a> {
    /// Holds the text afterwards.
    pub whisper: &'a mut Whisper,
    pub pcm: &'a [f32],
    /// Samples of `pcm` with speech.
    pub spoken: usize,
    pub choice: &'a Choice,
    pub prior: &'a LanguagePrior,
    /// The language of an earlier pass.
    pub guess: Option<LanguageCode>,
    pub task: Task,
    /// The text before the recording.
    pub prompt: &'a [WhisperTokenId],
    pub pass: Pass,
    /// Whether the tokens of the text get times.
    pub token_times: bool,
    pub control: &'a Control<'a>,
}

impl LanguageDetection<'_> {
    /// Recognises the recording in the language that is `given`, or in the likeliest one.
    ///
    /// Detecting the language first takes a pass of the encoder, as long as recognising a short
    /// clip. So the language is guessed, and checked after recognition, when the encoder's output
    /// is still in the state: the check costs one token. Only a wrong guess costs a second
    /// recognition.
    pub fn recognise(&mut self, given: Option<LanguageCode>) -> Result<Detected, SpeechError> {
        if let Some(language) = given.or(self.choice.only()) {
            return self.recognise_in(language);
        }
        let detected = self.recognise_in_likeliest()?;
        if !self.choice.is_listed(detected.language) {
            info!(
                language = detected.language.as_str(),
                "This recording is clearly in a language that LANGUAGES does not list, and is written down in it"
            );
        }
        Ok(detected)
    }

    /// The likeliest language of the first seconds.
    pub fn first_guess(&mut self) -> Result<LanguageCode, SpeechError> {
        self.prepare(FIRST_GUESS_SAMPLES)?;
        self.detect()
    }

    fn recognise_in_likeliest(&mut self) -> Result<Detected, SpeechError> {
        // After a longer recording, only the encoder's output for its end is left in the state, so
        // the language is detected before.
        if self.pcm.len() > WINDOW {
            self.prepare(WINDOW)?;
            let language = self.detect()?;
            return self.recognise_in(language);
        }
        let guess = match self.guess.or_else(|| self.prior.dominant(self.choice.candidates())) {
            Some(guess) => guess,
            None => self.first_guess()?,
        };
        let (language, no_speech) = match self.run(guess)? {
            1 => {
                let opening = self.whisper.opening()?;
                (self.likeliest(&opening.languages), Some(opening.no_speech))
            }
            // whisper.cpp continued from the end of the last segment, and the encoder's output is
            // for the rest of the recording only. Detecting leaves the text in the state.
            _ => (self.detect()?, None),
        };
        if language == guess {
            return Ok(Detected { language, no_speech });
        }
        debug!(guess = guess.as_str(), language = language.as_str(), "a wrong guess, recognising again");
        self.recognise_in(language)
    }

    fn recognise_in(&mut self, language: LanguageCode) -> Result<Detected, SpeechError> {
        let no_speech = match self.run(language)? {
            1 => Some(self.whisper.opening()?.no_speech),
            // The encoder's output is for the end of the recording only.
            _ => None,
        };
        Ok(Detected { language, no_speech })
    }

    /// The likeliest language of the first window, or audio context, of the spectrogram in the
    /// state.
    fn detect(&mut self) -> Result<LanguageCode, SpeechError> {
        let probabilities = self.whisper.language_probabilities()?;
        Ok(self.likeliest(&probabilities))
    }

    fn likeliest(&self, probabilities: &[f32]) -> LanguageCode {
        self.choice.likeliest(probabilities, self.prior, self.spoken)
    }

    /// Puts the spectrogram of the first `samples` into the state, with the audio context that they
    /// need.
    fn prepare(&mut self, samples: usize) -> Result<(), SpeechError> {
        let pcm = &self.pcm[..self.pcm.len().min(samples)];
        let positions = Some(pcm.len().div_ceil(POSITION) as c_int);
        let (language, task) = (LanguageCode::ENGLISH, self.task);
        let call = Call { language, task, prompt: &[], positions, decoding: None, token_times: false };
        self.whisper.full(pcm, call, self.control).map(drop)
    }

    /// Recognises the recording, and returns how many passes of the encoder that took.
    fn run(&mut self, language: LanguageCode) -> Result<u32, SpeechError> {
        let Self { task, prompt, pass: Pass { decoding, positions }, token_times, .. } = *self;
        let call = Call { language, task, prompt, positions, decoding: Some(decoding), token_times };
        self.whisper.full(self.pcm, call, self.control)
    }
}
