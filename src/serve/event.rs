//! What a stream tells: server-sent events in OpenAI's form
//! (<https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event>).

use serde_json::{Value, json};

use super::error::ApiError;

/// More of the text.
pub(super) fn delta(text: &str) -> String {
    event(&json!({"type": "transcript.text.delta", "delta": text}))
}

/// The whole text, at the end.
pub(super) fn done(text: &str) -> String {
    event(&json!({"type": "transcript.text.done", "text": text}))
}

/// The recognition has failed on the way, after the status was sent.
pub(super) fn failed(error: &ApiError) -> String {
    event(&error.json())
}

/// JSON has no line breaks, so one line is enough.
fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
