//! Where two texts differ, word by word.

/// How many words are shown on either side of a difference.
const AROUND: usize = 3;

/// A word that is in both texts or in one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word<'a> {
    Both(&'a str),
    Left(&'a str),
    Right(&'a str),
}

/// The differences as `git diff --word-diff` marks them, `one [-two-] {+too+} three`, with a few
/// words around each. `None` if there are none.
pub fn differences(left: &str, right: &str) -> Option<String> {
    let words = align(left, right);
    let differs = |word: &Word| !matches!(word, Word::Both(_));
    words.iter().find(|word| differs(word))?;
    let shown = |at: usize| {
        let near = at.saturating_sub(AROUND)..(at + AROUND + 1).min(words.len());
        words[near].iter().any(differs)
    };
    let mut parts: Vec<String> = Vec::new();
    let mut begin = 0;
    while begin < words.len() {
        let left_out = !shown(begin);
        let alike = |at: &usize| {
            shown(*at) != left_out
                && std::mem::discriminant(&words[*at]) == std::mem::discriminant(&words[begin])
        };
        let end = (begin..words.len()).take_while(alike).last().map_or(begin + 1, |last| last + 1);
        if left_out {
            if parts.last().is_none_or(|last| last != "…") {
                parts.push("…".to_owned());
            }
        } else {
            let text = words[begin..end].iter().map(|word| word.text()).collect::<Vec<_>>().join(" ");
            parts.push(match words[begin] {
                Word::Both(_) => text,
                Word::Left(_) => format!("[-{text}-]"),
                Word::Right(_) => format!("{{+{text}+}}"),
            });
        }
        begin = end;
    }
    Some(parts.join(" "))
}

impl<'a> Word<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Both(text) | Self::Left(text) | Self::Right(text) => text,
        }
    }
}

/// Aligns the texts by their longest common subsequence. Removed words come before added ones.
fn align<'a>(left: &'a str, right: &'a str) -> Vec<Word<'a>> {
    let (left, right): (Vec<_>, Vec<_>) =
        (left.split_whitespace().collect(), right.split_whitespace().collect());
    // How many words the texts have in common from these positions on.
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = if left[i] == right[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut words) = (0, 0, Vec::new());
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i] == right[j] {
            words.push(Word::Both(left[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            words.push(Word::Left(left[i]));
            i += 1;
        } else {
            words.push(Word::Right(right[j]));
            j += 1;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_differences() {
        assert_eq!(differences("", ""), None);
        assert_eq!(differences("one  two", "one two"), None);
    }

    #[test]
    fn differences_are_shown_with_a_few_words_around_them() {
        for (left, right, shown) in [
            ("", "one two", "{+one two+}"),
            ("one two", "", "[-one two-]"),
            ("one two three", "one too three", "one [-two-] {+too+} three"),
            ("a b c d e f g h", "a b c d x f g h", "… b c d [-e-] {+x+} f g h"),
            ("x 1 2 3 4 5 6 7 8 y", "1 2 3 4 5 6 7 8", "[-x-] 1 2 3 … 6 7 8 [-y-]"),
            ("x 1 2 3 4 y", "1 2 3 4", "[-x-] 1 2 3 4 [-y-]"),
            ("да нет", "да да нет", "да {+да+} нет"),
        ] {
            assert_eq!(differences(left, right).as_deref(), Some(shown), "{left:?} {right:?}");
        }
    }
}
