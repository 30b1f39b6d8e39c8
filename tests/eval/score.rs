//! How far a text that was heard is from the one that was said.

/// The words alone: lower case, `ё` as `е`, what is neither letter, digit nor apostrophe left out. Numbers stay as they
/// are written, so `2` is not `two`.
pub fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace('ё', "е").replace('’', "'");
    let inside = |c: char| c.is_alphanumeric() || c == '\'';
    let words = plain.split(|c: char| !inside(c)).map(|word| word.trim_matches('\''));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Insertions, deletions and substitutions that make one of the other (Levenshtein).
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

/// What is known of a clip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// None where nobody has written it down; empty where nobody speaks.
    pub text: Option<String>,
    /// By code.
    pub language: Option<String>,
}

/// What was made of it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    pub text: String,
    pub language: Option<String>,
    /// Length of the clip, in seconds.
    pub seconds: f64,
    /// What its recognition took, in seconds.
    pub took: f64,
}

/// Sums over clips.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Tally {
    /// Clips with a text.
    pub texts: usize,
    /// Of those, word for word right.
    pub exact: usize,
    pub words: usize,
    pub word_edits: usize,
    pub characters: usize,
    pub character_edits: usize,
    /// Clips where nobody speaks.
    pub silent: usize,
    /// Of those, with a text.
    pub false_texts: usize,
    /// Clips in a known language.
    pub languages: usize,
    /// Of those, heard in it.
    pub languages_right: usize,
    pub seconds: f64,
    pub took: f64,
}

impl Tally {
    /// Whether the clip is right: its words, its language, its silence, as far as they are known.
    pub fn add(&mut self, said: &Said, heard: &Heard) -> bool {
        let mut right = true;
        self.seconds += heard.seconds;
        self.took += heard.took;
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

    /// Exact matches in percent.
    pub fn exact_percent(&self) -> f64 {
        percent(self.exact, self.texts)
    }
}

pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// A line each of clips of a kind, below [`HEAD`].
pub const HEAD: &str =
    "                            clips    exact      WER      CER  false text  language  time ratio";

/// What cannot be told is a dash.
pub fn line(name: &str, tally: &Tally) -> String {
    let share = |part, whole, width: usize| match whole {
        0 => format!("{:>width$}", "-"),
        _ => format!("{:>width$}", format!("{:.1} %", percent(part, whole))),
    };
    let false_texts = match tally.silent {
        0 => "-".to_owned(),
        silent => format!("{} of {silent}", tally.false_texts),
    };
    let clips = (tally.texts + tally.silent).max(tally.languages);
    format!(
        "{name:26} {clips:>6} {} {} {} {false_texts:>11} {} {:>11.3}",
        share(tally.exact, tally.texts, 8),
        share(tally.word_edits, tally.words, 8),
        share(tally.character_edits, tally.characters, 8),
        share(tally.languages_right, tally.languages, 9),
        tally.took / tally.seconds.max(f64::MIN_POSITIVE),
    )
}
