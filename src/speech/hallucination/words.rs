//! The words of what was heard, with their times: those of the segments that the guard has kept.

use super::guard::Candidate;
use crate::domain::{Segment, Word};

/// What stands around a word and does not belong to it.
const PUNCTUATION: &[char] = &[
    '.', ',', ':', ';', '!', '?', '…', '"', '“', '”', '„', '«', '»', '(', ')', '[', ']', '—', '–', '-', '¿',
    '¡', '。', '、', '，', '！', '？', '：', '；', '「', '」', '『', '』',
];

/// A word without what stands around it.
pub(crate) fn without_punctuation(word: &str) -> &str {
    word.trim().trim_matches(PUNCTUATION)
}

/// The words of the `segments` that the guard has kept of `candidates`, whose words are in `words`.
/// Of a text that it has shortened, the words that are left.
pub(crate) fn kept(candidates: &[Candidate], words: Vec<Vec<Word>>, segments: &[Segment]) -> Vec<Word> {
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

#[cfg(test)]
mod tests {
    use super::super::guard::Evidence;
    use super::*;

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
