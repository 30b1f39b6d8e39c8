//! The languages that a recording may be in, and which of them it is in.

use super::prior::LanguagePrior;
use crate::domain::{LanguageCode, Languages};
use crate::speech::whisper::RATE;

/// Another language is clear only if all listed languages together have at most this probability.
const MAX_LISTED: f32 = 0.1;
/// A language that is not listed is clear only from this probability on. With `base`, at least 2 s
/// of Russian or English gave another language at most 0.36.
const CLEAR: f32 = 0.7;
/// The same for a few words: about a second of Russian gave Polish, Lithuanian or Hindi up to 0.9.
const CLEAR_IN_FEW_WORDS: f32 = 0.95;
/// Fewer samples of speech than this, 1.5 s, are a few words.
const FEW_WORDS: usize = RATE * 3 / 2;

/// The languages to choose from.
pub(crate) struct Choice {
    /// The likely languages; not empty.
    listed: Vec<LanguageCode>,
    /// All languages that can be chosen: the listed ones, or all that the model knows.
    candidates: Vec<LanguageCode>,
}

impl Choice {
    /// Chooses among `languages` for a model that knows the first `count` languages.
    pub fn new(languages: Languages, count: usize) -> Self {
        Self::of(languages, LanguageCode::all().take(count).collect())
    }

    /// Chooses among those of `languages` that a model knows, or all that it knows if there are
    /// none.
    pub fn among(mut languages: Languages, known: impl Iterator<Item = LanguageCode>) -> Self {
        let known: Vec<_> = known.collect();
        languages.listed.retain(|language| known.contains(language));
        Self::of(languages, known)
    }

    fn of(languages: Languages, all: Vec<LanguageCode>) -> Self {
        let Languages { listed, others } = languages;
        match listed.is_empty() {
            true => Self { listed: all.clone(), candidates: all },
            false => Self { candidates: if others { all } else { listed.clone() }, listed },
        }
    }

    /// The only language that can be chosen, if there is only one.
    pub fn only(&self) -> Option<LanguageCode> {
        if let &[only] = &self.candidates[..] { Some(only) } else { None }
    }

    pub fn candidates(&self) -> &[LanguageCode] {
        &self.candidates
    }

    pub fn is_listed(&self, language: LanguageCode) -> bool {
        self.listed.contains(&language)
    }

    /// The language to ask a server for after it has `detected` one by itself, without telling how
    /// likely others are; `None` if that one is believed. It must be a candidate, and a listed one
    /// if little is said. Otherwise it is the listed one that was spoken most before.
    pub fn instead_of(
        &self,
        detected: LanguageCode,
        prior: &LanguagePrior,
        spoken: usize,
    ) -> Option<LanguageCode> {
        let is_candidate = self.candidates.contains(&detected);
        if is_candidate && (self.is_listed(detected) || spoken >= FEW_WORDS) {
            return None;
        }
        let by_weight = |a: &LanguageCode, b: &LanguageCode| prior.weight(*a).total_cmp(&prior.weight(*b));
        // Of several that are equally likely, the one that is listed first.
        self.listed.iter().rev().copied().max_by(by_weight)
    }

