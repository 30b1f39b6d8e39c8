//! The result of a check.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// It works, but not as it should, or it could not be checked.
    Warn,
    Fail,
}

/// The result of one check. Its texts never contain a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, in a word or two. Several findings may share it.
    pub check: &'static str,
    pub outcome: Outcome,
    pub says: String,
    /// What to do. `None` only for [`Outcome::Ok`].
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
