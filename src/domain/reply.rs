//! A transcript as the messages that carry it.

use super::sanitise::sanitise;
use super::{
    Answer, Document, DocumentFormat, DocumentFormats, Form, Part, Segment, Settings, Transcript, Vocabulary,
};

/// Longest message text Telegram takes, in UTF-16 code units
/// (`message_length_max` of <https://core.telegram.org/constructor/config>).
pub const MESSAGE_LIMIT: usize = 4096;

/// Longest caption that Telegram takes of accounts without Premium, in UTF-16 code units
/// (`caption_length_limit_default` of <https://core.telegram.org/api/config>).
pub const CAPTION_LIMIT: usize = 1024;

/// The longest line above an answer in Saved Messages, in UTF-16 code units, with its line break.
pub const HEADER_LIMIT: usize = 200;

/// How much of its text a document has as its caption, in UTF-16 code units. With the line above it
/// in Saved Messages it is less than [`CAPTION_LIMIT`].
const BEGINNING: usize = 500;

/// With what a text ends that goes on elsewhere, or later.
pub(super) const MORE: &str = " …";

/// A text of this length, in UTF-16 code units, is set in paragraphs.
const PARAGRAPHS_FROM: usize = 800;
/// The shortest paragraph but the last, in UTF-16 code units.
const SHORTEST_PARAGRAPH: usize = 200;
/// A pause in speech after which a paragraph may begin, in milliseconds. Shorter ones are not cut
/// out before recognition, so the times do not show them.
const PARAGRAPH_PAUSE_MS: u64 = 2000;

/// Cuts a transcript that was made under these settings into parts within Telegram's limits; none
/// if nothing was said. Where the settings say so, the parts of a long one are documents with all
/// of it. Characters that hide text or change its direction are removed.
pub fn compose(transcript: &Transcript, settings: Settings) -> Answer {
    compose_below(None, transcript, settings)
}

/// The same, with a summary above the first part.
pub fn compose_below(summary: Option<String>, transcript: &Transcript, settings: Settings) -> Answer {
    let (first, others) = match settings.form {
        Form::Replies => (MESSAGE_LIMIT, MESSAGE_LIMIT),
        Form::SavedMessages => (MESSAGE_LIMIT - HEADER_LIMIT, MESSAGE_LIMIT - HEADER_LIMIT),
        Form::Caption => (CAPTION_LIMIT, MESSAGE_LIMIT),
        // It is one text, whatever its length.
        Form::Nowhere => (usize::MAX, usize::MAX),
    };
    let text = text_of(transcript);
    let pieces = split(&text, first - room_above(summary.as_deref()), others);
    let mut parts = if settings.form != Form::Nowhere && settings.documents.take(pieces.len()) {
        documents(transcript, &text, settings.documents.formats, summary.is_some())
    } else {
        pieces.into_iter().map(|text| Part::message(text, false)).collect()
    };
    put_above(&mut parts, summary);
    under(settings, Answer { settings: Settings::default(), parts, origin: None })
}

/// The whole text of a transcript as it is sent.
pub fn text_of(transcript: &Transcript) -> String {
    sanitise(&in_paragraphs(transcript))
}

/// How much of the first part a summary takes, in UTF-16 code units.
fn room_above(summary: Option<&str>) -> usize {
    let part = Part { summary: summary.map(str::to_owned), ..Part::message("x".to_owned(), false) };
    part.offset()
}

fn put_above(parts: &mut [Part], summary: Option<String>) {
    if let Some(first) = parts.first_mut() {
        first.summary = summary;
    }
}

/// The documents with a transcript, whose text is `text`. The first one has its beginning as a
/// caption, unless a summary takes the place of that.
fn documents(transcript: &Transcript, text: &str, formats: DocumentFormats, has_summary: bool) -> Vec<Part> {
    let mut pieces = split(text, BEGINNING, usize::MAX).into_iter();
    let mut caption = pieces.next().unwrap_or_default();
    if pieces.next().is_some() {
        caption.push_str(MORE);
    }
    if has_summary {
        caption.clear();
    }
    let formats: &[DocumentFormat] = match formats {
        DocumentFormats::Txt => &[DocumentFormat::Txt],
        DocumentFormats::Srt => &[DocumentFormat::Srt],
        DocumentFormats::Both => &[DocumentFormat::Txt, DocumentFormat::Srt],
    };
    let part = |&format| {
        let content = match format {
            DocumentFormat::Txt => format!("{}\n", text.trim()),
            DocumentFormat::Srt => subtitles(transcript),
        };
        let (text, folded) = (std::mem::take(&mut caption), false);
        Part { document: Some(Document { format, content }), ..Part::message(text, folded) }
    };
    formats.iter().map(part).collect()
}

