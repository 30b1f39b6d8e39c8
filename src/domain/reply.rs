//! A transcript as the messages that carry it.

use super::sanitise::sanitise;
use super::{Answer, Part, Settings, Transcript};

/// Longest message text Telegram takes, in UTF-16 code units
/// (`message_length_max` of <https://core.telegram.org/constructor/config>).
pub const MESSAGE_LIMIT: usize = 4096;

/// From this length on, in UTF-16 code units, a part folds away under an expandable quote.
const FOLD_FROM: usize = 800;

/// Cuts a transcript that was made under these settings into replies within Telegram's limit; none
/// if nothing was said. Characters that hide text or change its direction are removed.
pub fn compose(transcript: &Transcript, settings: Settings) -> Answer {
    let parts = split(&sanitise(&transcript.text()), MESSAGE_LIMIT)
        .into_iter()
        .map(|text| Part { folded: utf16_len(&text) >= FOLD_FROM, text })
        .collect();
    Answer { settings, parts }
}

/// Length as Telegram counts it.
pub fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Cuts `text` into pieces of at most `limit` UTF-16 code units, after a sentence where one ends in
/// the second half of the piece, else between words, else between characters.
fn split(text: &str, limit: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while utf16_len(rest) > limit {
        let end = byte_offset(rest, limit);
        let window = &rest[..end];
        let sentence = window
            .char_indices()
            .filter(|&(at, c)| {
                matches!(c, '.' | '!' | '?' | '…') && rest[at + c.len_utf8()..].starts_with(' ')
            })
            .map(|(at, c)| at + c.len_utf8())
            .next_back()
            .filter(|&at| at > end / 2);
        let word = || if rest[end..].starts_with(' ') { Some(end) } else { window.rfind(' ') };
        let cut = sentence.or_else(word).filter(|&at| at > 0).unwrap_or(end);
        pieces.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

/// The largest byte offset of `text` with at most `limit` UTF-16 code units before it.
fn byte_offset(text: &str, limit: usize) -> usize {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > limit {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use support::speech::Random;

    use super::*;
    use crate::domain::Segment;

    fn said(text: &str) -> Transcript {
        let segments = vec![Segment { start_ms: 0, end_ms: 1, text: text.into() }];
        Transcript { segments, ..Transcript::default() }
    }

    #[test]
    fn short_text_is_one_open_part() {
        let answer = compose(&said("one two"), Settings::default());
        assert_eq!(answer.parts, [Part { text: "one two".into(), folded: false }]);
        assert!(compose(&Transcript::default(), Settings::default()).parts.is_empty());
    }

    #[test]
    fn replies_are_sanitised_before_they_are_cut() {
        let texts = |text: &str| -> Vec<String> {
            let parts = compose(&said(text), Settings::default()).parts;
            parts.into_iter().map(|part| part.text).collect()
        };
        assert_eq!(texts("\u{202E}one\u{0} \u{200B}two\u{200F}"), ["one two"]);
        assert!(texts(" \u{200B}\u{2800}\n\u{FE0F}\u{202E}").is_empty());
        // Marks and hidden characters that are removed take no message of their own.
        assert_eq!(texts(&format!("a{}b", "\u{301}\u{E0041}".repeat(5_000))), ["a\u{301}\u{301}\u{301}b"]);
        let pieces = texts(&"ж".repeat(10_000));
        assert_eq!(pieces.iter().map(|piece| utf16_len(piece)).collect::<Vec<_>>(), [4096, 4096, 1808]);
    }

    #[test]
    fn long_text_is_folded_and_cut_within_the_limit() {
        let text = "Слово за слово. ".repeat(700);
        let parts = compose(&said(&text), Settings::default()).parts;
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.folded && utf16_len(&part.text) <= MESSAGE_LIMIT));
        assert!(parts.iter().all(|part| part.text.ends_with('.')));
        let joined: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        assert_eq!(joined.join(" "), text.trim());
    }

    #[test]
    fn text_without_spaces_is_cut_between_characters() {
        let text = "🎙".repeat(10); // two UTF-16 units each
        let pieces = split(&text, 5);
        assert_eq!(pieces.iter().map(|p| p.chars().count()).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(split("aaa bbb ccc", 7), ["aaa bbb", "ccc"]);
        assert_eq!(split("aaa bbbb ccc", 7), ["aaa", "bbbb", "ccc"]);
    }

    /// Random text of characters that matter here: of one to four bytes and one or two UTF-16
    /// units, ends of sentences, spaces, line breaks.
    fn random_text(random: &mut Random) -> String {
        const CHARACTERS: [char; 16] =
            ['a', 'b', 'ж', 'щ', '語', '🎙', '👍', '.', '!', '?', '…', ' ', ' ', ' ', '\n', '\u{a0}'];
        let kinds = 1 + random.below(CHARACTERS.len());
        let first = random.below(CHARACTERS.len());
        let length = random.below(120);
        (0..length).map(|_| CHARACTERS[(first + random.below(kinds)) % CHARACTERS.len()]).collect()
    }

    fn visible(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn no_character_is_lost_and_no_piece_is_too_long() {
        let mut random = Random::new();
        for _ in 0..20_000 {
            let text = random_text(&mut random);
            // Shorter than two, the limit would have no room for some characters.
            let limit = 2 + random.below(40);
            let pieces = split(&text, limit);
            let what = format!("{text:?} cut at {limit}: {pieces:?}");
            assert_eq!(visible(&pieces.concat()), visible(&text), "{what}");
            let mut rest = text.as_str();
            for (number, piece) in pieces.iter().enumerate() {
                assert!(utf16_len(piece) <= limit, "{what}");
                assert!(!piece.is_empty() && piece.trim() == piece, "{what}");
                rest = rest.trim_start().strip_prefix(piece.as_str()).unwrap_or_else(|| panic!("{what}"));
                // A word is cut only where it is longer than a piece.
                let cuts_a_word = number + 1 < pieces.len()
                    && !rest.starts_with(char::is_whitespace)
                    && piece.contains(' ');
                assert!(!cuts_a_word, "{what}");
            }
            assert_eq!(rest.trim(), "", "{what}");
        }
    }
}
