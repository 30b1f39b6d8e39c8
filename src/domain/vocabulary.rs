//! The owner's names and terms.

use std::str::FromStr;

/// The most characters that a vocabulary may have. Whisper takes about 200 tokens before a
/// recording, and a token has some four characters.
const LIMIT: usize = 1000;

/// Names and terms that the recogniser is to know, in the owner's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Each with a letter or a digit, without white space around it.
    terms: Vec<String>,
}

impl Vocabulary {
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The terms as a sentence, with the text after it that was said before a recording: what
    /// prompts a recogniser.
    pub fn before(&self, text: &str) -> String {
        match (self.terms.is_empty(), text.is_empty()) {
            (true, _) => text.to_owned(),
            (false, true) => format!("{}.", self.terms.join(", ")),
            (false, false) => format!("{}. {text}", self.terms.join(", ")),
        }
    }
}

/// A text that is no vocabulary.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a list of names and terms, or is longer than {LIMIT} characters")]
pub struct ParseVocabularyError;

impl FromStr for Vocabulary {
    type Err = ParseVocabularyError;

    /// Terms are separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let terms: Vec<String> =
            text.split(',').map(|term| term.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let is_term =
            |term: &String| term.chars().any(char::is_alphanumeric) && !term.contains(char::is_control);
        if text.chars().count() > LIMIT || !terms.iter().all(is_term) {
            return Err(ParseVocabularyError);
        }
        Ok(Self { terms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_is_a_list_of_terms() {
        let vocabulary: Vocabulary = " Анна  Каренина,Kubernetes, C++ ".parse().unwrap();
        assert_eq!(vocabulary.terms(), ["Анна Каренина", "Kubernetes", "C++"]);
        assert_eq!(vocabulary.before(""), "Анна Каренина, Kubernetes, C++.");
        assert_eq!(vocabulary.before("И вот."), "Анна Каренина, Kubernetes, C++. И вот.");
        assert_eq!(Vocabulary::default().before("И вот."), "И вот.");
        for wrong in ["", ",", "a,,b", "a,", "-", "a\0"] {
            assert_eq!(wrong.parse::<Vocabulary>(), Err(ParseVocabularyError), "{wrong:?}");
        }
        assert!("я".repeat(LIMIT).parse::<Vocabulary>().is_ok());
        assert!("я".repeat(LIMIT + 1).parse::<Vocabulary>().is_err());
    }
}
