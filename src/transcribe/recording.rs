//! A recording is decoded, and its voice activity is detected, on a blocking thread; it is
//! recognised stretch by stretch. Only the next stretch is prepared while one is recognised, so
//! memory does not grow with the recording's length, and other recordings have their turn between
//! two stretches.

use std::future::Future;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{Span, error};

use super::stretches::{LONGEST_STRETCH, Stretch, Stretches};
use crate::audio::{AudioError, Decoder, Limits, SAMPLE_RATE};
use crate::domain::{Fault, Progress, Settings, Transcript};
use crate::runtime::lock;
use crate::runtime::problem::Problem;
use crate::speech::{Detector, Engine, LanguagePrior, Observer, RecogniseOptions, Speech, SpeechError};

const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;

/// How long we wait for the decoding thread beyond the decoder's own limit. It detects voice
/// activity too, and the processor may be busy.
const GRACE: Duration = Duration::from_secs(60);

/// If this many abandoned threads are still running, the process has to be restarted, because each
/// of them may keep a processor core busy.
const MAX_ABANDONED: usize = 2;

/// The abandoned threads that have not ended yet.
static ABANDONED: Threads = Threads(Mutex::new(Vec::new()));

pub static PROBLEMS: &[&Problem] = &[&DECODER_STUCK];

static DECODER_STUCK: Problem = Problem {
    code: "decoder-stuck",
    title: "Earlier recordings are still being decoded and cannot be stopped",
    why: "Two broken recordings keep a decoder busy for ever. The daemon ends, so that it is started again without \
          them.",
    remedy: "restart stenogram; if it happens again, report it with the recording, if you may share that",
};

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("the recording cannot be decoded: {0}")]
    Audio(AudioError),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// Other recordings have caused this.
    #[error("{}", DECODER_STUCK.with(format_args!(
        "{} earlier recordings are still being decoded and cannot be stopped", .0
    )))]
    Stuck(usize),
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
            RecordingError::Stuck(_) => Self::Fatal(error.to_string()),
        }
    }
}

/// How a recording is recognised.
#[derive(Clone, Default)]
pub struct RecordingOptions {
    pub settings: Settings,
    /// Where to continue.
    pub from: Progress,
    /// How likely each language is in this chat.
    pub prior: LanguagePrior,
    /// Receives the share that is done, in percent.
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
}

/// A recording that is being recognised. Dropping it aborts the recognition.
pub struct Recording<'e> {
    engine: &'e Engine,
    length: Length,
    stretches: mpsc::Receiver<Result<DetectedStretch, RecordingError>>,
    /// Those of the next stretch.
    options: RecogniseOptions,
    progress: Option<watch::Sender<u8>>,
    thread: Thread,
    _abort: AbortOnDrop,
}

/// A stretch of the recording, in which voice activity was detected.
struct DetectedStretch {
    /// Where it is in the recording, in samples.
    range: Range<u64>,
    speech: Speech,
}

/// What is known of a recording before any of it is recognised.
struct Length {
    samples: u64,
    /// What is missing and why, if the file is damaged.
    damaged: Option<String>,
}

