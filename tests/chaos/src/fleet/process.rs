//! A process of a fleet: its folder, its way to Redis, its clock, its lives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::sleep;

use super::plan::{End, Life, Role, Trouble};
use crate::crash_points::CRASH;
use crate::daemon::{Variables, by_kill};
use crate::proxy::Proxy;

/// How a life ended that was asked to.
pub const STOPPED: &str = "stopped";
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long one that has ended by itself stays away.
const AWAY: Duration = Duration::from_millis(300);
/// libfaketime, which gives a process another clock.
const CLOCKS: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// The library that gives a process another clock, if it is installed.
pub fn clock_library() -> Option<&'static str> {
    CLOCKS.into_iter().find(|file| Path::new(file).exists())
}

/// A gateway or a worker.
pub struct Process {
    pub name: String,
    pub role: Role,
    pub folder: PathBuf,
    pub variables: Variables,
    /// Its own way to Redis.
    pub redis: Proxy,
    /// How many seconds its clock is ahead.
    pub clock: i64,
}

/// How a life ended.
#[derive(Debug, Serialize)]
pub struct LifeRecord {
    pub process: String,
    pub end: String,
    pub lived_ms: u64,
    /// The most resident memory, by the kernel's account.
    pub rss_kib: Option<u64>,
}

/// The lives of a process, and what was done to it.
#[derive(Default)]
pub struct Lived {
    pub lives: Vec<LifeRecord>,
    pub troubles: BTreeMap<&'static str, usize>,
    /// Crash points that it did not come to in time; it was killed instead.
    pub crashes_missed: usize,
}

impl Process {
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn start(&self, crash: Option<(&str, u32)>) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(match self.role {
            Role::Gateway => "gateway",
            Role::Worker => "worker",
            Role::Whole => "run",
        });
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(crash.map(|(point, pass)| (CRASH, format!("{point}@{pass}"))));
        if let Some(library) = clock_library().filter(|_| self.clock != 0) {
            command.env("LD_PRELOAD", library).env("FAKETIME", format!("{:+}s", self.clock));
            // Only the time of day is another one.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.kill_on_drop(true).spawn().with_context(|| format!("start {}", self.name))
    }

    /// Lives as planned, then until `over` says so; `ended` is told of each planned life's end.
    pub async fn live(
        &self,
        lives: Vec<Life>,
        mut over: watch::Receiver<bool>,
        ended: impl Fn(),
    ) -> anyhow::Result<Lived> {
        let mut lived = Lived::default();
        for life in lives {
            self.live_once(life, &mut lived).await?;
            ended();
        }
        loop {
            let (mut child, started) = (self.start(None)?, Instant::now());
            let early = tokio::select! {
                status = child.wait() => Some(status?),
                _ = over.wait_for(|over| *over) => None,
            };
            if let Some(status) = early {
                lived.lives.push(self.record(format!("ended by itself: {status}"), started, None));
                sleep(AWAY).await;
                continue;
            }
            let end = self.stop(&mut child).await?;
            let rss = end.1;
            lived.lives.push(self.record(end.0, started, rss));
            return Ok(lived);
        }
    }

    async fn live_once(&self, life: Life, lived: &mut Lived) -> anyhow::Result<()> {
        let crash = match life.end {
            End::Crash(point, pass, _) => Some((point, pass)),
            End::Kill(_) | End::Stop(_) => None,
        };
        let (mut child, started) = (self.start(crash)?, Instant::now());
        let pid = child.id().context("it has just started")?;
        let planned = async {
            for (pause, trouble) in &life.troubles {
                sleep(*pause).await;
                *lived.troubles.entry(self.trouble(pid, *trouble).await).or_default() += 1;
            }
            let (End::Crash(_, _, after) | End::Kill(after) | End::Stop(after)) = life.end;
            sleep(after.saturating_sub(started.elapsed())).await;
        };
        let early = tokio::select! {
            status = child.wait() => Some(status?),
            () = planned => None,
        };
        let rss = early.is_none().then(|| peak(pid)).flatten();
        let end = match (early, life.end) {
            (Some(status), End::Crash(point, ..)) if by_kill(status) => format!("crash {point}"),
            (Some(status), _) => format!("ended by itself: {status}"),
            (None, End::Stop(_)) => self.stop(&mut child).await?.0,
            (None, end) => {
                lived.crashes_missed += usize::from(matches!(end, End::Crash(..)));
                // An error means that it has ended, which the status tells.
                let _ = child.start_kill();
                let status = child.wait().await?;
                if by_kill(status) { "kill".to_owned() } else { format!("ended by itself: {status}") }
            }
        };
        remove_clock(pid);
        // A trouble may have been broken off.
        self.redis.open();
        self.redis.stall(false);
        lived.lives.push(self.record(end, started, rss));
        sleep(life.down).await;
        Ok(())
    }

    /// SIGTERM; how it ended, and its memory.
    pub async fn stop(&self, child: &mut Child) -> anyhow::Result<(String, Option<u64>)> {
        let pid = child.id().context("it has ended")?;
        let rss = peak(pid);
        signal(pid, libc::SIGTERM);
        let end = match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
            Ok(status) => describe_stop(status?),
            Err(_) => "did not stop in time".to_owned(),
        };
        let _ = child.start_kill();
        Ok((end, rss))
    }

    /// Returns when all is well again, what it was.
    async fn trouble(&self, pid: u32, trouble: Trouble) -> &'static str {
        match trouble {
            Trouble::Cut(time) => {
                self.redis.close();
                sleep(time).await;
                self.redis.open();
                "cut from Redis"
            }
            Trouble::Stall(time) => {
                self.redis.stall(true);
                sleep(time).await;
                self.redis.stall(false);
                "stalled"
            }
            Trouble::Freeze(time) => {
                signal(pid, libc::SIGSTOP);
                sleep(time).await;
                signal(pid, libc::SIGCONT);
                "frozen"
            }
        }
    }

    fn record(&self, end: String, started: Instant, rss_kib: Option<u64>) -> LifeRecord {
        let lived_ms = started.elapsed().as_millis() as u64;
        LifeRecord { process: self.name.clone(), end, lived_ms, rss_kib }
    }
}

fn describe_stop(status: ExitStatus) -> String {
    if status.success() { STOPPED.to_owned() } else { format!("asked to stop: {status}") }
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: it only sends a signal, to a child that was not waited for yet.
    unsafe { libc::kill(pid as i32, signal) };
}

/// Removes the memory that libfaketime has shared and a killed process leaves behind.
fn remove_clock(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        let _ = fs::remove_file(Path::new("/dev/shm").join(name)); // where there is none, it was removed
    }
}

/// The most resident memory of a process so far, in KiB.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rest = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    rest.split_whitespace().next()?.parse().ok()
}
