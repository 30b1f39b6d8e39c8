//! A stand-in for recognition: the answer to a short recording is a text that only its samples
//! have. Thousands of messages are then answered in minutes, and each answer shows whose it is.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use stenogram::audio::{Limits, SAMPLE_RATE};
use stenogram::decoding::DecoderProgram;
use stenogram::domain::{Fault, Job, Progress, Segment, Settings, Transcript};
use stenogram::jobs::ports::{Transcriber, Transcription};

/// Recordings with fewer samples than this are for the stand-in: one second.
pub const STUBBED_BELOW: usize = SAMPLE_RATE as usize;

/// Those with so many samples, and more, are recognised in several stretches.
pub const SLOW_FROM: usize = SAMPLE_RATE as usize * 3 / 5;

/// The stretches of a slow recording.
const STRETCHES: usize = 4;

/// The texts of the stretches of a recording, which only these samples have. Together they are too
/// long for one message in one recording of sixteen, and for two messages in one of 64.
fn texts_of(samples: &[f32]) -> Vec<String> {
    let mut hash = Sha256::new();
    samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
    let digest = hash.finalize();
    let words = match digest[31] {
        0..4 => 420,
        4..16 => 300,
        _ => 1,
    };
    let stretches = if samples.len() < SLOW_FROM { 1 } else { STRETCHES };
    let text = |stretch: usize| {
        let word: String = digest.iter().skip(stretch).take(12).map(|byte| format!("{byte:02x}")).collect();
        vec![word; usize::div_ceil(words, stretches)].join(" ")
    };
    (0..stretches).map(text).collect()
}

/// How long the recogniser is with each stretch of a slow recording.
fn pause_of(texts: &[String]) -> Duration {
    Duration::from_millis(40 + 8 * u64::from(texts[0].as_bytes()[0] % 32))
}

/// The transcript that a recording with these samples has.
pub fn transcript_of(samples: &[f32]) -> Transcript {
    let segments =
        texts_of(samples).into_iter().map(|text| Segment { start_ms: 0, end_ms: 0, text }).collect();
    Transcript { segments, ..Transcript::default() }
}

/// The transcriber, with the stand-in for short recordings. What is longer, or does not decode, is
/// left to the daemon's own.
pub struct StandIn {
    pub transcriber: Arc<dyn Transcriber>,
}

#[async_trait]
impl Transcriber for StandIn {
    async fn prepare(&self, job: &Job) -> Result<(), Fault> {
        self.transcriber.prepare(job).await
    }

    async fn open(
        &self,
        job: &Job,
        settings: &Settings,
        bytes: Vec<u8>,
        progress: &Progress,
    ) -> Result<Box<dyn Transcription + '_>, Fault> {
        let file = bytes.clone();
        let decoded = tokio::task::spawn_blocking(move || decode(file)).await;
        match decoded.map_err(|_| Fault::Aborted /* the runtime ends */)? {
            Some(samples) => Ok(Box::new(Recognised::new(&samples, progress))),
            None => self.transcriber.open(job, settings, bytes, progress).await,
        }
    }
}

/// The samples of a recording that is for the stand-in.
fn decode(file: Vec<u8>) -> Option<Vec<f32>> {
    let (limits, never) = (Limits::default(), AtomicBool::new(false));
    let decoder = DecoderProgram::own().ok()?;
    let process = decoder.decode(file, Duration::ZERO, &limits, STUBBED_BELOW as u64, &never).ok()?;
    if process.length().samples >= STUBBED_BELOW as u64 {
        return None;
    }
    let parts: Vec<_> = process.collect::<Result<_, _>>().ok()?;
    Some(parts.concat())
}

/// A short recording and what is taken for the texts of its stretches.
struct Recognised {
    length_ms: u64,
    texts: Vec<String>,
    /// How many stretches are recognised.
    done: usize,
}

impl Recognised {
    fn new(samples: &[f32], progress: &Progress) -> Self {
        let length_ms = samples.len() as u64 * 1000 / u64::from(SAMPLE_RATE);
        let mut recognised = Self { length_ms, texts: texts_of(samples), done: 0 };
        while recognised.until_ms() <= progress.until_ms {
            recognised.done += 1;
        }
        recognised
    }

    /// Where the stretch ends that comes next.
    fn until_ms(&self) -> u64 {
        self.length_ms * (self.done as u64 + 1) / self.texts.len() as u64
    }
}

#[async_trait]
impl Transcription for Recognised {
    fn length(&self) -> u64 {
        self.length_ms
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        let Some(text) = self.texts.get(self.done).cloned() else { return Ok(None) };
        if self.texts.len() > 1 {
            tokio::time::sleep(pause_of(&self.texts)).await;
        }
        let until_ms = self.until_ms();
        self.done += 1;
        let segments = vec![Segment { start_ms: 0, end_ms: 0, text }];
        Ok(Some(Progress { until_ms, transcript: Transcript { segments, ..Transcript::default() } }))
    }
}
