//! How far a recognised text is from what was said: word error rate, character error rate, and the
//! mistakes in language and silence.

use serde::Serialize;

/// The words of a text as they are compared: in lower case, `ё` as `е`, without anything but
/// letters, digits and apostrophes. Numbers stay as they are written, so `2` is not `two`.
pub fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace('ё', "е").replace('’', "'");
    let inside = |c: char| c.is_alphanumeric() || c == '\'';
    let words = plain.split(|c: char| !inside(c)).map(|word| word.trim_matches('\''));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The fewest insertions, deletions and substitutions that make `other` of `one` (Levenshtein).
pub fn edits<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let cheapest = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cheapest);
        }
    }
    row[other.len()]
}

/// What is known of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// None if nobody has written it down; empty if nobody speaks.
    pub text: Option<String>,
    /// The code of the language.
    pub language: Option<String>,
}

/// What was recognised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    pub text: String,
    /// The code of the language. None if there is no text, or if the recogniser does not say.
    pub language: Option<String>,
    /// The length of the recording, in seconds.
    pub seconds: f64,
    /// The time that its recognition took, in seconds; 0 if it is not known.
    pub took: f64,
    /// The CPU time that it took, in seconds; 0 if it is not known.
    pub cpu: f64,
}

/// Sums over recordings.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Recordings in which somebody speaks, with a known text.
    pub texts: usize,
    /// Those of them whose words are all right.
    pub exact: usize,
    /// Those of them without any recognised text.
    pub unanswered: usize,
    /// The words that were said.
    pub words: usize,
    pub word_edits: usize,
    pub characters: usize,
    pub character_edits: usize,
    /// Recordings in which nobody speaks.
    pub silent: usize,
    /// Those of them with a recognised text.
    pub false_texts: usize,
    /// Recordings in a known language.
    pub languages: usize,
    /// Those of them that were recognised in it. One without a recognised text counts as wrong.
    pub languages_right: usize,
    /// The length of all recordings, in seconds.
    pub seconds: f64,
    /// The time that recognition took, in seconds.
    pub took: f64,
    /// The CPU time that recognition took, in seconds.
    pub cpu: f64,
}

impl Tally {
    /// Adds a recording. Returns whether it is right: its words, language and silence, as far as
    /// they are known.
    pub fn add(&mut self, said: &Said, heard: &Heard) -> bool {
        let mut right = true;
        self.seconds += heard.seconds;
        self.took += heard.took;
        self.cpu += heard.cpu;
        let got = words(&heard.text);
        match said.text.as_deref().map(words) {
            Some(wanted) if wanted.is_empty() => {
                self.silent += 1;
                self.false_texts += usize::from(!got.is_empty());
                right &= got.is_empty();
            }
            Some(wanted) => {
                let letters = |words: &[String]| words.join(" ").chars().collect::<Vec<_>>();
                let (wanted_letters, got_letters) = (letters(&wanted), letters(&got));
                self.texts += 1;
                self.exact += usize::from(wanted == got);
                self.unanswered += usize::from(got.is_empty());
                self.words += wanted.len();
                self.word_edits += edits(&wanted, &got);
                self.characters += wanted_letters.len();
                self.character_edits += edits(&wanted_letters, &got_letters);
                right &= wanted == got;
            }
            None => {}
        }
        if let Some(language) = &said.language {
            let is_it = heard.language.as_ref() == Some(language);
            self.languages += 1;
            self.languages_right += usize::from(is_it);
            right &= is_it;
        }
        right
    }

    /// The recordings.
    pub fn clips(&self) -> usize {
        (self.texts + self.silent).max(self.languages)
    }

    /// The word error rate in percent. None without a word.
    pub fn wer(&self) -> Option<f64> {
        (self.words > 0).then(|| percent(self.word_edits, self.words))
    }

    /// The character error rate in percent. None without a character.
    pub fn cer(&self) -> Option<f64> {
        (self.characters > 0).then(|| percent(self.character_edits, self.characters))
    }

    /// Seconds of work for a second of a recording. None if the time is not known.
    pub fn real_time_factor(&self) -> Option<f64> {
        (self.took > 0.0 && self.seconds > 0.0).then(|| self.took / self.seconds)
    }
}

/// `part` of `whole` in percent; 0 if there is no whole.
pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
