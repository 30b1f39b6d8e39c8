//! What is sent in answer to a recording, and in which form.

use serde::{Deserialize, Serialize};

use super::Task;

/// An answer, as it is stored with its job and kept for copies of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredAnswer")]
pub struct Answer {
    /// What the text is of the speech. Known of an answer without text too: an answer of one task
    /// is never used for the other.
    pub task: Task,
    pub form: Form,
    /// In the order in which they are sent; empty where nothing was said.
    pub parts: Vec<Part>,
}

/// How an answer appears in Telegram.
///
/// Stored by name, and a form with data of its own as `{"name": data}`: new forms do not change
/// how the ones before them are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Each part is a message that replies to the recording's.
    Replies,
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Plain text; nothing in it is ever parsed as markup.
    pub text: String,
    /// The whole text is an expandable quote.
    pub folded: bool,
}

/// The stored forms of an [`Answer`], today's and an older one.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredAnswer {
    Answer {
        task: Task,
        form: Form,
        parts: Vec<Part>,
    },
    /// Until format 1 of the queue: the parts alone, each with its task.
    Parts(Vec<PartWithTask>),
}

#[derive(Deserialize)]
struct PartWithTask {
    text: String,
    folded: bool,
    /// Missing in parts stored before there was a choice.
    #[serde(default)]
    task: Task,
}

impl From<StoredAnswer> for Answer {
    fn from(stored: StoredAnswer) -> Self {
        match stored {
            StoredAnswer::Answer { task, form, parts } => Self { task, form, parts },
            StoredAnswer::Parts(parts) => Self {
                task: parts.first().map(|part| part.task).unwrap_or_default(),
                form: Form::Replies,
                parts: parts
                    .into_iter()
                    .map(|PartWithTask { text, folded, .. }| Part { text, folded })
                    .collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(task: Task, texts: &[&str]) -> Answer {
        let part = |text: &&str| Part { text: (*text).into(), folded: true };
        Answer { task, form: Form::Replies, parts: texts.iter().map(part).collect() }
    }

    /// Answers that are stored today are read by the versions to come.
    #[test]
    fn the_stored_form_is_fixed() {
        let stored = r#"{"task":"translate","form":"replies","parts":[{"text":"one","folded":true}]}"#;
        assert_eq!(serde_json::to_string(&answer(Task::Translate, &["one"])).unwrap(), stored);
        for answer in [answer(Task::Translate, &["one"]), answer(Task::Translate, &[])] {
            let stored = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&stored).unwrap(), answer);
        }
    }

    #[test]
    fn answers_of_older_versions_are_read() {
        let with_task = r#"[{"text":"один","folded":true,"task":"translate"},
            {"text":"два","folded":true,"task":"translate"}]"#;
        let without_task = r#"[{"text":"один","folded":true}]"#;
        for (stored, expected) in [
            (with_task, answer(Task::Translate, &["один", "два"])),
            (without_task, answer(Task::Transcribe, &["один"])),
            ("[]", answer(Task::Transcribe, &[])),
        ] {
            assert_eq!(serde_json::from_str::<Answer>(stored).unwrap(), expected);
        }
        for damaged in ["[{", "{}", "[1]", r#"[{"text":"one"}]"#, r#""replies""#] {
            assert!(serde_json::from_str::<Answer>(damaged).is_err(), "{damaged}");
        }
    }
}
