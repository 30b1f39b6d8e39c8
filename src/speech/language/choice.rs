//! Which languages a recording may be in, and in which one it is, by the model's probabilities.

use super::prior::Habit;
use crate::domain::{LanguageCode, Languages};
use crate::speech::whisper::RATE;

/// The probability that all listed languages together have at most where another one is clear.
const IMPROBABLE: f32 = 0.1;
/// The probability that a language that is not listed has at least where it is clear. With `base`,
/// Russian and English of 2 s and more gave 0.36 to another language at most.
const CLEAR: f32 = 0.7;
/// The same in a few words: pieces of Russian of about a second gave up to 0.9 to Polish,
/// Lithuanian or Hindi.
const CLEAR_IN_FEW_WORDS: f32 = 0.95;
/// Samples of speech, 1.5 s: less are few words.
const FEW_WORDS: usize = RATE * 3 / 2;

/// The languages to choose from.
pub(crate) struct Choice {
    /// The likely ones; not empty.
    listed: Vec<LanguageCode>,
    /// Those that are chosen among: the listed ones, or all of the model's.
    known: Vec<LanguageCode>,
}

impl Choice {
    /// Among `languages`, or all languages of the model, of which there are `count`, if none is
    /// listed.
    pub fn new(languages: Languages, count: usize) -> Self {
        let Languages { listed, others } = languages;
        let all: Vec<_> = LanguageCode::all().take(count).collect();
        match listed.is_empty() {
            true => Self { listed: all.clone(), known: all },
            false => Self { known: if others { all } else { listed.clone() }, listed },
        }
    }

    /// The only language there is.
    pub fn only(&self) -> Option<LanguageCode> {
        if let &[only] = &self.known[..] { Some(only) } else { None }
    }

    pub fn known(&self) -> &[LanguageCode] {
        &self.known
    }

    pub fn is_listed(&self, language: LanguageCode) -> bool {
        self.listed.contains(&language)
    }

    /// The language of a recording with so many samples of speech, of somebody with that `habit`:
    /// the likeliest listed one, unless another is clear. `probabilities` are those of all
    /// languages, by their numbers.
    pub fn likeliest(&self, probabilities: &[f32], habit: &Habit, spoken: usize) -> LanguageCode {
        let weight = |language: LanguageCode| {
            probabilities
                .get(language.number())
                .map_or(0.0, |probability| probability * habit.prior(language))
        };
        let most = |languages: &[LanguageCode]| {
            languages
                .iter()
                .copied()
                .max_by(|&a, &b| weight(a).total_cmp(&weight(b)))
                .unwrap_or(LanguageCode::ENGLISH)
        };
        let sum = |languages: &[LanguageCode]| languages.iter().copied().map(weight).sum::<f32>();
        let (likeliest, all) = (most(&self.known), sum(&self.known));
        let clear = if spoken < FEW_WORDS { CLEAR_IN_FEW_WORDS } else { CLEAR };
        let is_clear = weight(likeliest) >= clear * all && sum(&self.listed) <= IMPROBABLE * all;
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

    /// What is chosen where languages are so probable, and so many seconds of them were heard in
    /// the chat.
    fn chosen(
        choice: &Choice,
        probable: &[(&str, f32)],
        habit: &[(&str, f32)],
        spoken: usize,
    ) -> &'static str {
        let mut probabilities = vec![0.0; 100];
        for &(code, probability) in probable {
            probabilities[language(code).number()] = probability;
        }
        let habit = Habit(habit.iter().map(|&(code, seconds)| (language(code), seconds)).collect());
        choice.likeliest(&probabilities, &habit, spoken).as_str()
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
    fn what_a_chat_speaks_makes_its_languages_likelier_and_others_rarer() {
        let choice = russian_and_english(true);
        let ukrainian = [("uk", 0.7), ("ru", 0.3)];
        assert_eq!(chosen(&choice, &ukrainian, &[], SENTENCE), "ru");
        assert_eq!(chosen(&choice, &ukrainian, &[("uk", 95.0)], SENTENCE), "uk");
        let korean = [("ko", 0.96), ("ru", 0.04)];
        assert_eq!(chosen(&choice, &korean, &[("ru", 95.0)], WORD), "ru");
    }

    #[test]
    fn a_list_without_others_is_held_to() {
        let choice = russian_and_english(false);
        assert_eq!(chosen(&choice, &[("de", 0.99), ("en", 0.01)], &[], SENTENCE), "en");
        assert_eq!(choice.only(), None);
        assert_eq!(
            Choice::new(Languages { listed: vec![language("uk")], others: false }, 99).only(),
            Some(language("uk"))
        );
    }

    #[test]
    fn one_listed_language_is_likely_and_not_the_only_one() {
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
    fn without_a_list_the_likeliest_of_the_model_is_chosen_however_little_is_said() {
        let choice = Choice::new(Languages { listed: vec![], others: true }, 99);
        assert_eq!(chosen(&choice, &[("ko", 0.3), ("ru", 0.2)], &[], WORD), "ko");
        // Cantonese came with the hundredth language, in large-v3.
        assert_eq!(chosen(&choice, &[("yue", 0.9), ("zh", 0.1)], &[], SENTENCE), "zh");
    }
}
