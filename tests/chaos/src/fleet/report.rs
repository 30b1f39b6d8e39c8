//! What was found in a fleet, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Options;
use super::process::{LifeRecord, Lived};
use crate::check::Verdict;

/// The events of the log that show what the fleet went through.
const EVENTS: [&str; 7] = [
    "assigned",
    "assignment_resumed",
    "assignment_given_back",
    "assignment_taken",
    "lease_lost",
    "lease_taken_over",
    "workers_gone",
];

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub options: Options,
    pub minutes: f64,
    /// From the last planned end of a life until all was answered and all processes had stopped.
    pub drained_after_s: f64,
    pub verdict: Verdict,
    /// How many seconds the clock of each process was ahead.
    pub clocks: BTreeMap<String, i64>,
    pub redis_kills: usize,
    /// Lives by the kind of process and by how they ended.
    pub ends: BTreeMap<String, usize>,
    pub troubles: BTreeMap<String, usize>,
    /// Crash points that were waited for in vain; the process was killed instead.
    pub crashes_missed: usize,
    /// Jobs that are not done, and dead letters.
    pub left_jobs: Vec<String>,
    /// Keys in Redis that hold a recording or an assignment.
    pub left_of_recordings: Vec<String>,
    /// How often each event was logged.
    pub events: BTreeMap<String, usize>,
    /// The most resident memory of a life, in KiB: the median and the highest, of each kind.
    pub rss_kib: BTreeMap<String, (u64, u64)>,
    /// Warnings and errors of the log with digits taken out, and how many of each.
    pub complaints: BTreeMap<String, usize>,
    /// Lines that are no log lines: panics, say.
    pub foreign_lines: Vec<String>,
    /// The log's lines about messages that went wrong.
    pub evidence: Vec<String>,
    pub lives: Vec<LifeRecord>,
}

/// `gateway` of `gateway-2`.
fn kind(process: &str) -> &str {
    process.split('-').next().unwrap_or_default()
}

impl Report {
    pub fn add(&mut self, lived: Lived) {
        for (trouble, count) in lived.troubles {
            *self.troubles.entry(trouble.to_owned()).or_default() += count;
        }
        self.crashes_missed += lived.crashes_missed;
        for life in &lived.lives {
            *self.ends.entry(format!("{}: {}", kind(&life.process), life.end)).or_default() += 1;
        }
        self.lives.extend(lived.lives);
        for role in ["gateway", "worker"] {
            let of_role = self.lives.iter().filter(|life| kind(&life.process) == role);
            let mut weights: Vec<u64> = of_role.filter_map(|life| life.rss_kib).collect();
            weights.sort_unstable();
            if let Some(most) = weights.last() {
                self.rss_kib.insert(role.to_owned(), (weights[weights.len() / 2], *most));
            }
        }
    }

    /// Looks through a process's log.
    pub fn read_log(&mut self, log: &str) {
        let verdict = &self.verdict;
        let names = [
            &verdict.lost,
            &verdict.twice,
            &verdict.half_edited,
            &verdict.wrong,
            &verdict.out_of_order,
            &verdict.uncalled_for,
        ];
        let wrong = names.into_iter().flatten().chain(&self.left_jobs);
        let suspects: Vec<String> =
            wrong.take(5).filter_map(|name| Some(name.split(": ").next()?.to_owned())).collect();
        for line in log.lines() {
            // A line that a kill cut short is of no interest.
            let Ok(fields) = serde_json::from_str::<serde_json::Value>(line) else {
                if !line.starts_with('{') && self.foreign_lines.len() < 20 {
                    self.foreign_lines.push(line.to_owned());
                }
                continue;
            };
            let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            if EVENTS.contains(&text("event")) {
                *self.events.entry(text("event").to_owned()).or_default() += 1;
            }
            if matches!(text("level"), "WARN" | "ERROR") {
                let complaint = format!("{} {}: {}", text("level"), text("message"), text("reason"));
                let complaint = complaint.chars().filter(|c| !c.is_ascii_digit()).collect();
                *self.complaints.entry(complaint).or_default() += 1;
            }
            let is_about = |name: &String| line.contains(&format!("\"{name}\""));
            if suspects.iter().any(is_about) && self.evidence.len() < 200 {
                self.evidence.push(line.to_owned());
            }
        }
    }

