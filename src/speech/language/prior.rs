//! Which languages are spoken in a chat, as far as it is known, and what follows for its next
//! recording.

use crate::domain::LanguageCode;

/// Every language has so many seconds to begin with, so that none is ruled out.
const HEAD_START: f32 = 5.0;
/// So many times as likely as any other, a language is guessed without listening.
const EVIDENT: f32 = 2.0;

/// What was heard of somebody before: languages, with the seconds of speech heard in each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Habit(pub Vec<(LanguageCode, f32)>);

impl Habit {
    /// The one of the `candidates` that is by far the likeliest before anything is heard.
    pub(crate) fn favourite(&self, candidates: &[LanguageCode]) -> Option<LanguageCode> {
        let evident = |&language: &LanguageCode| {
            let others = candidates.iter().filter(|&&other| other != language);
            others.into_iter().all(|&other| self.prior(language) >= EVIDENT * self.prior(other))
        };
        candidates.iter().copied().find(evident)
    }

    /// How likely this language is before a recording is heard, in proportion to that of others.
    pub(crate) fn prior(&self, language: LanguageCode) -> f32 {
        HEAD_START
            + self.0.iter().filter(|(known, _)| *known == language).map(|(_, seconds)| seconds).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habit(seconds: &[(&str, f32)]) -> Habit {
        Habit(seconds.iter().map(|&(code, seconds)| (code.parse().unwrap(), seconds)).collect())
    }

    fn favourite(habit: &Habit, candidates: &[&str]) -> Option<&'static str> {
        let candidates: Vec<_> = candidates.iter().map(|code| code.parse().unwrap()).collect();
        habit.favourite(&candidates).map(LanguageCode::as_str)
    }

    #[test]
    fn a_language_heard_far_more_than_any_other_is_the_favourite() {
        assert_eq!(favourite(&Habit::default(), &["ru", "en"]), None);
        assert_eq!(favourite(&habit(&[("ru", 4.9)]), &["ru", "en"]), None);
        assert_eq!(favourite(&habit(&[("en", 5.0)]), &["ru", "en"]), Some("en"));
        assert_eq!(favourite(&habit(&[("ru", 90.0), ("en", 50.0)]), &["ru", "en"]), None);
        assert_eq!(favourite(&habit(&[("ru", 110.0), ("en", 50.0)]), &["en", "ru", "de"]), Some("ru"));
    }

    #[test]
    fn what_is_no_candidate_any_more_counts_for_nothing() {
        let habit = habit(&[("de", 50.0), ("en", 12.0)]);
        assert_eq!(favourite(&habit, &["ru", "en"]), Some("en"));
        assert_eq!(favourite(&habit, &["ru", "fr"]), None);
    }

    #[test]
    fn no_language_is_ruled_out() {
        let habit = habit(&[("ru", 95.0)]);
        let prior = |code: &str| habit.prior(code.parse().unwrap());
        assert_eq!((prior("ru"), prior("en")), (100.0, 5.0));
    }
}
