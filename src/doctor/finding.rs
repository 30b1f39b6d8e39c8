//! The result of a check.

use serde::Serialize;

use crate::runtime::problem::Diagnosis;

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
    /// For `stenogram explain`, where it knows more.
    pub code: Option<&'static str>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, says: says.into(), remedy: None, code: None }
    }

    pub(super) fn warn(check: &'static str, diagnosis: Diagnosis) -> Self {
        Self::of(check, Outcome::Warn, diagnosis)
    }

    pub(super) fn fail(check: &'static str, diagnosis: Diagnosis) -> Self {
        Self::of(check, Outcome::Fail, diagnosis)
    }

    pub(super) fn of(check: &'static str, outcome: Outcome, diagnosis: Diagnosis) -> Self {
        let Diagnosis { problem, what, remedy } = diagnosis;
        Self { check, outcome, says: what, remedy: Some(remedy), code: Some(problem.code) }
    }

    /// Something that another finding, or a person, has to clear up first.
    pub(super) fn unclear(check: &'static str, says: impl Into<String>, first: &str) -> Self {
        let remedy = Some(first.to_owned());
        Self { check, outcome: Outcome::Warn, says: says.into(), remedy, code: None }
    }
}
