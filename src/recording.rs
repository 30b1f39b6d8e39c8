//! A recording from its bytes to its transcript: decoded and listened to on a blocking thread, recognised
//! stretch by stretch. The next stretch is made ready while one is recognised, so memory does not grow with
//! the recording's length, and other recordings have their turn between two stretches.

use std::iter;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

use crate::audio::{AudioError, Decoder, LONGEST_STRETCH, Limits, SAMPLE_RATE, Stretch, Stretches};
use crate::domain::{Fault, Progress, Transcript};
use crate::speech::{Detector, Engine, Habit, Observer, RecogniseOptions, Speech, SpeechError};

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
    stretches: mpsc::Receiver<Result<Heard, RecordingError>>,
    language: Option<String>,
    /// The end of what was said so far.
    said: String,
    habit: Habit,
    progress: Option<watch::Sender<u8>>,
    observer: Option<Arc<dyn Observer>>,
    _abort: AbortOnDrop,
}

/// A stretch of the recording that was listened to.
struct Heard {
    /// In samples.
    place: Range<u64>,
    speech: Speech,
    /// A stand-in for what would be recognised.
    #[cfg(feature = "chaos")]
    stub: Option<Transcript>,
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
        let detector = engine.detector().clone();
        let span = Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            let source = Source { bytes: &bytes, limits: &limits, detector: &detector, abort: &flag };
            source.decode(from, length, &sender);
        });
        // Nobody tells: the runtime ends.
        let length = measured.await.unwrap_or(Err(AudioError::Aborted))?;
        let RecordingOptions { from, habit, progress, observer } = options;
        let said = end_of(from.transcript.text());
        let language = from.transcript.language;
        Ok(Self { engine, length, stretches, language, said, habit, progress, observer, _abort: abort })
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
        let Some(heard) = self.stretches.recv().await else { return Ok(None) };
        let heard = heard?;
        let Range { start, end } = heard.place;
        let mut transcript = self.recognise(heard).await?;
        let start_ms = start / SAMPLES_PER_MS;
        for segment in &mut transcript.segments {
            segment.start_ms += start_ms;
            segment.end_ms += start_ms;
        }
        self.language = self.language.take().or_else(|| transcript.language.clone());
        if !transcript.segments.is_empty() {
            self.said = end_of(format!("{} {}", self.said, transcript.text()));
        }
        Ok(Some(Progress { until_ms: end / SAMPLES_PER_MS, transcript }))
    }

    async fn recognise(&self, heard: Heard) -> Result<Transcript, SpeechError> {
        #[cfg(feature = "chaos")]
        if let Some(transcript) = heard.stub {
            return Ok(transcript);
        }
        let Heard { place, speech, .. } = heard;
        let (percent, mut told) = watch::channel(0_u8);
        let observer = self.observer.clone();
        let (language, habit, before) = (self.language.clone(), self.habit.clone(), self.said.clone());
        let options = RecogniseOptions { language, habit, before, progress: Some(percent), observer };
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
        tokio::join!(self.engine.recognise_speech(speech, options), tell).0
    }
}

/// What is decoded and listened to, on a thread that may block.
struct Source<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    detector: &'a Detector,
    abort: &'a AtomicBool,
}

impl Source<'_> {
    /// Tells the length, then gives out the stretches from the sample `from` on, as fast as they are taken.
    fn decode(
        &self,
        from: u64,
        length: oneshot::Sender<Result<Length, AudioError>>,
        stretches: &mpsc::Sender<Result<Heard, RecordingError>>,
    ) {
        let (measured, whole) = match measure(self.bytes, self.limits, self.abort) {
            Ok(measured) => measured,
            Err(error) => {
                let _ = length.send(Err(error));
                return;
            }
        };
        let _ = length.send(Ok(measured));
        let give = |heard| stretches.blocking_send(heard).is_ok();
        let chunks: Box<dyn Iterator<Item = _>> = match whole {
            Some(samples) => Box::new(iter::once(Ok(samples))),
            None => match Decoder::new(self.bytes, self.limits, self.abort) {
                Ok(decoder) => Box::new(decoder),
                Err(error) => {
                    give(Err(error.into()));
                    return;
                }
            },
        };
        let pause = |samples: &[f32]| self.detector.pause(samples, &|| self.is_aborted());
        for stretch in Stretches::new(chunks, from, pause) {
            let heard = stretch.map_err(RecordingError::from).and_then(|stretch| self.listen(stretch));
            let failed = heard.is_err();
            if !give(heard) || failed {
                return;
            }
        }
    }

    fn listen(&self, Stretch { start, samples }: Stretch) -> Result<Heard, RecordingError> {
        Ok(Heard {
            place: start..start + samples.len() as u64,
            #[cfg(feature = "chaos")]
            stub: crate::chaos::transcript(&samples),
            speech: self.detector.listen(samples, &|| self.is_aborted())?,
        })
    }

    fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
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

/// As much of a text's end as the next stretch is to go on from, from a word's beginning on.
fn end_of(mut text: String) -> String {
    const BYTES: usize = 600;
    if let Some(excess) = text.len().checked_sub(BYTES) {
        let words = text.char_indices().filter(|(at, c)| *at >= excess && c.is_whitespace());
        let start = words.map(|(at, c)| at + c.len_utf8()).next().unwrap_or(text.len());
        text.drain(..start);
    }
    text
}

/// Ends the decoder on its thread when nobody waits for it any more.
struct AbortOnDrop(Arc<AtomicBool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn whole_words_of_the_end_are_gone_on_from() {
        assert_eq!(end_of(String::new()), "");
        assert_eq!(end_of("один два".into()), "один два");
        let end = end_of("семь восемь ".repeat(90));
        assert!((570..=600).contains(&end.len()), "{}", end.len());
        assert!(end.starts_with("семь восемь ") || end.starts_with("восемь семь "), "{end}");
        assert_eq!(end_of("я".repeat(900)), "", "one endless word is none");
    }
}
