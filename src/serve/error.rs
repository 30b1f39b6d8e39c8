//! What a request gets instead of a transcript, in OpenAI's form
//! (<https://platform.openai.com/docs/guides/error-codes>).

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::audio::AudioError;
use crate::speech::SpeechError;
use crate::transcribe::recording::RecordingError;

/// An error of a request.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: StatusCode,
    /// OpenAI's name for it, which programs go by.
    code: Option<&'static str>,
    /// The field of the form that is wrong.
    param: Option<String>,
    pub message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl ToString) -> Self {
        Self { status, code: None, param: None, message: message.to_string() }
    }

    /// A field of the form has a value that it cannot have.
    pub fn field(name: &str, message: impl ToString) -> Self {
        Self { param: Some(name.to_owned()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    pub fn unknown_model(message: impl ToString) -> Self {
        let code = Some("model_not_found");
        Self { status: StatusCode::NOT_FOUND, code, ..Self::field("model", message) }
    }

    pub fn wrong_key(message: impl ToString) -> Self {
        Self { code: Some("invalid_api_key"), ..Self::new(StatusCode::UNAUTHORIZED, message) }
    }

    /// Whether the request may succeed when it is repeated soon.
    pub fn is_passing(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Whether anybody who reaches the address can cause it, as often as they like.
    pub fn is_from_anybody(&self) -> bool {
        self.param.is_none() && matches!(self.status.as_u16(), 401 | 403 | 404 | 405 | 421)
    }

    pub fn json(&self) -> Value {
        let kind = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let Self { code, param, message, .. } = self;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
    }
}

impl From<RecordingError> for ApiError {
    fn from(error: RecordingError) -> Self {
        let status = match &error {
            RecordingError::Audio(AudioError::TooManyBytes { .. } | AudioError::TooLong { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            RecordingError::Audio(AudioError::Killed(_)) | RecordingError::NoDecoder(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RecordingError::Audio(_) => StatusCode::BAD_REQUEST,
            RecordingError::Speech(error) => match error {
                SpeechError::LanguageOfRecordingNotInModel(_)
                | SpeechError::TaskNotInModel
                | SpeechError::Samples
                | SpeechError::TooLong => StatusCode::BAD_REQUEST,
                SpeechError::Aborted | SpeechError::NotLoadedAgain(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        Self::new(status, error)
    }
}
