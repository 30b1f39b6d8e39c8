//! The words of a text and when they were said, from the times of whisper.cpp's tokens.

use std::ops::Range;

use whisper_rs::{WhisperSegment, WhisperTokenId};

use super::recogniser::samples;
use crate::domain::{LanguageCode, Word};
use crate::speech::hallucination::words::without_punctuation;
use crate::speech::vad::activity::Activity;
use crate::speech::whisper::RATE;

/// Languages that are written without spaces between words. As in OpenAI's answers, each of their
/// characters, or what Whisper has as one token, is a word.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

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
        let text = without_punctuation(&text).to_owned();
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
        let is_punctuation = text.is_ok_and(|text| without_punctuation(text).is_empty());
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
}
