//! What is wrong with a configuration, in words that let its owner correct it.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;
use super::variables::Variable;
use crate::runtime::problem::{Diagnosis, Problem};

pub static PROBLEMS: &[&Problem] =
    &[&CREDENTIALS_MISSING, &FLEET_WITHOUT_REDIS, &CONFIGURATION_WRONG, &VARIABLE_UNKNOWN];

static CREDENTIALS_MISSING: Problem = Problem {
    code: "credentials-missing",
    title: "API_ID / API_HASH not found",
    why: "Every Telegram program has to identify itself. These two identify yours; they are made once, at \
          https://my.telegram.org under API development tools.",
    remedy: "set it in <configuration>; `./start.sh` at a terminal asks for what is missing",
};

static FLEET_WITHOUT_REDIS: Problem = Problem {
    code: "fleet-without-redis",
    title: "Neither REDIS_URL nor REDIS_HOST is set, and gateways and workers meet in Redis",
    why: "Gateways and workers share a Redis and nothing else: the recordings that are to be recognised, and their \
          texts, go through it. A queue in a file is this machine's alone.",
    remedy: "set REDIS_URL in <configuration> to the Redis of your fleet, the same for gateways and workers; on one \
             machine alone run `stenogram run`, which needs none",
};

static CONFIGURATION_WRONG: Problem = Problem {
    code: "configuration-wrong",
    title: "The configuration has an error: a variable must be something else",
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

/// One thing to correct. Its text never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that the variable does not accept. `shown` is the value, hidden if it is secret.
    #[error("{}={shown} ({origin}): must be {}", .variable.name, .variable.allowed)]
    Value { variable: &'static Variable, shown: String, origin: Origin },
    /// A value that is not UTF-8 text.
    #[error("{} ({origin}) is not UTF-8 text", .variable.name)]
    NotText { variable: &'static Variable, origin: Origin },
    /// A variable that the command cannot do without.
    #[error("{} is not set. {}", .0.name, .0.help)]
    Missing(&'static Variable),
    /// A gateway or a worker needs a Redis.
    #[error("neither REDIS_URL nor REDIS_HOST is set, and gateways and workers meet in Redis only")]
    NoRedis,
    /// `NAME` and `NAME_FILE` are both set.
    #[error("{} and {} are both set ({}); keep one of them", .0.name, .0.file_name(), .1)]
    Twice(&'static Variable, Origin),
    /// `NAME_FILE` names a file that cannot be used.
    #[error("{}: cannot use {path:?}: {why}", .variable.file_name())]
    File { variable: &'static Variable, path: PathBuf, why: String },
    /// The file in which the first installation keeps its choice of a model cannot be used.
    #[error("{}: cannot use {path:?}: {why}; delete it, or set {}", .variable.name, .variable.name)]
    Chosen { variable: &'static Variable, path: PathBuf, why: String },
    /// The `.env` file itself cannot be read.
    #[error("{path:?} (ENV_FILE) cannot be read: {why}")]
    EnvFile { path: PathBuf, why: String },
    /// A line of the `.env` file. Its text may contain a secret, so only its number is given.
    #[error(
        "{path:?}, line {line}: not of the form NAME=value; \
         put a value with spaces, quotes, # or $ between 'single quotes'"
    )]
    Line { path: PathBuf, line: usize },
    /// Variables that are correct by themselves but not together.
    #[error("{0}")]
    Contradiction(String),
}

impl ConfigError {
    /// What is wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Missing(_) => CREDENTIALS_MISSING.with(self),
            Self::NoRedis => FLEET_WITHOUT_REDIS.with(self),
            _ => CONFIGURATION_WRONG.with(self),
        }
    }

    /// The one variable that the error is about.
    pub(super) fn variable(&self) -> Option<&'static Variable> {
        match self {
            Self::Value { variable, .. }
            | Self::NotText { variable, .. }
            | Self::Missing(variable)
            | Self::Twice(variable, _)
            | Self::File { variable, .. }
            | Self::Chosen { variable, .. } => Some(variable),
            Self::EnvFile { .. } | Self::Line { .. } | Self::Contradiction(_) | Self::NoRedis => None,
        }
    }
}

/// All errors of a configuration, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    pub errors: Vec<ConfigError>,
    /// What looks odd besides, such as a misspelt name. It is often the cause.
    pub warnings: Vec<String>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() {
            1 => write!(f, "the configuration has an error:")?,
            n => write!(f, "the configuration has {n} errors:")?,
        }
        let mut remedies = Vec::new();
        for Diagnosis { problem, what, remedy } in self.errors.iter().map(ConfigError::diagnosis) {
            write!(f, "\n  - {what}")?;
            let remedy = problem.tag(remedy);
            if !remedies.contains(&remedy) {
                remedies.push(remedy);
            }
        }
        for warning in &self.warnings {
            write!(f, "\n  (warning: {warning})")?;
        }
        write!(f, "\nWhat to do: {}", remedies.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}
