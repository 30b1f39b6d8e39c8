//! The real binary as a child, in a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fake_telegram::{Telegram, write_session};
use tempfile::TempDir;

use crate::signals::with_default_signals;
use crate::speech::{MODEL, VAD};

/// The document with the list of the daemon's events.
static LIST: LazyLock<String> = LazyLock::new(|| {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/OPERATING.md");
    fs::read_to_string(document).expect("read docs/OPERATING.md")
});

/// A home of the daemon: session, queue, log.
pub struct Home {
    folder: TempDir,
    pub variables: Vec<(String, String)>,
    /// The binary.
    pub program: PathBuf,
}

impl Home {
    /// With a session for `telegram` and the test model.
    pub fn new(telegram: &Telegram) -> Self {
        let home = Self::with_voice_activity();
        fs::create_dir(home.data()).expect("make the data folder");
        write_session(&home.data().join("account.session"), &telegram.session()).expect("write the session");
        home
    }

    /// With the test model, and the model for voice activity among the models.
    pub fn with_voice_activity() -> Self {
        let home = Self::empty();
        let models = home.path().join("models");
        fs::create_dir(&models).expect("make the models folder");
        fs::copy(VAD, models.join("ggml-silero-v5.1.2.bin")).expect("copy the weights");
        home
    }

    /// With the test model only.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let variables = [
            ("API_ID", "12345"),
            ("API_HASH", "0123456789abcdef0123456789abcdef"),
            ("MODEL", MODEL),
            ("RECONNECT_DELAY", "1"),
            ("LOG_LEVEL", "debug"),
            ("OMP_WAIT_POLICY", "passive"),
            // What a person would send is less than what tests do.
            ("SENDS_PER_MINUTE", "100000"),
            ("SENDS_PER_DAY", "100000"),
            ("CHAT_PER_HOUR", "off"),
            ("CHAT_PER_DAY", "off"),
            ("STRANGER_PER_HOUR", "off"),
            ("STRANGER_PER_DAY", "off"),
            ("LOOP_AFTER", "0"),
            // On a busy machine nobody knows which recordings would have one.
            ("PREVIEW_AFTER", "off"),
            // Many run at once.
            ("HEALTH_ADDRESS", "off"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { folder, variables, program: crate::stenogram() }
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A command of the binary in this home, with nothing of the surroundings.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        with_default_signals(&mut command).env_clear().current_dir(self.path()).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn log_path(&self) -> PathBuf {
        self.path().join("daemon.log")
    }

    /// Everything that all daemons here have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// How often all daemons here have logged this event.
    pub fn count(&self, event: &str) -> usize {
        events(&self.log(), event).len()
    }

    /// Starts the daemon.
    pub fn start(&self) -> Daemon {
        self.start_as(&mut self.command())
    }

    /// Starts `command` as the daemon.
    pub fn start_as(&self, command: &mut Command) -> Daemon {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("open the log");
        // Before the start: a quick daemon has written lines before this thread runs again.
        let seen = log.metadata().expect("the length of the log").len();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("start the daemon");
        Daemon { child, log: self.log_path(), seen }
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
    /// Where its own lines begin.
    seen: u64,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its lines so far.
    pub fn log(&self) -> String {
        let all = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&all[(self.seen as usize).min(all.len())..]).into_owned()
    }

    /// How often it has logged this event.
    pub fn count(&self, event: &str) -> usize {
        events(&self.log(), event).len()
    }

    /// Waits until it has logged this event.
    pub async fn event(&mut self, event: &str, deadline: Duration) {
        self.events(event, 1, deadline).await;
    }

    /// Waits until it has logged this event so many times.
    pub async fn events(&mut self, event: &str, times: usize, deadline: Duration) {
        self.logs(&format!("{event} {times} times"), deadline, |log| events(log, event).len() >= times).await;
    }

    /// Waits until it has logged this event in a line with `text`.
    pub async fn event_with(&mut self, event: &str, text: &str, deadline: Duration) {
        let has_text = |log: &str| events(log, event).iter().any(|line| line.contains(text));
        self.logs(&format!("{event} with {text}"), deadline, has_text).await;
    }

    /// Waits until its log is as `holds` wants it; `what` is that in words.
    pub async fn logs(&mut self, what: &str, deadline: Duration, holds: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !holds(&self.log()) {
            if let Some(status) = self.child.try_wait().expect("ask for its status") {
                // What it said last may have come just now.
                assert!(holds(&self.log()), "ended with {status} before {what:?}:\n{}", self.log());
                return;
            }
            assert!(start.elapsed() < deadline, "no {what:?} within {deadline:?}:\n{}", self.log());
            pause().await;
        }
    }

    pub fn signal(&self, signal: i32) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status();
        assert!(status.expect("run kill").success());
    }

    /// SIGTERM; how it ended, and after how long.
    pub async fn stop(mut self) -> (ExitStatus, Duration) {
        self.signal(15);
        let start = Instant::now();
        (self.ends(Duration::from_secs(10)).await, start.elapsed())
    }

    /// Waits until it ends by itself.
    pub async fn ends(&mut self, deadline: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ask for its status") {
                return status;
            }
            assert!(start.elapsed() < deadline, "still running after {deadline:?}:\n{}", self.log());
            pause().await;
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("wait for the daemon");
    }
}

/// The lines of `log` that report this event, in either format.
pub fn events<'a>(log: &'a str, event: &str) -> Vec<&'a str> {
    // One that is never logged would be waited for in vain, or be missing whatever happens.
    assert!(LIST.contains(&format!("\n| `{event}` |")), "docs/OPERATING.md lists no event {event}");
    let forms = [format!(" event=\"{event}\""), format!("\"event\":\"{event}\"")];
    log.lines().filter(|line| forms.iter().any(|form| line.contains(form))).collect()
}

/// Between two looks at another process, which tells nobody when there is something new to see.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
