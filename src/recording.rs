//! A recording from its bytes to its transcript: decoded on a blocking thread, recognised stretch by
//! stretch. One stretch is decoded ahead while another is recognised, so memory does not grow with the
//! recording's length, and other recordings have their turn between two stretches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::audio::{AudioError, Decoder, LONGEST_STRETCH, Limits, SAMPLE_RATE, Stretch, Stretches};
use crate::domain::{Fault, Progress, Transcript};
use crate::speech::{Engine, Habit, Observer, RecogniseOptions, SpeechError};

const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("the recording cannot be decoded: {0}")]
    Audio(AudioError),
    #[error(transparent)]
    Speech(#[from] SpeechError),
}

impl From<AudioError> for RecordingError {
    fn from(error: AudioError) -> Self {
        match error {
            AudioError::Aborted => Self::Speech(SpeechError::Aborted),
            error => Self::Audio(error),
        }
    }
}

impl From<RecordingError> for Fault {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Audio(_) => Self::Reject(error.to_string()),
            RecordingError::Speech(error) => error.into(),
        }
    }
}

/// How a recording is recognised.
#[derive(Clone, Default)]
pub struct RecordingOptions {
    /// Goes on from there.
    pub from: Progress,
    /// What was heard of the speaker before.
    pub habit: Habit,
    /// Told the share that is done, in percent.
    pub progress: Option<watch::Sender<u8>>,
    /// Told how its recognition gets on.
    pub observer: Option<Arc<dyn Observer>>,
}

/// A recording that is being recognised. Dropping it ends that.
pub struct Recording<'e> {
    engine: &'e Engine,
    length: Length,
    stretches: mpsc::Receiver<Result<Stretch, AudioError>>,
    language: Option<String>,
    habit: Habit,
    progress: Option<watch::Sender<u8>>,
    observer: Option<Arc<dyn Observer>>,
    _abort: AbortOnDrop,
}

/// What a recording is found to be before any of it is recognised.
struct Length {
    samples: u64,
    /// What is missing and why, where the file is damaged.
    damaged: Option<String>,
}

impl<'e> Recording<'e> {
    /// Decodes all of it once: what is too long, or no recording at all, is found before anything is
    /// recognised.
    pub async fn open(
        engine: &'e Engine,
        bytes: Vec<u8>,
        limits: Limits,
        options: RecordingOptions,
    ) -> Result<Self, RecordingError> {
        let abort = AbortOnDrop(Arc::default());
        let flag = Arc::clone(&abort.0);
        let (length, measured) = oneshot::channel();
        let (sender, stretches) = mpsc::channel(1);
        let from = options.from.until_ms * SAMPLES_PER_MS;
        tokio::task::spawn_blocking(move || decode(&bytes, &limits, from, &flag, length, &sender));
        // Nobody tells: the runtime ends.
        let length = measured.await.unwrap_or(Err(AudioError::Aborted))?;
        let RecordingOptions { from, habit, progress, observer } = options;
        let language = from.transcript.language;
        Ok(Self { engine, length, stretches, language, habit, progress, observer, _abort: abort })
    }

    pub fn seconds(&self) -> f64 {
        self.length.samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// What is missing and why, where the file is damaged.
    pub fn damaged(&self) -> Option<&str> {
        self.length.damaged.as_deref()
    }

    /// What [`Progress::until_ms`] is when all is recognised.
    pub fn length_ms(&self) -> u64 {
        self.length.samples / SAMPLES_PER_MS
    }

    /// Recognises the next stretch: what was said in it, in the recording's time. None at the end. The
    /// language is that of the first stretch in which something was said.
    pub async fn next(&mut self) -> Result<Option<Progress>, RecordingError> {
        let Some(stretch) = self.stretches.recv().await else { return Ok(None) };
        let Stretch { start, samples } = stretch?;
        let end = start + samples.len() as u64;
        let mut transcript = self.recognise(samples, start..end).await?;
        let start_ms = start / SAMPLES_PER_MS;
        for segment in &mut transcript.segments {
            segment.start_ms += start_ms;
            segment.end_ms += start_ms;
        }
        self.language = self.language.take().or_else(|| transcript.language.clone());
        Ok(Some(Progress { until_ms: end / SAMPLES_PER_MS, transcript }))
    }

    async fn recognise(
        &self,
        samples: Vec<f32>,
        place: std::ops::Range<u64>,
    ) -> Result<Transcript, SpeechError> {
        #[cfg(feature = "chaos")]
        if let Some(transcript) = crate::chaos::transcript(&samples) {
            return Ok(transcript);
        }
        let (percent, mut told) = watch::channel(0_u8);
        let observer = self.observer.clone();
        let (language, habit) = (self.language.clone(), self.habit.clone());
        let options = RecogniseOptions { language, habit, progress: Some(percent), observer };
        let tell = async {
            while told.changed().await.is_ok() {
                let done =
                    place.start + (place.end - place.start) * u64::from(*told.borrow_and_update()) / 100;
                if let Some(progress) = &self.progress {
                    progress.send_replace((done * 100 / self.length.samples.max(1)) as u8);
                }
            }
        };
        // The engine lets go of its end when it is done with the stretch, which ends `tell`.
        tokio::join!(self.engine.recognise(samples, options), tell).0
    }
}

/// Tells the length, then gives out the stretches from the sample `from` on, as fast as they are taken.
fn decode(
    bytes: &[u8],
    limits: &Limits,
    from: u64,
    abort: &AtomicBool,
    length: oneshot::Sender<Result<Length, AudioError>>,
    stretches: &mpsc::Sender<Result<Stretch, AudioError>>,
) {
    let (measured, whole) = match measure(bytes, limits, abort) {
        Ok(measured) => measured,
        Err(error) => {
            let _ = length.send(Err(error));
            return;
        }
    };
    let _ = length.send(Ok(measured));
    let give = |stretch| stretches.blocking_send(stretch).is_ok();
    if let Some(samples) = whole {
        if from < samples.len() as u64 {
            give(Ok(Stretch { start: 0, samples }));
        }
        return;
    }
    match Decoder::new(bytes, limits, abort) {
        Ok(decoder) => {
            let rest =
                Stretches::new(decoder).filter_map(|stretch| stretch.map(|it| after(it, from)).transpose());
            for stretch in rest {
                let failed = stretch.is_err();
                if !give(stretch) || failed {
                    return;
                }
            }
        }
        Err(error) => {
            give(Err(error));
        }
    }
}

/// How long the recording is, and all of it, if it is one stretch.
fn measure(
    bytes: &[u8],
    limits: &Limits,
    abort: &AtomicBool,
) -> Result<(Length, Option<Vec<f32>>), AudioError> {
    let mut decoder = Decoder::new(bytes, limits, abort)?;
    let (mut samples, mut whole) = (0, Some(Vec::new()));
    for chunk in &mut decoder {
        let chunk = chunk?;
        samples += chunk.len() as u64;
        whole = whole.filter(|_| samples <= LONGEST_STRETCH as u64);
        if let Some(whole) = &mut whole {
            whole.extend(chunk);
        }
    }
    Ok((Length { samples, damaged: decoder.damaged().map(str::to_owned) }, whole))
}

/// What of a stretch comes after the sample `from`.
fn after(mut stretch: Stretch, from: u64) -> Option<Stretch> {
    let known = from.saturating_sub(stretch.start).min(stretch.samples.len() as u64);
    stretch.samples.drain(..known as usize);
    stretch.start += known;
    (!stretch.samples.is_empty()).then_some(stretch)
}

/// Ends the decoder on its thread when nobody waits for it any more.
struct AbortOnDrop(Arc<AtomicBool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
