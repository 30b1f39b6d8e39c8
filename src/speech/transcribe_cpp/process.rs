//! The process of `stenogram-transcribe-cpp`: starts it, asks it, and finds out what it died of.

use std::env;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::debug;

use super::wire::{About, Heard, Message, Request};
use crate::runtime::lock;

/// The program's file, beside that of this program.
const PROGRAM: &str = "stenogram-transcribe-cpp";
/// How long it may take to load a model from a slow disk.
const LOAD_LIMIT: Duration = Duration::from_secs(300);
/// How long one stretch may take. A process that takes longer hangs.
const HEAR_LIMIT: Duration = Duration::from_secs(600);
/// How long its standard error is read on once it is dead.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Nobody says more in a stretch; in bytes of JSON.
const LONGEST_LINE: u64 = 4 << 20;
/// How much is kept of what it writes to its standard error.
const ERROR_OUTPUT: usize = 600;
/// What is handed on of the environment, which has secrets too: where libraries are, which GPU is
/// meant, and how threads wait.
const HANDED_ON: [&str; 11] = [
    "LD_LIBRARY_PATH",
    "OMP_",
    "GOMP_",
    "GGML_",
    "CUDA_",
    "NVIDIA_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "VK_",
    "XDG_RUNTIME_DIR",
];

/// Why a process did not do what it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProcessError {
    /// There is no such program.
    NoProgram(PathBuf),
    /// It said so itself.
    Refused(String),
    /// It could not be started, died, hung, or wrote what makes no sense.
    Failed(String),
}

/// Where the program is: beside this one.
pub(super) fn program() -> io::Result<PathBuf> {
    let own = env::current_exe()?;
    // While an update replaces the file, Linux calls the old one "stenogram (deleted)" in the same
    // folder.
    Ok(own.with_file_name(PROGRAM))
}

/// A process with a loaded model. Dropping it kills the process.
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The last of what it wrote to its standard error, and who reads that.
    said: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
    about: About,
}

impl Process {
    /// Starts it, and waits until the model is loaded.
    pub async fn start(program: &Path, model: &Path, threads: NonZeroUsize) -> Result<Self, ProcessError> {
        let handed_on = env::vars_os().filter(|(name, _)| {
            name.to_str().is_some_and(|name| HANDED_ON.iter().any(|prefix| name.starts_with(prefix)))
        });
        let spawned = Command::new(program)
            .arg(model)
            .arg(threads.to_string())
            .env_clear()
            // Threads that wait must sleep, see the head of `speech`.
            .env("OMP_WAIT_POLICY", "passive")
            .envs(handed_on)
            // Ctrl-C at a terminal is for this process alone.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ProcessError::NoProgram(program.to_owned()));
            }
            Err(error) => {
                return Err(ProcessError::Failed(format!("cannot start {}: {error}", program.display())));
            }
        };
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(ProcessError::Failed("it has no pipes".to_owned()));
        };
        let said = Arc::default();
        let reader = tokio::spawn(follow(errors, Arc::clone(&said)));
        let output = BufReader::new(output);
        let mut process = Self { child, input, output, said, reader, about: About::default() };
        match process.answer(LOAD_LIMIT).await? {
            Message::Ready(about) => process.about = about,
            message => return Err(process.nonsense(&message)),
        }
        Ok(process)
    }

    /// What the model can do.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it has died since it was asked last.
    pub fn is_dead(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Has it recognise speech. After an error other than a refusal it is of no use any more.
    pub async fn hear(&mut self, request: &Request, pcm: &[f32]) -> Result<Heard, ProcessError> {
        let mut bytes =
            serde_json::to_vec(request).map_err(|error| ProcessError::Failed(error.to_string()))?;
        bytes.push(b'\n');
        bytes.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        match timeout(HEAR_LIMIT, self.input.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(self.died().await),
            Err(_) => return Err(no_answer(HEAR_LIMIT)),
        }
        match self.answer(HEAR_LIMIT).await? {
            Message::Heard(heard) => Ok(heard),
            message => Err(self.nonsense(&message)),
        }
    }

    async fn answer(&mut self, limit: Duration) -> Result<Message, ProcessError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.output).take(LONGEST_LINE);
        match timeout(limit, bounded.read_until(b'\n', &mut line)).await {
            Err(_) => return Err(no_answer(limit)),
            Ok(Ok(_)) if line.ends_with(b"\n") => {}
            Ok(_) if line.len() as u64 == LONGEST_LINE => {
                return Err(ProcessError::Failed("it wrote more than anybody can say".to_owned()));
            }
            Ok(_) => return Err(self.died().await),
        }
        match serde_json::from_slice(&line) {
            Ok(Message::Failed(why)) => Err(ProcessError::Refused(why)),
            Ok(message) => Ok(message),
            Err(error) => Err(ProcessError::Failed(format!("it wrote what makes no sense: {error}"))),
        }
    }

    fn nonsense(&self, message: &Message) -> ProcessError {
        let what = match message {
            Message::Ready(_) => "that it is ready",
            Message::Heard(_) => "what it heard",
            Message::Failed(_) => "that it failed",
        };
        ProcessError::Failed(format!("it said {what} when something else was asked"))
    }

    /// Why it has closed its pipes.
    async fn died(&mut self) -> ProcessError {
        let _ = self.child.start_kill();
        let status = self.child.wait().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let _ = timeout(LAST_WORDS, &mut self.reader).await;
        let said = lock(&self.said).clone();
        let last = said.lines().last().unwrap_or_default();
        ProcessError::Failed(format!("its process died ({status}) {last}").trim_end().to_owned())
    }
}

fn no_answer(limit: Duration) -> ProcessError {
    ProcessError::Failed(format!("it gave no answer within {} s", limit.as_secs()))
}

/// Logs what it writes to its standard error, and keeps the last of it.
async fn follow(errors: ChildStderr, said: Arc<Mutex<String>>) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while let Ok(1..) = (&mut errors).take(ERROR_OUTPUT as u64).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if !text.is_empty() {
            debug!(line = text, "transcribe.cpp says");
            *lock(&said) = text;
        }
        line.clear();
    }
}
