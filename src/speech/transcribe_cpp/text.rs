//! Makes segments of what transcribe.cpp heard. Its models give words or tokens with times, rather
//! than sentences.

use std::mem;
use std::ops::Range;

use super::wire::{Heard, Piece};
use crate::domain::Word;
use crate::speech::hallucination::candidates::Candidates;
use crate::speech::hallucination::guard::{Candidate, Guarded, guard};
use crate::speech::hallucination::words::{kept, without_punctuation};
use crate::speech::vad::detector::Speech;
use crate::speech::whisper::RATE;

/// What stands before a word in the tokens of SentencePiece.
const WORD: char = '\u{2581}';

/// A piece of text with its times in ms, and the logarithms of its tokens' probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
struct Span {
    start_ms: i64,
    end_ms: i64,
    text: String,
    logs: Vec<f32>,
    /// Of a sentence, its words and when they were said.
    words: Vec<(Range<i64>, String)>,
}

/// What the guard leaves of what was heard, and the words of that.
pub(super) fn guarded(heard: &Heard, speech: &Speech) -> (Guarded, Vec<Word>) {
    let (candidates, words) = candidates_and_words(heard, speech);
    let guarded = guard(&candidates);
    let words = kept(&candidates, words, &guarded.kept);
    (guarded, words)
}

/// The segments, with the evidence that there is: no model here says how likely silence is.
pub(super) fn candidates(heard: &Heard, speech: &Speech) -> Vec<Candidate> {
    candidates_and_words(heard, speech).0
}

/// The same with the words of each, of which there are none where the model tells no times of them.
fn candidates_and_words(heard: &Heard, speech: &Speech) -> (Vec<Candidate>, Vec<Vec<Word>>) {
    let length = speech.pcm.len();
    let samples = |ms: i64| (ms.max(0) as usize).saturating_mul(RATE / 1000).min(length);
    let word = |(said, text): (Range<i64>, String)| {
        let said = speech.activity.in_recording(samples(said.start)..samples(said.end));
        let [start_ms, end_ms] = [said.start, said.end].map(|at| (at * 1000 / RATE) as u64);
        Word { start_ms, end_ms, text }
    };
    let (mut candidates, mut all_words) = (Candidates::of(&speech.activity), Vec::new());
    for Span { start_ms, end_ms, text, logs, words } in segments(heard, (length * 1000 / RATE) as i64) {
        // Without probabilities there is no evidence either way.
        let logprob = logs.iter().sum::<f32>() / logs.len().max(1) as f32;
        candidates.push(samples(start_ms)..samples(end_ms), &text, logprob, None);
        // One without text was left out.
        if candidates.list.len() > all_words.len() {
            all_words.push(words.into_iter().map(word).collect());
        }
    }
    if candidates.list.is_empty() {
        candidates.push(0..length, &heard.text, 0.0, None);
    }
    all_words.resize(candidates.list.len(), Vec::new());
    (candidates.list, all_words)
}

/// Sentences made of the words of a model that tells them, or of its tokens; otherwise its own
/// segments.
fn segments(heard: &Heard, length_ms: i64) -> Vec<Span> {
    let words = match &heard.words[..] {
        [] => words_of_tokens(&heard.tokens, length_ms),
        words => words.iter().map(|word| span(word, &heard.tokens)).collect(),
    };
    // What does not make up the text is of no use: the text is what counts.
    let is_whole = squeezed(words.iter().map(|word| &*word.text)) == squeezed([&*heard.text]);
    if words.is_empty() || !is_whole {
        return heard.segments.iter().map(|segment| span(segment, &heard.tokens)).collect();
    }
    sentences(words)
}

/// A piece, with the probabilities of the tokens that begin within it.
fn span(piece: &Piece, tokens: &[Piece]) -> Span {
    let within = tokens.iter().filter(|token| (piece.start_ms..piece.end_ms).contains(&token.start_ms));
    let logs = within.filter_map(|token| token.probability).map(f32::ln).collect();
    let text = piece.text.trim().to_owned();
    Span { start_ms: piece.start_ms, end_ms: piece.end_ms, text, logs, words: Vec::new() }
}

