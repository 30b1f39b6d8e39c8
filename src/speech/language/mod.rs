//! Whisper's languages: their codes, their names and whisper.cpp's numbers for them.

pub(super) mod choice;
pub(super) mod detect;
pub mod prior;

/// whisper.cpp's number of a language, valid for [`whisper_rs::get_lang_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Language(pub(crate) i32);

/// Whisper does not know the language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Whisper knows no language {0:?}; give an ISO 639-1 code such as \"en\" or \"ru\"")]
pub struct UnknownLanguage(String);

impl Language {
    pub(crate) const ENGLISH: Self = Self(0);

    /// Finds a language by its code or its English name, in any case.
    ///
    /// whisper.cpp itself accepts any text, and then prompts the model with a wrong token.
    pub(crate) fn find(name: &str) -> Result<Self, UnknownLanguage> {
        let name = name.trim();
        // Not `get_lang_id`, which panics on a NUL byte and logs errors itself.
        (0..=whisper_rs::get_lang_max_id())
            .find(|&id| {
                [whisper_rs::get_lang_str(id), whisper_rs::get_lang_str_full(id)]
                    .into_iter()
                    .flatten()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
            .map(Self)
            .ok_or_else(|| UnknownLanguage(name.to_owned()))
    }

    pub(crate) fn code(self) -> &'static str {
        // The number came from whisper.cpp, so there is always a code.
        whisper_rs::get_lang_str(self.0).unwrap_or("en")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_found_and_others_are_not() {
        for (name, expected) in [("ru", "ru"), ("EN", "en"), (" Russian ", "ru"), ("yue", "yue")] {
            assert_eq!(Language::find(name).map(Language::code), Ok(expected), "{name:?}");
        }
        for name in ["", "auto", "xx", "r\0u", "русский"] {
            assert!(Language::find(name).is_err(), "{name:?}");
        }
    }
}
