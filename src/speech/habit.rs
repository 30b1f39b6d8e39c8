//! Which languages are spoken in a chat, as far as it is known, and what follows for its next recording.

use super::language::Language;

/// A language is settled when it has this share of what was heard ...
const SHARE: f32 = 0.95;
/// ... and so many seconds of it were heard ...
const ENOUGH: f32 = 10.0;
/// ... and it was detected, not taken for granted, in one of so many recordings: who begins to speak
/// another language is understood after that at the latest.
const UNCHECKED: u32 = 10;
/// Every language has so many seconds to begin with, so that none is ruled out.
const HEAD_START: f32 = 5.0;

/// What was heard of somebody before. Empty when nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Habit {
    /// Languages by code, with the seconds of speech heard in each.
    pub seconds: Vec<(String, f32)>,
    /// Recordings since a language was last detected.
    pub unchecked: u32,
}

impl Habit {
    /// The one of the `candidates` that can be taken for granted.
    pub(super) fn settled(&self, candidates: &[Language]) -> Option<Language> {
        let all: f32 = candidates.iter().map(|&language| self.of(language)).sum();
        let sure = |&language: &Language| {
            let heard = self.of(language);
            heard >= ENOUGH && heard >= all * SHARE
        };
        candidates.iter().copied().find(sure).filter(|_| self.unchecked < UNCHECKED)
    }

    /// How likely this language is before a recording is heard, in proportion to that of others.
    pub(super) fn prior(&self, language: Language) -> f32 {
        HEAD_START + self.of(language)
    }

    fn of(&self, language: Language) -> f32 {
        let code = language.code();
        self.seconds.iter().filter(|(known, _)| known == code).map(|(_, seconds)| seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habit(seconds: &[(&str, f32)], unchecked: u32) -> Habit {
        let seconds = seconds.iter().map(|&(code, seconds)| (code.to_owned(), seconds)).collect();
        Habit { seconds, unchecked }
    }

    fn settled(habit: &Habit, candidates: &[&str]) -> Option<&'static str> {
        let candidates: Vec<_> = candidates.iter().map(|code| Language::find(code).unwrap()).collect();
        habit.settled(&candidates).map(Language::code)
    }

    #[test]
    fn one_language_is_taken_for_granted_until_it_must_be_checked() {
        assert_eq!(settled(&Habit::default(), &["ru", "en"]), None);
        assert_eq!(settled(&habit(&[("ru", 9.0)], 0), &["ru", "en"]), None);
        assert_eq!(settled(&habit(&[("ru", 10.0)], 9), &["ru", "en"]), Some("ru"));
        assert_eq!(settled(&habit(&[("ru", 10.0)], 10), &["ru", "en"]), None);
        assert_eq!(settled(&habit(&[("ru", 90.0), ("en", 10.0)], 0), &["ru", "en"]), None);
        assert_eq!(settled(&habit(&[("ru", 98.0), ("en", 2.0)], 0), &["ru", "en"]), Some("ru"));
    }

    #[test]
    fn what_is_no_candidate_any_more_counts_for_nothing() {
        let habit = habit(&[("de", 50.0), ("en", 12.0)], 0);
        assert_eq!(settled(&habit, &["ru", "en"]), Some("en"));
        assert_eq!(settled(&habit, &["ru", "fr"]), None);
    }

    #[test]
    fn no_language_is_ruled_out() {
        let habit = habit(&[("ru", 95.0)], 0);
        let prior = |code| habit.prior(Language::find(code).unwrap());
        assert_eq!((prior("ru"), prior("en")), (100.0, 5.0));
    }
}
