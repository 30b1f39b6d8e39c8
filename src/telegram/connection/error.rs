//! Why a request has no result.

use std::time::Duration;

use grammers_client::InvocationError;

use super::rpc_error::{Meaning, meaning};

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Telegram answered with an error. Digits are taken out of the name into `value`.
    #[error("Telegram says {name}{}", .value.map(|value| format!(" ({value})")).unwrap_or_default())]
    Rpc { code: i32, name: String, value: Option<u32> },
    /// There was no answer, and it is not known whether the request was carried out.
    #[error("{0}")]
    Lost(String),
    /// The exchange of a key failed, so nothing was asked.
    #[error("what answers does not prove that it is Telegram ({0})")]
    KeyExchange(String),
}

impl CallError {
    /// Whether this is Telegram's error of that name.
    pub fn is(&self, error: &str) -> bool {
        matches!(self, Self::Rpc { name, .. } if name == error)
    }

    /// What Telegram's error means, by the table in [`rpc_error`](super::rpc_error); `None` where
    /// there was no answer.
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Rpc { code, name, value } => Some(meaning(*code, name, *value)),
            Self::Lost(_) | Self::KeyExchange(_) => None,
        }
    }

    /// The name of the error by which Telegram says that this session is over.
    pub fn logged_out(&self) -> Option<&str> {
        match (self, self.meaning()) {
            (Self::Rpc { name, .. }, Some(Meaning::LoggedOut | Meaning::Deactivated)) => Some(name),
            _ => None,
        }
    }

    /// How long Telegram wants us to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self.meaning() {
            Some(Meaning::Wait { time, .. }) => Some(time),
            _ => None,
        }
    }

    /// Whether Telegram refuses this request for good: the failure is neither temporary trouble at
    /// Telegram nor the end of the session.
    pub fn is_refusal(&self) -> bool {
        use Meaning::{Deactivated, LoggedOut, ServerTrouble, Wait};
        !matches!(self.meaning(), None | Some(ServerTrouble | Wait { .. } | LoggedOut | Deactivated))
    }
}

impl From<InvocationError> for CallError {
    fn from(error: InvocationError) -> Self {
        match error {
            InvocationError::Rpc(rpc) => {
                let error = Self::Rpc { code: rpc.code, name: rpc.name, value: rpc.value };
                match error.meaning() {
                    Some(Meaning::Reconnect) => Self::Lost(error.to_string()),
                    _ => error,
                }
            }
            InvocationError::Session(session) => Self::Lost(session.to_string()),
            InvocationError::Authentication(error) => {
                // After the colon come the bytes that differ.
                let error = error.to_string();
                Self::KeyExchange(error.split(':').next().unwrap_or_default().to_owned())
            }
            other => Self::Lost(other.to_string()),
        }
    }
}
