//! What is wrong with a configuration, in words that let its owner correct it.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;
use super::variables::Variable;

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
    /// `NAME` and `NAME_FILE` are both set.
    #[error("{} and {} are both set ({}); keep one of them", .0.name, .0.file_name(), .1)]
    Twice(&'static Variable, Origin),
    /// `NAME_FILE` names a file that cannot be used.
    #[error("{}: cannot use {path:?}: {why}", .variable.file_name())]
    File { variable: &'static Variable, path: PathBuf, why: String },
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
    /// The one variable that the error is about.
    pub(super) fn variable(&self) -> Option<&'static Variable> {
        match self {
            Self::Value { variable, .. }
            | Self::NotText { variable, .. }
            | Self::Missing(variable)
            | Self::Twice(variable, _)
            | Self::File { variable, .. } => Some(variable),
            Self::EnvFile { .. } | Self::Line { .. } | Self::Contradiction(_) => None,
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
        for error in &self.errors {
            write!(f, "\n  - {error}")?;
        }
        for warning in &self.warnings {
            write!(f, "\n  (warning: {warning})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
