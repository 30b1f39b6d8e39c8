//! How a recording is recognised, and how it is answered.

use serde::{Deserialize, Serialize};

use super::{LanguageCode, Task};

/// How a recording is recognised and answered. Resolved once, when its job is added, and stored
/// with the job, so that neither a retry nor a restart with another configuration changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The language that is spoken; `None` if it is to be detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageCode>,
    pub task: Task,
    pub form: Form,
}

/// How an answer appears in Telegram.
///
/// Stored by name, and a form with data of its own as `{"name": data}`: new forms do not change
/// how the ones before them are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Each part is a message that replies to the recording's.
    #[default]
    Replies,
}
