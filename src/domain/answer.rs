//! What is sent in answer to a recording.

use serde::{Deserialize, Serialize};

use super::{JobId, Settings, Task, calendar};

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
    /// The message that it was made for. Answers of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The message of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub job: JobId,
    /// When it was sent, in seconds of Unix time.
    pub sent: i64,
}

impl Answer {
    /// Its whole text.
    pub fn text(&self) -> String {
        match self.parts.iter().find_map(|part| part.document.as_ref()) {
            Some(document) => document.content.trim_end().to_owned(),
            None => {
                let texts: Vec<&str> = self.parts.iter().map(|part| part.text.as_str()).collect();
                texts.join(" ")
            }
        }
    }

    /// The summary above the first part.
    pub fn summary(&self) -> Option<&str> {
        self.parts.first()?.summary.as_deref()
    }
}

impl Origin {
    /// When the message was sent: `2026-11-27 23:40 UTC`.
    pub fn date(&self) -> String {
        calendar::utc(self.sent)
    }
}

/// What separates a text from the summary above it.
const BELOW_SUMMARY: &str = "\n\n";

/// One message of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What stands above the text, in the first part of a long one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Plain text; nothing in it is ever parsed as markup. The beginning of a document, which may
    /// be empty.
    pub text: String,
    /// The whole text, without the summary, is an expandable quote.
    pub folded: bool,
    /// The document that the message carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
}

impl Part {
    /// A message of text alone.
    pub fn message(text: String, folded: bool) -> Self {
        Self { summary: None, text, folded, document: None }
    }

    /// All of the message's text, or the caption of its document.
    pub fn shown(&self) -> String {
        match &self.summary {
            None => self.text.clone(),
            Some(summary) if self.text.is_empty() => summary.clone(),
            Some(summary) => format!("{summary}{BELOW_SUMMARY}{}", self.text),
        }
    }

    /// Where the text begins in what is shown, in UTF-16 code units.
    pub fn offset(&self) -> usize {
        let above = self.summary.as_ref().filter(|_| !self.text.is_empty());
        above.map_or(0, |summary| summary.encode_utf16().count() + BELOW_SUMMARY.len())
    }
}

/// A file with the whole of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    pub format: DocumentFormat,
    /// What is in the file.
    pub content: String,
}

/// The format of a [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFormat {
    /// The text alone.
    Txt,
    /// Subtitles: the text with its times.
    Srt,
}

impl DocumentFormat {
    /// The MIME type of a file of this format.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Txt => "text/plain",
            Self::Srt => "application/x-subrip",
        }
    }
}

impl Document {
    /// The name of the file, by when the recording was sent, in seconds of Unix time. A function of
    /// these two alone, because a document that was sent before is found by it.
    pub fn file_name(&self, date: i64) -> String {
        let extension = match self.format {
            DocumentFormat::Txt => "txt",
            DocumentFormat::Srt => "srt",
        };
        let when = calendar::utc(date).replace(' ', "_").replace(':', "-");
        format!("transcript_{when}.{extension}")
    }
}

/// The stored forms of an [`Answer`], today's and an older one.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredAnswer {
    Answer {
        #[serde(flatten)]
        settings: Settings,
        parts: Vec<Part>,
        #[serde(default)]
        origin: Option<Origin>,
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
            StoredAnswer::Answer { settings, parts, origin } => Self { settings, parts, origin },
            StoredAnswer::Parts(parts) => Self {
                settings: Settings {
                    task: parts.first().map(|part| part.task).unwrap_or_default(),
                    ..Settings::default()
                },
                parts: parts
                    .into_iter()
                    .map(|PartWithTask { text, folded, .. }| Part::message(text, folded))
                    .collect(),
                origin: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DocumentFormats, Documents, Form};

    fn answer(task: Task, texts: &[&str]) -> Answer {
        let part = |text: &&str| Part::message((*text).into(), true);
        let settings = Settings { task, ..Settings::default() };
        Answer { settings, parts: texts.iter().map(part).collect(), origin: None }
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
        let mut long = answer(Task::Transcribe, &["one …"]);
        long.settings.documents = Documents { from: 4, formats: DocumentFormats::Both };
        let content = "one two".to_owned();
        let job = JobId { account: 1000, chat: -5, message: 7 };
        long.origin = Some(Origin { job, sent: 9 });
        long.parts[0].document = Some(Document { format: DocumentFormat::Txt, content });
        assert_eq!(
            serde_json::to_string(&long).unwrap(),
            r#"{"task":"transcribe","form":"replies","documents":{"from":4,"formats":"both"},"#.to_owned()
                + r#""parts":[{"text":"one …","folded":true,"document":{"format":"txt","content":"one two"}}],"#
                + r#""origin":{"job":{"account":1000,"chat":-5,"message":7},"sent":9}}"#
        );
        assert_eq!(
            (long.text(), answer(Task::Transcribe, &["one", "two"]).text()),
            ("one two".into(), "one two".into())
        );
        let mut summarised = answer(Task::Transcribe, &["one", "two"]);
        (summarised.settings.summary_from, summarised.parts[0].summary) = (100, Some("All.".into()));
        assert_eq!(
            serde_json::to_string(&summarised).unwrap(),
            r#"{"task":"transcribe","form":"replies","summary_from":100,"parts":["#.to_owned()
                + r#"{"summary":"All.","text":"one","folded":true},{"text":"two","folded":true}]}"#
        );
        assert_eq!((summarised.text().as_str(), summarised.summary()), ("one two", Some("All.")));
        assert_eq!((summarised.parts[0].shown().as_str(), summarised.parts[0].offset()), ("All.\n\none", 6));
        let older = [answer(Task::Translate, &["one"]), answer(Task::Translate, &[]), german, saved, long];
        for answer in older.into_iter().chain([summarised]) {
            let stored = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&stored).unwrap(), answer);
        }
    }

    /// Documents that were sent are found by their names.
    #[test]
    fn file_names_are_fixed_and_plain() {
        let name = |format, date| Document { format, content: String::new() }.file_name(date);
        assert_eq!(name(DocumentFormat::Txt, 1_795_822_800), "transcript_2026-11-27_23-40_UTC.txt");
        assert_eq!(name(DocumentFormat::Srt, 1_795_822_800), "transcript_2026-11-27_23-40_UTC.srt");
        for date in [i64::MIN, -1, i64::MAX] {
            let name = name(DocumentFormat::Txt, date);
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
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
