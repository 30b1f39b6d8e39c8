//! What turns speech into text, whichever engine does it and wherever it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::debug;

use super::error::SpeechError;
use super::hallucination::guard::Guarded;
use super::observer::Observer;
use super::options::RecogniseOptions;
use super::vad::detector::{Detector, Speech, seconds};
use crate::domain::{LanguageCode, Transcript};

/// The longest stretch of a recording that is recognised at once, unless a model takes less.
/// Whisper takes it in one window of 30 s, so it is recognised like a short recording: quickly, and
/// with care only if the text is doubtful. The last window of a longer stretch would take as long
/// for a few seconds as for 30.
pub const LONGEST_STRETCH: Duration = Duration::from_secs(29);

/// A transcript, and who made it.
#[derive(Debug)]
pub struct Recognised {
    pub transcript: Transcript,
    /// The recogniser's name; `None` if nobody speaks, so that none was asked.
    pub by: Option<Arc<str>>,
}

/// whisper.cpp in this process, transcribe.cpp in another one, a server, or several of them.
#[async_trait]
pub trait Recogniser: Send + Sync {
    /// Finds the speech in a recording, on its caller's thread.
    fn detector(&self) -> &Detector;

    /// The longest speech that it takes at once. Recordings are cut into stretches of this length.
    fn longest_stretch(&self) -> Duration {
        LONGEST_STRETCH
    }

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

/// Tells the observer and the log of speech that another program has recognised. `samples` is the
/// length of its recording, and `detected` its language unless that was given.
pub(super) fn report(
    observer: &dyn Observer,
    recogniser: &str,
    samples: usize,
    started: Instant,
    guarded: &Guarded,
    detected: Option<LanguageCode>,
) {
    let Guarded { kept, dropped } = guarded;
    observer.on_finished(started.elapsed());
    dropped.iter().for_each(|reason| observer.on_dropped(reason));
    if let Some(language) = detected.filter(|_| !kept.is_empty()) {
        let speech = kept.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
        observer.on_language(language, Duration::from_millis(speech));
    }
    debug!(
        seconds = seconds(samples),
        took = ?started.elapsed(),
        recogniser,
        segments = kept.len(),
        dropped = dropped.len(),
        "recognised"
    );
}
