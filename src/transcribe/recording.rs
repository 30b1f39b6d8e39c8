//! A recording is decoded by a process of its own, its voice activity is detected on a blocking
//! thread, and it is recognised stretch by stretch. Only the next stretch is prepared while one is
//! recognised, so memory does not grow with the recording's length, and other recordings have their
//! turn between two stretches.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

use super::stretches::{LONGEST_STRETCH, Stretch, Stretches};
use crate::audio::{AudioError, Limits, SAMPLE_RATE};
use crate::decoding::{DecoderProcess, DecoderProgram, Length};
use crate::domain::{Fault, Progress, Settings};
use crate::runtime::problem::PROCESS_LIMIT;
use crate::speech::{
    Detector, LanguagePrior, Observer, OwnersLists, RecogniseOptions, Recognised, Recogniser, Speech,
    SpeechError,
};

const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;

/// Seconds until another attempt after the decoder's process was ended from outside.
const KILLED_PAUSE: u64 = 10;
/// Until another attempt when the decoder's process does not start.
const NO_DECODER_PAUSE: Duration = Duration::from_secs(60);

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("the recording cannot be decoded: {0}")]
    Audio(AudioError),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// The decoder's process did not start. The recording has nothing to do with it.
    #[error("{}", PROCESS_LIMIT.with(.0))]
    NoDecoder(AudioError),
}

impl From<AudioError> for RecordingError {
    fn from(error: AudioError) -> Self {
        match error {
            AudioError::Aborted => Self::Speech(SpeechError::Aborted),
            error @ AudioError::NotStarted(_) => Self::NoDecoder(error),
            error => Self::Audio(error),
        }
    }
}

impl From<RecordingError> for Fault {
    fn from(error: RecordingError) -> Self {
        match error {
            // Whoever ended the decoder's process, and why, is unknown.
            RecordingError::Audio(AudioError::Killed(_)) => Self::retry_in(KILLED_PAUSE, error),
            RecordingError::Audio(_) => Self::Reject(error.to_string()),
            RecordingError::Speech(error) => error.into(),
            RecordingError::NoDecoder(_) => Self::Later { after: NO_DECODER_PAUSE, why: error.to_string() },
        }
    }
}

/// How a recording is recognised.
#[derive(Clone, Default)]
pub struct RecordingOptions {
    pub settings: Settings,
    /// Where to continue.
    pub from: Progress,
    /// What was said before the recording.
    pub prompt: String,
    /// How likely each language is in this chat.
    pub prior: LanguagePrior,
    /// What its owner has listed, if that is another one than the recogniser's.
    pub lists: Option<Arc<OwnersLists>>,
    /// Receives the share that is done, in percent.
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
    /// The length that the sender claims; `None` stands for the longest that is allowed.
    pub claimed: Option<Duration>,
}

/// A recording that is being recognised. Dropping it aborts the recognition.
pub struct Recording<'r> {
    recogniser: &'r dyn Recogniser,
    length: Length,
    stretches: mpsc::Receiver<Result<DetectedStretch, RecordingError>>,
    /// Those of the next stretch.
    options: RecogniseOptions,
    progress: Option<watch::Sender<u8>>,
    /// Who recognised the last stretch.
    by: Option<Arc<str>>,
    _abort: AbortOnDrop,
}

/// A stretch of the recording, in which voice activity was detected.
struct DetectedStretch {
    /// Where it is in the recording, in samples.
    range: Range<u64>,
    speech: Speech,
}

