//! How a recording is recognised.

use serde::{Deserialize, Serialize};

use super::Task;

/// How a recording is recognised. Resolved once, when its job is added, and stored with the job, so
/// that neither a retry nor a restart with another configuration changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The code of the language that is spoken; `None` if it is to be detected.
    #[serde(default)]
    pub language: Option<String>,
    #[serde(default)]
    pub task: Task,
}
