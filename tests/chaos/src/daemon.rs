//! One life of the daemon: a process, and what it weighs.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::Options;
use crate::crash_points::CRASH;

/// The variable by which this program knows that it is to be the daemon.
pub const ROLE: &str = "CHAOS_ROLE";
const SAMPLE_EVERY: Duration = Duration::from_millis(100);
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/micro/ggml-micro-q8_0.bin");

/// From how many messages on an answer is a document, where there are rules.
pub const DOCUMENT_FROM: u32 = 3;

pub type Variables = Vec<(&'static str, String)>;

fn owned<const N: usize>(variables: [(&'static str, &str); N]) -> Variables {
    variables.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// The variables of every process under test.
pub fn for_all(log_level: &str) -> Variables {
    owned([
        (ROLE, "daemon"),
        ("LOG_FORMAT", "json"),
        ("LOG_LEVEL", log_level),
        ("OMP_WAIT_POLICY", "passive"),
        ("HEALTH_ADDRESS", "off"),
    ])
}

/// Those of a process with an account.
pub fn for_accounts() -> Variables {
    owned([
        ("API_ID", "12345"),
        ("API_HASH", "0123456789abcdef0123456789abcdef"),
        ("LANGUAGES", "en"),
        // What a person would send is less than what is sent here.
        ("SENDS_PER_MINUTE", "100000"),
        ("SENDS_PER_DAY", "100000"),
        // A notice answers nothing.
        ("NOTIFY_SAVED", "off"),
        ("CHAT_PER_HOUR", "off"),
        ("CHAT_PER_DAY", "off"),
        ("STRANGER_PER_HOUR", "off"),
        ("STRANGER_PER_DAY", "off"),
        ("LOOP_AFTER", "0"),
    ])
}

/// Those of a process that recognises.
pub fn for_recognition() -> Variables {
    owned([
        ("MODEL", MODEL),
        // A recording is seconds long, and a whole window costs a busy machine a second each.
        ("WHISPER_AUDIO_CTX", "auto"),
    ])
}

pub fn by_kill(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(9)
}

/// Where the daemon lives.
pub struct Home {
    folder: PathBuf,
    variables: Variables,
}

impl Home {
    pub fn new(folder: &Path, options: &Options, redis_url: Option<String>, proxy: Option<String>) -> Self {
        let mut variables = for_all(&options.log_level);
        variables.extend(for_accounts());
        variables.extend(for_recognition());
        if options.rules {
            variables.extend(owned([("ANSWER_IN", "caption"), ("PREVIEW_AFTER", "0")]));
            variables.push(("DOCUMENT_FROM", DOCUMENT_FROM.to_string()));
        } else {
            variables.extend(owned([("PREVIEW_AFTER", "off")]));
        }
        variables.extend(redis_url.map(|url| ("REDIS_URL", url)));
        variables.extend(proxy.map(|url| ("PROXY", url)));
        Self { folder: folder.to_owned(), variables }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn queue(&self) -> PathBuf {
        self.data().join("queue.redb")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Starts the daemon; `crash` is what [`CRASH`] asks for.
    pub fn start(&self, crash: Option<String>) -> anyhow::Result<Daemon> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(crash.map(|order| (CRASH, order)));
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone()?);
        // Before the start: a quick daemon has written lines before this thread runs again.
        let logged_before = log.metadata()?.len();
        let child = command.kill_on_drop(true).spawn().context("start the daemon")?;
        let weights = Arc::default();
        if let Some(pid) = child.id() {
            tokio::spawn(weigh(pid, Arc::clone(&weights)));
        }
        let log = OwnLog { path: self.log(), before: logged_before, started: Instant::now() };
        Ok(Daemon { child, started: log.started, weights, log })
    }
}

/// Resident memory in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub now: u64,
    /// The most so far, by the kernel's own account.
    pub peak: u64,
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    pub started: Instant,
    weights: Arc<Mutex<Vec<Weight>>>,
    pub log: OwnLog,
}

impl Daemon {
    /// SIGKILL, and waits until it is gone. Its status: it may have ended before.
    pub async fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        // An error means that it has ended, which the status tells.
        let _ = self.child.start_kill();
        Ok(self.child.wait().await?)
    }

    /// Asks it to stop.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the daemon has ended")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        Ok(())
    }

    /// How it ended, if it does within `limit`.
    pub async fn ends_within(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(Some(status?)),
            Err(_) => Ok(None),
        }
    }

    /// Its memory so far, looked at every 100 ms.
    pub fn weights(&self) -> Vec<Weight> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A daemon's own lines in the log that all share.
#[derive(Clone)]
pub struct OwnLog {
    path: PathBuf,
    /// Bytes of the log that are not its own.
    before: u64,
    pub started: Instant,
}

impl OwnLog {
    /// The lines that it has logged so far.
    fn lines(&self) -> Vec<String> {
        let Ok(mut log) = File::open(&self.path) else { return Vec::new() };
        if log.seek(SeekFrom::Start(self.before)).is_err() {
            return Vec::new();
        }
        BufReader::new(log).lines().map_while(Result::ok).collect()
    }

    /// When it logged its first line about a job that it had claimed.
    pub fn first_job(&self) -> Option<Instant> {
        let lines = self.lines();
        let time = |line: &String| -> Option<f64> {
            let fields: serde_json::Value = serde_json::from_str(line).ok()?;
            let clock = fields["timestamp"].as_str()?.split_once('T')?.1.trim_end_matches('Z').to_owned();
            clock.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
        };
        let first = time(lines.first()?)?;
        let claimed = time(lines.iter().find(|line| line.contains("\"name\":\"job\""))?)?;
        // The first line comes some milliseconds after the start. Midnight may lie between the two.
        Some(self.started + Duration::from_secs_f64((claimed - first).rem_euclid(86_400.0)))
    }
}

/// Until the process is gone.
async fn weigh(pid: u32, weights: Arc<Mutex<Vec<Weight>>>) {
    loop {
        tokio::time::sleep(SAMPLE_EVERY).await;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = |name: &str| -> Option<u64> {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        // A zombie has no such lines.
        let (Some(now), Some(peak)) = (kib("VmRSS:"), kib("VmHWM:")) else { return };
        weights.lock().unwrap_or_else(PoisonError::into_inner).push(Weight { now, peak });
    }
}
