//! In which language a recording is: guessed, and checked after it is recognised.

use std::ffi::c_int;

use tracing::debug;
use whisper_rs::WhisperState;

use super::habit::Habit;
use super::language::Language;
use super::whisper::{Call, Control, Outcome, POSITION, RATE, WINDOW, Whisper};

/// Samples that are listened to for a first guess at the language, which is checked later.
const GLIMPSE: usize = 8 * RATE;

/// A recording that is recognised in the likeliest of its candidate languages.
pub(super) struct Listening<'a> {
    pub whisper: &'a mut Whisper,
    /// Holds the result afterwards.
    pub state: &'a mut WhisperState,
    pub pcm: &'a [f32],
    /// Not empty.
    pub candidates: &'a [Language],
    /// What is known of the speaker.
    pub habit: &'a Habit,
    /// Those that the encoder is given for the text; none: all.
    pub positions: Option<c_int>,
    pub control: &'a Control<'a>,
}

impl Listening<'_> {
    /// Recognises in the language that is `given`, or in the likeliest one, and says which it is.
    ///
    /// Detecting a language first takes a pass of the encoder, as long as recognising a short clip does. So
    /// the language is guessed, and checked after recognising, when the encoder's output is still there: that
    /// costs one token. Only a wrong guess costs another recognition.
    pub fn recognise(&mut self, given: Option<Language>) -> Result<Language, Outcome> {
        let only = if let &[only] = self.candidates { Some(only) } else { None };
        if let Some(language) = given.or(only) {
            self.run(language)?;
            return Ok(language);
        }
        // Of a longer recording the encoder leaves the end.
        if self.pcm.len() > WINDOW {
            self.prepare(WINDOW)?;
            let language = self.detect()?;
            self.run(language)?;
            return Ok(language);
        }
        let guess = match self.habit.favourite(self.candidates) {
            Some(favourite) => favourite,
            None => {
                self.prepare(GLIMPSE)?;
                self.detect()?
            }
        };
        let language = match self.run(guess)? {
            1 => self.check()?,
            // The last pass was for a remainder. Detecting leaves the text in the state.
            _ => self.detect()?,
        };
        if language != guess {
            debug!(guess = guess.code(), language = language.code(), "a wrong guess, recognising again");
            self.run(language)?;
        }
        Ok(language)
    }

    /// The likeliest language, by the output of the encoder in the state.
    fn check(&mut self) -> Result<Language, Outcome> {
        let Whisper { context, threads, .. } = &*self.whisper;
        self.state.decode(&[context.token_sot()], 0, threads.get())?;
        let logits = self.state.get_logits()?;
        let logit = |language: &Language| logits[context.token_lang(language.0) as usize];
        let most = self.candidates.iter().map(logit).fold(f32::NEG_INFINITY, f32::max);
        Ok(self.likeliest(|language| (logit(language) - most).exp()))
    }

    /// The likeliest language, by as much of the spectrogram in the state as the encoder takes at once.
    fn detect(&mut self) -> Result<Language, Outcome> {
        let (_, probabilities) = self.state.lang_detect(0, self.whisper.threads.get())?;
        Ok(self.likeliest(|language| probabilities[language.0 as usize]))
    }

    fn likeliest(&self, probability: impl Fn(&Language) -> f32) -> Language {
        let weight = |language: &&Language| probability(language) * self.habit.prior(**language);
        let likeliest = self.candidates.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)));
        likeliest.copied().unwrap_or(Language::ENGLISH)
    }

    /// Puts the spectrogram of so many samples into the state, and has the encoder take no more positions
    /// than that needs.
    fn prepare(&mut self, samples: usize) -> Result<(), Outcome> {
        let language = self.candidates.first().copied().unwrap_or(Language::ENGLISH);
        let pcm = &self.pcm[..self.pcm.len().min(samples)];
        let positions = Some(pcm.len().div_ceil(POSITION) as c_int);
        let call = Call { language, positions, encode: false };
        self.whisper.full(self.state, pcm, call, self.control).map(drop)
    }

    /// Says how many passes of the encoder it took.
    fn run(&mut self, language: Language) -> Result<u32, Outcome> {
        let call = Call { language, positions: self.positions, encode: true };
        self.whisper.full(self.state, self.pcm, call, self.control)
    }
}
