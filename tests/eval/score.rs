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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_what_is_not_said() {
        assert_eq!(
            words(" Ask not, what YOUR country’s “can” do — 2 "),
            ["ask", "not", "what", "your", "country's", "can", "do", "2"]
        );
        assert_eq!(words("Ёлка, ещё!"), ["елка", "еще"]);
        assert_eq!(words(" … "), [""; 0]);
    }

    #[test]
    fn edits_are_the_fewest() {
        for (one, other, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("abc", "bcd", 2),
            ("ab", "ba", 2),
        ] {
            assert_eq!(edits(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
            assert_eq!(edits(other.as_bytes(), one.as_bytes()), expected, "{other} {one}");
        }
    }

    #[test]
    fn every_kind_of_mistake_is_counted() {
        let said = |text: Option<&str>, language: Option<&str>| Said {
            text: text.map(str::to_owned),
            language: language.map(str::to_owned),
        };
        let heard = |text: &str, language: Option<&str>| Heard {
            text: text.to_owned(),
            language: language.map(str::to_owned),
            seconds: 2.0,
            took: 1.0,
        };
        let mut tally = Tally::default();
        assert!(tally.add(&said(Some("One two."), Some("en")), &heard("one, two", Some("en"))));
        assert!(!tally.add(&said(Some("one two"), Some("en")), &heard("one to", Some("en"))), "a word");
        assert!(
            !tally.add(&said(Some("one two"), Some("en")), &heard("one two", Some("ru"))),
            "the language"
        );
        assert!(!tally.add(&said(Some("one two"), None), &heard("", None)), "all of it");
        assert!(tally.add(&said(Some(""), None), &heard("", None)));
        assert!(!tally.add(&said(Some(""), None), &heard("Thanks", Some("en"))), "an invention");
        assert!(tally.add(&said(None, Some("ru")), &heard("что-то", Some("ru"))));
        assert_eq!((tally.texts, tally.exact, tally.words, tally.word_edits), (4, 2, 8, 3));
        assert_eq!((tally.characters, tally.character_edits), (28, 8));
        assert_eq!((tally.silent, tally.false_texts), (2, 1));
        assert_eq!((tally.languages, tally.languages_right), (4, 3));
        assert_eq!(
            line("all", &tally).split_whitespace().collect::<Vec<_>>().join(" "),
            "all 6 50.0 % 37.5 % 28.6 % 1 of 2 75.0 % 0.500"
        );
    }
}
