//! Whether voice messages can be answered now, and if not, why: for `/readyz`, `/livez` and
//! systemd.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, Role, Stage};
use super::state::HealthState;
use super::trouble::{Trouble, troubles};
use super::words::{Locale, activity};

/// The response of `/readyz` and `/livez`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub ok: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
}

/// Why a part of the daemon is not well.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `model`, `queue`, `telegram` or `progress`.
    pub part: String,
    /// For people.
    pub reason: String,
}

impl Report {
    fn new(troubles: &[Trouble]) -> Self {
        let reason =
            |trouble: &Trouble| Reason { part: trouble.part().into(), reason: trouble.text(Locale::English) };
        Self { ok: troubles.is_empty(), reasons: troubles.iter().map(reason).collect() }
    }

    /// Whether the daemon can answer voice messages now.
    pub async fn readiness(health: &HealthState) -> Self {
        health.probe_queue().await;
        let stuck = health.stuck();
        Self::new(&troubles(&health.facts(), &stuck))
    }

    /// Whether every loop makes progress. Nothing outside the daemon matters for that.
    pub fn liveness(health: &HealthState) -> Self {
        let stuck = health.stuck();
        let stuck: Vec<_> = stuck.into_iter().map(|(name, overdue)| Trouble::Stuck(name, overdue)).collect();
        Self::new(&stuck)
    }
}

/// What the daemon is doing, in a line for `systemctl status`.
pub(super) fn status(health: &HealthState) -> String {
    let stuck = health.stuck();
    let facts = health.facts();
    match troubles(&facts, &stuck).first() {
        Some(trouble) => trouble.status(),
        None if !facts.flood_left().is_zero() => "Sends nothing for now, as Telegram demands".into(),
        None => work(&facts),
    }
}

fn work(facts: &Facts) -> String {
    let mut running = facts.running.values();
    let Some(job) = running.next() else {
        return match facts.role {
            Role::Worker => "Waiting for recordings of the gateways".into(),
            Role::Whole | Role::Gateway => "Connected, waiting for voice messages".into(),
        };
    };
    if running.next().is_some() {
        return format!("Working on {} recordings", facts.running.len());
    }
    let activity = activity(Locale::English, job.stage);
    match job.audio.filter(|_| job.stage == Some(Stage::Recognise)) {
        Some(seconds) => format!("{activity} of {seconds:.0} s"),
        None => activity.into(),
    }
}
