//! What is sent in answer to a recording.

use serde::{Deserialize, Serialize};

use super::{Settings, Task};

/// An answer, as it is stored with its job and kept for copies of the recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredAnswer")]
pub struct Answer {
    /// What it was made under. An answer without text has it too, so that no answer is used for a
    /// copy of the recording under other settings.
    #[serde(flatten)]
    pub settings: Settings,
    /// In the order in which they are sent; empty where nothing was said.
    pub parts: Vec<Part>,
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
        #[serde(flatten)]
        settings: Settings,
        parts: Vec<Part>,
    },
    /// In format 1 of the queue: the parts alone, each with its task. The language is not known; it
    /// is taken for one that was detected.
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
            StoredAnswer::Answer { settings, parts } => Self { settings, parts },
            StoredAnswer::Parts(parts) => Self {
                settings: Settings {
                    task: parts.first().map(|part| part.task).unwrap_or_default(),
                    ..Settings::default()
                },
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
    use crate::domain::Form;

    fn answer(task: Task, texts: &[&str]) -> Answer {
        let part = |text: &&str| Part { text: (*text).into(), folded: true };
        let settings = Settings { task, ..Settings::default() };
        Answer { settings, parts: texts.iter().map(part).collect() }
    }

    /// Answers that are stored today are read by the versions to come.
    #[test]
    fn the_stored_form_is_fixed() {
        let stored = r#"{"task":"translate","form":"replies","parts":[{"text":"one","folded":true}]}"#;
        assert_eq!(serde_json::to_string(&answer(Task::Translate, &["one"])).unwrap(), stored);
        let mut german = answer(Task::Transcribe, &["eins"]);
        german.settings.language = Some("de".parse().unwrap());
        let stored = r#"{"language":"de","task":"transcribe","form":"replies","parts":"#;
        assert!(serde_json::to_string(&german).unwrap().starts_with(stored));
        let mut saved = answer(Task::Transcribe, &["one"]);
        (saved.settings.form, saved.settings.fold_from) = (Form::SavedMessages, u32::MAX);
        let stored = r#"{"task":"transcribe","form":"saved_messages","fold_from":4294967295,"parts":"#;
        assert!(serde_json::to_string(&saved).unwrap().starts_with(stored));
        for answer in [answer(Task::Translate, &["one"]), answer(Task::Translate, &[]), german, saved] {
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
