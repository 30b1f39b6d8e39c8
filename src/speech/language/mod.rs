//! The language of a recording.

pub(super) mod choice;
pub(super) mod detect;
pub mod prior;

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
