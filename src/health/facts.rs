//! The facts about the daemon: plain data of one moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::half_hours::HalfHourCounts;
use super::histogram::Histogram;
use crate::domain::pacing::SendUsage;
use crate::domain::{JobId, Restricted, unix_time};
use crate::jobs::gate::GateUsage;
use crate::queue::fleet::Seen;
use crate::queue::{Claim, Counts};
use crate::runtime::pulse::Pulse;

/// What this process does, and so what it needs to be well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    Whole,
    /// Has its recordings recognised by the workers of a fleet.
    Gateway,
    /// Recognises for gateways, and knows nothing of Telegram.
    Worker,
}

/// The fleet, as a gateway sees it.
#[derive(Clone, Debug, Default)]
pub struct FleetFacts {
    /// The workers that were seen lately, and when they were asked for.
    pub workers: Vec<Seen>,
    pub at: Option<Instant>,
    /// Whether one of them takes what this gateway hands over.
    pub is_served: bool,
}

/// What a gateway has in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FleetUsage {
    /// The bytes of recordings, and how many there may be.
    pub bytes: (u64, u64),
    pub assignments: u64,
}

/// How the work on a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// Nobody speaks in the recording.
    Silent,
    /// The message was deleted, or can no longer be answered.
    Gone,
    Rejected,
    /// Given up, and kept as a dead letter.
    Dead,
    /// Failed, and will be tried again. The job has not ended.
    Retried,
}

impl Outcome {
    pub const ALL: [Self; 6] =
        [Self::Answered, Self::Silent, Self::Gone, Self::Rejected, Self::Dead, Self::Retried];

    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Rejected => "rejected",
            Self::Dead => "dead",
            Self::Retried => "retried",
        }
    }
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

    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Recognise => "recognise",
            Self::Deliver => "deliver",
        }
    }
}

/// How much is sent, and what waits or was refused because of the budgets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volume {
    pub sends: SendUsage,
    pub gate: GateUsage,
    pub fleet: FleetUsage,
}

/// A job that is being worked on, without its text and the names and numbers of its chat.
#[derive(Clone, Debug)]
pub struct RunningJob {
    pub since: Instant,
    /// The pulse of the loop that works on it.
    pub pulse: Pulse,
    /// The stage it is in; `None` between two stages.
    pub stage: Option<Stage>,
    /// The time spent in each stage, with all its parts and repetitions.
    pub times: [Duration; Stage::ALL.len()],
    /// Seconds of audio, once they are known.
    pub audio: Option<f64>,
    /// Seconds of audio that were recognised within `times`.
    pub recognised: f64,
    /// The recogniser of the last stretch in which somebody speaks.
    pub recogniser: Option<Arc<str>>,
    /// Its answer is empty, because nobody speaks.
    pub silent: bool,
    /// Its message is gone, or can no longer be answered.
    pub gone: bool,
}

impl RunningJob {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            pulse: Pulse::default(),
            stage: None,
            times: Default::default(),
            audio: None,
            recognised: 0.0,
            recogniser: None,
            silent: false,
            gone: false,
        }
    }

    pub(super) fn of(claim: &Claim) -> Self {
        let silent = claim.outbox.as_ref().is_some_and(|answer| answer.parts.is_empty());
        Self { silent, ..Self::new() }
    }

    pub fn took(&self, stage: Stage) -> Duration {
        self.times[stage as usize]
    }

    /// Seconds of recognition for each second of audio; `None` where nothing was recognised.
    pub fn real_time_factor(&self) -> Option<f64> {
        let took = self.took(Stage::Recognise).as_secs_f64();
        (self.recognised > 0.0 && took > 0.0).then(|| took / self.recognised)
    }
}

/// A recogniser: whisper.cpp in this process, or a server.
#[derive(Clone, Debug)]
pub struct RecogniserFacts {
    pub name: Arc<str>,
    /// Whether it is well, as far as is known.
    pub is_well: bool,
    /// The stretches that it has recognised.
    pub stretches: u64,
}

