//! The languages that Whisper was trained for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Their codes, in the order of whisper.cpp's numbers. A test in `speech` compares them with
/// whisper.cpp's own list.
const CODES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id",
    "hi", "fi", "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg",
    "lt", "la", "mi", "ml", "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br",
    "eu", "is", "hy", "ne", "mn", "bs", "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so",
    "af", "oc", "ka", "be", "tg", "sd", "gu", "am", "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt",
    "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln", "ha", "ba", "jw", "su", "yue",
];

/// The code of a language that Whisper knows, such as `ru`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct LanguageCode(u8);

impl LanguageCode {
    pub const ENGLISH: Self = Self(0);

    /// All languages, in the order of whisper.cpp's numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CODES.len() as u8).map(Self)
    }

    /// whisper.cpp's number for the language. A model knows the languages below some number.
    pub fn number(self) -> usize {
        self.0.into()
    }

    pub fn as_str(self) -> &'static str {
        CODES[self.number()]
    }
}

impl fmt::Display for LanguageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no language of Whisper's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the code of a language that Whisper knows, such as en, ru or uk")]
pub struct UnknownLanguage(String);

impl FromStr for LanguageCode {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::all()
            .find(|code| code.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownLanguage(text.to_owned()))
    }
}

impl TryFrom<String> for LanguageCode {
    type Error = UnknownLanguage;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LanguageCode> for &'static str {
    fn from(code: LanguageCode) -> Self {
        code.as_str()
    }
}

/// The language of the recordings, as the owner sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LanguageChoice {
    /// Each recording is in whichever language is detected.
    Auto,
    Fixed(LanguageCode),
}

impl FromStr for LanguageChoice {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Fixed) }
    }
}

impl TryFrom<String> for LanguageChoice {
    type Error = UnknownLanguage;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LanguageChoice> for String {
    fn from(choice: LanguageChoice) -> Self {
        choice.to_string()
    }
}

impl LanguageChoice {
    /// The language to recognise in; `None` if it is to be detected.
    pub fn code(self) -> Option<LanguageCode> {
        match self {
            Self::Auto => None,
            Self::Fixed(code) => Some(code),
        }
    }
}

impl fmt::Display for LanguageChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Fixed(code) => code.as_str(),
        })
    }
}

/// The languages that a recording may be in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Languages {
    /// The likely ones, each once. Empty for all that the model knows.
    pub listed: Vec<LanguageCode>,
    /// Whether a recording that is clearly in another language is recognised in that one.
    pub others: bool,
}

impl Languages {}

impl FromStr for Languages {
    type Err = UnknownLanguage;

    /// Reads codes separated by commas, with `!` after the last to allow no others. An empty text
    /// stands for all languages.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self { listed: Vec::new(), others: true });
        }
        let (codes, others) = text.strip_suffix('!').map_or((text, true), |codes| (codes, false));
        let mut listed = Vec::new();
        for piece in codes.split(',') {
            let code = piece.trim().parse()?;
            if !listed.contains(&code) {
                listed.push(code);
            }
        }
        Ok(Self { listed, others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> LanguageCode {
        text.parse().unwrap()
    }

    #[test]
    fn codes_are_read_in_any_case() {
        for (text, expected) in [("ru", "ru"), ("EN", "en"), ("yue", "yue")] {
            assert_eq!(code(text).as_str(), expected);
        }
        for text in ["", "auto", "xx", "ua", "r\0u", "Russian", "русский", " ru"] {
            assert!(text.parse::<LanguageCode>().is_err(), "{text:?}");
        }
        assert_eq!("auto".parse(), Ok(LanguageChoice::Auto));
        assert_eq!("RU".parse(), Ok(LanguageChoice::Fixed(code("ru"))));
    }

    #[test]
    fn lists_are_read_with_and_without_other_languages() {
        let listed = vec![code("ru"), code("en")];
        for (text, others) in [("ru, en,ru", true), ("ru,en!", false), (" ru, en ! ", false)] {
            assert_eq!(text.parse(), Ok(Languages { listed: listed.clone(), others }), "{text}");
        }
        assert_eq!("".parse(), Ok(Languages { listed: vec![], others: true }));
        for bad in ["ru,", "ru;en", "auto", "ru,xx", "!", "ru!,en", "ru,en!!", "ru,!", "!ru"] {
            assert!(bad.parse::<Languages>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_code_is_stored_as_its_text() {
        assert_eq!(serde_json::to_string(&code("haw")).unwrap(), "\"haw\"");
        assert_eq!(serde_json::from_str::<LanguageCode>("\"haw\"").unwrap(), code("haw"));
        assert!(serde_json::from_str::<LanguageCode>("\"xx\"").is_err());
    }
}
