//! A real redis-server as a child of the test, on a free port, with a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const START: Duration = Duration::from_secs(20);

/// The settings under which Redis loses nothing that it acknowledged.
pub const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// Killed, and its folder removed, when dropped.
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    folder: Folder,
    settings: Vec<String>,
    /// Whether it is a Sentinel, which takes its settings from a file.
    is_sentinel: bool,
}

impl RedisServer {
    /// Starts a server with more `--setting value` pairs and waits until it answers.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_as(settings, false)
    }

    /// Starts a Sentinel that watches this server under the name `mymaster`, alone, and takes it for
    /// dead after `down_after` of silence; with more lines in its configuration.
    pub fn start_sentinel(master: &Self, down_after: Duration, more: &[&str]) -> Self {
        let monitor = format!("sentinel monitor mymaster 127.0.0.1 {} 1", master.port);
        let silence = format!("sentinel down-after-milliseconds mymaster {}", down_after.as_millis());
        let settings: [&str; 3] = [&monitor, &silence, "sentinel failover-timeout mymaster 20000"];
        Self::start_as(&[&settings, more].concat(), true)
    }

    fn start_as(settings: &[&str], is_sentinel: bool) -> Self {
        let settings = settings.iter().map(|setting| setting.to_string()).collect();
        let mut server = Self { child: None, port: 0, folder: Folder::new("redis"), settings, is_sentinel };
        // Somebody may take the free port before the server does.
        for _ in 0..5 {
            server.port = Self::free_port();
            server.spawn();
            if server.wait_until_it_answers() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A port that was free a moment ago, for a server's `--tls-port`.
    pub fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address").port()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill redis-server");
            child.wait().expect("wait for redis-server");
        }
    }

    /// Starts it again on the same port and folder.
    pub fn restart(&mut self) {
        self.kill();
        self.spawn();
        assert!(self.wait_until_it_answers(), "redis-server does not start again: {}", self.log());
    }

    /// Starts it again and does not wait until it answers.
    pub fn restart_in_background(&mut self) {
        self.kill();
        self.spawn();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("run kill").success());
    }

    /// Runs one command, as the default user without a password.
    pub fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url())
            .and_then(|client| client.get_connection())
            .expect("connect to redis-server");
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        command.query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn spawn(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("redis-server's log");
        let mut command = Command::new("redis-server");
        if self.is_sentinel {
            let file = self.folder.path().join("sentinel.conf");
            if !file.exists() {
                fs::write(&file, self.settings.join("\n") + "\n").expect("the settings of a Sentinel");
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", ""]).args(&self.settings);
        }
        let child = command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("redis-server's log"))
            .stderr(log)
            .spawn()
            .expect("redis-server is installed");
        self.child = Some(child);
    }

    /// False where the server gave up.
    fn wait_until_it_answers(&mut self) -> bool {
        let deadline = Instant::now() + START;
        loop {
            let process = redis::Client::open(self.url())
                .and_then(|client| client.get_connection())
                .and_then(|mut connection| redis::cmd("INFO").query::<String>(&mut connection));
            let ours = self.child.as_ref().map(|child| format!("process_id:{}", child.id()));
            match process {
                // While it loads what it has stored, it answers nothing else.
                Ok(info) if info.lines().any(|line| line == "loading:1") => {}
                // Another test's server may have taken the port before this one could.
                Ok(info) if ours.is_some_and(|ours| info.lines().any(|line| line == ours)) => {
                    return true;
                }
                Ok(_) => {}
                Err(error)
                    if error.to_string().contains("NOAUTH")
                        || matches!(error.code(), Some("NOAUTH" | "NOPERM")) =>
                {
                    return true;
                }
                Err(_) => {}
            }
            let child = self.child.as_mut().expect("spawned before");
            if child.try_wait().expect("ask for redis-server").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5)); // between two looks at the condition
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder of the test's own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("stenogram-{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
