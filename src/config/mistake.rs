//! What is wrong with a configuration, said so that its owner can put it right.

use std::fmt;
use std::path::PathBuf;

use super::raw::Origin;
use super::variables::Variable;
use crate::runtime::problem::{Diagnosis, Problem};

pub static PROBLEMS: &[&Problem] = &[&CREDENTIALS_MISSING, &CONFIGURATION_WRONG, &VARIABLE_UNKNOWN];

static CREDENTIALS_MISSING: Problem = Problem {
    code: "credentials-missing",
    title: "API_ID / API_HASH not found",
    why: "Every Telegram program has to identify itself. These two identify yours; they are made once, at \
          https://my.telegram.org under API development tools.",
    remedy: "set it in <configuration>; `./start.sh` at a terminal asks for what is missing",
};

static CONFIGURATION_WRONG: Problem = Problem {
    code: "configuration-wrong",
    title: "The configuration has a mistake: a variable must be something else",
    why: "A value is not one that its variable takes, two settings contradict each other, or a file that should \
          hold a value cannot be read. stenogram does not guess what was meant.",
    remedy: "correct it where it is set; `stenogram config` shows where each value comes from",
};

pub static VARIABLE_UNKNOWN: Problem = Problem {
    code: "variable-unknown",
    title: ".env: there is no variable of that name, probably a misspelt one, or it has no effect there",
    why: "The file of the configuration sets a name that stenogram does not read, so what was meant keeps its \
          default.",
    remedy: "correct it, or take it out; `stenogram config` lists all variables",
};

/// One thing to put right. No text of it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// A value that the variable does not take; `shown` is the value, hidden where it is secret.
    #[error("{}={shown} ({origin}): must be {}", .variable.name, .variable.allowed)]
    Value { variable: &'static Variable, shown: String, origin: Origin },
    /// A value that is no UTF-8 text.
    #[error("{name} ({origin}) is not UTF-8 text")]
    NotText { name: String, origin: Origin },
    /// A variable that the command cannot do without.
    #[error("{} is not set. {}", .0.name, .0.help)]
    Missing(&'static Variable),
    /// `NAME` and `NAME_FILE` at once.
    #[error("{0} and {0}_FILE are both set ({1}); keep one of them")]
    Twice(&'static str, Origin),
    /// `NAME_FILE` names a file that is of no use.
    #[error("{name}: cannot use {path:?}: {why}")]
    File { name: String, path: PathBuf, why: String },
    /// The `.env` file itself.
    #[error("{path:?} (ENV_FILE) cannot be read: {why}")]
    EnvFile { path: PathBuf, why: String },
    /// A line of the `.env` file. Its text may hold a secret, so only its number is given.
    #[error(
        "{path:?}, line {line}: not of the form NAME=value; \
         put a value with spaces, quotes, # or $ between 'single quotes'"
    )]
    Line { path: PathBuf, line: usize },
    /// Variables that are right one by one and not together.
    #[error("{0}")]
    Contradiction(String),
}

impl Mistake {
    /// What is wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Missing(_) => CREDENTIALS_MISSING.with(self),
            _ => CONFIGURATION_WRONG.with(self),
        }
    }
}

/// Everything that is wrong, at once: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    pub mistakes: Vec<Mistake>,
    /// What was odd besides, such as a misspelt name: often the cause.
    pub warnings: Vec<String>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => write!(f, "the configuration has a mistake:")?,
            n => write!(f, "the configuration has {n} mistakes:")?,
        }
        let mut remedies = Vec::new();
        for Diagnosis { problem, what, remedy } in self.mistakes.iter().map(Mistake::diagnosis) {
            write!(f, "\n  - {what}")?;
            remedies.push(problem.tag(remedy));
        }
        for warning in &self.warnings {
            write!(f, "\n  (warning: {warning})")?;
        }
        remedies.dedup();
        write!(f, "\nWhat to do: {}", remedies.join("; "))
    }
}

impl std::error::Error for Mistakes {}
