//! What was found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::Options;
use crate::check::Verdict;
use crate::crash_points::{POINTS, PREVIEW_POINTS};
use crate::plan::{KILLS_IN_A_BURST, Trouble};

/// From restart to the first claim, 99 of 100.
const CLAIM_P99_MS: u64 = 10_000;
/// From the link's return to the new connection, 99 of 100, at the first try.
const RECONNECT_P99_MS: u64 = 6_000;
/// A connection that died without a word is replaced within: 60 s to notice, and the first try.
const HALF_OPEN_MS: u64 = 66_000;
/// How much heavier a daemon may be at the end of the run than at its beginning.
const RSS_GROWTH: f64 = 1.2;

/// From the first kill of a burst to its last, seconds.
const BURST_S: f64 = 25.0;

/// How a life ended that nobody killed.
pub const STOPPED: &str = "stopped";

/// Jobs left in the queue after the stop.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    pub waiting: u64,
    pub claimed: u64,
    pub delayed: u64,
    pub dead: u64,
}

#[derive(Debug, Serialize)]
pub struct LifeRecord {
    pub end: String,
    pub lived_ms: u64,
    /// None: it died before, or there was nothing to do.
    pub first_claim_ms: Option<u64>,
    /// The wire or Redis was away meanwhile.
    pub disturbed: bool,
    pub rss_max_kib: Option<u64>,
}

/// What was then, and what is now: KiB of resident memory.
#[derive(Debug, Default, Serialize)]
pub struct Growth {
    pub before_kib: u64,
    pub after_kib: u64,
}

impl Growth {
    fn factor(&self) -> f64 {
        self.after_kib as f64 / self.before_kib.max(1) as f64
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} KiB (x{:.2})", self.before_kib, self.after_kib, self.factor())
    }
}

/// Milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Times {
    pub count: usize,
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
    /// In ascending order.
    pub all: Vec<u64>,
}

impl Times {
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share).ceil() as usize;
            times.get(place.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self { count: times.len(), p50: at(0.5), p99: at(0.99), max: at(1.0), all: times }
    }
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub options: Options,
    pub minutes: f64,
    /// From the last kill until all was answered and the daemon stopped.
    pub drained_after_s: f64,
    pub verdict: Verdict,
    /// Messages sent again that Telegram kept from the other side.
    pub suppressed: u32,
    pub left: Left,
    pub dead: Vec<String>,
    pub redis_kills: usize,
    pub cuts: usize,
    pub faults_struck: usize,
    pub faults_planned: usize,
    /// Crash points that were waited for in vain, kills in their place not counted.
    pub crashes_missed: usize,
    /// Messages for the real model.
    pub spoken: usize,
    /// Messages that the owner had recognised again.
    pub asked_again: usize,
    /// Previews that were sent, and edits of them besides those that made answers of them.
    pub previews: usize,
    pub preview_edits: usize,
    /// Answers that could not take the place of their preview.
    pub previews_replaced: usize,
    /// Commands that were obeyed, and those that were obeyed more than once.
    pub obeyed: usize,
    pub obeyed_twice: Vec<String>,
    /// Seconds from the first kill of each burst to its last.
    pub bursts_s: Vec<f64>,
    /// How often a job was put off because processes had died over it.
    pub put_off: usize,
    pub stop: String,
    pub stopped_after_s: f64,
    pub claim: Times,
    pub reconnect: Times,
    pub half_open: Times,
    /// Reconnections that never came.
    pub not_reconnected: usize,
    /// Lives by how they ended.
    pub ends: BTreeMap<String, usize>,
    /// The heaviest moment of a killed life, from the first quarter of these to the last: of the middle life,
    /// and of the heaviest.
    pub rss_typical: Growth,
    pub rss_heaviest: Growth,
    /// From the first half of the last life to its second, the heaviest moment of each.
    pub rss_last_life: Growth,
    /// Warnings and errors of the log with digits taken out, and how many of each.
    pub complaints: BTreeMap<String, usize>,
    /// Lines that are no log lines: panics, say.
    pub foreign_lines: Vec<String>,
    /// The log's lines about messages that went wrong.
    pub evidence: Vec<String>,
    pub lives: Vec<LifeRecord>,
}

impl Report {
    pub fn time(&mut self, reconnects: &[(Trouble, Option<Duration>)]) {
        let claims = self.lives.iter().filter(|life| !life.disturbed).filter_map(|life| life.first_claim_ms);
        self.claim = Times::of(claims.collect());
        let took = |half_open: bool| {
            let of_kind =
                reconnects.iter().filter(move |(what, _)| matches!(what, Trouble::HalfOpen) == half_open);
            Times::of(of_kind.filter_map(|(_, took)| took.map(|took| took.as_millis() as u64)).collect())
        };
        self.reconnect = took(false);
        self.half_open = took(true);
        self.not_reconnected = reconnects.iter().filter(|(_, took)| took.is_none()).count();
        for life in &self.lives {
            *self.ends.entry(life.end.clone()).or_default() += 1;
        }
    }

