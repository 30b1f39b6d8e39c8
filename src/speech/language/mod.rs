//! The language of a recording.

pub(super) mod choice;
pub(super) mod detect;
pub mod prior;

use crate::domain::LanguageCode;

/// The English name of a language in lower case, as whisper.cpp and OpenAI's servers call it.
pub fn name(language: LanguageCode) -> &'static str {
    whisper_rs::get_lang_str_full(language.number() as i32).unwrap_or_default()
}

/// The language of this name or code, which may be followed by a region as in `en-US`.
pub(super) fn named(text: &str) -> Option<LanguageCode> {
    let text = text.trim();
    let code = text.split(['-', '_']).next().unwrap_or_default();
    let has_name = |language: &LanguageCode| name(*language).eq_ignore_ascii_case(text);
    code.parse().ok().or_else(|| LanguageCode::all().find(has_name))
}

#[cfg(test)]
mod tests {
    use crate::domain::LanguageCode;

    #[test]
    fn the_table_of_languages_is_that_of_whisper_cpp() {
        let ours: Vec<_> = LanguageCode::all().map(|code| Some(code.as_str())).collect();
        let theirs: Vec<_> = (0..=whisper_rs::get_lang_max_id()).map(whisper_rs::get_lang_str).collect();
        assert_eq!(ours, theirs);
        assert_eq!(LanguageCode::ENGLISH.as_str(), "en");
    }
}
