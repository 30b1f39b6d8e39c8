//! What a check has found.

use serde::Serialize;

/// How well it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// It works, but not as it should, or could not be looked at.
    Warn,
    Fail,
}

/// One thing looked at. No text of it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word or two; several findings may share it.
    pub check: &'static str,
    pub outcome: Outcome,
    pub says: String,
    /// What to do; none only where all is well.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, says: says.into(), remedy: None }
    }

    pub(super) fn warn(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Warn, says: says.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Fail, says: says.into(), remedy: Some(remedy.into()) }
    }
}
