//! Kills the daemon, cuts its wires, lets Telegram and Redis misbehave, and counts the answers.
//!
//! One program is both sides: started by the harness with `CHAOS_ROLE=daemon` it is stenogram's own
//! main program with decorators around what it works with, so that harness and daemon are
//! always of one build.

mod check;
mod crash_points;
mod daemon;
mod fleet;
mod plan;
mod probes;
mod proxy;
mod random;
mod recordings;
mod report;
mod run;
mod scaling;
mod stand_in;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand, ValueEnum};
use stenogram::app::Decorator;
use stenogram::decoding::Request;
use stenogram::jobs::ports::{Messenger, Transcriber};
use stenogram::queue::Queue;
use support::{redis as redis_server, speech};

use crate::crash_points::{CrashPoint, CrashingMessenger, CrashingQueue};
use crate::daemon::ROLE;
use crate::stand_in::{Pace, StandIn};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    Embedded,
    Redis,
}

/// Kills stenogram, cuts its wires, lets Telegram and Redis misbehave, and counts the answers.
///
/// What happens is drawn from the seed, life by life of the daemon, and the same seed draws it again;
/// which instruction a blow hits is up to the machine. The numbers that are not given grow with
/// --messages; for 10,000 they are those of the long tier.
#[derive(Debug, Parser)]
#[command(name = "chaos", args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Debug, Subcommand)]
enum Other {
    Fleet(fleet::Arguments),
    Scaling(scaling::Arguments),
    Simulation(scaling::simulation::Arguments),
}

#[derive(Debug, clap::Args)]
struct Arguments {
    /// Draws everything that happens [default: the clock's]
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    queue: Backend,
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Private chats that they come in
    #[arg(long, default_value_t = 60)]
    chats: usize,
    /// Messages that hold no recording [default: 1 %]
    #[arg(long)]
    corrupt: Option<usize>,
    /// Messages with spoken words, for the real model; a stand-in "recognises" the others
    /// [default: 1 %]. In bursts there are more of them, up to 120 in each
    #[arg(long)]
    spoken: Option<usize>,
    /// Messages that the rules leave alone and the owner asks for by a command [default: 2 %]
    #[arg(long)]
    commands: Option<usize>,
    /// Answers in every form, as captions and documents too, with previews of some, and others edited
    /// because the owner has the recording recognised again
    #[arg(long)]
    rules: bool,
    /// SIGKILLs of the daemon, half of them at crash points [default: 500]
    #[arg(long)]
    kills: Option<usize>,
    /// Bursts of 20 more SIGKILLs in 25 s [default: 5]
    #[arg(long)]
    bursts: Option<usize>,
    /// SIGKILLs of Redis [default: 50]
    #[arg(long)]
    redis_kills: Option<usize>,
    /// Cuts of the connections to Telegram; every fourth is a stall, every fourth measured [default: 200]
    #[arg(long)]
    cuts: Option<usize>,
    /// Seconds of the longest cuts
    #[arg(long, default_value_t = 30.0)]
    longest_cut: f64,
    /// Connections that die without a word, and are waited for [default: 2]
    #[arg(long)]
    half_open: Option<usize>,
    /// FLOOD_WAITs of 1 to 3 s [default: 500]
    #[arg(long)]
    floods: Option<usize>,
    /// Times that Telegram says -503, for it took too long [default: 100]
    #[arg(long)]
    timeouts: Option<usize>,
    /// Times that a file is to be waited for, for the account is not Premium [default: 100]
    #[arg(long)]
    premium_waits: Option<usize>,
    /// Answers sent whose acknowledgement is lost [default: 300]
    #[arg(long)]
    lost_answers: Option<usize>,
    /// Updates told twice [default: 200]
    #[arg(long)]
    duplicated: Option<usize>,
    /// Updates never told [default: 200]
    #[arg(long)]
    dropped: Option<usize>,
    /// Times that Telegram says differenceTooLong [default: 5]
    #[arg(long)]
    too_long: Option<usize>,
    /// Telegram sends a message again that comes again under its random_id
    #[arg(long)]
    no_dedupe: bool,
    /// The daemon reaches Telegram through such a proxy; its cuts are those of the wires behind it
    #[arg(long, value_enum)]
    proxy: Option<ProxyKind>,
    /// Where the daemon's folder is made; one in memory saves the waits for the disk [default: TMPDIR]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Judge by the answers alone, not by times and memory, which say little of a short run on a busy machine
    #[arg(long)]
    answers_only: bool,
    /// Keep that folder, also after a success
    #[arg(long)]
    keep: bool,
    /// The daemon's LOG_LEVEL
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Also write the report here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// [`Arguments`] with every number known.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Options {
    pub seed: u64,
    pub queue: String,
    pub messages: usize,
    pub chats: usize,
    pub corrupt: usize,
    pub spoken: usize,
    pub commands: usize,
    pub rules: bool,
    /// Messages of the owner, which are answered by captions.
    pub own: usize,
    /// Messages that are recognised in several stretches, and have a preview.
    pub slow: usize,
    /// Messages that the owner has recognised again once they are answered.
    pub again: usize,
    pub kills: usize,
    pub bursts: usize,
    pub redis_kills: usize,
    pub cuts: usize,
    pub longest_cut: f64,
    pub half_open: usize,
    pub floods: usize,
    pub timeouts: usize,
    pub premium_waits: usize,
    pub lost_answers: usize,
    pub duplicated: usize,
    pub dropped: usize,
    pub too_long: usize,
    pub dedupe: bool,
    pub proxy: Option<ProxyKind>,
    pub answers_only: bool,
    #[serde(skip)]
    pub folder: PathBuf,
    #[serde(skip)]
    pub log_level: String,
}

