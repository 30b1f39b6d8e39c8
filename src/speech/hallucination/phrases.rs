//! Phrases that Whisper is known to hallucinate, from the lists in `phrases/`.

use std::sync::LazyLock;

const LISTS: [&str; 2] = [include_str!("phrases/en.txt"), include_str!("phrases/ru.txt")];

struct Phrase {
    words: Vec<String>,
    /// Whether any words may follow.
    open: bool,
}

static KNOWN: LazyLock<Vec<Phrase>> = LazyLock::new(|| {
    let lines = LISTS.into_iter().flat_map(str::lines).filter(|line| !line.starts_with('#'));
    let phrase = |line: &str| Phrase { words: words(line), open: line.trim_end().ends_with('*') };
    lines.map(phrase).filter(|phrase| !phrase.words.is_empty()).collect()
});

/// Whether the words are known phrases, one after another, and nothing else.
pub(crate) fn is_known(words: &[String]) -> bool {
    let mut rest = words;
    while !rest.is_empty() {
        let begins = KNOWN.iter().filter(|phrase| rest.starts_with(&phrase.words));
        let Some(longest) = begins.max_by_key(|phrase| phrase.words.len()) else { return false };
        if longest.open {
            return true;
        }
        rest = &rest[longest.words.len()..];
    }
    !words.is_empty()
}

/// The words of a text, as [`word`] normalises them for comparison.
pub(crate) fn words(text: &str) -> Vec<String> {
    let between = |c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’');
    text.split(between).map(word).filter(|word| !word.is_empty()).collect()
}

/// Lower case, without punctuation, with е for ё. An apostrophe does not separate words.
pub(crate) fn word(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    letters.map(|c| if c == 'ё' { 'е' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        for list in LISTS {
            let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
            for pair in lines.windows(2) {
                assert!(pair[0] < pair[1], "not in order, or twice: {pair:?}");
            }
            for line in lines {
                let plain = line.trim_end_matches(" *");
                assert_eq!(words(plain).join(" "), plain, "lower-case words only, е for ё");
            }
        }
    }

    #[test]
    fn phrases_are_known_in_any_spelling_and_in_a_row() {
        for text in [
            "Thanks for watching!",
            "Thank you. Thank you for watching, bye-bye.",
            "THANKS FOR WATCHING! Please subscribe to my channel.",
            "Don't forget to like and subscribe...",
            "Subtitles by the Amara.org community",
            "you",
            "Продолжение следует...",
            "Субтитры сделал DimaTorzok",
            "Редактор субтитров А.Семкин Корректор А.Егорова",
            "Спасибо за просмотр! Подпишись на канал.",
            "Вот и всё!",
        ] {
            assert!(is_known(&words(text)), "{text}");
        }
        for text in
            ["", "Thank you for the flowers.", "Посмотри субтитры сам.", "You know what?", "Всё? Вот и всё!"]
        {
            assert!(!is_known(&words(text)), "{text}");
        }
    }
}
