//! Repetitions: a decoder that is stuck in a loop writes the same words again and again.

use super::phrases::{word, words};

/// From this many times in a row on, words may come from a loop of the decoder. Fewer may be a
/// stutter.
const REPEATED: usize = 3;
/// Nobody says the same words this many times in a row, whatever the evidence.
const IMPLAUSIBLE: usize = 10;
/// The longest repeated phrase that is detected, in words.
const LONGEST_PHRASE: usize = 12;

/// Whether nobody can have said the same words `times` times in a row. `weak`: the evidence for
/// them is weak.
pub(crate) fn is_implausible(times: usize, weak: bool) -> bool {
    times >= IMPLAUSIBLE || (weak && times >= REPEATED)
}

/// The `text` with each implausible repetition written once. None if there is none. `is_weak`
/// judges the evidence for all of the repeated words together.
pub(crate) fn collapse(text: &str, is_weak: impl Fn(&[String]) -> bool) -> Option<String> {
    let spelt: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = spelt.iter().map(|spelt| word(spelt)).collect();
    let mut kept = Vec::with_capacity(spelt.len());
    let mut at = 0;
    while at < spelt.len() {
        let (length, times) = repeated(&plain[at..]);
        let all = at..at + length * times;
        if is_implausible(times, is_weak(&words(&spelt[all.clone()].join(" ")))) {
            kept.extend(&spelt[at..at + length]);
            at = all.end;
        } else {
            kept.push(spelt[at]);
            at += 1;
        }
    }
    (kept.len() < spelt.len()).then(|| kept.join(" "))
}

/// The phrase at the beginning of `words` whose repetitions cover most of them: its length, and how
/// many times in a row it occurs.
fn repeated(words: &[String]) -> (usize, usize) {
    let times = |length: usize| {
        let phrase = &words[..length];
        words.chunks_exact(length).take_while(|chunk| *chunk == phrase).count()
    };
    let lengths = 1..=LONGEST_PHRASE.min(words.len());
    let phrases = lengths.map(|length| (length, times(length))).filter(|&(_, times)| times >= REPEATED);
    // If several cover the same number of words, the shortest is taken.
    phrases.rev().max_by_key(|(length, times)| length * times).unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(text: &str) -> String {
        collapse(text, |_| true).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn repeated_words_and_phrases_are_written_once() {
        for (text, expected) in [
            ("", ""),
            ("no no", "no no"),
            ("no No, NO!", "no"),
            ("well no no no way", "well no way"),
            ("я не знаю я не знаю я не знаю", "я не знаю"),
            ("a b a b a b a", "a b a"),
            ("one two two two three three three", "one two three"),
            ("no no no no no no", "no"),
            ("yes yes no yes yes no yes yes no", "yes yes no"),
        ] {
            assert_eq!(weak(text), expected, "{text:?}");
        }
    }

    #[test]
    fn with_good_evidence_only_impossible_repetitions_are_collapsed() {
        let good = |text: &str| collapse(text, |_| false);
        assert_eq!(good("eight eight eight nine"), None);
        assert_eq!(good(&"no ".repeat(9)), None);
        assert_eq!(good(&"no ".repeat(10)).as_deref(), Some("no"));
        assert_eq!(good(&"la la lu ".repeat(60)).as_deref(), Some("la la lu"));
    }

    #[test]
    fn the_evidence_is_judged_for_the_repeated_words() {
        let of_three_letters = |words: &[String]| words.concat().chars().count() == 3;
        assert_eq!(collapse("x x x y yy yy yy", of_three_letters).as_deref(), Some("x y yy yy yy"));
    }

    #[test]
    fn the_longest_text_takes_no_time() {
        let text = "a b ".repeat(20_000) + &"c d e ".repeat(20_000);
        assert_eq!(weak(&text), "a b c d e");
        let all_different: String = (0..50_000).map(|n| format!("{n} ")).collect();
        assert_eq!(collapse(&all_different, |_| true), None);
    }
}