    /// The bars that were missed, one sentence each.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                failures.push(what);
            }
        };
        let verdict = &self.verdict;
        let lists = [
            ("lost", &verdict.lost),
            ("answered twice", &verdict.twice),
            ("left half edited", &verdict.half_edited),
            ("answered with a wrong text", &verdict.wrong),
            ("answered out of order", &verdict.out_of_order),
            ("answered uncalled for", &verdict.uncalled_for),
            ("left in the queues", &self.left_jobs),
            ("keys of recordings left in Redis", &self.left_of_recordings),
            ("lines by no logger", &self.foreign_lines),
        ];
        for (what, list) in lists {
            let examples: Vec<_> = list.iter().take(5).map(String::as_str).collect();
            expect(list.is_empty(), format!("{} {what}: {}", list.len(), examples.join(", ")));
        }
        let answers = verdict.answered + verdict.left_alone;
        expect(answers == self.options.messages, format!("{answers} of {} messages", self.options.messages));
        let as_planned =
            |end: &str| end.ends_with("kill") || end.contains("crash ") || end.ends_with("stopped");
        let odd: Vec<_> = self.ends.iter().filter(|(end, _)| !as_planned(end)).collect();
        expect(odd.is_empty(), format!("ends that nobody planned: {odd:?}"));
        // A run that was spared blows has shown less than it says.
        let kills = self.count(&self.ends, "kill") + self.count(&self.ends, "crash ");
        expect(kills >= self.options.kills, format!("{kills} of {} kills came", self.options.kills));
        let crashes = self.count(&self.ends, "crash ");
        let most = self.options.kills.div_ceil(2);
        expect(crashes * 2 >= most, format!("{crashes} of {most} crash points were met"));
        if self.options.kills >= 50 {
            for event in ["assignment_resumed", "assignment_given_back", "lease_lost", "lease_taken_over"] {
                expect(self.events.contains_key(event), format!("nothing shows {event}"));
            }
        }
        failures
    }

    fn count(&self, counts: &BTreeMap<String, usize>, what: &str) -> usize {
        counts.iter().filter(|(name, _)| name.contains(&format!(": {what}"))).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, gateways, workers, messages, corrupt, spoken, cost, .. } = &self.options;
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<24} {value}");
        row("seed", format!("{seed}, {gateways} gateways, {workers} workers, {cost} ms for a recording"))?;
        row("messages", format!("{messages}, {corrupt} corrupt, {spoken} for the real model"))?;
        let Verdict {
            answered, left_alone, lost, twice, half_edited, wrong, out_of_order, uncalled_for, ..
        } = &self.verdict;
        row("answered once, rightly", format!("{answered}, and {left_alone} corrupt left alone"))?;
        row("lost, twice, half edited", format!("{}, {}, {}", lost.len(), twice.len(), half_edited.len()))?;
        row(
            "wrong text, out of order",
            format!("{}, {}; uncalled for {}", wrong.len(), out_of_order.len(), uncalled_for.len()),
        )?;
        row(
            "left",
            format!("{} jobs, {} keys of recordings", self.left_jobs.len(), self.left_of_recordings.len()),
        )?;
        for (end, count) in &self.ends {
            row("lives", format!("{count:4} {end}"))?;
        }
        for (trouble, count) in &self.troubles {
            row("troubles", format!("{count:4} {trouble}"))?;
        }
        row("Redis killed", format!("{:4}", self.redis_kills))?;
        let clocks: Vec<_> = self.clocks.iter().map(|(name, ahead)| format!("{name} {ahead:+} s")).collect();
        row("clocks", clocks.join(", "))?;
        for (event, count) in &self.events {
            row("event", format!("{count:5} {event}"))?;
        }
        for (role, (middle, most)) in &self.rss_kib {
            row("memory, peaks", format!("{role}: half below {middle} KiB, at most {most} KiB"))?;
        }
        row(
            "took",
            format!("{:.1} min, {:.0} s of them after the last kill", self.minutes, self.drained_after_s),
        )?;
        for (complaint, count) in &self.complaints {
            row("log", format!("{count:5} {complaint}"))?;
        }
        for line in &self.evidence {
            writeln!(f, "    {line}")?;
        }
        let failures = self.failures();
        for failure in &failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        writeln!(f, "{}", if failures.is_empty() { "PASSED" } else { "NOT PASSED" })
    }
}
