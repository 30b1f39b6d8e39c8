//! Voice activity, detected on the caller's thread, so that it overlaps with the recognition of
//! another recording.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::debug;

use super::activity::{Activity, longest_pause};
use super::silero::Vad;
use crate::runtime::lock;
use crate::speech::error::SpeechError;
use crate::speech::whisper::RATE;

/// -60 dBFS: below it there is nothing to hear, and Whisper is known to invent text.
const SILENCE: f32 = 0.001;
/// 40 dB over full scale. Codecs overshoot by a few dB; what goes beyond this is no sound.
const LOUDEST: f32 = 100.0;
/// whisper.cpp counts the cells of the spectrogram (100 frames/s of up to 128) in a 32-bit int.
pub(crate) const LONGEST: usize = 24 * 3600 * RATE;

/// Finds where somebody speaks. Clones share one model, and take turns with it.
#[derive(Clone)]
pub struct Detector {
    /// `None` when no model for voice activity is installed.
    vad: Option<Arc<Mutex<Vad>>>,
}

/// What of a recording is worth recognising.
pub struct Speech {
    /// The parts with speech, joined.
    pub(crate) pcm: Vec<f32>,
    /// Where they lie in the recording.
    pub(crate) activity: Activity,
    /// Of the whole recording.
    pub(crate) samples: usize,
}

impl Speech {
    /// Nobody speaks.
    pub fn is_empty(&self) -> bool {
        self.activity.is_empty()
    }
}

impl Detector {
    pub(crate) fn new(vad: Option<Vad>) -> Self {
        Self { vad: vad.map(|vad| Arc::new(Mutex::new(vad))) }
    }

    /// Leaves of `pcm`, 16 kHz mono, full scale ±1, what is worth recognising: nothing where no
    /// sample is above -60 dBFS or nobody speaks, else all but the middle of long silences. Without
    /// a model for voice activity, all.
    ///
    /// Blocking: less than a second of work for 96 s, between which `aborted` is asked.
    pub fn listen(&self, mut pcm: Vec<f32>, aborted: &dyn Fn() -> bool) -> Result<Speech, SpeechError> {
        let samples = pcm.len();
        if samples > LONGEST {
            return Err(SpeechError::TooLong);
        }
        if !pcm.iter().all(|sample| sample.abs() <= LOUDEST) {
            return Err(SpeechError::Samples);
        }
        let started = Instant::now();
        let activity = if pcm.iter().all(|sample| sample.abs() < SILENCE) {
            Activity::none()
        } else {
            match self.probabilities(&pcm, aborted) {
                Some(probabilities) => Activity::of(&probabilities, samples),
                None => Activity::unknown(samples),
            }
        };
        if aborted() {
            return Err(SpeechError::Aborted);
        }
        activity.cut(&mut pcm);
        debug!(
            seconds = seconds(samples),
            kept = seconds(pcm.len()),
            took = ?started.elapsed(),
            "voice activity"
        );
        Ok(Speech { pcm, activity, samples })
    }

    /// Where in `pcm` to cut between two words: a sample in the middle of the longest pause. None
    /// where nobody pauses, without a model for voice activity, and when `aborted`. Blocking, as
    /// [`Detector::listen`].
    pub fn pause(&self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<usize> {
        longest_pause(&self.probabilities(pcm, aborted)?)
    }

    /// None without a model, after a failure of it (whisper.cpp logs those), and when aborted.
    fn probabilities(&self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<Vec<f32>> {
        let mut vad = lock(self.vad.as_ref()?);
        vad.probabilities(pcm, aborted)
    }
}

pub(crate) fn seconds(samples: usize) -> f64 {
    samples as f64 / RATE as f64
}
