//! Detects voice activity on the caller's thread, in parallel to the recognition of another
//! recording.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::{debug, warn};

use super::activity::Activity;
use super::level::raise_quiet_voices;
use super::quiet::look_again;
use super::silero::Vad;
use super::voice::longest_pause;
use crate::runtime::lock;
use crate::speech::error::SpeechError;
use crate::speech::problems::VAD_UNUSABLE;
use crate::speech::whisper::RATE;

/// -60 dBFS. Recordings without a louder sample are silent, and Whisper hallucinates on silence.
const SILENCE: f32 = 0.001;
/// 40 dB over full scale. Codecs overshoot by a few dB; louder samples are not sound.
const LOUDEST: f32 = 100.0;
/// The longest recording, in samples: 24 hours. whisper.cpp counts the values of the spectrogram
/// (100 frames a second of up to 128) in a 32-bit int.
pub(crate) const LONGEST: usize = 24 * 3600 * RATE;

/// Finds where somebody speaks. Clones share one model and use it one after another.
#[derive(Clone)]
pub struct Detector {
    /// `None` when no model for voice activity is installed.
    vad: Option<Arc<Mutex<Vad>>>,
}

/// The speech in a recording.
#[derive(Clone)]
pub struct Speech {
    /// The parts with speech, joined.
    pub(crate) pcm: Vec<f32>,
    /// Where they are in the recording.
    pub(crate) activity: Activity,
    /// Length of the whole recording.
    pub(crate) samples: usize,
}

impl Speech {
    /// Whether nobody speaks.
    pub fn is_empty(&self) -> bool {
        self.activity.is_empty()
    }
}

impl Detector {
    /// Loads the voice activity model, if there is one to load. If it cannot be used, that is
    /// logged, and the detector is one without a model.
    pub(crate) fn load(path: Option<&Path>) -> Self {
        Self { vad: path.and_then(load_vad).map(|vad| Arc::new(Mutex::new(vad))) }
    }

    /// Finds the speech in `pcm`, 16 kHz mono, full scale ±1. Only the middle of long silences is
    /// cut out, unless no sample is above -60 dBFS or nobody speaks: then the speech is empty.
    /// Speech that is far quieter than the rest is raised. Without a voice activity model,
    /// everything counts as speech and keeps its level.
    ///
    /// Blocks for less than a second per 96 s of audio, and checks `aborted` in between.
    pub fn detect(&self, mut pcm: Vec<f32>, aborted: &dyn Fn() -> bool) -> Result<Speech, SpeechError> {
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
        let raised = activity.voices().map_or(0, |voices| raise_quiet_voices(&mut pcm, voices));
        debug!(
            event = "voice_activity",
            seconds = seconds(samples),
            kept = seconds(pcm.len()),
            raised = seconds(raised),
            took = ?started.elapsed(),
            "voice activity"
        );
        Ok(Speech { pcm, activity, samples })
    }

    /// The sample in the middle of the longest pause between words in `pcm`. None if there is no
    /// pause, no voice activity model, or if `aborted`. Blocks as [`Detector::detect`] does.
    pub fn longest_pause(&self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<usize> {
        longest_pause(&self.probabilities(pcm, aborted)?)
    }

    /// None without a model, if it fails (whisper.cpp logs that), or if aborted.
    fn probabilities(&self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<Vec<f32>> {
        let mut vad = lock(self.vad.as_ref()?);
        let mut probabilities = vad.probabilities(pcm, aborted)?;
        look_again(&mut vad, pcm, &mut probabilities, aborted)?;
        Some(probabilities)
    }
}

/// Loads the model. If it cannot be used, logs a warning and returns None.
fn load_vad(path: &Path) -> Option<Vad> {
    let loaded = Vad::load(path);
    let path = path.display();
    loaded
        .inspect_err(|error| {
            let what = format!(
                "the voice activity model {path} {error}: going on without it, so silence costs time and may be \
                 given words"
            );
            warn!("{}", VAD_UNUSABLE.with(what));
        })
        .ok()
}

pub(crate) fn seconds(samples: usize) -> f64 {
    samples as f64 / RATE as f64
}
