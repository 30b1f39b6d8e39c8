//! A language model that has lost the thread says the same again and again.

use super::phrases::{word, words};

/// Times in a row from which on it is a repetition; Whisper's decoder loops, people stutter.
const REPEATED: usize = 3;
/// Times in a row that nobody says anything, whatever speaks for it.
const TOO_MUCH: usize = 10;
/// The longest phrase that is looked for, in words.
const LONGEST_PHRASE: usize = 12;

/// Whether what has now come so many times in a row was not said again.
pub(crate) fn is_too_much(times: usize, weak: bool) -> bool {
    times >= TOO_MUCH || (weak && times >= REPEATED)
}

/// `text` with what it repeats said once, where that is too much. None where it repeats nothing, or
/// may: `is_weak` judges the repeated words, all times together.
pub(crate) fn collapse(text: &str, is_weak: impl Fn(&[String]) -> bool) -> Option<String> {
    let spelt: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = spelt.iter().map(|spelt| word(spelt)).collect();
    let mut kept = Vec::with_capacity(spelt.len());
    let mut at = 0;
    while at < spelt.len() {
        let (length, times) = repeated(&plain[at..]);
        let all = at..at + length * times;
        if is_too_much(times, is_weak(&words(&spelt[all.clone()].join(" ")))) {
            kept.extend(&spelt[at..at + length]);
            at = all.end;
        } else {
            kept.push(spelt[at]);
            at += 1;
        }
    }
    (kept.len() < spelt.len()).then(|| kept.join(" "))
}

/// The phrase at the beginning of `words` that takes most of them by repetition: its length, and
/// how many times in a row it is there.
fn repeated(words: &[String]) -> (usize, usize) {
    let times = |length: usize| {
        let phrase = &words[..length];
        words.chunks_exact(length).take_while(|chunk| *chunk == phrase).count()
    };
    let lengths = 1..=LONGEST_PHRASE.min(words.len());
    let phrases = lengths.map(|length| (length, times(length))).filter(|&(_, times)| times >= REPEATED);
    // Of those that take as many, the shortest.
    phrases.rev().max_by_key(|(length, times)| length * times).unwrap_or((1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weak(text: &str) -> String {
        collapse(text, |_| true).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn words_and_phrases_are_said_once() {
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
    fn with_good_evidence_only_what_nobody_says_is_collapsed() {
        let good = |text: &str| collapse(text, |_| false);
        assert_eq!(good("eight eight eight nine"), None);
        assert_eq!(good(&"no ".repeat(9)), None);
        assert_eq!(good(&"no ".repeat(10)).as_deref(), Some("no"));
        assert_eq!(good(&"la la lu ".repeat(60)).as_deref(), Some("la la lu"));
    }

    #[test]
    fn evidence_is_asked_for_what_repeats() {
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
