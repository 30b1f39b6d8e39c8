//! In which language a recording is: guessed, and checked after it is recognised.

use std::ffi::c_int;

use tracing::{debug, info};
use whisper_rs::WhisperTokenId;

use super::choice::Choice;
use super::prior::Habit;
use crate::domain::LanguageCode;
use crate::speech::error::SpeechError;
use crate::speech::whisper::{Call, Control, POSITION, RATE, WINDOW, Whisper};

/// Samples that are listened to for a first guess at the language, which is checked later.
const GLIMPSE: usize = 8 * RATE;

/// What is known of a recording beside its text.
pub(crate) struct Heard {
    pub language: LanguageCode,
    /// Probability, 0 to 1, that nobody speaks in it. None where it took more than one window.
    pub no_speech: Option<f32>,
}

/// A recording that is recognised in its likeliest language.
pub(crate) struct Listening<'a> {
    /// Holds the result afterwards.
    pub whisper: &'a mut Whisper,
    pub pcm: &'a [f32],
    /// Samples of `pcm` with speech.
    pub spoken: usize,
    pub choice: &'a Choice,
    /// What is known of the speaker.
    pub habit: &'a Habit,
    /// What was said before.
    pub prompt: &'a [WhisperTokenId],
    /// Those that the encoder is given for the text; none: all.
    pub positions: Option<c_int>,
    pub control: &'a Control<'a>,
}

impl Listening<'_> {
    /// Recognises in the language that is `given`, or in the likeliest one.
    ///
    /// Detecting a language first takes a pass of the encoder, as long as recognising a short clip
    /// does. So the language is guessed, and checked after recognising, when the encoder's output
    /// is still there: that costs one token. Only a wrong guess costs another recognition.
    pub fn recognise(&mut self, given: Option<LanguageCode>) -> Result<Heard, SpeechError> {
        if let Some(language) = given.or(self.choice.only()) {
            return self.recognise_in(language);
        }
        let heard = self.recognise_likeliest()?;
        if !self.choice.is_listed(heard.language) {
            info!(
                language = heard.language.as_str(),
                "This recording is clearly in a language that LANGUAGES does not list, and is written down in it"
            );
        }
        Ok(heard)
    }

    fn recognise_likeliest(&mut self) -> Result<Heard, SpeechError> {
        // Of a longer recording the encoder leaves the end.
        if self.pcm.len() > WINDOW {
            self.prepare(WINDOW)?;
            let language = self.detect()?;
            return self.recognise_in(language);
        }
        let guess = match self.habit.favourite(self.choice.known()) {
            Some(favourite) => favourite,
            None => {
                self.prepare(GLIMPSE)?;
                self.detect()?
            }
        };
        let (language, no_speech) = match self.run(guess)? {
            1 => {
                let opening = self.whisper.opening()?;
                (self.likeliest(&opening.languages), Some(opening.no_speech))
            }
            // The last pass was for a remainder. Detecting leaves the text in the state.
            _ => (self.detect()?, None),
        };
        if language == guess {
            return Ok(Heard { language, no_speech });
        }
        debug!(guess = guess.as_str(), language = language.as_str(), "a wrong guess, recognising again");
        self.recognise_in(language)
    }

    fn recognise_in(&mut self, language: LanguageCode) -> Result<Heard, SpeechError> {
        let no_speech = match self.run(language)? {
            1 => Some(self.whisper.opening()?.no_speech),
            // What the encoder has heard last is a part only.
            _ => None,
        };
        Ok(Heard { language, no_speech })
    }

    /// The likeliest language, by as much of the spectrogram in the state as the encoder takes at
    /// once.
    fn detect(&mut self) -> Result<LanguageCode, SpeechError> {
        let probabilities = self.whisper.language_probabilities()?;
        Ok(self.likeliest(&probabilities))
    }

    fn likeliest(&self, probabilities: &[f32]) -> LanguageCode {
        self.choice.likeliest(probabilities, self.habit, self.spoken)
    }

    /// Puts the spectrogram of so many samples into the state, and has the encoder take no more
    /// positions than that needs.
    fn prepare(&mut self, samples: usize) -> Result<(), SpeechError> {
        let pcm = &self.pcm[..self.pcm.len().min(samples)];
        let positions = Some(pcm.len().div_ceil(POSITION) as c_int);
        let call = Call { language: LanguageCode::ENGLISH, prompt: &[], positions, encode: false };
        self.whisper.full(pcm, call, self.control).map(drop)
    }

    /// Says how many passes of the encoder it took.
    fn run(&mut self, language: LanguageCode) -> Result<u32, SpeechError> {
        let Self { prompt, positions, .. } = *self;
        let call = Call { language, prompt, positions, encode: true };
        self.whisper.full(self.pcm, call, self.control)
    }
}