/// Joins tokens to words: a token that begins with a space, or the sign for one, begins a word. A
/// token has a moment and no length, so a word lasts until the next one begins: the guard looks at
/// the voice within its times.
fn words_of_tokens(tokens: &[Piece], length_ms: i64) -> Vec<Span> {
    let mut words: Vec<Span> = Vec::new();
    for token in tokens {
        let text = token.text.trim_start_matches([WORD, ' ']);
        let begins = text.len() < token.text.len();
        if begins || words.is_empty() {
            words.push(Span { start_ms: token.start_ms, ..Span::default() });
        }
        let Some(word) = words.last_mut() else { continue };
        word.text.push_str(text);
        word.logs.extend(token.probability.map(f32::ln));
    }
    words.retain(|word| !word.text.is_empty());
    let mut end_ms = length_ms;
    for word in words.iter_mut().rev() {
        word.end_ms = end_ms.max(word.start_ms);
        end_ms = word.start_ms;
    }
    words
}

/// Joins words to sentences.
fn sentences(words: Vec<Span>) -> Vec<Span> {
    let (mut sentences, mut sentence) = (Vec::new(), Span::default());
    for word in words {
        if sentence.text.is_empty() {
            sentence.start_ms = word.start_ms;
        } else {
            sentence.text.push(' ');
        }
        let ends = word.text.ends_with(['.', '?', '!', '…']);
        sentence.text.push_str(&word.text);
        sentence.end_ms = word.end_ms;
        sentence.logs.extend(word.logs);
        let text = without_punctuation(&word.text);
        if !text.is_empty() {
            sentence.words.push((word.start_ms..word.end_ms, text.to_owned()));
        }
        if ends {
            sentences.push(mem::take(&mut sentence));
        }
    }
    if !sentence.text.is_empty() {
        sentences.push(sentence);
    }
    sentences
}

/// The letters and signs, without spaces.
fn squeezed<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().flat_map(str::chars).filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start_ms: i64, end_ms: i64, text: &str, probability: Option<f32>) -> Piece {
        Piece { start_ms, end_ms, text: text.to_owned(), probability }
    }

    /// Tokens of 40 ms, one after another.
    fn tokens(texts: &[&str], probability: Option<f32>) -> Vec<Piece> {
        let at = |n: usize| n as i64 * 40;
        texts.iter().enumerate().map(|(n, text)| piece(at(n), at(n + 1), text, probability)).collect()
    }

    fn told(heard: &Heard) -> Vec<(i64, i64, String)> {
        segments(heard, 9000).into_iter().map(|span| (span.start_ms, span.end_ms, span.text)).collect()
    }

    #[test]
    fn sentences_are_made_of_the_tokens_of_gigaam() {
        let tokens = tokens(&["▁При", "вет", ".", "▁Как", "▁де", "ла", "?", "▁Да"], None);
        let heard =
            Heard { text: "Привет. Как дела? Да".to_owned(), tokens, ..Heard::default() };
        let expected = [(0, 120, "Привет."), (120, 280, "Как дела?"), (280, 9000, "Да")];
        assert_eq!(told(&heard), expected.map(|(start, end, text)| (start, end, text.to_owned())));
        let sentences = segments(&heard, 9000);
        assert!(sentences.iter().all(|span| span.logs.is_empty()), "it tells no probabilities");
        let words: Vec<_> = sentences.into_iter().flat_map(|span| span.words).collect();
        let expected = [(0..120, "Привет"), (120..160, "Как"), (160..280, "дела"), (280..9000, "Да")];
        assert_eq!(words, expected.map(|(said, text)| (said, text.to_owned())));
    }

    #[test]
    fn letters_with_spaces_between_them_are_words_too() {
        let tokens = tokens(&["д", "а", " ", "н", "е", "т"], None);
        let heard = Heard { text: "да нет".to_owned(), tokens, ..Heard::default() };
        assert_eq!(told(&heard), [(0, 9000, "да нет".to_owned())]);
    }

    #[test]
    fn sentences_are_made_of_the_words_of_parakeet_with_their_probabilities() {
        let tokens = tokens(&["▁One", ".", "▁Two"], Some(0.5));
        let words = vec![piece(0, 80, "One.", None), piece(80, 120, "Two", None)];
        let heard = Heard { text: "One. Two".to_owned(), words, tokens, ..Heard::default() };
        let spans = segments(&heard, 9000);
        assert_eq!(spans.iter().map(|span| span.logs.len()).collect::<Vec<_>>(), [2, 1]);
        assert!(spans.iter().flat_map(|span| &span.logs).all(|log| (log + 0.693).abs() < 0.001));
    }

    #[test]
    fn pieces_that_do_not_make_up_the_text_are_left_out() {
        let tokens = tokens(&["<0xD0>", "<0x94>", "▁а"], None);
        let whole = vec![piece(0, 900, " Да", None)];
        let heard = Heard { text: "Да".to_owned(), tokens, segments: whole, ..Heard::default() };
        assert_eq!(told(&heard), [(0, 900, "Да".to_owned())]);
    }
}
