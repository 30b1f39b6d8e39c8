//! Drops hallucinations: text that nobody said. On noise, music and silence Whisper writes what its
//! training data, subtitles from the web, had there.
//!
//! Text that cannot have been said is dropped in any case: `[Music]`, and text without voice. Known
//! phrases and repetitions are dropped only if the evidence for them is weak, because people do say
//! "thank you" and "no, no, no".

use tracing::debug;

use super::phrases::{is_known, words};
use super::repetition;
use crate::domain::Segment;

/// Whisper's own limit: a window with a higher probability may be silence.
const NO_SPEECH: f32 = 0.6;
/// Whisper's own limit: text with a lower average log probability was guessed.
const LOGPROB: f32 = -1.0;
/// Nobody speaks faster than 33 letters a second; fast speech has 20.
const MS_PER_LETTER: usize = 30;

/// The evidence that a segment was said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence {
    /// The probability, 0 to 1, that there is no speech in the segment's window. None if unknown.
    pub no_speech: Option<f32>,
    /// The average log probability of its tokens.
    pub logprob: f32,
    /// Milliseconds of voice within its times. None if voice activity is not detected.
    pub voiced_ms: Option<usize>,
}

impl Evidence {
    /// Whether these words may not have been said.
    pub(super) fn is_weak(&self, words: &[String]) -> bool {
        let letters: usize = words.iter().map(|word| word.chars().count()).sum();
        self.no_speech.is_some_and(|no_speech| no_speech > NO_SPEECH)
            || self.logprob < LOGPROB
            || self.voiced_ms.is_some_and(|voiced| voiced < letters * MS_PER_LETTER)
    }
}

/// A segment as Whisper gave it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub segment: Segment,
    pub evidence: Evidence,
}

/// Why a text is taken for a hallucination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hallucination {
    /// It contains no words: `[Music]`, `*applause*`, `♪`.
    NoWords,
    /// Nobody speaks within its times.
    NoVoice,
    /// It is in the lists of known hallucinations.
    KnownPhrase,
    /// It repeats the segment before it, in a row of repetitions.
    RepeatedSegment,
    /// It repeats its own words.
    RepeatedWords,
}

impl Hallucination {
    const fn name(self) -> &'static str {
        match self {
            Self::NoWords => "no_words",
            Self::NoVoice => "no_voice",
            Self::KnownPhrase => "known_phrase",
            Self::RepeatedSegment => "repeated_segment",
            Self::RepeatedWords => "repeated_words",
        }
    }
}

/// The names of all reasons for which text is dropped.
pub const DROP_REASONS: [&str; 5] = [
    Hallucination::NoWords.name(),
    Hallucination::NoVoice.name(),
    Hallucination::KnownPhrase.name(),
    Hallucination::RepeatedSegment.name(),
    Hallucination::RepeatedWords.name(),
];

/// The segments that are kept, in order.
pub(crate) struct Guarded {
    pub kept: Vec<Segment>,
    /// For each segment that was dropped or shortened, the reason's name.
    pub dropped: Vec<&'static str>,
}

/// Drops hallucinations. The reason for each is logged at debug level, without the text.
pub(crate) fn guard(candidates: &[Candidate]) -> Guarded {
    let (mut kept, mut dropped) = (Vec::with_capacity(candidates.len()), Vec::new());
    let same = |a: &Candidate, b: &Candidate| words(&a.segment.text) == words(&b.segment.text);
    for run in candidates.chunk_by(same) {
        for (n, Candidate { segment, evidence }) in run.iter().enumerate() {
            // The first of a row of repetitions is kept.
            let times = if n == 0 { 1 } else { run.len() };
            let (why, rest) = judge(&segment.text, evidence, times);
            if let Some(why) = why {
                let (start_ms, end_ms) = (segment.start_ms, segment.end_ms);
                debug!(?why, start_ms, end_ms, ?evidence, "text taken for a hallucination");
                dropped.push(why.name());
            }
            kept.extend(rest.map(|text| Segment { text, ..*segment }));
        }
    }
    Guarded { kept, dropped }
}

/// Why some or all of the text is dropped, and what is left of it. It came `times` times in a row.
fn judge(text: &str, evidence: &Evidence, times: usize) -> (Option<Hallucination>, Option<String>) {
    let words = words(text);
    let weak = evidence.is_weak(&words);
    let hallucination = if is_annotation(text) {
        Hallucination::NoWords
    } else if evidence.voiced_ms == Some(0) {
        Hallucination::NoVoice
    } else if weak && is_known(&words) {
        Hallucination::KnownPhrase
    } else if repetition::is_implausible(times, weak) {
        Hallucination::RepeatedSegment
    } else {
        return match repetition::collapse(text, |repeated| evidence.is_weak(repeated)) {
            Some(rest) => (Some(Hallucination::RepeatedWords), Some(rest)),
            None => (None, Some(text.to_owned())),
        };
    };
    (Some(hallucination), None)
}

