//! How likely each language is before a recording is analysed, from what was spoken in the chat
//! before.

use crate::domain::LanguageCode;

/// Seconds that are added to every language, so that none is ruled out.
const SMOOTHING_SECONDS: f32 = 5.0;
/// A language that is at least this many times as likely as any other is guessed without detection.
const DOMINANCE: f32 = 2.0;

/// The languages of earlier recordings, and the seconds of speech in each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguagePrior(pub Vec<(LanguageCode, f32)>);

impl LanguagePrior {
    /// The one of the `candidates` that is far likelier than all others, if there is one.
    pub(crate) fn dominant(&self, candidates: &[LanguageCode]) -> Option<LanguageCode> {
        let dominates = |&language: &LanguageCode| {
            let others = candidates.iter().filter(|&&other| other != language);
            others.into_iter().all(|&other| self.weight(language) >= DOMINANCE * self.weight(other))
        };
        candidates.iter().copied().find(dominates)
    }

    /// How likely a language is, relative to others.
    pub(crate) fn weight(&self, language: LanguageCode) -> f32 {
        SMOOTHING_SECONDS
            + self.0.iter().filter(|(known, _)| *known == language).map(|(_, seconds)| seconds).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prior(seconds: &[(&str, f32)]) -> LanguagePrior {
        LanguagePrior(seconds.iter().map(|&(code, seconds)| (code.parse().unwrap(), seconds)).collect())
    }

    fn dominant(prior: &LanguagePrior, candidates: &[&str]) -> Option<&'static str> {
        let candidates: Vec<_> = candidates.iter().map(|code| code.parse().unwrap()).collect();
        prior.dominant(&candidates).map(LanguageCode::as_str)
    }

    #[test]
    fn a_language_spoken_far_more_than_any_other_is_dominant() {
        assert_eq!(dominant(&LanguagePrior::default(), &["ru", "en"]), None);
        assert_eq!(dominant(&prior(&[("ru", 4.9)]), &["ru", "en"]), None);
        assert_eq!(dominant(&prior(&[("en", 5.0)]), &["ru", "en"]), Some("en"));
        assert_eq!(dominant(&prior(&[("ru", 90.0), ("en", 50.0)]), &["ru", "en"]), None);
        assert_eq!(dominant(&prior(&[("ru", 110.0), ("en", 50.0)]), &["en", "ru", "de"]), Some("ru"));
    }

    #[test]
    fn languages_that_are_no_candidates_are_ignored() {
        let prior = prior(&[("de", 50.0), ("en", 12.0)]);
        assert_eq!(dominant(&prior, &["ru", "en"]), Some("en"));
        assert_eq!(dominant(&prior, &["ru", "fr"]), None);
    }

    #[test]
    fn no_language_is_ruled_out() {
        let prior = prior(&[("ru", 95.0)]);
        let weight = |code: &str| prior.weight(code.parse().unwrap());
        assert_eq!((weight("ru"), weight("en")), (100.0, 5.0));
    }
}
