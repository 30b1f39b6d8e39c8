//! A stand-in for recognition: the answer to a short recording is a text that only its samples
//! have. Thousands of messages are then answered in minutes, and each answer shows whose it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use stenogram::audio::{Limits, SAMPLE_RATE};
use stenogram::decoding::DecoderProgram;
use stenogram::domain::{Fault, Job, Progress, Segment, Settings, Transcript};
use stenogram::jobs::ports::{Transcriber, Transcription};
use tokio::sync::Mutex;

use crate::crash_points::{BEGUN, CrashPoint, PUBLISHED, RECOGNISED};

/// The variable with the milliseconds that the stand-in takes for a recording. It then recognises
/// one at a time, as Whisper does, and some recordings in several stretches.
pub const COST: &str = "CHAOS_COST_MS";

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

/// How long the recogniser is with each stretch of a slow recording. All previews share one turn in
/// three seconds, so a recording has to last about as long to have one.
fn pause_of(texts: &[String]) -> Duration {
    Duration::from_millis(800 + 24 * u64::from(texts[0].as_bytes()[0] % 32))
}

/// The transcript that a recording with these samples has. `paced` is for a stand-in with a
/// [`Pace`].
pub fn transcript_of(samples: &[f32], paced: bool) -> Transcript {
    let texts = if paced { stretches_of(samples) } else { texts_of(samples) };
    let segments = texts.into_iter().map(|text| Segment { start_ms: 0, end_ms: 0, text }).collect();
    Transcript { segments, ..Transcript::default() }
}

/// The texts of the stretches for a stand-in with a [`Pace`]: one in eight recordings has three.
fn stretches_of(samples: &[f32]) -> Vec<String> {
    let text = texts_of(samples).join(" ");
    // The last digit of the first word: any number would do.
    if !text[..24].ends_with(['0', '1']) {
        return vec![text];
    }
    let words: Vec<&str> =
        if text.len() > 24 { text.split(' ').collect() } else { vec![&text[..8], &text[8..16], &text[16..]] };
    words.chunks(words.len() / 3).map(|words| words.join(" ")).collect()
}

/// How long the stand-in takes, and whose turn it is.
pub struct Pace {
    cost: Duration,
    turn: Mutex<()>,
}

impl Pace {
    /// What [`COST`] asks for.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        let Ok(cost) = std::env::var(COST) else { return Ok(None) };
        let cost = cost.parse().with_context(|| format!("{COST}={cost} is not a number"))?;
        Ok(Some(Self { cost: Duration::from_millis(cost), turn: Mutex::default() }))
    }
}

/// The transcriber, with the stand-in for short recordings. What is longer, or does not decode, is
/// left to the daemon's own.
pub struct StandIn {
    pub transcriber: Arc<dyn Transcriber>,
    pub pace: Option<Arc<Pace>>,
    pub crash: Option<Arc<CrashPoint>>,
}

impl StandIn {
    fn pass(&self, point: &str) {
        if let Some(crash) = &self.crash {
            crash.pass(point);
        }
    }
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
        self.pass(BEGUN);
        let file = bytes.clone();
        let decoded = tokio::task::spawn_blocking(move || decode(file)).await;
        match decoded.map_err(|_| Fault::Aborted /* the runtime ends */)? {
            Some(samples) => Ok(Box::new(Recognised::new(self, &samples, progress.until_ms))),
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

/// A short recording and what is taken for its text.
struct Recognised<'a> {
    stand_in: &'a StandIn,
    length_ms: u64,
    /// The stretches that are still to be recognised: where each ends, and its text.
    stretches: VecDeque<(u64, String)>,
    /// How long each of them takes.
    cost: Duration,
    /// Whether one was recognised here before.
    has_begun: bool,
}

impl<'a> Recognised<'a> {
    /// To be recognised from `from_ms` on.
    fn new(stand_in: &'a StandIn, samples: &[f32], from_ms: u64) -> Self {
        let length_ms = samples.len() as u64 * 1000 / u64::from(SAMPLE_RATE);
        let pace = stand_in.pace.as_deref();
        let texts = if pace.is_some() { stretches_of(samples) } else { texts_of(samples) };
        let count = texts.len() as u64;
        let cost = match pace {
            Some(pace) => pace.cost / count as u32,
            None if count > 1 => pause_of(&texts),
            None => Duration::ZERO,
        };
        let ends = (1..=count).map(|n| length_ms * n / count);
        let stretches = ends.zip(texts).filter(|(end, _)| *end > from_ms).collect();
        Self { stand_in, length_ms, stretches, cost, has_begun: false }
    }
}

#[async_trait]
impl Transcription for Recognised<'_> {
    fn length(&self) -> u64 {
        self.length_ms
    }

    async fn next(&mut self) -> Result<Option<Progress>, Fault> {
        if std::mem::replace(&mut self.has_begun, true) {
            self.stand_in.pass(PUBLISHED);
        }
        let Some((until_ms, text)) = self.stretches.pop_front() else { return Ok(None) };
        let turn = self.stand_in.pace.as_ref().map(|pace| &pace.turn);
        let _turn = match turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        tokio::time::sleep(self.cost).await;
        self.stand_in.pass(RECOGNISED);
        let segments = vec![Segment { start_ms: 0, end_ms: 0, text }];
        Ok(Some(Progress { until_ms, transcript: Transcript { segments, ..Transcript::default() } }))
    }
}
