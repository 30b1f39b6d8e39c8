//! `stenogram explain`: why a problem arises, and what to do about it.

use std::collections::BTreeSet;
use std::io::Write;

use super::CommandError;
use crate::runtime::deployment::typed;
use crate::runtime::logging;
use crate::runtime::problem::{self, Problem};
use crate::{config, doctor, health, queue, serve, speech, summary, telegram};

/// The problems by subject.
fn subjects() -> [(&'static str, Vec<&'static Problem>); 5] {
    let machine = [
        problem::PROBLEMS,
        doctor::problems::PROBLEMS,
        health::server::PROBLEMS,
        serve::PROBLEMS,
        logging::PROBLEMS,
    ];
    [
        ("Configuration", config::PROBLEMS.to_vec()),
        ("Telegram and the account", telegram::problems::PROBLEMS.to_vec()),
        ("Queue and Redis", queue::problems::PROBLEMS.to_vec()),
        ("Models, recognition and summaries", [speech::problems::PROBLEMS, summary::PROBLEMS].concat()),
        ("This machine and the daemon", machine.concat()),
    ]
}

/// At most so many problems are shown for a search.
const MATCHES: usize = 3;
/// A problem is shown only if its score is at least this share of the best one's.
const CLOSE: f64 = 0.6;

/// Lists all problems, or shows those that fit `words` best.
pub fn run(words: &[String], out: &mut impl Write) -> Result<(), CommandError> {
    if words.is_empty() {
        return Ok(list(out)?);
    }
    let text = words.join(" ");
    let found = search(&text);
    if found.is_empty() {
        return Err(CommandError::NotKnown(text));
    }
    for (number, problem) in found.into_iter().enumerate() {
        let separator = if number == 0 { "" } else { "\n" };
        let Problem { code, title, why, .. } = problem;
        writeln!(out, "{separator}{code}\n  {title}\n")?;
        writeln!(out, "  Why:         {why}\n  What to do:  {}.", problem.remedy())?;
    }
    Ok(())
}

fn list(out: &mut impl Write) -> std::io::Result<()> {
    for (subject, problems) in subjects() {
        writeln!(out, "{subject}")?;
        for Problem { code, title, .. } in problems {
            writeln!(out, "  {code:<30} {title}")?;
        }
        writeln!(out)?;
    }
    let one = typed("explain CODE");
    writeln!(out, "`{one}` says why one arises and what to do. Words or a line of the log do as well.")
}

/// The problems that fit `text` best, the best first: those whose code is in it, or else those that
/// have most of its words.
fn search(text: &str) -> Vec<&'static Problem> {
    let all: Vec<_> = subjects().into_iter().flat_map(|(_, problems)| problems).collect();
    let named = |problem: &&Problem| {
        let mut codes = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        codes.any(|word| word.eq_ignore_ascii_case(problem.code))
    };
    let named: Vec<_> = all.iter().copied().filter(named).collect();
    if !named.is_empty() {
        return named;
    }
    let asked = words_of(text);
    let pages: Vec<_> = all.iter().map(|problem| Page::of(problem)).collect();
    // The inverse document frequency: a word that few problems have says more than a common one.
    let weight = |word: &String| {
        let having = pages.iter().filter(|page| page.worth(word) > 0.0).count();
        (pages.len() as f64 / having.max(1) as f64).ln()
    };
    let asked: Vec<_> = asked.iter().map(|word| (word, weight(word))).collect();
    let score = |page: &Page| asked.iter().map(|(word, weight)| weight * page.worth(word)).sum::<f64>();
    let mut scored: Vec<_> = pages.iter().map(|page| (score(page), page.problem)).collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let fits = |(score, _): &(f64, _)| *score > 0.0 && *score >= best * CLOSE;
    scored.into_iter().filter(fits).map(|(_, problem)| problem).take(MATCHES).collect()
}

/// A problem as its words.
struct Page {
    problem: &'static Problem,
    /// Those of its code and title.
    head: BTreeSet<String>,
    rest: BTreeSet<String>,
}

impl Page {
    fn of(problem: &'static Problem) -> Self {
        let head = words_of(&format!("{} {}", problem.code, problem.title));
        let rest = words_of(&format!("{} {}", problem.why, problem.remedy));
        Self { problem, head, rest }
    }

    fn worth(&self, word: &str) -> f64 {
        match (self.head.contains(word), self.rest.contains(word)) {
            (true, _) => 2.0,
            (false, true) => 1.0,
            (false, false) => 0.0,
        }
    }
}

/// The words of a text without those that say nothing, and without numbers.
fn words_of(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_lowercase);
    let meaningful = |word: &String| {
        word.len() > 2 && !EMPTY_WORDS.contains(&word.as_str()) && !word.starts_with(|c: char| c.is_numeric())
    };
    words.filter(meaningful).collect()
}

const EMPTY_WORDS: &[&str] = &[
    "and",
    "another",
    "are",
    "bin",
    "but",
    "cannot",
    "can",
    "data",
    "does",
    "error",
    "file",
    "folder",
    "for",
    "from",
    "ggml",
    "has",
    "have",
    "info",
    "into",
    "its",
    "not",
    "one",
    "other",
    "run",
    "stenogram",
    "than",
    "that",
    "the",
    "them",
    "there",
    "this",
    "was",
    "what",
    "where",
    "which",
    "will",
    "with",
    "you",
    "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        search(text).iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn a_code_is_found_wherever_it_stands() {
        assert_eq!(codes("disk-full"), ["disk-full"]);
        assert_eq!(codes("warn: Queue not available; free space [disk-full] next"), ["disk-full"]);
        assert_eq!(codes("[flood-wait] [LOGGED-OUT]"), ["logged-out", "flood-wait"]);
    }

    #[test]
    fn words_lead_to_what_has_them_and_nonsense_to_nothing() {
        assert_eq!(codes("redis password")[0], "redis-password");
        assert_eq!(codes("PEER_FLOOD"), ["account-limited"]);
        assert_eq!(codes("qwertz 12345 the and"), [""; 0]);
    }

    #[test]
    fn codes_and_titles_are_there_once_and_every_problem_has_all_its_parts() {
        let all: Vec<_> = subjects().into_iter().flat_map(|(_, problems)| problems).collect();
        for get in [|problem: &Problem| problem.code, |problem: &Problem| problem.title] {
            assert_eq!(all.iter().map(|problem| get(problem)).collect::<BTreeSet<_>>().len(), all.len());
        }
        for Problem { code, title, why, remedy } in all {
            assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
            assert!(title.len() > 10 && why.ends_with('.') && remedy.len() > 20, "{code}");
            // It follows a semicolon, and a full stop follows it.
            assert!(!remedy.ends_with('.') && !remedy.starts_with(char::is_uppercase), "{code}");
        }
    }
}
