//! A message with the text of a recording that is still being recognised.

use serde::{Deserialize, Serialize};

use super::reply::{HEADER_LIMIT, MESSAGE_LIMIT, MORE, split, text_of, utf16_len};
use super::{Form, Part, Settings, Transcript};

/// The first message of an answer, sent before the answer is complete. It is edited while the text
/// grows; in the end it becomes the first part of the answer. It is stored with its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    pub form: Form,
    /// What it is sent with. Edits that come later are not stored.
    pub part: Part,
    /// The number of its message; `None` while it is not known whether it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<i32>,
}

/// What a preview shows of a transcript that is not complete; `None` if nothing was said yet, and
/// for forms that have no preview. The caption of a recording and its transcript that is only kept
/// have none.
pub fn preview_of(transcript: &Transcript, settings: &Settings) -> Option<Part> {
    let limit = match settings.form {
        Form::Replies => MESSAGE_LIMIT,
        Form::SavedMessages => MESSAGE_LIMIT - HEADER_LIMIT,
        Form::Caption | Form::Nowhere => return None,
    };
    let first = limit - utf16_len(MORE);
    let text = split(&text_of(transcript), first, limit).into_iter().next()? + MORE;
    let folded = utf16_len(&text) >= settings.fold_from as usize;
    Some(Part::message(text, folded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Segment;
    use crate::domain::reply::compose;

    fn said(text: &str) -> Transcript {
        let segments = vec![Segment { start_ms: 0, end_ms: 1, text: text.into() }];
        Transcript { segments, ..Transcript::default() }
    }

    fn settings(form: Form) -> Settings {
        Settings { form, ..Settings::default() }
    }

    #[test]
    fn a_preview_shows_that_there_is_more_to_come() {
        for form in [Form::Replies, Form::SavedMessages] {
            let preview = preview_of(&said("One\u{202E} two."), &settings(form));
            assert_eq!(preview, Some(Part::message("One two. …".into(), false)));
        }
        for nothing in ["", " \u{200B}"] {
            assert_eq!(preview_of(&said(nothing), &settings(Form::Replies)), None);
        }
        for form in [Form::Caption, Form::Nowhere] {
            assert_eq!(preview_of(&said("One two."), &settings(form)), None);
        }
    }

    #[test]
    fn a_long_preview_is_within_the_limit_and_does_not_change_any_more() {
        for (form, limit) in [(Form::Replies, 4096), (Form::SavedMessages, 3896)] {
            let previews = [300, 400].map(|sentences| {
                let transcript = said(&"Слово за слово. ".repeat(sentences));
                preview_of(&transcript, &settings(form.clone())).expect("something was said")
            });
            assert!(previews[0].folded && utf16_len(&previews[0].text) <= limit);
            assert!(previews[0].text.ends_with(". …"));
            assert_eq!(previews[0], previews[1]);
        }
    }

    #[test]
    fn a_preview_is_never_taken_for_the_answer() {
        let answer = compose(&said("One two."), settings(Form::Replies));
        assert_ne!(preview_of(&said("One two."), &settings(Form::Replies)), answer.parts.first().cloned());
    }

    #[test]
    fn what_is_stored_can_be_read() {
        let part = Part::message("One …".into(), false);
        for (message, stored) in [
            (None, r#"{"form":"replies","part":{"text":"One …","folded":false}}"#),
            (Some(7), r#"{"form":"replies","part":{"text":"One …","folded":false},"message":7}"#),
        ] {
            let preview = Preview { form: Form::Replies, part: part.clone(), message };
            assert_eq!(serde_json::to_string(&preview).unwrap(), stored);
            assert_eq!(serde_json::from_str::<Preview>(stored).unwrap(), preview);
        }
    }
}