/// Everything that is known of the daemon at one moment.
#[derive(Debug)]
pub struct Facts {
    pub started: Instant,
    /// The same in seconds of Unix time.
    pub started_at: f64,
    pub stopping: bool,
    pub role: Role,
    pub fleet: FleetFacts,
    /// Leases that this worker has lost to another.
    pub leases_lost: u64,
    /// The name of the model's file, once it is loaded.
    pub model: Option<String>,
    pub model_in_memory: bool,
    /// The model was freed, and cannot be loaded again.
    pub model_missing: bool,
    /// In the order in which they are asked; empty until they are started.
    pub recognisers: Vec<RecogniserFacts>,
    /// Since when there is a connection.
    pub connected: Option<Instant>,
    /// Since when there is none, if there is none.
    pub disconnected_since: Instant,
    /// The seconds by which this machine's clock is ahead of Telegram's, if that prevents a
    /// connection.
    pub clock_ahead: Option<u64>,
    pub connections: u64,
    /// Why Telegram does not let the account send.
    pub restricted: Option<Restricted>,
    pub reconnects: HalfHourCounts,
    pub queue_open: bool,
    /// Since when the queue's store takes no writes.
    pub queue_trouble: Option<Instant>,
    pub queue_errors: u64,
    pub counts: Counts,
    /// When the oldest unanswered recording was sent, in seconds of Unix time.
    pub oldest: Option<i64>,
    /// Recordings added to the queue.
    pub queued: u64,
    pub running: BTreeMap<JobId, RunningJob>,
    /// The jobs that ended last, newest first: when, and with which outcome.
    pub ended: VecDeque<(Instant, Outcome, RunningJob)>,
    pub outcomes: [u64; Outcome::ALL.len()],
    pub stages: [Histogram; Stage::ALL.len()],
    /// Seconds of audio that were recognised.
    pub audio: f64,
    /// The time for which Telegram has demanded waiting so far (FLOOD_WAIT), and until when it
    /// does.
    pub flood_waited: Duration,
    pub flood_until: Instant,
    /// How many texts were dropped for each reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Recognitions whose quick pass was rejected.
    pub repeated: u64,
}

impl Facts {
    pub fn new(drop_reasons: &[&'static str]) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            started_at: unix_time::now().as_secs_f64(),
            stopping: false,
            role: Role::default(),
            fleet: FleetFacts::default(),
            leases_lost: 0,
            model: None,
            model_in_memory: false,
            model_missing: false,
            recognisers: Vec::new(),
            connected: None,
            disconnected_since: now,
            clock_ahead: None,
            connections: 0,
            restricted: None,
            reconnects: HalfHourCounts::new(now),
            queue_open: false,
            queue_trouble: None,
            queue_errors: 0,
            counts: Counts::default(),
            oldest: None,
            queued: 0,
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            outcomes: Default::default(),
            stages: Default::default(),
            audio: 0.0,
            flood_waited: Duration::ZERO,
            flood_until: now,
            dropped: drop_reasons.iter().map(|reason| (*reason, 0)).collect(),
            repeated: 0,
        }
    }

    /// Whether there are others than whisper.cpp in this process, so that it matters which one it
    /// is.
    pub fn has_choice_of_recognisers(&self) -> bool {
        self.recognisers.len() > 1 || (self.model.is_none() && !self.recognisers.is_empty())
    }

    /// Connections made after one was lost.
    pub fn reconnected(&self) -> u64 {
        self.connections.saturating_sub(1)
    }

    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// The time since the oldest unanswered recording was sent, if there is one.
    pub fn oldest_age(&self) -> Option<Duration> {
        let sent = Duration::from_secs(u64::try_from(self.oldest?).unwrap_or_default());
        Some(unix_time::now().saturating_sub(sent))
    }

    /// For how much longer Telegram demands waiting.
    pub fn flood_left(&self) -> Duration {
        self.flood_until.saturating_duration_since(Instant::now())
    }
}