    /// `last_life` is the resident memory of the last daemon over its life, in KiB.
    pub fn weigh(&mut self, last_life: &[u64]) {
        // The first and the last life, which nobody killed, live for another time than the others.
        let killed: Vec<&LifeRecord> = self.lives.iter().filter(|life| life.end != STOPPED).collect();
        let quarter = killed.len().div_ceil(4);
        let weights = |lives: &[&LifeRecord]| {
            let mut weights: Vec<u64> = lives.iter().filter_map(|life| life.rss_max_kib).collect();
            weights.sort_unstable();
            weights
        };
        let (first, last) = (weights(&killed[..quarter]), weights(&killed[killed.len() - quarter..]));
        let growth = |of: &dyn Fn(&[u64]) -> Option<u64>| Growth {
            before_kib: of(&first).unwrap_or(0),
            after_kib: of(&last).unwrap_or(0),
        };
        self.rss_typical = growth(&|weights| weights.get(weights.len() / 2).copied());
        self.rss_heaviest = growth(&|weights| weights.last().copied());
        let (first, second) = last_life.split_at(last_life.len() / 2);
        let most = |weights: &[u64]| weights.iter().max().copied().unwrap_or(0);
        self.rss_last_life = Growth { before_kib: most(first), after_kib: most(second) };
    }

    /// Looks through the daemon's log.
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
        let suspects: Vec<&str> =
            names.into_iter().flatten().take(5).filter_map(|name| name.split(": ").next()).collect();
        let mut obeyed: BTreeMap<String, usize> = BTreeMap::new();
        for line in log.lines() {
            // A line that a kill cut short is of no interest.
            let Ok(fields) = serde_json::from_str::<serde_json::Value>(line) else {
                if !line.starts_with('{') && self.foreign_lines.len() < 20 {
                    self.foreign_lines.push(line.to_owned());
                }
                continue;
            };
            let text = |name: &str| fields.get(name).and_then(|value| value.as_str()).unwrap_or_default();
            match text("event") {
                "preview_sent" => self.previews += 1,
                "preview_edited" => self.preview_edits += 1,
                "preview_replaced" => self.previews_replaced += 1,
                "command" => *obeyed.entry(command_of(&fields)).or_default() += 1,
                _ => {}
            }
            self.put_off +=
                usize::from(text("event") == "delayed" && text("reason").contains("the process died"));
            if matches!(text("level"), "WARN" | "ERROR") {
                let complaint = format!("{} {}: {}", text("level"), text("message"), text("reason"));
                let complaint = complaint.chars().filter(|c| !c.is_ascii_digit()).collect();
                *self.complaints.entry(complaint).or_default() += 1;
            }
            let about = |name: &&&str| line.contains(&format!("\"{name}\""));
            if suspects.iter().any(|name| about(&name)) && self.evidence.len() < 100 {
                self.evidence.push(line.to_owned());
            }
        }
        self.obeyed = obeyed.len();
        self.obeyed_twice =
            obeyed.into_iter().filter(|(_, times)| *times > 1).map(|(command, _)| command).collect();
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
        let counts = [
            ("lost", &verdict.lost),
            ("answered twice", &verdict.twice),
            ("left half-edited", &verdict.half_edited),
            ("commands obeyed twice", &self.obeyed_twice),
            ("answered with a wrong text", &verdict.wrong),
            ("answered out of order", &verdict.out_of_order),
            ("answered uncalled for", &verdict.uncalled_for),
        ];
        for (what, list) in counts {
            let examples: Vec<_> = list.iter().take(5).map(String::as_str).collect();
            expect(list.is_empty(), format!("{} {what}: {}", list.len(), examples.join(", ")));
        }
        expect(self.left == Left::default(), format!("left in the queue: {:?} {:?}", self.left, self.dead));
        expect(self.stop == "exit status: 0", format!("the last daemon, asked to stop: {}", self.stop));
        let odd: Vec<_> = self.ends.keys().filter(|end| end.starts_with("ended by itself")).collect();
        expect(odd.is_empty(), format!("daemons ended by themselves: {odd:?}"));
        expect(self.foreign_lines.is_empty(), format!("said by no logger: {:?}", self.foreign_lines));
        expect(self.not_reconnected == 0, format!("{} times not reconnected", self.not_reconnected));
        // A run that was spared blows has shown less than it says.
        let struck = [
            ("faults of Telegram", self.faults_struck, self.faults_planned),
            ("deaths of Redis", self.redis_kills, self.options.redis_kills),
            ("cuts", self.cuts, self.options.cuts),
            ("kills of the daemon", self.kills(), self.options.kills + self.kills_in_bursts()),
            ("bursts", self.bursts_s.len(), self.options.bursts),
            ("recordings asked for again", self.asked_again, self.options.again),
            // Those of the owner have none, and while Telegram demands a pause there are none.
            ("previews", self.previews * 8, self.options.slow),
        ];
        for (what, came, planned) in struck {
            // More kills than planned come where a crash point was missed at first.
            expect(came >= planned, format!("{came} of {planned} {what} came"));
        }
        // Whether a life has a preview to crash at is up to the machine.
        let is_at_each_job = |end: &str| end.starts_with("crash ") && !end.ends_with("preview");
        let crashes: usize =
            self.ends.iter().filter(|(end, _)| is_at_each_job(end)).map(|(_, count)| count).sum();
        let points = POINTS.len() + if self.options.rules { PREVIEW_POINTS.len() } else { 0 };
        let most = self.options.kills / 2 * POINTS.len() / points;
        expect(crashes * 10 >= most * 9, format!("{crashes} of {most} crash points were met"));
        if self.options.answers_only {
            return failures;
        }
        let slow: Vec<_> = self.bursts_s.iter().filter(|seconds| **seconds > BURST_S).collect();
        expect(slow.is_empty(), format!("bursts that took longer than {BURST_S} s: {slow:?}"));
        expect(self.claim.p99 <= CLAIM_P99_MS, format!("restart to first claim: p99 {} ms", self.claim.p99));
        expect(self.reconnect.p99 <= RECONNECT_P99_MS, format!("reconnect: p99 {} ms", self.reconnect.p99));
        expect(self.half_open.max <= HALF_OPEN_MS, format!("half-open: {} ms", self.half_open.max));
        for (of, growth) in [
            ("typical life", &self.rss_typical),
            ("heaviest life", &self.rss_heaviest),
            ("last life", &self.rss_last_life),
        ] {
            expect(growth.factor() <= RSS_GROWTH, format!("memory of the {of} grew: {growth}"));
        }
        failures
    }

    fn kills_in_bursts(&self) -> usize {
        self.options.bursts * KILLS_IN_A_BURST
    }

    /// How often the daemon was killed, at a crash point or at random.
    fn kills(&self) -> usize {
        let killed = |end: &str| end.starts_with("kill") || end.starts_with("crash ");
        self.ends.iter().filter(|(end, _)| killed(end)).map(|(_, count)| count).sum()
    }

    pub fn passed(&self) -> bool {
        self.failures().is_empty()
    }
}