/// A proxy in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyKind {
    Socks5,
    Http,
    /// Disguised as TLS
    Mtproxy,
}

impl Options {
    pub fn redis_queue(&self) -> bool {
        self.queue == "redis"
    }
}

impl Arguments {
    fn options(&self) -> Options {
        // So many in 10,000 messages.
        let share = |given: Option<usize>, of: usize| given.unwrap_or(self.messages * of / 10_000);
        let redis = self.queue == Backend::Redis;
        let of_rules = |of: usize| if self.rules { self.messages * of / 10_000 } else { 0 };
        Options {
            seed: self.seed.unwrap_or_else(clock),
            queue: if redis { "redis" } else { "embedded" }.to_owned(),
            messages: self.messages,
            chats: self.chats.max(1),
            corrupt: share(self.corrupt, 100),
            spoken: share(self.spoken, 100),
            commands: share(self.commands, 200),
            rules: self.rules,
            own: of_rules(1500),
            slow: of_rules(1500),
            again: of_rules(300),
            kills: share(self.kills, 500),
            bursts: share(self.bursts, 5),
            redis_kills: if redis { share(self.redis_kills, 50) } else { 0 },
            cuts: share(self.cuts, 200),
            longest_cut: self.longest_cut,
            half_open: share(self.half_open, 2),
            floods: share(self.floods, 500),
            timeouts: share(self.timeouts, 100),
            premium_waits: share(self.premium_waits, 100),
            lost_answers: share(self.lost_answers, 300),
            duplicated: share(self.duplicated, 200),
            dropped: share(self.dropped, 200),
            too_long: share(self.too_long, 5),
            dedupe: !self.no_dedupe,
            proxy: self.proxy,
            answers_only: self.answers_only,
            folder: self.folder.clone().unwrap_or_else(std::env::temp_dir),
            log_level: self.log_level.clone(),
        }
    }
}

/// A seed that nobody has drawn yet.
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

fn main() -> ExitCode {
    // The daemon starts its own program to decode, which here is this one.
    if let Some(request) = Request::from_arguments(std::env::args_os()) {
        return probes::serve(request);
    }
    if std::env::var_os(ROLE).is_some() {
        return daemon();
    }
    let CommandLine { other, arguments } = CommandLine::parse();
    let passed = match other {
        None => harness(&arguments),
        Some(Other::Fleet(arguments)) => fleet::harness(&arguments),
        Some(Other::Scaling(arguments)) => scaling::measure(&arguments),
        Some(Other::Simulation(arguments)) => Ok(scaling::simulation::simulate(&arguments)),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("chaos: the harness itself failed: {error:#}");
    ExitCode::from(2)
}

/// The daemon's side of this program.
fn daemon() -> ExitCode {
    match Decorators::from_environment() {
        Ok(decorators) => stenogram::program::main_with(&decorators),
        Err(error) => failed(&error),
    }
}

/// What the daemon has here and the released program has not.
struct Decorators {
    crash: Option<Arc<CrashPoint>>,
    /// How long the stand-in takes.
    pace: Option<Arc<Pace>>,
}

impl Decorators {
    fn from_environment() -> anyhow::Result<Self> {
        let pace = Pace::from_environment()?.map(Arc::new);
        Ok(Self { crash: CrashPoint::from_environment()?, pace })
    }
}

impl Decorator for Decorators {
    fn queue(&self, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match self.crash.clone() {
            Some(crash) => Arc::new(CrashingQueue { queue, crash }),
            None => queue,
        }
    }

    fn messenger(&self, messenger: Arc<dyn Messenger>) -> Arc<dyn Messenger> {
        match self.crash.clone() {
            Some(crash) => Arc::new(CrashingMessenger { messenger, crash }),
            None => messenger,
        }
    }

    fn transcriber(&self, transcriber: Arc<dyn Transcriber>) -> Arc<dyn Transcriber> {
        Arc::new(StandIn { transcriber, pace: self.pace.clone(), crash: self.crash.clone() })
    }
}

/// True if every promise was kept.
fn harness(arguments: &Arguments) -> anyhow::Result<bool> {
    let options = arguments.options();
    println!(
        "seed {} (the same --seed and numbers draw the same blows; their timing is the machine's)",
        options.seed
    );
    let home = tempfile::Builder::new().prefix("stenogram-chaos-").tempdir_in(&options.folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(run::run(&options, home.path()))?;
    // Connections and sleeping tasks of the loopback Telegram need no farewell.
    runtime.shutdown_background();
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    if arguments.keep || !report.passed() {
        println!("the daemon's folder is kept: {}", home.keep().display());
    }
    Ok(report.passed())
}
