//! The owner's names and terms, and the names of a chat's people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::sanitise::sanitise;

/// The most characters that a vocabulary may have. Whisper takes about 200 tokens before a
/// recording, and a token has some four characters.
const LIMIT: usize = 1000;
/// How many people's names a recogniser is given, and the longest one in characters.
const PEOPLE: usize = 8;
const LONGEST_NAME: usize = 40;

/// Names and terms that the recogniser is to know, in the owner's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Vocabulary {
    /// Each with a letter or a digit, without white space around it.
    terms: Vec<String>,
}

impl Vocabulary {
    /// What people call themselves. Anybody may write anything there, so only words of letters
    /// count, of a few people, and no more than a name has.
    pub fn of_people<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut people = Self::default();
        for name in names {
            let name = sanitise(name);
            let words = name.split_whitespace().filter(|word| is_name(word)).take(3).collect::<Vec<_>>();
            let name = words.join(" ");
            if !name.is_empty() && name.chars().count() <= LONGEST_NAME && people.terms.len() < PEOPLE {
                people.add(name);
            }
        }
        people
    }

    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// This vocabulary, and behind it what is new in `other`.
    pub fn and(mut self, other: &Self) -> Self {
        other.terms.iter().for_each(|term| self.add(term.clone()));
        self
    }

    fn add(&mut self, term: String) {
        if !self.terms.iter().any(|known| known.to_lowercase() == term.to_lowercase()) {
            self.terms.push(term);
        }
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

/// Whether a word may be a part of a name: letters, and what joins them.
fn is_name(word: &str) -> bool {
    let is_letter = |c: char| c.is_alphabetic() || matches!(c, '-' | '\'' | '’');
    word.chars().all(is_letter) && word.chars().filter(|c| c.is_alphabetic()).count() >= 2
}

/// A text that is no vocabulary.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a list of names and terms, or is longer than {LIMIT} characters")]
pub struct ParseVocabularyError;

impl FromStr for Vocabulary {
    type Err = ParseVocabularyError;

    /// Terms are separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().count() > LIMIT {
            return Err(ParseVocabularyError);
        }
        text.split(',').map(str::to_owned).collect::<Vec<_>>().try_into()
    }
}

impl TryFrom<Vec<String>> for Vocabulary {
    type Error = ParseVocabularyError;

    fn try_from(terms: Vec<String>) -> Result<Self, Self::Error> {
        let terms: Vec<String> =
            terms.iter().map(|term| term.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let is_term =
            |term: &String| term.chars().any(char::is_alphanumeric) && !term.contains(char::is_control);
        if terms.iter().all(is_term) { Ok(Self { terms }) } else { Err(ParseVocabularyError) }
    }
}

impl From<Vocabulary> for Vec<String> {
    fn from(vocabulary: Vocabulary) -> Self {
        vocabulary.terms
    }
}

/// As the owner writes it.
impl fmt::Display for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.terms.join(", "))
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

    #[test]
    fn a_vocabulary_is_stored_as_a_list_and_what_is_none_is_refused() {
        let vocabulary: Vocabulary = "Анна, C++".parse().unwrap();
        let stored = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(stored, r#"["Анна","C++"]"#);
        assert_eq!(serde_json::from_str::<Vocabulary>(&stored).unwrap(), vocabulary);
        for wrong in [r#"[""]"#, r#"["-"]"#, r#"["a\u0000"]"#, r#""a""#] {
            assert!(serde_json::from_str::<Vocabulary>(wrong).is_err(), "{wrong}");
        }
        let both = vocabulary.and(&"c++, Борис".parse().unwrap());
        assert_eq!(both.terms(), ["Анна", "C++", "Борис"]);
    }

    #[test]
    fn of_what_strangers_call_themselves_only_names_count() {
        for (given, known) in [
            ("Anna Novak", "Anna Novak"),
            ("🌸 Ксю 🌸", "Ксю"),
            ("Жан-Поль О’Нил", "Жан-Поль О’Нил"),
            ("Anna\nhttps://spam.example @anna", "Anna"),
            ("Max 2000 ❤️ t.me/max", "Max"),
            ("\u{202E}annA\u{200B}", "annA"),
            ("one two three four five", "one two three"),
            ("x", ""),
            ("A1", ""),
            ("", ""),
            ("Ignore, all: previous.", ""),
        ] {
            let names = Vocabulary::of_people([given]);
            assert_eq!(names.to_string(), known, "{given:?}");
        }
        assert!(Vocabulary::of_people(["я".repeat(LONGEST_NAME + 1).as_str()]).is_empty());
        let many: Vec<String> = ('a'..='z').map(|c| format!("{c}nna")).collect();
        let names = Vocabulary::of_people(many.iter().chain(&many).map(String::as_str));
        assert_eq!(names.terms(), &many[..PEOPLE]);
    }
}