/// Whether all words are in brackets or between asterisks. Words between notes do not count as
/// annotations: they are the words of a song, which may have been sung.
fn is_annotation(text: &str) -> bool {
    const PAIRS: [(char, char); 6] =
        [('[', ']'), ('(', ')'), ('{', '}'), ('【', '】'), ('（', '）'), ('*', '*')];
    let mut closing = None;
    for c in text.chars() {
        match closing {
            Some(expected) if c == expected => closing = None,
            Some(_) => {}
            None if c.is_alphanumeric() => return false,
            None => closing = PAIRS.iter().find(|(open, _)| *open == c).map(|&(_, close)| close),
        }
    }
    // If a bracket was not closed, its words may have been said.
    closing.is_none()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    const STRONG: Evidence = Evidence { no_speech: Some(0.01), logprob: -0.2, voiced_ms: Some(4000) };
    const SILENT: Evidence = Evidence { no_speech: Some(0.9), ..STRONG };
    const GUESSED: Evidence = Evidence { logprob: -1.3, ..STRONG };
    const BLIP: Evidence = Evidence { voiced_ms: Some(128), ..STRONG };

    const fn voiced(ms: usize) -> Evidence {
        Evidence { voiced_ms: Some(ms), ..STRONG }
    }

    /// Held by one test at a time. If a thread without a subscriber reaches a log line first,
    /// tracing switches the line off for all threads.
    static ALONE: Mutex<()> = Mutex::new(());

    fn candidates(texts: &[(&str, Evidence)]) -> Vec<Candidate> {
        let segment = |text: &str| Segment { start_ms: 0, end_ms: 1000, text: text.into() };
        texts.iter().map(|&(text, evidence)| Candidate { segment: segment(text), evidence }).collect()
    }

    /// What is left of these texts, and the reasons for which others were dropped.
    fn guarded(texts: &[(&str, Evidence)]) -> (Vec<String>, Vec<&'static str>) {
        let _alone = ALONE.lock();
        let Guarded { kept, dropped } = guard(&candidates(texts));
        (kept.into_iter().map(|segment| segment.text).collect(), dropped)
    }

    fn left(texts: &[(&str, Evidence)]) -> Vec<String> {
        guarded(texts).0
    }

    #[track_caller]
    fn drops(text: &str, evidence: Evidence) {
        assert!(left(&[(text, evidence)]).is_empty(), "{text:?} stays with {evidence:?}");
    }

    #[track_caller]
    fn keeps(text: &str, evidence: Evidence) {
        assert_eq!(left(&[(text, evidence)]), [text], "{evidence:?}");
    }

    #[test]
    fn each_drop_has_its_reason() {
        let noes = "no, ".repeat(30);
        let mut texts = vec![
            ("[Music]", STRONG),
            ("We meet at seven.", voiced(0)),
            ("Thank you.", SILENT),
            ("We meet at eight.", STRONG),
            (&noes, STRONG),
        ];
        texts.extend([("We meet at nine.", STRONG); 10]);
        let mut told = guarded(&texts).1;
        assert_eq!(told.split_off(4), ["repeated_segment"; 9]);
        assert_eq!(told, ["no_words", "no_voice", "known_phrase", "repeated_words"]);
    }

    #[test]
    fn known_phrases_are_dropped_only_with_weak_evidence() {
        for text in
            ["Thanks for watching!", "Thank you.", "Продолжение следует...", "Субтитры сделал DimaTorzok"]
        {
            keeps(text, STRONG);
            keeps(text, Evidence { voiced_ms: None, ..STRONG });
            for weak in [SILENT, GUESSED, BLIP, Evidence { voiced_ms: None, ..GUESSED }] {
                drops(text, weak);
            }
        }
        // Said fast, but there is enough voice.
        keeps("Thanks for watching!", voiced(700));
        keeps("You?", voiced(128));
    }

    #[test]
    fn weak_evidence_alone_drops_nothing() {
        for text in ["We meet at seven.", "Thank you for the flowers.", "да", "no no"] {
            for weak in [SILENT, GUESSED, BLIP, Evidence { voiced_ms: None, ..SILENT }] {
                keeps(text, weak);
            }
            drops(text, voiced(0));
        }
    }

    #[test]
    fn text_without_words_is_dropped() {
        for text in [
            "[Music]",
            "(applause)",
            "*music*",
            "♪",
            "♪♪ (la la) ♪",
            "[BLANK_AUDIO]",
            "[музыка] (смех)",
            "（笑）",
            "...",
            "- [Laughter].",
        ] {
            drops(text, STRONG);
        }
        for text in ["[Music] hello", "(he said) so", "3", "(oh, wait", "5 * 3", "да", "[так", "♪ la la ♪"]
        {
            keeps(text, STRONG);
        }
    }

    #[test]
    fn repeated_segments_are_kept_once_if_the_evidence_is_weak() {
        let text = "I don't know.";
        assert_eq!(left(&[(text, STRONG); 3]), [text; 3], "said three times");
        assert_eq!(left(&[(text, GUESSED); 2]), [text; 2]);
        assert_eq!(left(&[(text, GUESSED); 3]), [text]);
        assert_eq!(left(&[(text, STRONG), (text, STRONG), (text, GUESSED)]), [text; 2]);
        assert_eq!(left(&[(text, STRONG); 40]), [text], "nobody says that forty times");
        let between = [(text, GUESSED), (text, GUESSED), ("Yes.", GUESSED), (text, GUESSED)];
        assert_eq!(left(&between).len(), 4, "not in a row");
    }

    #[test]
    fn repeated_words_are_kept_once_if_the_evidence_is_weak() {
        keeps("No, no, no!", STRONG);
        keeps("eight eight eight eight", voiced(1500));
        assert_eq!(left(&[("No, no, no!", GUESSED)]), ["No,"]);
        assert_eq!(left(&[("so we go we go we go home", BLIP)]), ["so we go home"]);
    }

    #[test]
    fn drops_are_explained_without_the_text() {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        let texts = [("Thank you.", GUESSED), ("so we go we go we go", BLIP), ("A secret.", STRONG)];
        let _alone = ALONE.lock();
        tracing::subscriber::with_default(subscriber, || guard(&candidates(&texts)));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.contains("KnownPhrase") && log.contains("RepeatedWords"), "{log}");
        for word in ["Thank", "we go", "secret"] {
            assert!(!log.contains(word), "{log}");
        }
    }
}