/// A transcript with its times, one cue for each segment that has a visible text.
fn subtitles(transcript: &Transcript) -> String {
    let segments = transcript.segments.iter().map(|segment| {
        // A line break could end a cue.
        let text = sanitise(&segment.text).replace('\n', " ").trim().to_owned();
        Segment { text, ..*segment }
    });
    let segments = segments.filter(|segment| !segment.text.is_empty()).collect();
    Transcript { segments, ..Transcript::default() }.srt()
}

/// The same answer as messages, for a chat that takes no documents. It has all of the text.
pub fn without_documents(answer: Answer) -> Answer {
    let limit = match answer.settings.form {
        Form::SavedMessages => MESSAGE_LIMIT - HEADER_LIMIT,
        _ => MESSAGE_LIMIT,
    };
    let summary = answer.summary().map(str::to_owned);
    let pieces = split(&answer.text(), limit - room_above(summary.as_deref()), limit);
    let mut parts: Vec<Part> = pieces.into_iter().map(|text| Part::message(text, false)).collect();
    put_above(&mut parts, summary);
    under(answer.settings.clone(), Answer { parts, ..answer })
}

/// An answer as it would have been made under `settings`, which give the same parts. It does not
/// keep what the recogniser was told.
pub fn under(settings: Settings, mut answer: Answer) -> Answer {
    let settings = Settings { vocabulary: Vocabulary::default(), people: None, ..settings };
    for part in &mut answer.parts {
        part.folded = part.document.is_none() && utf16_len(&part.text) >= settings.fold_from as usize;
    }
    Answer { settings, ..answer }
}

/// The text of a transcript. A long one is set in paragraphs, which begin where somebody has paused
/// after a sentence.
fn in_paragraphs(transcript: &Transcript) -> String {
    let whole = transcript.text();
    if utf16_len(&whole) < PARAGRAPHS_FROM {
        return whole;
    }
    let mut text = String::with_capacity(whole.len());
    let (mut paragraph, mut last_end) = (0, 0);
    for segment in transcript.segments.iter().filter(|segment| !segment.text.is_empty()) {
        let has_paused = segment.start_ms.saturating_sub(last_end) >= PARAGRAPH_PAUSE_MS;
        let after_sentence = text.ends_with(['.', '!', '?', '…', '。', '！', '？']);
        if has_paused && after_sentence && utf16_len(&text[paragraph..]) >= SHORTEST_PARAGRAPH {
            text.push_str("\n\n");
            paragraph = text.len();
        } else if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&segment.text);
        last_end = segment.end_ms;
    }
    text
}

