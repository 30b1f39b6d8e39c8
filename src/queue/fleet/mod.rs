//! What a gateway and the workers of a fleet share: assignments, leases, and who is there.
//!
//! An assignment is a claimed job's recording with all that its recognition needs. [`Assignments`]
//! is the gateway's side of it, [`Leases`] the worker's. `keys` has the keys in Redis.
//!
//! ```text
//! assign ──▶ waiting ──take──▶ leased ──publish the last stretch, finish──▶ done ──C3──▶ (gone)
//!               ▲               │ │ └──the recording is gone──▶ unfed ──assign──▶ waiting
//!               ├──give_back────┘ └──the lease is over: taken again, or put off as after a death
//!               └──due──  later
//! ```
//!
//! Promises:
//!  - Of a job there is one assignment. Whatever takes the job from its gateway (its answer is
//!    stored, it is ended, put off or dropped) removes the assignment in the same step.
//!  - One lease of an assignment holds at a time. What is done under another one changes nothing
//!    and says so.
//!  - A lease lasts for its time since it was taken or renewed, by the clock of Redis. After that
//!    it holds until somebody else takes the assignment.
//!  - A lease that is lost after `begin` and before the next stretch counts as a death of the job,
//!    by the rules of the queue (see [`super`]). One that is given back never does.
//!  - The recording is dropped with the outcome, and expires with its assignment if nobody touches
//!    it for an hour.
//!  - Repeating an operation is harmless.

mod assignments;
mod leases;
mod scripts;

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::assignments::{Assignments, Feed, Standing, State};
pub use self::leases::{Lease, Leases, LeasesOptions};
use crate::domain::{JobId, LanguageCode, Progress, Task, Vocabulary};

/// The bytes of a chunk.
const CHUNK: usize = 256 << 10;
/// How long an assignment is kept that nobody touches.
const LIFE: Duration = Duration::from_secs(3600);
/// How long what a worker says of itself is kept, and shown as that of one that is away.
const CARD_LIFE: Duration = Duration::from_secs(600);
/// The longest time that a blocking command waits in Redis.
const BLOCK: Duration = Duration::from_secs(5);

/// A stream's name for any model.
pub const ANY_MODEL: &str = "*";
/// The same for any model that can translate.
pub const ANY_TRANSLATING: &str = "*translate";

/// Which of an account's assignments come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Asked,
    Others,
    Strangers,
}

impl Line {
    fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Others => "others",
            Self::Strangers => "strangers",
        }
    }
}

/// How a worker is to recognise a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub task: Task,
    /// `None` if it is to be detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<LanguageCode>,
    /// The length that its sender claims, in seconds.
    pub duration: u32,
    /// Whether the owner has asked for it, whatever its format.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// What is recognised already.
    pub from: Progress,
    /// The seconds of each language that was spoken in its chat before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior: Vec<(LanguageCode, f32)>,
    /// LANGUAGES: those that are listed, and whether others are possible.
    pub languages: (Vec<LanguageCode>, bool),
    /// VOCABULARY.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<String>,
    /// What the recogniser is to know in its chat, before VOCABULARY.
    #[serde(default, skip_serializing_if = "Vocabulary::is_empty")]
    pub chat_vocabulary: Vocabulary,
    /// What the people of its chat are called, behind VOCABULARY.
    #[serde(default, skip_serializing_if = "Vocabulary::is_empty")]
    pub people: Vocabulary,
}

/// What a worker has recognised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    pub progress: Progress,
    /// The length of the whole recording in milliseconds.
    pub length: u64,
    /// Who has recognised it: the worker, and its recogniser. `None` if nobody speaks in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Report::is_empty")]
    pub report: Report,
}

/// What is worth knowing of a recognition besides its text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The languages that were detected, and the milliseconds of speech in them.
    pub languages: Vec<(LanguageCode, u64)>,
    /// How long the recogniser took, in milliseconds.
    pub took: u64,
    /// How many texts were dropped, for each reason.
    pub dropped: HashMap<String, u64>,
    /// Quick passes that were rejected.
    pub repeated: u64,
}

impl Report {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How an assignment has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it is recognised.
    Recognised {
        /// In milliseconds.
        length: u64,
    },
    /// It can never be recognised.
    Rejected { why: String },
    /// It was not recognised, and may be at another attempt after so many seconds.
    Failed { why: String, after: u64 },
    /// Too many workers died of it.
    Poisonous { why: String },
}

/// What a worker says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    pub name: String,
    pub version: String,
    /// The models that it holds.
    pub models: Vec<String>,
    /// Which assignments it takes: models, [`ANY_MODEL`], [`ANY_TRANSLATING`].
    pub takes: Vec<String>,
    /// How many assignments it has in hand.
    pub in_hand: u64,
    /// How many it has ended since its start.
    pub ended: u64,
    /// Seconds of audio that it has recognised, and how long that took it.
    pub audio: f64,
    pub took: f64,
}

/// A worker, and when it was seen last.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub card: Card,
    pub ago: Duration,
}

/// The job of an assignment, as the keys have it.
fn id_of(text: &str) -> Option<JobId> {
    text.parse().ok()
}
