//! Why the loop over the updates ended.

use super::super::connection::error::CallError;
use super::super::session::error::SessionError;

/// Why the loop ended.
#[derive(Debug)]
pub(crate) enum UpdatesEnded {
    Call(CallError),
    /// The server closed the connection.
    Closed,
    /// The sink could not store the events.
    SinkRejected,
    Session(SessionError),
}

impl From<CallError> for UpdatesEnded {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<SessionError> for UpdatesEnded {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