/// Length as Telegram counts it.
pub fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Cuts `text` into pieces of at most `first` and then `others` UTF-16 code units: after a
/// paragraph where one ends in the second half of the piece, else after such a sentence, else
/// between words, else between characters.
pub(super) fn split(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    let mut limit = first;
    while utf16_len(rest) > limit {
        let end = byte_offset(rest, limit);
        let window = &rest[..end];
        let paragraph = window.rfind("\n\n").filter(|&at| at > end / 2);
        let sentence = window
            .char_indices()
            .filter(|&(at, c)| {
                matches!(c, '.' | '!' | '?' | '…') && rest[at + c.len_utf8()..].starts_with([' ', '\n'])
            })
            .map(|(at, c)| at + c.len_utf8())
            .next_back()
            .filter(|&at| at > end / 2);
        let word = || {
            if rest[end..].starts_with([' ', '\n']) { Some(end) } else { window.rfind([' ', '\n']) }
        };
        let cut = paragraph.or(sentence).or_else(word).filter(|&at| at > 0).unwrap_or(end);
        pieces.push(rest[..cut].trim_end().to_owned());
        rest = rest[cut..].trim_start();
        limit = others;
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
    use crate::domain::{Documents, Segment};

    fn said(text: &str) -> Transcript {
        let segments = vec![Segment { start_ms: 0, end_ms: 1, text: text.into() }];
        Transcript { segments, ..Transcript::default() }
    }

    #[test]
    fn short_text_is_one_open_part() {
        let answer = compose(&said("one two"), Settings::default());
        assert_eq!(answer.parts, [Part::message("one two".into(), false)]);
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
    fn the_owner_says_from_which_length_a_text_is_folded() {
        for (fold_from, folded) in [(7, true), (8, false), (u32::MAX, false)] {
            let answer = compose(&said("one two"), Settings { fold_from, ..Settings::default() });
            assert_eq!(answer.parts, [Part::message("one two".into(), folded)], "{fold_from}");
            assert_eq!(answer.settings.fold_from, fold_from);
        }
        let long =
            compose(&said(&"word ".repeat(2000)), Settings { fold_from: u32::MAX, ..Settings::default() });
        assert!(long.parts.iter().all(|part| !part.folded));
        assert_eq!(
            under(Settings::default(), long),
            compose(&said(&"word ".repeat(2000)), Settings::default())
        );
    }

    #[test]
    fn each_form_has_its_own_limits() {
        let lengths = |form| {
            let parts = compose(&said(&"ж".repeat(10_000)), Settings { form, ..Settings::default() }).parts;
            parts.iter().map(|part| utf16_len(&part.text)).collect::<Vec<_>>()
        };
        assert_eq!(lengths(Form::Replies), [4096, 4096, 1808]);
        assert_eq!(lengths(Form::SavedMessages), [3896, 3896, 2208]);
        assert_eq!(lengths(Form::Caption), [1024, 4096, 4096, 784]);
        assert_eq!(lengths(Form::Nowhere), [10_000]);
    }

    fn as_documents(from: u32, formats: DocumentFormats) -> Settings {
        Settings { documents: Documents { from, formats }, ..Settings::default() }
    }

    #[test]
    fn a_text_of_many_messages_is_a_document() {
        let text = "Слово за слово. ".repeat(700);
        for (from, is_document) in [(1, true), (3, true), (4, false), (u32::MAX, false)] {
            let parts = compose(&said(&text), as_documents(from, DocumentFormats::Txt)).parts;
            let [Part { text: caption, folded, document: Some(document), .. }] = &parts[..] else {
                assert!(!is_document && parts.len() == 3, "{from}");
                continue;
            };
            assert!(is_document && !folded, "{from}");
            assert_eq!(document.content, format!("{}\n", text.trim()));
            let beginning = caption.strip_suffix(" …").expect("there is more");
            assert!(text.starts_with(beginning) && beginning.ends_with('.'));
            assert!((BEGINNING / 2..=BEGINNING).contains(&utf16_len(beginning)));
        }
        assert!(compose(&Transcript::default(), as_documents(1, DocumentFormats::Both)).parts.is_empty());
        let short = compose(&said("one two"), as_documents(1, DocumentFormats::Txt));
        assert_eq!(short.parts[0].text, "one two");
    }

    #[test]
    fn subtitles_have_their_times_and_nothing_hidden() {
        let transcript = spoken(&[(1000, "One.\n\n2\u{202E}"), (500, "\u{200B}"), (500, "Three.")]);
        let cues =
            "1\n00:00:01,000 --> 00:00:02,000\nOne.  2\n\n2\n00:00:04,000 --> 00:00:05,000\nThree.\n\n";
        let documents = |formats| {
            let parts = compose(&transcript, as_documents(1, formats)).parts;
            let parts = parts.into_iter().map(|part| (part.text, part.document.expect("a document")));
            parts.map(|(caption, document)| (caption, document.format, document.content)).collect::<Vec<_>>()
        };
        let (caption, text) = ("One.\n\n2  Three.", "One.\n\n2  Three.\n");
        let srt = |caption: &str| (caption.to_owned(), DocumentFormat::Srt, cues.to_owned());
        let txt = (caption.to_owned(), DocumentFormat::Txt, text.to_owned());
        assert_eq!(documents(DocumentFormats::Srt), [srt(caption)]);
        assert_eq!(documents(DocumentFormats::Txt)[..], *std::slice::from_ref(&txt));
        assert_eq!(documents(DocumentFormats::Both), [txt, srt("")]);
    }

    #[test]
    fn an_answer_is_used_again_only_where_its_parts_would_be_the_same() {
        let (long, short) = ("word ".repeat(3000), "word ".repeat(1000));
        let off = as_documents(u32::MAX, DocumentFormats::Txt);
        let settings = [off, as_documents(4, DocumentFormats::Txt), as_documents(2, DocumentFormats::Both)];
        for (text, made, wanted) in [&long, &short]
            .into_iter()
            .flat_map(|text| settings.iter().map(move |made| (text, made)))
            .flat_map(|(text, made)| settings.iter().map(move |wanted| (text, made, wanted)))
        {
            let answer = compose(&said(text), made.clone());
            let anew = compose(&said(text), wanted.clone());
            if wanted.gives_parts_of(&answer) {
                assert_eq!(under(wanted.clone(), answer), anew);
            } else {
                assert_ne!(answer.parts, anew.parts);
            }
        }
    }

    /// Segments of so many milliseconds of speech and of a pause before it.
    fn spoken(segments: &[(u64, &str)]) -> Transcript {
        let mut at = 0;
        let segments = segments.iter().map(|(pause, text)| {
            let (start_ms, end_ms) = (at + pause, at + pause + 1000);
            at = end_ms;
            Segment { start_ms, end_ms, text: (*text).into() }
        });
        Transcript { segments: segments.collect(), ..Transcript::default() }
    }

    #[test]
    fn long_text_has_a_paragraph_after_each_long_pause() {
        let sentence = format!("{}.", "слово ".repeat(40).trim_end());
        let open = "слово ".repeat(40).trim_end().to_owned();
        let (s, o) = (sentence.as_str(), open.as_str());
        let text =
            |segments: &[(u64, &str)]| compose(&spoken(segments), Settings::default()).parts.remove(0).text;
        let long = text(&[
            (9000, s),
            (100, s),
            (2000, s),
            (1999, s),
            (2000, o),
            (5000, s),
            (5000, "Да."),
            (5000, s),
        ]);
        assert_eq!(long, format!("{s} {s}\n\n{s} {s}\n\n{o} {s}\n\nДа. {s}"));
        // A text that is short has no paragraphs, whatever the pauses.
        assert_eq!(text(&[(0, s), (9000, s), (9000, s)]), format!("{s} {s} {s}"));
    }

    #[test]
    fn a_long_text_is_cut_between_paragraphs() {
        let paragraph = format!("{}.", "слово ".repeat(100).trim_end());
        let segments: Vec<_> = (0..12).map(|_| (3000, paragraph.as_str())).collect();
        let parts = compose(&spoken(&segments), Settings::default()).parts;
        assert_eq!(parts[0].text, [paragraph.as_str(); 6].join("\n\n"));
        assert_eq!(parts.len(), 2);
    }

    #[test]
    fn text_without_spaces_is_cut_between_characters() {
        let text = "🎙".repeat(10); // two UTF-16 units each
        let pieces = split(&text, 5, 5);
        assert_eq!(pieces.iter().map(|p| p.chars().count()).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(split("aaa bbb ccc", 7, 7), ["aaa bbb", "ccc"]);
        assert_eq!(split("aaa bbbb ccc", 7, 7), ["aaa", "bbbb", "ccc"]);
        assert_eq!(split("aaa bbbb ccc", 3, 9), ["aaa", "bbbb ccc"]);
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
            let (first, others) = (2 + random.below(40), 2 + random.below(40));
            let pieces = split(&text, first, others);
            let what = format!("{text:?} cut at {first} and {others}: {pieces:?}");
            assert_eq!(visible(&pieces.concat()), visible(&text), "{what}");
            let mut rest = text.as_str();
            for (number, piece) in pieces.iter().enumerate() {
                assert!(utf16_len(piece) <= if number == 0 { first } else { others }, "{what}");
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