/// The id of the command that a line of the log is about.
fn command_of(fields: &serde_json::Value) -> String {
    fields["span"]["id"].to_string()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { seed, queue, messages, corrupt, commands, chats, dedupe, .. } = &self.options;
        let spoken = self.spoken;
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<24} {value}");
        let times = |Times { count, p50, p99, max, .. }: &Times| {
            format!("p50 {p50} ms, p99 {p99} ms, max {max} ms ({count} measured)")
        };
        row(
            "seed, queue",
            format!("{seed}, {queue}, Telegram's deduplication {}", if *dedupe { "on" } else { "off" }),
        )?;
        row(
            "messages",
            format!(
                "{messages} in {chats} chats, {corrupt} corrupt, {spoken} for the real model, {commands} \
                 asked for by commands"
            ),
        )?;
        row(
            "answered once, rightly",
            format!("{}, and {} corrupt left alone", self.verdict.answered, self.verdict.left_alone),
        )?;
        let Verdict { lost, twice, half_edited, wrong, out_of_order, uncalled_for, .. } = &self.verdict;
        row("lost, twice", format!("{}, {}", lost.len(), twice.len()))?;
        if self.options.rules {
            let Verdict { captions, documents, edited, .. } = &self.verdict;
            row("forms", format!("{captions} captions, {documents} documents, {edited} messages edited"))?;
            row(
                "previews",
                format!(
                    "{} sent, {} not made an answer, {} left half-edited",
                    self.previews,
                    self.previews_replaced,
                    half_edited.len()
                ),
            )?;
            row("recognised again", self.asked_again.to_string())?;
        }
        row("commands obeyed, twice", format!("{}, {}", self.obeyed, self.obeyed_twice.len()))?;
        row(
            "wrong text, out of order",
            format!("{}, {}; uncalled for {}", wrong.len(), out_of_order.len(), uncalled_for.len()),
        )?;
        let Left { waiting, claimed, delayed, dead } = self.left;
        row(
            "left in the queue",
            format!("{waiting} waiting, {claimed} claimed, {delayed} delayed, {dead} dead"),
        )?;
        for (end, count) in &self.ends {
            row("lives", format!("{count:4} {end}"))?;
        }
        let spans: Vec<String> = self.bursts_s.iter().map(|seconds| format!("{seconds:.1} s")).collect();
        row(
            "bursts",
            format!(
                "{} of {KILLS_IN_A_BURST} kills ({}); {} times a job was put off",
                spans.len(),
                spans.join(", "),
                self.put_off
            ),
        )?;
        row("Redis kills, cuts", format!("{}, {}", self.redis_kills, self.cuts))?;
        row(
            "Telegram's faults",
            format!(
                "{} of {} struck; {} sends kept from the other side as known",
                self.faults_struck, self.faults_planned, self.suppressed
            ),
        )?;
        row("restart to first claim", times(&self.claim))?;
        row("reconnect", times(&self.reconnect))?;
        row("half-open connection", times(&self.half_open))?;
        row(
            "memory, peaks",
            format!(
                "typical life {}, heaviest {}, last {}",
                self.rss_typical, self.rss_heaviest, self.rss_last_life
            ),
        )?;
        row("last stop", format!("{} after {:.1} s", self.stop, self.stopped_after_s))?;
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
