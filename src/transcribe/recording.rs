//! A recording from its bytes to its transcript: decoded and listened to on a blocking thread,
//! recognised stretch by stretch. The next stretch is made ready while one is recognised, so memory
//! does not grow with the recording's length, and other recordings have their turn between two
//! stretches.

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
use crate::domain::{Fault, LanguageCode, Progress, Transcript};
use crate::runtime::lock;
use crate::speech::{Detector, Engine, Habit, Observer, RecogniseOptions, Speech, SpeechError};

const SAMPLES_PER_MS: u64 = SAMPLE_RATE as u64 / 1000;

/// How long the thread that decodes is waited for beyond the decoder's own limit. It also listens
/// for speech, and the processor may be busy.
const GRACE: Duration = Duration::from_secs(60);

/// From this many threads that were given up and still run, the process has to be restarted: each
/// of them may keep a processor busy.
const MAX_GIVEN_UP: usize = 2;

/// The threads that were given up and have not ended since.
static GIVEN_UP: Threads = Threads(Mutex::new(Vec::new()));

/// Why a recording has no transcript.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("the recording cannot be decoded: {0}")]
    Audio(AudioError),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    /// The recording itself is not to blame.
    #[error("{0} earlier recordings are still being decoded and cannot be stopped; only a restart ends that")]
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
    language: Option<LanguageCode>,
    /// The end of what was said so far.
    said: String,
    habit: Habit,
    progress: Option<watch::Sender<u8>>,
    observer: Option<Arc<dyn Observer>>,
    thread: Thread,
    _abort: AbortOnDrop,
}

/// A stretch of the recording that was listened to.
struct Heard {
    /// In samples.
    place: Range<u64>,
    speech: Speech,
}

/// What a recording is found to be before any of it is recognised.
struct Length {
    samples: u64,
    /// What is missing and why, where the file is damaged.
    damaged: Option<String>,
}

impl<'e> Recording<'e> {
    /// Decodes all of it once: what is too long, or no recording at all, is found before anything
    /// is recognised.
    pub async fn open(
        engine: &'e Engine,
        bytes: Vec<u8>,
        limits: Limits,
        options: RecordingOptions,
    ) -> Result<Self, RecordingError> {
        let stuck = GIVEN_UP.count();
        if stuck >= MAX_GIVEN_UP {
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
            let source = Source { bytes: &bytes, limits: &limits, detector: &detector, abort: &flag };
            source.decode(from, length, &sender);
        });
        // Nobody tells: the runtime ends.
        let length = thread.wait_for(measured, &GIVEN_UP).await?.unwrap_or(Err(AudioError::Aborted))?;
        let RecordingOptions { from, habit, progress, observer } = options;
        let said = end_of(from.transcript.text());
        let language = from.transcript.language;
        Ok(Self {
            engine,
            length,
            stretches,
            language,
            said,
            habit,
            progress,
            observer,
            thread,
            _abort: abort,
        })
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

    /// Recognises the next stretch: what was said in it, in the recording's time. None at the end.
    /// The language is that of the first stretch in which something was said.
    pub async fn next(&mut self) -> Result<Option<Progress>, RecordingError> {
        let heard = self.thread.wait_for(self.stretches.recv(), &GIVEN_UP).await?;
        let Some(heard) = heard else { return Ok(None) };
        let heard = heard?;
        let Range { start, end } = heard.place;
        let mut transcript = self.recognise(heard).await?;
        let start_ms = start / SAMPLES_PER_MS;
        for segment in &mut transcript.segments {
            segment.start_ms += start_ms;
            segment.end_ms += start_ms;
        }
        self.language = self.language.or(transcript.language);
        if !transcript.segments.is_empty() {
            self.said = end_of(format!("{} {}", self.said, transcript.text()));
        }
        Ok(Some(Progress { until_ms: end / SAMPLES_PER_MS, transcript }))
    }

    async fn recognise(&self, heard: Heard) -> Result<Transcript, SpeechError> {
        let Heard { place, speech } = heard;
        let (percent, mut told) = watch::channel(0_u8);
        let observer = self.observer.clone();
        let (language, habit, before) = (self.language, self.habit.clone(), self.said.clone());
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
    /// Tells the length, then gives out the stretches from the sample `from` on, as fast as they
    /// are taken.
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

/// The thread that decodes a recording.
struct Thread {
    /// It has a share of this as long as it runs.
    alive: Arc<()>,
    /// For the decoder to end by itself.
    limit: Duration,
}

impl Thread {
    /// Waits for what the thread tells. If that takes longer than the limit, the thread is given
    /// up: a decoder that loops without reading anything checks neither the time nor the request to
    /// abort.
    async fn wait_for<T>(&self, told: impl Future<Output = T>, given_up: &Threads) -> Result<T, AudioError> {
        tokio::time::timeout(self.limit + GRACE, told).await.map_err(|_| {
            error!("A decoder does not end, its recording is given up");
            given_up.add(&self.alive);
            AudioError::TooSlow { limit: self.limit }
        })
    }
}

struct Threads(Mutex<Vec<Weak<()>>>);

impl Threads {
    fn add(&self, alive: &Arc<()>) {
        lock(&self.0).push(Arc::downgrade(alive));
    }

    /// How many of them still run.
    fn count(&self) -> usize {
        let mut threads = lock(&self.0);
        threads.retain(|alive| alive.strong_count() > 0);
        threads.len()
    }
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
    use std::future;
    use std::time::Duration;

    use super::{AudioError, Thread, Threads, end_of};

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_does_not_tell_in_time_is_given_up_until_it_ends() {
        let (given_up, limit) = (Threads(Default::default()), Duration::from_secs(600));
        let thread = Thread { alive: Default::default(), limit };
        let alive = thread.alive.clone();
        assert_eq!(thread.wait_for(future::ready(7), &given_up).await, Ok(7));
        assert_eq!(given_up.count(), 0);
        let told = thread.wait_for(future::pending::<u8>(), &given_up).await;
        assert_eq!(told, Err(AudioError::TooSlow { limit }));
        drop(thread);
        assert_eq!(given_up.count(), 1, "it still runs");
        drop(alive);
        assert_eq!(given_up.count(), 0);
    }

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