impl<'e> Recording<'e> {
    /// Decodes all of the recording once, so that one that is too long, or is not a recording at
    /// all, is rejected before anything is recognised.
    pub async fn open(
        engine: &'e Engine,
        bytes: Vec<u8>,
        limits: Limits,
        options: RecordingOptions,
    ) -> Result<Self, RecordingError> {
        let stuck = ABANDONED.count();
        if stuck >= MAX_ABANDONED {
            return Err(RecordingError::Stuck(stuck));
        }
        let abort = AbortOnDrop(Arc::default());
        let thread = Thread { alive: Arc::default(), limit: limits.time };
        let alive = Arc::clone(&thread.alive);
        let flag = Arc::clone(&abort.0);
        let (length, measured) = oneshot::channel();
        let (sender, stretches) = mpsc::channel(1);
        let from = options.from.until_ms * SAMPLES_PER_MS;
        let detector = engine.detector().clone();
        let span = Span::current();
        tokio::task::spawn_blocking(move || {
            let (_entered, _alive) = (span.enter(), alive);
            let task = DecodeTask { bytes: &bytes, limits: &limits, detector: &detector, abort: &flag };
            task.run(from, length, &sender);
        });
        // A closed channel means that the runtime is shutting down.
        let length = thread.wait_for(measured, &ABANDONED).await?.unwrap_or(Err(AudioError::Aborted))?;
        let RecordingOptions { settings, from, prior, progress, observer } = options;
        let options = RecogniseOptions {
            previous_text: last_words(from.transcript.text()),
            language: settings.language.or(from.transcript.language),
            task: settings.task,
            prior,
            observer,
            progress: None,
        };
        Ok(Self { engine, length, stretches, options, progress, thread, _abort: abort })
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

    /// Recognises the next stretch. The times refer to the whole recording. None at the end. The
    /// language is that of the first stretch with text.
    pub async fn next(&mut self) -> Result<Option<Progress>, RecordingError> {
        let Some(stretch) = self.thread.wait_for(self.stretches.recv(), &ABANDONED).await? else {
            return Ok(None);
        };
        let stretch = stretch?;
        let Range { start, end } = stretch.range;
        let mut transcript = self.recognise(stretch).await?;
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

    async fn recognise(&self, stretch: DetectedStretch) -> Result<Transcript, SpeechError> {
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
        // The engine drops the sender when it is done with the stretch, which ends `report`.
        tokio::join!(self.engine.recognise_speech(speech, options), report).0
    }
}

/// Decodes a recording and detects its voice activity, on a blocking thread.
struct DecodeTask<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    detector: &'a Detector,
    abort: &'a AtomicBool,
}

impl DecodeTask<'_> {
    /// Sends the length, then the stretches from the sample `from` on, as fast as they are
    /// received.
    fn run(
        &self,
        from: u64,
        length: oneshot::Sender<Result<Length, AudioError>>,
        stretches: &mpsc::Sender<Result<DetectedStretch, RecordingError>>,
    ) {
        let (measured, whole) = match measure(self.bytes, self.limits, self.abort) {
            Ok(measured) => measured,
            Err(error) => {
                let _ = length.send(Err(error));
                return;
            }
        };
        let _ = length.send(Ok(measured));
        let send = |stretch| stretches.blocking_send(stretch).is_ok();
        let chunks: Box<dyn Iterator<Item = _>> = match whole {
            Some(samples) => Box::new(iter::once(Ok(samples))),
            None => match Decoder::new(self.bytes, self.limits, self.abort) {
                Ok(decoder) => Box::new(decoder),
                Err(error) => {
                    send(Err(error.into()));
                    return;
                }
            },
        };
        let pause = |samples: &[f32]| self.detector.longest_pause(samples, &|| self.is_aborted());
        for stretch in Stretches::new(chunks, from, pause) {
            let stretch = stretch.map_err(RecordingError::from).and_then(|stretch| self.detect(stretch));
            let failed = stretch.is_err();
            if !send(stretch) || failed {
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

/// The length of the recording, and its samples if they are a single stretch.
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

/// The thread that decodes a recording.
struct Thread {
    /// The thread holds a clone of this as long as it runs.
    alive: Arc<()>,
    /// The time limit of the decoder itself.
    limit: Duration,
}

impl Thread {
    /// Waits for a message of the thread. After the limit the thread is abandoned: a decoder that
    /// loops without reading anything checks neither the time nor the request to abort.
    async fn wait_for<T>(
        &self,
        message: impl Future<Output = T>,
        abandoned: &Threads,
    ) -> Result<T, AudioError> {
        tokio::time::timeout(self.limit + GRACE, message).await.map_err(|_| {
            error!("A decoder does not end, its recording is given up");
            abandoned.add(&self.alive);
            AudioError::TooSlow { limit: self.limit }
        })
    }
}

/// Threads that may have ended.
struct Threads(Mutex<Vec<Weak<()>>>);

impl Threads {
    fn add(&self, alive: &Arc<()>) {
        lock(&self.0).push(Arc::downgrade(alive));
    }

    /// How many of them are still running.
    fn count(&self) -> usize {
        let mut threads = lock(&self.0);
        threads.retain(|alive| alive.strong_count() > 0);
        threads.len()
    }
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
    use std::future;
    use std::time::Duration;

    use support::speech::{MODEL, VAD, silence};

    use super::{AudioError, Recording, RecordingOptions, Thread, Threads, last_words};
    use crate::audio::Limits;
    use crate::speech::{Engine, EngineOptions};

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_is_late_is_abandoned_until_it_ends() {
        let (abandoned, limit) = (Threads(Default::default()), Duration::from_secs(600));
        let thread = Thread { alive: Default::default(), limit };
        let alive = thread.alive.clone();
        assert_eq!(thread.wait_for(future::ready(7), &abandoned).await, Ok(7));
        assert_eq!(abandoned.count(), 0);
        let message = thread.wait_for(future::pending::<u8>(), &abandoned).await;
        assert_eq!(message, Err(AudioError::TooSlow { limit }));
        drop(thread);
        assert_eq!(abandoned.count(), 1, "it still runs");
        drop(alive);
        assert_eq!(abandoned.count(), 0);
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
        let options = RecordingOptions::default();
        let mut recording =
            Recording::open(&engine, silence(120.0), Limits::default(), options).await.unwrap();
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
