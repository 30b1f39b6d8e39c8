//! The facts: plain data of one moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::day::Day;
use super::metrics::Histogram;
use crate::domain::{JobId, Restricted, unix_time};
use crate::queue::{Claim, Counts};
use crate::runtime::pulse::Pulse;

/// How the work on a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// Nobody spoke in it.
    Silent,
    /// The message was deleted, or may not be answered any more.
    Gone,
    Rejected,
    /// Given up.
    Dead,
    /// Failed, and comes again: not the job's end.
    Retried,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::Silent, Self::Gone, Self::Rejected, Self::Dead, Self::Retried];
}

/// A stage of the pipeline that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Fetch,
    Decode,
    Recognise,
    Deliver,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Decode, Self::Recognise, Self::Deliver];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Recognise => "recognise",
            Self::Deliver => "deliver",
        }
    }
}

/// A job as far as it concerns anybody: no text, no name, no number.
#[derive(Clone, Debug)]
pub struct Work {
    pub since: Instant,
    /// Of whoever works on it.
    pub pulse: Pulse,
    /// Where it is now.
    pub stage: Option<Stage>,
    /// By stage; those of parts and repetitions together.
    pub times: [Duration; Stage::ALL.len()],
    /// Seconds of sound, once that is known.
    pub audio: Option<f64>,
    /// Seconds of sound that were recognised in `times`.
    pub recognised: f64,
    pub silent: bool,
    pub gone: bool,
}

impl Work {
    pub fn new(claim: &Claim) -> Self {
        Self {
            since: Instant::now(),
            pulse: Pulse::default(),
            stage: None,
            times: Default::default(),
            audio: None,
            recognised: 0.0,
            silent: claim.outbox.as_ref().is_some_and(|answer| answer.parts.is_empty()),
            gone: false,
        }
    }

    pub fn took(&self, stage: Stage) -> Duration {
        self.times[stage as usize]
    }

    /// Seconds of computing for each second of sound; none where nothing was recognised.
    pub fn factor(&self) -> Option<f64> {
        let took = self.took(Stage::Recognise).as_secs_f64();
        (self.recognised > 0.0 && took > 0.0).then(|| took / self.recognised)
    }
}

/// What is known.
#[derive(Debug)]
pub struct Facts {
    pub started: Instant,
    /// Seconds of Unix time.
    pub started_at: f64,
    pub stopping: bool,
    /// The file's name, once it is loaded.
    pub model: Option<String>,
    pub model_in_memory: bool,
    /// It was freed, and cannot be loaded again.
    pub model_missing: bool,
    pub connected: Option<Instant>,
    /// Since when there is no connection, where there is none.
    pub lost: Instant,
    /// By how many seconds this machine's clock is ahead of Telegram's, where that prevents a
    /// connection.
    pub clock_ahead: Option<u64>,
    pub connections: u64,
    /// Why Telegram does not let the account send.
    pub restricted: Option<Restricted>,
    pub reconnects: Day,
    pub queue_open: bool,
    /// Since when the store takes no writes.
    pub queue_trouble: Option<Instant>,
    pub queue_errors: u64,
    pub counts: Counts,
    /// When the oldest recording that waits for its answer was sent, in seconds of Unix time.
    pub oldest: Option<i64>,
    pub heard: u64,
    /// The jobs that are being worked on.
    pub running: BTreeMap<JobId, Work>,
    /// The last jobs with their outcome and when they ended, newest first.
    pub last: VecDeque<(Instant, Outcome, Work)>,
    pub outcomes: [u64; Outcome::ALL.len()],
    pub stages: [Histogram; Stage::ALL.len()],
    /// Seconds.
    pub audio: f64,
    pub flood: Duration,
    pub flood_until: Instant,
    /// What the guard dropped, by its reasons.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Recognitions that a shortened window did not suffice for.
    pub repeated: u64,
}

impl Facts {
    pub fn new(drop_reasons: &[&'static str]) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            started_at: unix_time::now().as_secs_f64(),
            stopping: false,
            model: None,
            model_in_memory: false,
            model_missing: false,
            connected: None,
            lost: now,
            clock_ahead: None,
            connections: 0,
            restricted: None,
            reconnects: Day::new(now),
            queue_open: false,
            queue_trouble: None,
            queue_errors: 0,
            counts: Counts::default(),
            oldest: None,
            heard: 0,
            running: BTreeMap::new(),
            last: VecDeque::new(),
            outcomes: Default::default(),
            stages: Default::default(),
            audio: 0.0,
            flood: Duration::ZERO,
            flood_until: now,
            dropped: drop_reasons.iter().map(|reason| (*reason, 0)).collect(),
            repeated: 0,
        }
    }

    pub fn reconnected(&self) -> u64 {
        self.connections.saturating_sub(1)
    }

    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Since the oldest recording without an answer was sent, where there is one.
    pub fn oldest_age(&self) -> Option<Duration> {
        let sent = Duration::from_secs(u64::try_from(self.oldest?).unwrap_or_default());
        Some(unix_time::now().saturating_sub(sent))
    }

    /// For how long Telegram still forbids to send.
    pub fn flood_left(&self) -> Duration {
        self.flood_until.saturating_duration_since(Instant::now())
    }
}
