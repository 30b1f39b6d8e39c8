//! How a recording is recognised, and how it is answered.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::rules::ParseChoiceError;
use super::{Answer, LanguageCode, Task, Vocabulary};

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
    /// Which answers are documents. Jobs of versions that had no choice are stored without.
    #[serde(default, skip_serializing_if = "Documents::are_default")]
    pub documents: Documents,
    /// From this length on, in UTF-16 code units, a text has a summary above it; `u32::MAX` for
    /// never. Jobs of versions that had no choice are stored without.
    #[serde(default = "never", skip_serializing_if = "is_never")]
    pub summary_from: u32,
    /// What the recogniser is to know in this chat, before VOCABULARY.
    #[serde(default, skip_serializing_if = "Vocabulary::is_empty")]
    pub vocabulary: Vocabulary,
    /// What the people of the chat are called, behind VOCABULARY; `None` if the recogniser is not
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Vocabulary>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: None,
            task: Task::default(),
            form: Form::default(),
            fold_from: FOLD_FROM,
            documents: Documents::default(),
            summary_from: u32::MAX,
            vocabulary: Vocabulary::default(),
            people: None,
        }
    }
}

impl Settings {
    /// Whether a text gets a summary. What is only kept gets none.
    pub fn wants_summary(&self, text: &str) -> bool {
        self.form != Form::Nowhere
            && self.summary_from != u32::MAX
            && text.encode_utf16().count() >= self.summary_from as usize
    }

    /// Whether answers under both settings are the same for every recording, but for how they fold
    /// away and for what the recogniser knows.
    pub fn make_the_same(&self, other: &Self) -> bool {
        let made = |it: &Self| (it.language, it.task, it.form.clone(), it.documents, it.summary_from);
        made(self) == made(other)
    }

    /// Whether an answer has the text, cut into the same parts, that one under these settings would
    /// have.
    pub fn gives_parts_of(&self, answer: &Answer) -> bool {
        let Self { language, task, form, documents, summary_from, .. } = &answer.settings;
        let is_a_document = answer.parts.iter().any(|part| part.document.is_some());
        let is_below = !is_a_document && !self.documents.take(answer.parts.len());
        let is_short = answer.summary().is_none() && !self.wants_summary(&answer.text());
        (self.language, self.task, &self.form) == (*language, *task, form)
            && (is_below || self.documents == *documents)
            && (is_short || self.summary_from == *summary_from)
    }
}

fn never() -> u32 {
    u32::MAX
}

fn is_never(from: &u32) -> bool {
    *from == u32::MAX
}

fn default_fold_from() -> u32 {
    FOLD_FROM
}

fn is_default_fold_from(fold_from: &u32) -> bool {
    *fold_from == FOLD_FROM
}

/// Which answers are sent as documents, and in which formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    /// An answer that would take so many messages, or more, is a document; `u32::MAX` for none.
    pub from: u32,
    pub formats: DocumentFormats,
}

impl Default for Documents {
    /// None, as before there was a choice.
    fn default() -> Self {
        Self { from: u32::MAX, formats: DocumentFormats::default() }
    }
}

impl Documents {
    /// Whether an answer of so many messages is a document instead.
    pub fn take(self, messages: usize) -> bool {
        messages > 0 && self.from != u32::MAX && messages >= self.from as usize
    }

    fn are_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The formats in which an answer is sent as a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFormats {
    #[default]
    Txt,
    Srt,
    /// Two documents, the text first.
    Both,
}

impl FromStr for DocumentFormats {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "txt" => Ok(Self::Txt),
            "srt" => Ok(Self::Srt),
            "both" => Ok(Self::Both),
            _ => Err(ParseChoiceError(text.to_owned())),
        }
    }
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
    /// Nothing is sent. The transcript is kept as long as the results of recordings are.
    Nowhere,
}