impl<'r> Recording<'r> {
    /// Has all of the recording decoded once, so that one that is too long, or is not a recording
    /// at all, is rejected before anything is recognised.
    pub async fn open(
        recogniser: &'r dyn Recogniser,
        decoder: &DecoderProgram,
        bytes: Vec<u8>,
        limits: Limits,
        options: RecordingOptions,
    ) -> Result<Self, RecordingError> {
        let abort = AbortOnDrop(Arc::default());
        let flag = Arc::clone(&abort.0);
        let (length, measured) = oneshot::channel();
        let (sender, stretches) = mpsc::channel(1);
        let from = options.from.until_ms * SAMPLES_PER_MS;
        let claimed = options.claimed.unwrap_or(limits.length);
        let (decoder, detector) = (decoder.clone(), recogniser.detector().clone());
        let span = Span::current();
        tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            let decoded = decoder.decode(bytes, claimed, &limits, LONGEST_STRETCH as u64, &flag);
            match decoded {
                Ok(process) => {
                    let _ = length.send(Ok(process.length().clone()));
                    let task = DetectTask { detector: &detector, abort: &flag };
                    task.run(process, from, &sender);
                }
                Err(error) => drop(length.send(Err(error))),
            }
        });
        // A closed channel means that the runtime is shutting down.
        let length = measured.await.unwrap_or(Err(AudioError::Aborted))?;
        let RecordingOptions { settings, from, prompt, prior, lists, progress, observer, claimed: _ } =
            options;
        let options = RecogniseOptions {
            previous_text: last_words(format!("{prompt} {}", from.transcript.text()).trim().to_owned()),
            language: settings.language.or(from.transcript.language),
            task: settings.task,
            prior,
            observer,
            lists,
            progress: None,
        };
        Ok(Self { recogniser, length, stretches, options, progress, by: None, _abort: abort })
    }

    pub fn seconds(&self) -> f64 {
        self.length.samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// What is missing and why, if the file is damaged.
    pub fn damaged(&self) -> Option<&str> {
        self.length.damaged.as_deref()
    }

    /// The value of [`Progress::until_ms`] when everything is recognised.
    pub fn length_ms(&self) -> u64 {
        self.length.samples / SAMPLES_PER_MS
    }

    /// The name of the recogniser that the last stretch was recognised by; `None` if nobody speaks
    /// in it.
    pub fn recognised_by(&self) -> Option<Arc<str>> {
        self.by.clone()
    }

    /// Recognises the next stretch. The times refer to the whole recording. None at the end. The
    /// language is that of the first stretch with text.
    pub async fn next(&mut self) -> Result<Option<Progress>, RecordingError> {
        let Some(stretch) = self.stretches.recv().await else {
            return Ok(None);
        };
        let stretch = stretch?;
        let Range { start, end } = stretch.range;
        let Recognised { mut transcript, by } = self.recognise(stretch).await?;
        self.by = by;
        let start_ms = start / SAMPLES_PER_MS;
        for segment in &mut transcript.segments {
            segment.start_ms += start_ms;
            segment.end_ms += start_ms;
        }
        let RecogniseOptions { language, previous_text, .. } = &mut self.options;
        *language = language.or(transcript.language);
        if !transcript.segments.is_empty() {
            *previous_text = last_words(format!("{previous_text} {}", transcript.text()));
        }
        Ok(Some(Progress { until_ms: end / SAMPLES_PER_MS, transcript }))
    }

    async fn recognise(&self, stretch: DetectedStretch) -> Result<Recognised, SpeechError> {
        let DetectedStretch { range, speech } = stretch;
        let (sender, mut percent) = watch::channel(0_u8);
        let options = RecogniseOptions { progress: Some(sender), ..self.options.clone() };
        let report = async {
            while percent.changed().await.is_ok() {
                let percent = u64::from(*percent.borrow_and_update());
                let done = range.start + (range.end - range.start) * percent / 100;
                if let Some(progress) = &self.progress {
                    progress.send_replace((done * 100 / self.length.samples.max(1)) as u8);
                }
            }
        };
        // The recogniser drops the sender when it is done with the stretch, which ends `report`.
        tokio::join!(self.recogniser.recognise_stretch(speech, options), report).0
    }
}

/// Cuts what is decoded into stretches and detects their voice activity, on a blocking thread.
struct DetectTask<'a> {
    detector: &'a Detector,
    abort: &'a AtomicBool,
}

