//! Notices where Whisper may have repeated the vocabulary that it was given, instead of writing
//! what was said.
//!
//! On noise, Whisper writes what its prompt leads it to expect. After a prompt it sometimes writes
//! a short sentence twice, too.

use tracing::debug;

use super::guard::Candidate;
use super::phrases::words;
use crate::domain::Vocabulary;

/// A text of so many terms, in the order of the vocabulary and with nothing else, is an echo
/// whatever the evidence for it.
const RECITED: usize = 3;

/// Whether a candidate has nothing but terms of the vocabulary, and may not have been said, or all
/// of the text comes twice. Without a vocabulary there is no echo.
pub(crate) fn has_echo(candidates: &[Candidate], vocabulary: &Vocabulary) -> bool {
    if vocabulary.terms().is_empty() {
        return false;
    }
    let all: Vec<String> = candidates.iter().flat_map(|candidate| words(&candidate.segment.text)).collect();
    if is_doubled(&all) {
        debug!("the text comes twice, which the vocabulary may have caused");
        return true;
    }
    let terms: Vec<Vec<String>> = vocabulary.terms().iter().map(|term| words(term)).collect();
    let echo = candidates.iter().find(|Candidate { segment, evidence }| {
        let said = words(&segment.text);
        is_recited(&said, &terms) || (evidence.is_weak(&said) && is_of(&said, &terms))
    });
    if let Some(Candidate { segment, evidence }) = echo {
        let (start_ms, end_ms) = (segment.start_ms, segment.end_ms);
        debug!(start_ms, end_ms, ?evidence, "text taken for an echo of the vocabulary");
    }
    echo.is_some()
}

/// Whether the second half of the words is the first one again, but for one word in four.
fn is_doubled(said: &[String]) -> bool {
    let (first, second) = said.split_at(said.len() / 2);
    let different = first.iter().zip(second).filter(|(one, other)| one != other).count();
    first.len() >= 3 && first.len() == second.len() && different <= first.len() / 4
}

/// Whether all of the words are of the vocabulary, in whatever order.
fn is_of(said: &[String], terms: &[Vec<String>]) -> bool {
    !said.is_empty() && said.iter().all(|word| terms.iter().any(|term| term.contains(word)))
}

/// Whether the words are terms that follow each other in the vocabulary, several of them; the last
/// one may be cut off.
fn is_recited(said: &[String], terms: &[Vec<String>]) -> bool {
    (0..terms.len()).any(|first| {
        let (mut rest, mut recited) = (said, 0);
        for term in &terms[first..] {
            if rest.is_empty() {
                break;
            }
            match rest.strip_prefix(term.as_slice()) {
                Some(others) => rest = others,
                None if term.starts_with(rest) => rest = &[],
                None => return false,
            }
            recited += 1;
        }
        rest.is_empty() && recited >= RECITED
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Segment;
    use crate::speech::hallucination::guard::Evidence;

    const STRONG: Evidence = Evidence { no_speech: Some(0.1), logprob: -0.1, voiced_ms: Some(20_000) };

    fn is_echo_of(vocabulary: &str, text: &str, evidence: Evidence) -> bool {
        let segment = Segment { start_ms: 0, end_ms: 1, text: text.into() };
        let vocabulary = vocabulary.parse().unwrap_or_default();
        has_echo(&[Candidate { segment, evidence }], &vocabulary)
    }

    fn is_echo(text: &str, evidence: Evidence) -> bool {
        is_echo_of("Анна Каренина, Kubernetes, Вронский, Lübeck", text, evidence)
    }

    #[test]
    fn names_alone_need_evidence() {
        let weak = [
            Evidence { no_speech: Some(0.9), ..STRONG },
            Evidence { logprob: -1.5, ..STRONG },
            Evidence { voiced_ms: Some(10), ..STRONG },
        ];
        for (text, echo) in
            [("Каренина.", true), ("Lübeck, Анна.", true), ("Вронский приехал в Lübeck.", false), ("", false)]
        {
            assert!(weak.iter().all(|weak| is_echo(text, *weak) == echo), "{text}");
            assert!(!is_echo(text, STRONG), "{text}");
            assert!(!is_echo(text, Evidence { voiced_ms: None, no_speech: None, ..STRONG }), "{text}");
            assert!(!is_echo_of("", text, weak[0]), "{text}");
        }
    }

    #[test]
    fn a_sentence_that_comes_twice_is_an_echo_too() {
        for (text, echo) in [
            ("Sunday is the best. Sunday is the best.", true),
            ("Locke the front door. Lock the front door.", true),
            ("Sunday is the best. Monday is a bad day.", false),
            ("Sunday is the best. Sunday is the best day.", false),
            ("No, no, no, no.", false),
            ("Lock the door. Shut the door.", false),
        ] {
            assert_eq!(is_echo(text, STRONG), echo, "{text}");
            assert!(!is_echo_of("", text, STRONG), "{text}");
        }
    }

    #[test]
    fn the_list_itself_is_an_echo_whatever_the_evidence() {
        for echo in [
            "Анна Каренина, Kubernetes, Вронский.",
            "Kubernetes, Вронский, Lübeck",
            "Kubernetes. Вронский.",
            "Анна Каренина, Kubernetes, Вронский, Lübeck.",
        ] {
            let terms = echo.split_terminator(['.', ',']).count();
            assert_eq!(is_echo(echo, STRONG), terms >= RECITED, "{echo}");
        }
        assert!(is_echo_of("a, b, c d", "a b c", STRONG), "the last one may be cut off");
        for said in ["Анна Каренина, Вронский, Kubernetes.", "Kubernetes, Вронский, Lübeck и Анна"]
        {
            assert!(!is_echo(said, STRONG), "{said}");
        }
    }
}
