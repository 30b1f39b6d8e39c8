//! The words of a text and when they were said, from the times of whisper.cpp's tokens.

use std::ops::Range;

use whisper_rs::{WhisperSegment, WhisperTokenId};

use super::recogniser::samples;
use crate::domain::{LanguageCode, Segment, Word};
use crate::speech::hallucination::guard::Candidate;
use crate::speech::vad::activity::Activity;
use crate::speech::whisper::RATE;

/// Languages that are written without spaces between words. As in OpenAI's answers, each of their
/// characters, or what Whisper has as one token, is a word.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];
/// What stands around a word and does not belong to it.
const PUNCTUATION: &[char] = &[
    '.', ',', ':', ';', '!', '?', '…', '"', '“', '”', '„', '«', '»', '(', ')', '[', ']', '—', '–', '-', '¿',
    '¡', '。', '、', '，', '！', '？', '：', '；', '「', '」', '『', '』',
];

/// Reads the words of one segment after the other.
pub(super) struct WordReader<'a> {
    /// The parts of the recording that Whisper was given.
    pub activity: &'a Activity,
    pub language: LanguageCode,
    /// The token that ends a text. The tokens of text have smaller numbers.
    pub eot: WhisperTokenId,
}

impl WordReader<'_> {
    /// The words of a segment, with times of the recording.
    pub fn words(&self, segment: &WhisperSegment) -> Vec<Word> {
        let within = samples(segment.start_timestamp())..samples(segment.end_timestamp());
        let is_spaced = !WITHOUT_SPACES.contains(&self.language.as_str());
        let mut joiner = Joiner { is_spaced, pieces: Vec::new(), end: within.start };
        for token in (0..segment.n_tokens()).filter_map(|n| segment.get_token(n)) {
            let data = token.token_data();
            if data.id < self.eot {
                let [start, end] = [data.t0, data.t1].map(|time| samples(time).min(within.end));
                joiner.push(token.to_bytes().unwrap_or_default(), start..end);
            }
        }
        let words = joiner.pieces.into_iter().map(|piece| piece.word(self.activity));
        words.filter(|word| !word.text.is_empty()).collect()
    }
}

/// The words of the `segments` that the guard has kept of `candidates`, whose words are in `words`.
/// Of a text that it has shortened, the words that are left.
pub(super) fn kept(candidates: &[Candidate], words: Vec<Vec<Word>>, segments: &[Segment]) -> Vec<Word> {
    let mut kept = Vec::new();
    let mut segments = segments.iter().peekable();
    for (Candidate { segment, .. }, words) in candidates.iter().zip(words) {
        let is_it = |kept: &&Segment| {
            (kept.start_ms, kept.end_ms) == (segment.start_ms, segment.end_ms)
                && segment.text.contains(&kept.text)
        };
        let Some(Segment { text, .. }) = segments.next_if(is_it) else { continue };
        let mut rest = text.as_str();
        for word in words {
            if let Some(at) = rest.find(&word.text) {
                rest = &rest[at + word.text.len()..];
                kept.push(word);
            }
        }
    }
    kept
}

/// A word as bytes, because a token may end within a character, and when it was said in samples of
/// what Whisper was given.
struct Piece {
    bytes: Vec<u8>,
    said: Range<usize>,
}

impl Piece {
    fn word(self, activity: &Activity) -> Word {
        let ms = |samples: usize| (samples * 1000 / RATE) as u64;
        let said = activity.in_recording(self.said);
        let text = String::from_utf8_lossy(&self.bytes);
        let text = text.trim().trim_matches(PUNCTUATION).to_owned();
        Word { start_ms: ms(said.start), end_ms: ms(said.end), text }
    }

    fn is_whole(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok()
    }
}

/// Joins the tokens of a segment to words.
struct Joiner {
    is_spaced: bool,
    pieces: Vec<Piece>,
    /// The end of the last token.
    end: usize,
}

impl Joiner {
    fn push(&mut self, bytes: &[u8], said: Range<usize>) {
        let start = said.start.max(self.end);
        self.end = said.end.max(start);
        let text = std::str::from_utf8(bytes);
        let is_punctuation = text.is_ok_and(|text| text.trim().trim_matches(PUNCTUATION).is_empty());
        let begins = bytes.starts_with(b" ") || (!self.is_spaced && !is_punctuation);
        match self.pieces.last_mut() {
            Some(piece) if !begins || !piece.is_whole() => {
                piece.bytes.extend_from_slice(bytes);
                piece.said.end = self.end;
            }
            _ => self.pieces.push(Piece { bytes: bytes.to_vec(), said: start..self.end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::hallucination::guard::Evidence;

    fn joined(is_spaced: bool, tokens: &[(&[u8], Range<usize>)]) -> Vec<(String, Range<usize>)> {
        let mut joiner = Joiner { is_spaced, pieces: Vec::new(), end: 0 };
        tokens.iter().for_each(|(bytes, said)| joiner.push(bytes, said.clone()));
        let texts = joiner.pieces.into_iter().map(|it| (String::from_utf8(it.bytes).unwrap(), it.said));
        texts.collect()
    }

    #[test]
    fn tokens_are_joined_to_words_whose_times_do_not_go_back() {
        let tokens: &[(&[u8], _)] =
            &[(b" Good", 0..5), (b" morn", 4..9), (b"ing", 3..8), (b",", 9..9), (b" all", 12..20)];
        assert_eq!(
            joined(true, tokens),
            [(" Good".to_owned(), 0..5), (" morning,".to_owned(), 5..9), (" all".to_owned(), 12..20)]
        );
    }

    #[test]
    fn without_spaces_each_whole_token_is_a_word() {
        let (first, last) = "語".as_bytes().split_at(1);
        let tokens: &[(&[u8], _)] =
            &[("日本".as_bytes(), 0..5), (first, 5..6), (last, 6..7), ("。".as_bytes(), 7..8)];
        assert_eq!(joined(false, tokens), [("日本".to_owned(), 0..5), ("語。".to_owned(), 5..8)]);
    }

    #[test]
    fn what_the_guard_has_dropped_has_no_words() {
        let evidence = Evidence { no_speech: None, logprob: 0.0, voiced_ms: None };
        let segment = |start_ms, text: &str| Segment { start_ms, end_ms: start_ms + 900, text: text.into() };
        let words = |text: &str| -> Vec<Word> {
            text.split(' ').map(|text| Word { start_ms: 0, end_ms: 1, text: text.into() }).collect()
        };
        let texts = [(0, "thank you"), (1000, "one two"), (2000, "no no no no")];
        let candidates = texts.map(|(start, text)| Candidate { segment: segment(start, text), evidence });
        let spoken = texts.map(|(_, text)| words(text)).to_vec();
        let left = kept(&candidates, spoken, &[segment(1000, "one two"), segment(2000, "no no")]);
        let left: Vec<_> = left.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(left, ["one", "two", "no", "no"]);
    }
}