impl DetectTask<'_> {
    /// Sends the stretches from the sample `from` on, as fast as they are received.
    fn run(
        &self,
        decoded: DecoderProcess<'_>,
        from: u64,
        stretches: &mpsc::Sender<Result<DetectedStretch, RecordingError>>,
    ) {
        let pause = |samples: &[f32]| self.detector.longest_pause(samples, &|| self.is_aborted());
        for stretch in Stretches::new(decoded, from, pause) {
            let stretch = stretch.map_err(RecordingError::from).and_then(|stretch| self.detect(stretch));
            let failed = stretch.is_err();
            if stretches.blocking_send(stretch).is_err() || failed {
                return;
            }
        }
    }

    fn detect(&self, Stretch { start, samples }: Stretch) -> Result<DetectedStretch, RecordingError> {
        let range = start..start + samples.len() as u64;
        let speech = self.detector.detect(samples, &|| self.is_aborted())?;
        Ok(DetectedStretch { range, speech })
    }

    fn is_aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
    }
}

/// The last words of a text, as many as prompt the next stretch.
fn last_words(mut text: String) -> String {
    const BYTES: usize = 600;
    if let Some(excess) = text.len().checked_sub(BYTES) {
        let words = text.char_indices().filter(|(at, c)| *at >= excess && c.is_whitespace());
        let start = words.map(|(at, c)| at + c.len_utf8()).next().unwrap_or(text.len());
        text.drain(..start);
    }
    text
}

/// Makes the decoder end when the recording is dropped.
struct AbortOnDrop(Arc<AtomicBool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use support::speech::{MODEL, VAD, silence};

    use super::*;
    use crate::speech::{Engine, EngineOptions};

    #[test]
    fn only_what_is_the_recordings_fault_rejects_it() {
        let fault = |error| Fault::from(RecordingError::from(error));
        for error in [AudioError::TooMuchMemory { limit: 1 }, AudioError::Crashed("signal 11".into())] {
            assert!(matches!(fault(error), Fault::Reject(_)));
        }
        assert!(matches!(fault(AudioError::Killed(9)), Fault::Retry { .. }));
        let Fault::Later { why, .. } = fault(AudioError::NotStarted("no memory".into())) else { panic!() };
        assert!(why.contains("cannot be started: no memory; ") && why.ends_with("[process-limit]"), "{why}");
        assert!(matches!(fault(AudioError::Aborted), Fault::Aborted));
    }

    #[test]
    fn the_last_words_are_whole() {
        assert_eq!(last_words(String::new()), "");
        assert_eq!(last_words("один два".into()), "один два");
        let end = last_words("семь восемь ".repeat(90));
        assert!((570..=600).contains(&end.len()), "{}", end.len());
        assert!(end.starts_with("семь восемь ") || end.starts_with("восемь семь "), "{end}");
        assert_eq!(last_words("я".repeat(900)), "", "there is no whole word");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_stretch_is_ready_while_the_one_before_it_is_recognised() {
        let options = EngineOptions { model: MODEL.into(), vad: Some(VAD.into()), ..Default::default() };
        let engine = Engine::start(options).await.unwrap();
        let decoder = DecoderProgram::at(support::stenogram());
        let options = RecordingOptions::default();
        let mut recording =
            Recording::open(&engine, &decoder, silence(120.0), Limits::default(), options).await.unwrap();
        assert_eq!(recording.stretches.max_capacity(), 1, "memory does not grow with the length");
        let mut taken = 0;
        while let Some(stretch) = recording.stretches.recv().await {
            stretch.unwrap();
            taken += 1;
            // The stretch that was taken is not done with, and nothing asks for another one.
            let ready = async {
                while recording.stretches.is_empty() && !recording.stretches.is_closed() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(120), ready).await.expect("the next stretch is made");
        }
        assert!(taken >= 120 / 29, "{taken}");
    }
}
