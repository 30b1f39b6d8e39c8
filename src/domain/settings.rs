//! How a recording is recognised, and how it is answered.

use serde::{Deserialize, Serialize};

use super::{LanguageCode, Task};

/// The default of [`Settings::fold_from`].
const FOLD_FROM: u32 = 800;

/// How a recording is recognised and answered. Resolved once, when its job is added, and stored
/// with the job, so that neither a retry nor a restart with another configuration changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The language that is spoken; `None` if it is to be detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageCode>,
    pub task: Task,
    pub form: Form,
    /// From this length on, in UTF-16 code units, a part folds away under an expandable quote;
    /// `u32::MAX` for never. Jobs of versions that had no choice are stored without.
    #[serde(default = "default_fold_from", skip_serializing_if = "is_default_fold_from")]
    pub fold_from: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { language: None, task: Task::default(), form: Form::default(), fold_from: FOLD_FROM }
    }
}

impl Settings {
    /// Whether an answer that was made under `other` has the text, cut into the same parts, that
    /// one under these settings would have.
    pub fn gives_parts_of(&self, other: &Self) -> bool {
        (self.language, self.task, &self.form) == (other.language, other.task, &other.form)
    }
}

fn default_fold_from() -> u32 {
    FOLD_FROM
}

fn is_default_fold_from(fold_from: &u32) -> bool {
    *fold_from == FOLD_FROM
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
    /// Each part is a message in Saved Messages, under a line that says who sent the recording and
    /// when, and links to it. Nobody else sees it.
    SavedMessages,
    /// The first part is the caption of the recording, which is a voice message of the owner; the
    /// other parts are replies. Where the caption cannot be set, the first part is a reply too.
    Caption,
}
