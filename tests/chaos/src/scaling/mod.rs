//! How a fleet scales: messages a minute by the number of workers, what a message costs each part,
//! and how much of Redis a queued minute of speech takes. No kills.

mod figures;
pub mod simulation;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use fake_telegram::{Chat, Draft};
use tokio::process::Child;
use tokio::time::sleep;

use self::figures::{Figures, Rest, Throughput};
use crate::fleet::plan::Role;
use crate::fleet::process::Process;
use crate::fleet::run::settle;
use crate::fleet::world::World;
use crate::plan::News;
use crate::random::Random;
use crate::recordings::{Kind, minute_of_speech};
use crate::run::lock;

const LOOK: Duration = Duration::from_millis(20);
/// Longer than anything here takes between two steps, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);
const LOG_LEVEL: &str = "info";
const CHATS: usize = 200;
/// Messages whose time from sending to answer is measured, one after the other.
const ONE_BY_ONE: usize = 40;
/// How long processes are watched that have nothing to do.
const REST: Duration = Duration::from_secs(30);
/// Recordings of a minute that wait in Redis.
const QUEUED: usize = 100;

/// Measures how a fleet scales, with a recogniser of fixed cost.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Milliseconds that a recording takes
    #[arg(long, default_value_t = 1000)]
    cost: u64,
    /// Numbers of workers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16])]
    workers: Vec<usize>,
    /// Messages for each worker
    #[arg(long, default_value_t = 40)]
    each: usize,
    #[arg(long, default_value_t = 2)]
    gateways: usize,
    /// Also write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

pub fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(all(arguments))?;
    runtime.shutdown_background();
    figures.show();
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(true)
}

async fn all(arguments: &Arguments) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    for &workers in &arguments.workers {
        let point = throughput(arguments.gateways, workers, arguments.each * workers, arguments.cost).await?;
        point.show();
        figures.throughput.push(point);
    }
    figures.limit = Some(throughput(arguments.gateways, 4, 1500, 0).await?);
    figures.run_ms = latency(&[Role::Whole]).await?;
    figures.fleet_ms = latency(&[Role::Gateway, Role::Worker]).await?;
    memory(&mut figures).await?;
    figures.gateway = rest(Role::Gateway).await?;
    figures.worker = rest(Role::Worker).await?;
    Ok(figures)
}

/// A world with its processes.
struct Fleet {
    world: Arc<World>,
    processes: Vec<(Process, Child)>,
    _home: tempfile::TempDir,
}

impl Fleet {
    /// `more` are variables of the processes with an account.
    async fn start(
        gateways: usize,
        roles: &[Role],
        cost: u64,
        more: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("stenogram-scaling-").tempdir()?;
        let world = Arc::new(World::start(&vec![0; gateways], CHATS, 0).await?);
        let mut processes = Vec::new();
        let (mut accounts, mut workers) = (0, 0);
        for &role in roles {
            let path: &Path = home.path();
            let process = match role {
                Role::Worker => {
                    workers += 1;
                    world.worker(workers - 1, path, LOG_LEVEL, cost).await?
                }
                Role::Gateway | Role::Whole => {
                    let mut process = world.account(role, accounts, path, LOG_LEVEL, cost).await?;
                    process.variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
                    settle(&world.accounts[accounts], &process).await?;
                    accounts += 1;
                    process
                }
            };
            let child = process.start(None)?;
            processes.push((process, child));
        }
        let fleet = Self { world, processes, _home: home };
        for (process, _) in &fleet.processes {
            let event = if process.role == Role::Worker { "worker_ready" } else { "connected" };
            // One of the first start is there already where there is an account.
            let times = if process.role == Role::Worker { 1 } else { 2 };
            wait("a process is ready", || count(process, event) >= times).await?;
        }
        Ok(fleet)
    }

    /// Processor time so far in milliseconds, by part.
    fn cpu(&self) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (process, child) in &self.processes {
            let kind = if process.role == Role::Worker { "worker" } else { "gateway" };
            *sums.entry(kind.to_owned()).or_default() += child.id().map_or(0.0, cpu_ms);
        }
        let info = self.info();
        let seconds = |name: &str| info.get(name).and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        sums.insert("redis".to_owned(), (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1000.0);
        sums
    }

