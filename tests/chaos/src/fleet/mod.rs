//! The fleet tier: gateways, each with an account, and workers, which share a Redis. All of them
//! are killed, frozen, and cut from Redis, each on its own.

pub mod plan;
pub mod process;
pub mod report;
pub mod run;
pub mod world;

use std::path::PathBuf;

use self::report::Report;

/// Several gateways and workers that share a Redis.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Draws everything that happens [default: the clock's]
    #[arg(long)]
    seed: Option<u64>,
    /// Gateways, each with an account of its own
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// Messages of all accounts together
    #[arg(long, default_value_t = 10_000)]
    messages: usize,
    /// Private chats of each account
    #[arg(long, default_value_t = 60)]
    chats: usize,
    /// Messages that hold no recording [default: 1 %]
    #[arg(long)]
    corrupt: Option<usize>,
    /// Messages with spoken words, for the real model [default: 1 %]
    #[arg(long)]
    spoken: Option<usize>,
    /// SIGKILLs of gateways and workers, half of them at crash points
    #[arg(long, default_value_t = 500)]
    kills: usize,
    /// Orderly stops among them [default: one for 20 kills]
    #[arg(long)]
    stops: Option<usize>,
    /// Times that one process is cut from Redis; every third is a stall, in which nothing comes
    /// through [default: one for 3 kills]
    #[arg(long)]
    cuts: Option<usize>,
    /// Times that one process is frozen for a while, as a laptop is that is closed
    /// [default: one for 10 kills]
    #[arg(long)]
    freezes: Option<usize>,
    /// SIGKILLs of Redis [default: one for 20 kills]
    #[arg(long)]
    redis_kills: Option<usize>,
    /// Seconds that a process lives before it is killed, on average
    #[arg(long, default_value_t = 8.0)]
    life: f64,
    /// Milliseconds that the stand-in takes for a recording; a worker recognises one at a time
    #[arg(long, default_value_t = 200)]
    cost: u64,
    /// What was put off because workers died of it is tried again at once when all kills are over,
    /// instead of after a minute or ten
    #[arg(long)]
    hurry: bool,
    /// Where the folders of the processes are made [default: TMPDIR]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Keep them, also after a success
    #[arg(long)]
    keep: bool,
    /// LOG_LEVEL of all processes
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
    pub gateways: usize,
    pub workers: usize,
    pub messages: usize,
    pub chats: usize,
    pub corrupt: usize,
    pub spoken: usize,
    pub kills: usize,
    pub stops: usize,
    pub cuts: usize,
    pub freezes: usize,
    pub redis_kills: usize,
    pub life: f64,
    pub cost: u64,
    pub hurry: bool,
    #[serde(skip)]
    pub log_level: String,
}

impl Arguments {
    fn options(&self) -> Options {
        let share = |given: Option<usize>, one_in: usize| given.unwrap_or(self.kills.div_ceil(one_in));
        Options {
            seed: self.seed.unwrap_or_else(crate::clock),
            gateways: self.gateways.max(1),
            workers: self.workers.max(1),
            messages: self.messages,
            chats: self.chats.max(1),
            corrupt: self.corrupt.unwrap_or(self.messages / 100),
            spoken: self.spoken.unwrap_or(self.messages / 100),
            kills: self.kills,
            stops: share(self.stops, 20),
            cuts: share(self.cuts, 3),
            freezes: share(self.freezes, 10),
            redis_kills: share(self.redis_kills, 20),
            life: self.life,
            cost: self.cost,
            hurry: self.hurry,
            log_level: self.log_level.clone(),
        }
    }
}

/// True if every promise was kept.
pub fn harness(arguments: &Arguments) -> anyhow::Result<bool> {
    let options = arguments.options();
    println!("seed {} (the same --seed and numbers draw the same blows)", options.seed);
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let home = tempfile::Builder::new().prefix("stenogram-fleet-").tempdir_in(folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let report: Report = runtime.block_on(run::run(&options, home.path()))?;
    // Connections and sleeping tasks of the loopback Telegrams need no farewell.
    runtime.shutdown_background();
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    let passed = report.failures().is_empty();
    if arguments.keep || !passed {
        println!("the folders are kept: {}", home.keep().display());
    }
    Ok(passed)
}
