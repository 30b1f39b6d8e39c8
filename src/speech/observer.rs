//! What the engine tells of itself: how a recognition gets on, and where the model is.

use std::time::Duration;

use crate::domain::LanguageCode;

/// Told how a recognition gets on, on the engine's thread.
pub trait Observer: Send + Sync {
    /// After each pass of the encoder or decoder: it is not stuck.
    fn passed(&self);
    /// It took so long, not counting the wait for its turn.
    fn took(&self, time: Duration);
    /// A piece of text was dropped, for one of the reasons in [`INVENTIONS`](super::INVENTIONS).
    fn dropped(&self, why: &'static str);
    /// So much was said in this language. Not told where there was none to choose from.
    fn spoken(&self, language: LanguageCode, speech: Duration);
    /// Text of a shortened window was doubtful, and is recognised again with all of it.
    fn repeated(&self);
}

/// Where the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    Loaded,
    /// Freed for want of work; the next recording has it loaded.
    Freed,
    /// Freed, and it cannot be loaded again: the log has the reason. The next recording tries
    /// again.
    Missing,
}
