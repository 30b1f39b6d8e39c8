//! What the engine reports: how a recognition is getting on, and where the model is.

use std::time::Duration;

use crate::domain::LanguageCode;

/// Receives reports about a recognition, on the engine's thread. Every method does nothing unless
/// it is implemented.
pub trait Observer: Send + Sync {
    /// The encoder or decoder has finished a pass: the recognition is not stuck.
    fn on_pass(&self) {}
    /// The recognition has ended, and took this long without the wait for its turn.
    fn on_finished(&self, _time: Duration) {}
    /// A piece of text was dropped, for a reason of [`DROP_REASONS`](super::DROP_REASONS).
    fn on_dropped(&self, _reason: &'static str) {}
    /// The language was detected, and this much was said in it. Not called if there was only one
    /// language to choose from.
    fn on_language(&self, _language: LanguageCode, _speech: Duration) {}
    /// The result of a quick pass was rejected, and the recording is recognised again more
    /// carefully. Called once, also if a third pass follows.
    fn on_retry(&self) {}
}

/// Ignores all reports.
impl Observer for () {}

/// Where the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    Loaded,
    /// Freed after an idle time. The next recording loads it again.
    Freed,
    /// Freed, and the last attempt to load it again failed; the log has the reason. The next
    /// recording tries again.
    Missing,
}
