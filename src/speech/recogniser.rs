//! What turns speech into text, whichever engine does it and wherever it runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::error::SpeechError;
use super::options::RecogniseOptions;
use super::vad::detector::{Detector, Speech};
use crate::domain::Transcript;

/// A transcript, and who made it.
#[derive(Debug)]
pub struct Recognised {
    pub transcript: Transcript,
    /// The recogniser's name; `None` if nobody speaks, so that none was asked.
    pub by: Option<Arc<str>>,
}

/// whisper.cpp in this process, a server, or a list of such.
#[async_trait]
pub trait Recogniser: Send + Sync {
    /// Finds the speech in a recording, on its caller's thread.
    fn detector(&self) -> &Detector;

    /// Gets ready for a recording that is on its way.
    async fn wake(&self) -> Result<(), SpeechError>;

    /// Recognises speech. Its times are those of the recording that it was found in. Dropping the
    /// future gives it up.
    async fn recognise_stretch(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError>;

    /// Ends it. Returns false if something is still at work after `limit`.
    async fn shutdown(&self, limit: Duration) -> bool;
}
