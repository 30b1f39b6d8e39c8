//! How a decoder process is started.

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{Allowance, COMMAND, DecoderProcess, Request, Walls};
use crate::audio::{AudioError, Limits};

/// Where the dynamic linker looks for libraries. Nothing else of the environment is handed on.
const LIBRARIES: &str = "LD_LIBRARY_PATH";

/// The program that is started to decode a recording.
#[derive(Clone, Debug)]
pub struct DecoderProgram(PathBuf);

impl DecoderProgram {
    /// This program itself. On Linux it stays the same if its file is replaced by a new version.
    pub fn own() -> Result<Self, AudioError> {
        if cfg!(target_os = "linux") {
            return Ok(Self("/proc/self/exe".into()));
        }
        env::current_exe().map(Self).map_err(|error| AudioError::NotStarted(error.to_string()))
    }

    /// A program that does as this one does.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Decodes a recording, of which its sender claims this length. Waits until its length is
    /// known, so it belongs on a thread that may block. The process ends when that thread does.
    ///
    /// Recordings of at most `keep` samples are decoded only once. Setting `abort` ends it soon
    /// with [`AudioError::Aborted`].
    pub fn decode<'a>(
        &self,
        bytes: Vec<u8>,
        claimed: Duration,
        limits: &Limits,
        keep: u64,
        abort: &'a AtomicBool,
    ) -> Result<DecoderProcess<'a>, AudioError> {
        let size = bytes.len() as u64;
        if size > limits.bytes {
            return Err(AudioError::TooManyBytes { bytes: size, limit: limits.bytes });
        }
        let allowance = Allowance::new(size, claimed, limits);
        self.serve(&Request { bytes: size, limits: limits.clone(), allowance, keep }, bytes, abort)
    }

    /// Has a process do what is requested.
    pub fn serve<'a>(
        &self,
        request: &Request,
        bytes: Vec<u8>,
        abort: &'a AtomicBool,
    ) -> Result<DecoderProcess<'a>, AudioError> {
        let mut process = self.start(request, abort)?;
        process.feed(bytes)?;
        process.measure()?;
        Ok(process)
    }

    /// Starts a process only to ask which walls stand around it. Blocks.
    pub fn walls(&self) -> Result<Walls, AudioError> {
        let limits = Limits::default();
        let allowance = Allowance::new(0, Duration::ZERO, &limits);
        let never = AtomicBool::new(false);
        self.start(&Request { bytes: 0, limits, allowance, keep: 0 }, &never)?.walls()
    }

    fn start<'a>(&self, request: &Request, abort: &'a AtomicBool) -> Result<DecoderProcess<'a>, AudioError> {
        let started = self.spawn(request).and_then(|child| DecoderProcess::new(child, request, abort));
        started.map_err(|error| AudioError::NotStarted(error.to_string()))
    }

    fn spawn(&self, request: &Request) -> io::Result<Child> {
        Command::new(&self.0)
            // For those who list the processes.
            .arg0("stenogram")
            .arg(COMMAND)
            .arg(serde_json::to_string(request)?)
            .env_clear()
            .envs(env::var_os(LIBRARIES).map(|folders| (LIBRARIES, folders)))
            .current_dir("/")
            // Ctrl-C at a terminal is for the daemon alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }
}