    fn info(&self) -> BTreeMap<String, String> {
        let text: String = lock(&self.world.redis).command(&["INFO", "everything"]);
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.info().get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits until so many messages are answered; how long that took.
    async fn answered(&self, wanted: usize) -> anyhow::Result<Instant> {
        wait("messages are answered", || self.world.progress().1 >= wanted).await?;
        Ok(Instant::now())
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        for (process, child) in &mut self.processes {
            process.stop(child).await?;
        }
        Ok(())
    }
}

async fn throughput(
    gateways: usize,
    workers: usize,
    messages: usize,
    cost: u64,
) -> anyhow::Result<Throughput> {
    let roles = [vec![Role::Gateway; gateways], vec![Role::Worker; workers]].concat();
    let fleet = Fleet::start(gateways, &roles, cost, &[("FLEET_JOBS", "64")]).await?;
    let mut random = Random::new(workers as u64);
    let before = (fleet.cpu(), fleet.number("total_commands_processed"), bytes(&fleet));
    for n in 0..messages {
        let account = &fleet.world.accounts[n % gateways];
        account.send(&fleet.world.recordings, random.below(CHATS), Kind::Tone(random.next()), News::Once);
    }
    // The beginning and the end, at which not all have something to do, are left out.
    let first = fleet.answered(messages / 10).await?;
    let last = fleet.answered(messages * 9 / 10).await?;
    fleet.answered(messages).await?;
    let per_minute = (messages * 9 / 10 - messages / 10) as f64 / (last - first).as_secs_f64() * 60.0;
    let linear = 60_000.0 * workers as f64 / cost.max(1) as f64;
    let each = |sum: f64| sum / messages as f64;
    let cpu_ms = fleet.cpu().into_iter().map(|(part, ms)| {
        let used = ms - before.0.get(&part).copied().unwrap_or(0.0);
        (part, each(used))
    });
    let point = Throughput {
        workers,
        messages,
        per_minute,
        of_linear: per_minute / linear,
        cpu_ms: cpu_ms.collect(),
        redis_commands: each(fleet.number("total_commands_processed") - before.1),
        redis_bytes: each(bytes(&fleet) - before.2),
    };
    fleet.stop().await?;
    Ok(point)
}

fn bytes(fleet: &Fleet) -> f64 {
    fleet.number("total_net_input_bytes") + fleet.number("total_net_output_bytes")
}

/// The median time from sending to the answer, one message after the other.
async fn latency(roles: &[Role]) -> anyhow::Result<f64> {
    let fleet = Fleet::start(1, roles, 0, &[]).await?;
    let mut random = Random::new(1);
    let mut times = Vec::new();
    let account = &fleet.world.accounts[0];
    for n in 0..ONE_BY_ONE {
        let sent = Instant::now();
        let (chat, message) =
            account.send(&fleet.world.recordings, n % CHATS, Kind::Tone(random.next()), News::Once);
        let reply = account.telegram.wait_for_reply(chat, message, DEADLINE).await;
        reply.ok().context("no answer")?;
        times.push(sent.elapsed().as_secs_f64() * 1000.0);
        // So that the next one meets a fleet at rest.
        sleep(Duration::from_millis(200)).await;
    }
    fleet.stop().await?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// What a process takes that has nothing to do.
async fn rest(role: Role) -> anyhow::Result<Rest> {
    let gateways = usize::from(role == Role::Gateway);
    let fleet = Fleet::start(gateways, &[role], 0, &[]).await?;
    // What a start causes is over.
    sleep(Duration::from_secs(5)).await;
    let part = if role == Role::Worker { "worker" } else { "gateway" };
    let look = || {
        let cpu = fleet.cpu();
        (cpu[part], cpu["redis"], fleet.number("total_commands_processed"))
    };
    let before = look();
    sleep(REST).await;
    let after = look();
    let each = |sum: f64| sum / REST.as_secs_f64();
    let rest = Rest {
        resident_kib: fleet.processes[0].1.id().map_or(0, resident_kib),
        cpu_ms: each(after.0 - before.0),
        redis_ms: each(after.1 - before.1),
        commands: each(after.2 - before.2),
        // But for this look itself.
        connections: fleet.number("connected_clients") - 1.0,
    };
    fleet.stop().await?;
    Ok(rest)
}

/// How much of Redis what waits takes.
async fn memory(figures: &mut Figures) -> anyhow::Result<()> {
    let speech = minute_of_speech()?;
    figures.minute_file_bytes = speech.len() as u64;
    for (jobs, handed_over) in [("1", 1), ("1000", QUEUED)] {
        let fleet = Fleet::start(1, &[Role::Gateway], 0, &[("FLEET_JOBS", jobs)]).await?;
        let (gateway, _) = &fleet.processes[0];
        let before = fleet.number("used_memory");
        let account = &fleet.world.accounts[0];
        for n in 0..QUEUED {
            let mut own = speech.clone();
            // Copies of one recording would wait for its result. What follows the last page is skipped.
            own.extend_from_slice(&(n as u64).to_le_bytes());
            account.telegram.send(Chat::User(10_000 + n as i64), Draft::voice(own, 60));
        }
        wait("recordings are handed over", || count(gateway, "assigned") >= handed_over).await?;
        let root = format!("{{stenogram:{}}}", account.owner);
        let queued = || lock(&fleet.world.redis).command::<Option<usize>>(&["HGET", &root, "unfinished"]);
        wait("messages are queued", || queued() == Some(QUEUED)).await?;
        let each = ((fleet.number("used_memory") - before) / QUEUED as f64) as u64;
        if handed_over == 1 {
            figures.job_bytes = each
        } else {
            figures.minute_bytes = each
        };
        fleet.stop().await?;
    }
    Ok(())
}

async fn wait(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds() {
        ensure!(started.elapsed() < DEADLINE, "in vain waited until {what}");
        sleep(LOOK).await;
    }
    Ok(())
}

/// How often a process has logged an event.
fn count(process: &Process, event: &str) -> usize {
    let log = fs::read_to_string(process.log()).unwrap_or_default();
    log.matches(&format!("\"event\":\"{event}\"")).count()
}

/// The processor time of a process and of its children that have ended, in milliseconds.
fn cpu_ms(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold spaces: utime, stime, cutime, cstime are the 12th to 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    // SAFETY: it only reads a number of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks as f64 * 1000.0 / per_second as f64
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rest = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    rest.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
