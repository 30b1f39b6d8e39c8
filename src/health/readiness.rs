//! Whether voice messages can be answered now, and if not, why.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::facts::{Facts, Stage};
use super::page::words::{self, Language, duration};
use super::vitals::Vitals;
use crate::domain::{Restricted, Restriction};

/// Something that keeps voice messages from being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    ModelLoading,
    ModelMissing,
    QueueOpening,
    QueueAway(Duration),
    NotConnected(Duration),
    /// This machine's clock is so far ahead of Telegram's that no connection comes about.
    ClockAhead(Duration),
    /// Telegram does not let the account send.
    Restricted(Restricted),
    Stuck(&'static str, Duration),
    Stopping,
}

/// The parts of the daemon that can be in trouble.
const PARTS: [&str; 4] = ["model", "queue", "telegram", "progress"];

impl Trouble {
    pub fn part(&self) -> &'static str {
        match self {
            Self::ModelLoading | Self::ModelMissing => PARTS[0],
            Self::QueueOpening | Self::QueueAway(_) => PARTS[1],
            Self::NotConnected(_) | Self::ClockAhead(_) | Self::Restricted(_) => PARTS[2],
            Self::Stuck(..) | Self::Stopping => PARTS[3],
        }
    }

    fn reason(&self) -> String {
        let time = |time| duration(Language::English, time);
        match self {
            Self::ModelLoading => "it is not loaded yet".into(),
            Self::ModelMissing => {
                "it was freed for want of work and cannot be loaded again; the log has the reason".into()
            }
            Self::QueueOpening => "it is not open yet: its Redis may be away, the log has the reason".into(),
            Self::QueueAway(since) => {
                format!("its store has taken no writes for {}; the log has the reason", time(*since))
            }
            Self::NotConnected(since) => {
                format!("not connected for {}; the log has the reason", time(*since))
            }
            Self::ClockAhead(by) => format!(
                "not connected: this machine's clock is {} ahead of Telegram's, which refuses it; set the clock",
                time(*by)
            ),
            Self::Restricted(restricted) => words::restriction(Language::English, restricted),
            Self::Stuck(what, late) => {
                format!("the {what} is stuck, overdue by {}: restart it and report this", time(*late))
            }
            Self::Stopping => "the daemon is stopping".into(),
        }
    }
}

/// What is wrong now; nothing where all is well.
pub(super) fn troubles(facts: &Facts, stuck: &[(&'static str, Duration)]) -> Vec<Trouble> {
    let now = Instant::now();
    let since = |then| now.saturating_duration_since(then);
    let mut found = Vec::new();
    if facts.stopping {
        found.push(Trouble::Stopping);
    }
    found.extend(stuck.iter().map(|(what, late)| Trouble::Stuck(what, *late)));
    match facts.queue_trouble {
        _ if !facts.queue_open => found.push(Trouble::QueueOpening),
        Some(then) => found.push(Trouble::QueueAway(since(then))),
        None => {}
    }
    if facts.model.is_none() {
        found.push(Trouble::ModelLoading);
    } else if facts.model_missing {
        found.push(Trouble::ModelMissing);
    }
    if facts.connected.is_none() {
        found.push(match facts.clock_ahead {
            Some(seconds) => Trouble::ClockAhead(Duration::from_secs(seconds)),
            None => Trouble::NotConnected(since(facts.lost)),
        });
    }
    found.extend(facts.restricted.clone().map(Trouble::Restricted));
    found
}

/// Each part, and whether it is as it must be.
pub(super) fn parts(facts: &Facts, stuck: &[(&'static str, Duration)]) -> Vec<(&'static str, bool)> {
    let troubles = troubles(facts, stuck);
    let is_well = |part: &&str| troubles.iter().all(|trouble| trouble.part() != *part);
    PARTS.into_iter().map(|part| (part, is_well(&part))).collect()
}

/// What `/readyz` and `/livez` say.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub ok: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
}

/// Why something is not well.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `model`, `queue`, `telegram` or `progress`.
    pub part: String,
    /// For people.
    pub reason: String,
}

impl Report {
    fn of(troubles: &[Trouble]) -> Self {
        let reason = |trouble: &Trouble| Reason { part: trouble.part().into(), reason: trouble.reason() };
        Self { ok: troubles.is_empty(), reasons: troubles.iter().map(reason).collect() }
    }

    /// Can it answer voice messages now?
    pub async fn readiness(vitals: &Vitals) -> Self {
        vitals.probe().await;
        let stuck = vitals.stuck();
        Self::of(&troubles(&vitals.facts(), &stuck))
    }

    /// Do its loops get on? Whatever is away outside of it does not matter.
    pub fn liveness(vitals: &Vitals) -> Self {
        let stuck = vitals.stuck();
        let stuck: Vec<Trouble> = stuck.iter().map(|(what, late)| Trouble::Stuck(what, *late)).collect();
        Self::of(&stuck)
    }
}

/// What it is doing, in a line for `systemctl status`.
pub(super) fn status(facts: &Facts, stuck: &[(&'static str, Duration)]) -> String {
    let trouble = troubles(facts, stuck).into_iter().next();
    let mut running = facts.running.values();
    match (trouble, running.next()) {
        (Some(Trouble::Stopping), _) => "Stopping".into(),
        (Some(Trouble::Stuck(what, _)), _) => format!("The {what} is stuck"),
        (Some(Trouble::QueueOpening), _) => "Opening the queue".into(),
        (Some(Trouble::QueueAway(_)), _) => "Waiting for the queue, which takes no writes".into(),
        (Some(Trouble::ModelLoading), _) => "Loading the model".into(),
        (Some(Trouble::ModelMissing), _) => "The model cannot be loaded again".into(),
        (Some(Trouble::NotConnected(_)), _) => "Not connected to Telegram, trying".into(),
        (Some(Trouble::ClockAhead(_)), _) => {
            "Not connected: this machine's clock is ahead of Telegram's".into()
        }
        (Some(Trouble::Restricted(restricted)), _) => match restricted.why {
            Restriction::Frozen => "Sends nothing: Telegram has frozen the account".into(),
            Restriction::SpamLimited => "Sends nothing: Telegram limits the account for spam".into(),
        },
        (None, _) if !facts.flood_left().is_zero() => "Sends nothing for now, as Telegram demands".into(),
        (None, None) => "Connected, waiting for voice messages".into(),
        (None, Some(_)) if running.next().is_some() => {
            format!("Working on {} recordings", facts.running.len())
        }
        (None, Some(work)) => match work.stage {
            Some(Stage::Fetch) => "Fetching a recording".into(),
            Some(Stage::Decode) => "Decoding a recording".into(),
            Some(Stage::Recognise) => match work.audio {
                Some(seconds) => format!("Recognising a recording of {seconds:.0} s"),
                None => "Recognising a recording".into(),
            },
            Some(Stage::Deliver) => "Sending an answer".into(),
            None => "Working on a recording".into(),
        },
    }
}