    /// The language of a recording with `spoken` samples of speech: the likeliest listed one,
    /// unless another is clear. `probabilities` are those of all languages, indexed by their
    /// numbers.
    pub fn likeliest(&self, probabilities: &[f32], prior: &LanguagePrior, spoken: usize) -> LanguageCode {
        let weight = |language: LanguageCode| {
            probabilities
                .get(language.number())
                .map_or(0.0, |probability| probability * prior.weight(language))
        };
        let most = |languages: &[LanguageCode]| {
            languages
                .iter()
                .copied()
                .max_by(|&a, &b| weight(a).total_cmp(&weight(b)))
                .unwrap_or(LanguageCode::ENGLISH)
        };
        let sum = |languages: &[LanguageCode]| languages.iter().copied().map(weight).sum::<f32>();
        let (likeliest, all) = (most(&self.candidates), sum(&self.candidates));
        let clear = if spoken < FEW_WORDS { CLEAR_IN_FEW_WORDS } else { CLEAR };
        let is_clear = weight(likeliest) >= clear * all && sum(&self.listed) <= MAX_LISTED * all;
        if is_clear { likeliest } else { most(&self.listed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTENCE: usize = 4 * RATE;
    const WORD: usize = RATE / 2;

    fn language(code: &str) -> LanguageCode {
        code.parse().unwrap()
    }

    /// What is chosen with these probabilities, if these seconds were spoken in the chat before.
    fn chosen(
        choice: &Choice,
        probable: &[(&str, f32)],
        prior: &[(&str, f32)],
        spoken: usize,
    ) -> &'static str {
        let mut probabilities = vec![0.0; 100];
        for &(code, probability) in probable {
            probabilities[language(code).number()] = probability;
        }
        let prior = LanguagePrior(prior.iter().map(|&(code, seconds)| (language(code), seconds)).collect());
        choice.likeliest(&probabilities, &prior, spoken).as_str()
    }

    fn russian_and_english(others: bool) -> Choice {
        Choice::new(Languages { listed: vec![language("ru"), language("en")], others }, 99)
    }

    #[test]
    fn a_clear_language_is_chosen_though_it_is_not_listed() {
        let choice = russian_and_english(true);
        let of_a_sentence = |probable: &[(&str, f32)]| chosen(&choice, probable, &[], SENTENCE);
        assert_eq!(of_a_sentence(&[("de", 0.98), ("en", 0.01)]), "de");
        assert_eq!(of_a_sentence(&[("ko", 0.75), ("ja", 0.2), ("en", 0.05)]), "ko");
        // Neither is clear: the likeliest listed one.
        assert_eq!(of_a_sentence(&[("uk", 0.6), ("bg", 0.3), ("ru", 0.08), ("en", 0.02)]), "ru");
        // A listed one is not improbable.
        assert_eq!(of_a_sentence(&[("uk", 0.85), ("ru", 0.15)]), "ru");
        assert_eq!(of_a_sentence(&[("en", 0.97), ("de", 0.02)]), "en");
    }

    #[test]
    fn a_few_words_have_to_be_clearer() {
        let choice = russian_and_english(true);
        for (korean, expected) in [(0.9, "ru"), (0.94, "ru"), (0.96, "ko")] {
            let probable = [("ko", korean), ("ru", 0.02), ("bg", 0.98 - korean)];
            assert_eq!(chosen(&choice, &probable, &[], WORD), expected, "{korean}");
            assert_eq!(chosen(&choice, &probable, &[], SENTENCE), "ko", "{korean}");
        }
    }

    #[test]
    fn the_languages_of_a_chat_are_likelier_than_others() {
        let choice = russian_and_english(true);
        let ukrainian = [("uk", 0.7), ("ru", 0.3)];
        assert_eq!(chosen(&choice, &ukrainian, &[], SENTENCE), "ru");
        assert_eq!(chosen(&choice, &ukrainian, &[("uk", 95.0)], SENTENCE), "uk");
        let korean = [("ko", 0.96), ("ru", 0.04)];
        assert_eq!(chosen(&choice, &korean, &[("ru", 95.0)], WORD), "ru");
    }

    #[test]
    fn without_others_a_listed_language_is_chosen() {
        let choice = russian_and_english(false);
        assert_eq!(chosen(&choice, &[("de", 0.99), ("en", 0.01)], &[], SENTENCE), "en");
        assert_eq!(choice.only(), None);
        assert_eq!(
            Choice::new(Languages { listed: vec![language("uk")], others: false }, 99).only(),
            Some(language("uk"))
        );
    }

    #[test]
    fn one_listed_language_is_likely_but_not_the_only_one() {
        let choice = Choice::new(Languages { listed: vec![language("ru")], others: true }, 99);
        assert_eq!(choice.only(), None);
        assert_eq!(chosen(&choice, &[("ru", 0.2), ("uk", 0.8)], &[], SENTENCE), "ru");
        assert_eq!(chosen(&choice, &[("en", 0.9)], &[], SENTENCE), "en");
        // A model that knows English only.
        assert_eq!(
            Choice::new(Languages { listed: vec![language("en")], others: true }, 1).only(),
            Some(LanguageCode::ENGLISH)
        );
    }

    #[test]
    fn a_language_that_a_server_detected_is_believed_if_it_may_be() {
        let instead = |choice: &Choice, detected: &str, prior: &[(&str, f32)], spoken| {
            let prior = LanguagePrior(prior.iter().map(|&(code, s)| (language(code), s)).collect());
            choice.instead_of(language(detected), &prior, spoken).map(LanguageCode::as_str)
        };
        let (open, closed) = (russian_and_english(true), russian_and_english(false));
        assert_eq!(instead(&open, "en", &[], WORD), None);
        assert_eq!(instead(&open, "de", &[], SENTENCE), None);
        assert_eq!(instead(&open, "pl", &[], WORD), Some("ru"), "the first listed");
        assert_eq!(instead(&open, "pl", &[("en", 9.0)], WORD), Some("en"), "the one of the chat");
        assert_eq!(instead(&closed, "uk", &[], SENTENCE), Some("ru"));
        let all = Choice::new(Languages { listed: vec![], others: true }, 100);
        assert_eq!(instead(&all, "pl", &[], WORD), None);
    }

    #[test]
    fn without_a_list_the_likeliest_of_the_model_is_chosen_however_little_is_said() {
        let choice = Choice::new(Languages { listed: vec![], others: true }, 99);
        assert_eq!(chosen(&choice, &[("ko", 0.3), ("ru", 0.2)], &[], WORD), "ko");
        // Cantonese came with the hundredth language, in large-v3.
        assert_eq!(chosen(&choice, &[("yue", 0.9), ("zh", 0.1)], &[], SENTENCE), "zh");
    }
}
