//! The facts in Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write as _};
use std::time::Duration;

use super::facts::{Facts, FleetUsage, Outcome, Role, Stage, Volume};
use super::histogram::Histogram;
use super::state::HealthState;
use super::trouble;
use super::workers::{self, ShownWorker};
use crate::domain::Restriction;
use crate::runtime::process::Memory;

/// The `Content-Type` of the response.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics as of now.
pub fn render(health: &HealthState) -> String {
    let stuck = health.stuck();
    let volumes = health.volume();
    let facts = health.facts();
    let mut out = Exposition::default();
    status(&mut out, &facts, &stuck);
    if facts.role == Role::Worker {
        worker(&mut out, &facts);
    } else {
        telegram(&mut out, &facts);
        queue(&mut out, &facts);
        volume(&mut out, volumes);
    }
    work(&mut out, &facts);
    if facts.role == Role::Gateway {
        fleet(&mut out, &facts, volumes.fleet);
    }
    process(&mut out, &facts);
    out.0
}

fn status(out: &mut Exposition, facts: &Facts, stuck: &[(&'static str, Duration)]) {
    out.family("stenogram_build_info", "gauge", "Always 1; the version is its label.");
    out.sample("stenogram_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.gauge(
        "stenogram_live",
        "1 while every loop makes progress, 0 while one is stuck.",
        stuck.is_empty().into(),
    );
    let name = "stenogram_ready";
    out.family(name, "gauge", "1 while this part is ready to answer voice messages.");
    for (part, ready) in trouble::parts(facts, stuck) {
        out.sample(name, &[("part", part)], u8::from(ready));
    }
}

fn telegram(out: &mut Exposition, facts: &Facts) {
    out.gauge("stenogram_telegram_connected", "1 while connected.", f64::from(facts.connected.is_some()));
    out.counter(
        "stenogram_telegram_reconnects_total",
        "Connections made after one was lost.",
        facts.reconnected() as f64,
    );
    let name = "stenogram_account_restricted";
    out.family(name, "gauge", "1 while Telegram does not let the account send for this reason.");
    for why in Restriction::ALL {
        let holds = facts.restricted.as_ref().is_some_and(|restricted| restricted.why == why);
        out.sample(name, &[("reason", why.name())], u8::from(holds));
    }
    out.counter(
        "stenogram_flood_wait_seconds_total",
        "Time for which Telegram has demanded waiting before sending or fetching.",
        facts.flood_waited.as_secs_f64(),
    );
    out.gauge(
        "stenogram_flood_wait_remaining_seconds",
        "Time for which it still demands that.",
        facts.flood_left().as_secs_f64(),
    );
}

fn queue(out: &mut Exposition, facts: &Facts) {
    let name = "stenogram_queue_jobs";
    out.family(name, "gauge", "Jobs that are not finished, by state.");
    let counts = facts.counts;
    for (state, count) in [
        ("waiting", counts.waiting),
        ("claimed", counts.claimed),
        ("delayed", counts.delayed),
        ("dead", counts.dead),
    ] {
        out.sample(name, &[("state", state)], count);
    }
    let oldest = facts.oldest_age().unwrap_or_default().as_secs_f64();
    out.gauge(
        "stenogram_queue_oldest_job_age_seconds",
        "Time since the oldest unanswered recording was sent; 0 if there is none.",
        oldest,
    );
    out.counter(
        "stenogram_queue_errors_total",
        "Operations of the queue that failed because its store was away or damaged.",
        facts.queue_errors as f64,
    );
}

fn work(out: &mut Exposition, facts: &Facts) {
    out.counter("stenogram_messages_heard_total", "Voice messages added to the queue.", facts.queued as f64);
    let name = "stenogram_jobs_total";
    out.family(name, "counter", "Jobs that ended, by outcome.");
    for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Retried) {
        out.sample(name, &[("outcome", outcome.name())], facts.outcome(outcome));
    }
    out.counter(
        "stenogram_job_retries_total",
        "Failed attempts at a job that are tried again.",
        facts.outcome(Outcome::Retried) as f64,
    );
    let name = "stenogram_stage_duration_seconds";
    out.family(name, "histogram", "Time that a stage took when it succeeded.");
    for stage in Stage::ALL {
        out.histogram(name, ("stage", stage.name()), &facts.stages[stage as usize]);
    }
    out.counter("stenogram_audio_seconds_total", "Length of the audio that was recognised.", facts.audio);
    let name = "stenogram_stretches_total";
    out.family(name, "counter", "Stretches of recordings that were recognised, by recogniser.");
    for recogniser in &facts.recognisers {
        out.sample(name, &[("recogniser", &recogniser.name)], recogniser.stretches);
    }
    let name = "stenogram_recogniser_well";
    out.family(name, "gauge", "0 while this recogniser is left alone after a failure, else 1.");
    for recogniser in &facts.recognisers {
        out.sample(name, &[("recogniser", &recogniser.name)], u8::from(recogniser.is_well));
    }
    out.counter(
        "stenogram_recognitions_repeated_total",
        "Recognitions that were repeated more carefully, because a quick pass was rejected.",
        facts.repeated as f64,
    );
    let name = "stenogram_dropped_texts_total";
    out.family(name, "counter", "Segments of transcripts dropped as hallucinated by Whisper, by reason.");
    for (reason, count) in &facts.dropped {
        out.sample(name, &[("reason", reason)], count);
    }
}

fn worker(out: &mut Exposition, facts: &Facts) {
    out.gauge(
        "stenogram_assignments_in_hand",
        "Assignments of gateways that this worker has in hand.",
        facts.running.len() as f64,
    );
    out.counter(
        "stenogram_leases_lost_total",
        "Assignments that this worker has lost: another took over, or nobody waited for it any more.",
        facts.leases_lost as f64,
    );
    out.counter(
        "stenogram_queue_errors_total",
        "Operations in Redis that failed because it was away or damaged.",
        facts.queue_errors as f64,
    );
}

fn fleet(out: &mut Exposition, facts: &Facts, usage: FleetUsage) {
    out.gauge("stenogram_fleet_bytes", "Bytes of recordings in Redis.", usage.bytes.0 as f64);
    out.gauge("stenogram_fleet_bytes_limit", "How many there may be.", usage.bytes.1 as f64);
    out.gauge(
        "stenogram_fleet_assignments",
        "Recordings that are with the workers.",
        usage.assignments as f64,
    );
    let workers = workers::shown(facts);
    out.gauge("stenogram_workers", "Workers seen in the last ten minutes.", workers.len() as f64);
    let mut family = |name: &str, help: &str, value: fn(&ShownWorker) -> f64| {
        out.family(name, "gauge", help);
        for worker in &workers {
            out.sample(name, &[("worker", &worker.label)], value(worker));
        }
    };
    family("stenogram_worker_seen_seconds", "Time since a worker was seen.", |it| it.ago.as_secs_f64());
    family("stenogram_worker_assignments", "Assignments that a worker has in hand.", |it| {
        it.card.in_hand as f64
    });
    family(
        "stenogram_worker_real_time_factor",
        "Seconds of recognition for each second of audio, since the worker's start; 0 before it has recognised any.",
        |it| it.factor().unwrap_or_default(),
    );
}

fn volume(out: &mut Exposition, Volume { sends, gate, .. }: Volume) {
    let name = "stenogram_sent_messages";
    out.family(name, "gauge", "Messages that the account has sent in the last minute and day.");
    out.sample(name, &[("period", "minute")], sends.minute.0);
    out.sample(name, &[("period", "day")], sends.day.0);
    let name = "stenogram_send_limit";
    out.family(name, "gauge", "How many it may send now in a minute and a day.");
    out.sample(name, &[("period", "minute")], sends.minute.1);
    out.sample(name, &[("period", "day")], sends.day.1);
    out.gauge(
        "stenogram_answers_paced",
        "Answers that wait for their turn to be sent.",
        sends.waiting.into(),
    );
    let name = "stenogram_chats_held";
    out.family(name, "gauge", "Chats whose messages wait, by reason.");
    out.sample(name, &[("reason", "budget")], gate.over_budget);
    out.sample(name, &[("reason", "loop")], gate.looping);
    out.counter(
        "stenogram_refused_total",
        "Messages of strangers that were refused because the queue was full.",
        gate.refused as f64,
    );
}

fn process(out: &mut Exposition, facts: &Facts) {
    out.gauge(
        "stenogram_model_in_memory",
        "1 while the model is in memory, 0 before it is loaded and while it is freed because it is not used.",
        f64::from(facts.model_in_memory),
    );
    out.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds of Unix time.",
        facts.started_at,
    );
    if let Some(memory) = Memory::sample() {
        let resident = memory.resident as f64;
        out.gauge("process_resident_memory_bytes", "Memory that the process has in RAM.", resident);
    }
}

/// Builds the lines. Names, help texts and labels are ours, and the names of recognisers have no
/// character that needs escaping.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &[label, ("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[label, ("le", "+Inf")], histogram.count);
        self.sample(&format!("{name}_sum"), &[label], histogram.sum);
        self.sample(&format!("{name}_count"), &[label], histogram.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_and_its_last_bucket_holds_all() {
        let mut histogram = Histogram::default();
        for seconds in [0.01, 0.25, 0.3, 4000.0] {
            histogram.observe(seconds);
        }
        let mut out = Exposition::default();
        out.histogram("x", ("stage", "fetch"), &histogram);
        let has = |line: &str| assert!(out.0.lines().any(|known| known == line), "{line} in\n{}", out.0);
        has("x_bucket{stage=\"fetch\",le=\"0.025\"} 1");
        has("x_bucket{stage=\"fetch\",le=\"0.25\"} 2");
        has("x_bucket{stage=\"fetch\",le=\"0.5\"} 3");
        has("x_bucket{stage=\"fetch\",le=\"1800\"} 3");
        has("x_bucket{stage=\"fetch\",le=\"+Inf\"} 4");
        has("x_sum{stage=\"fetch\"} 4000.56");
        has("x_count{stage=\"fetch\"} 4");
    }
}
