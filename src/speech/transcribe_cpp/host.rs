//! Holds the process: starts it with its model, frees it when it is idle, starts it again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::process::{self, Process, ProcessError};
use super::wire::{Heard, Request};
use crate::runtime::lock;
use crate::speech::error::SpeechError;
use crate::speech::models::file_check::check_gguf;
use crate::speech::observer::ModelState;
use crate::speech::options::{EngineOptions, threads};

/// Holds the process.
pub(super) struct Host {
    pub options: EngineOptions,
    program: PathBuf,
    /// None while the model is freed, and while the process is at work.
    process: Mutex<Option<Process>>,
    state: watch::Sender<ModelState>,
    /// When it was used last.
    used: watch::Sender<Instant>,
    stop: CancellationToken,
    /// Why the model could not be loaded again, if that is in the log already.
    last_reported_error: StdMutex<Option<String>>,
}

impl Host {
    /// Holds `process`, which has loaded the model of the options.
    pub fn new(options: EngineOptions, program: PathBuf, process: Process) -> Arc<Self> {
        let host = Arc::new(Self {
            program,
            process: Mutex::new(Some(process)),
            state: watch::Sender::new(ModelState::Loaded),
            used: watch::Sender::new(Instant::now()),
            stop: CancellationToken::new(),
            last_reported_error: StdMutex::default(),
            options,
        });
        if let Some(idle) = host.options.idle_unload {
            tokio::spawn(free_when_idle(Arc::downgrade(&host), host.used.subscribe(), idle));
        }
        host
    }

    /// Where the model is, now and later.
    pub fn state(&self) -> watch::Receiver<ModelState> {
        self.state.subscribe()
    }

    /// Has the process hear `pcm`. If this is dropped, the process is killed.
    pub async fn hear(&self, request: &Request, pcm: &[f32]) -> Result<Heard, SpeechError> {
        let mut place = self.process.lock().await;
        let mut process = self.take(&mut place).await?;
        let result = tokio::select! {
            result = process.hear(request, pcm) => result,
            () = self.stop.cancelled() => return Err(SpeechError::Aborted),
        };
        if !matches!(result, Err(ProcessError::Failed(_))) {
            *place = Some(process);
        }
        self.used.send_replace(Instant::now());
        result.map_err(|error| self.failed(error))
    }

    /// Loads the model if it was freed.
    pub async fn wake(&self) -> Result<(), SpeechError> {
        if *self.state.borrow() == ModelState::Loaded {
            return Ok(());
        }
        let mut place = self.process.lock().await;
        let process = self.take(&mut place).await?;
        *place = Some(process);
        self.used.send_replace(Instant::now());
        Ok(())
    }

    /// Ends the process, whatever it is doing.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.process.lock().await.take();
    }

    /// The process, which is started again if it was freed or has died.
    async fn take(&self, place: &mut Option<Process>) -> Result<Process, SpeechError> {
        if let Some(mut process) = place.take() {
            if !process.is_dead() {
                return Ok(process);
            }
            warn!("The process of transcribe.cpp died while it had nothing to do, starting another one");
        }
        let started = Instant::now();
        let loaded = async {
            self.options.check_size()?;
            load(&self.options, &self.program).await
        };
        let loaded = tokio::select! {
            loaded = loaded => loaded,
            () = self.stop.cancelled() => return Err(SpeechError::Aborted),
        };
        match loaded {
            Ok(process) => {
                info!(event = "model_loaded", took = ?started.elapsed(), "Model loaded again");
                *lock(&self.last_reported_error) = None;
                self.state.send_replace(ModelState::Loaded);
                Ok(process)
            }
            Err(error) => {
                let error = SpeechError::NotLoadedAgain(Box::new(error));
                let why = error.to_string();
                // Every waiting job tries to load the model; the same error is logged once.
                let mut reported = lock(&self.last_reported_error);
                if reported.as_ref() != Some(&why) {
                    error!("{why}");
                    *reported = Some(why);
                }
                self.state.send_replace(ModelState::Missing);
                Err(error)
            }
        }
    }

    /// Frees the model, unless it is at work.
    fn free(&self) {
        let Ok(mut place) = self.process.try_lock() else { return };
        let had_one = place.take().is_some();
        // A process that was killed with its stretch is gone already.
        self.state.send_if_modified(|state| {
            let is_new = *state == ModelState::Loaded;
            if is_new {
                *state = ModelState::Freed;
            }
            is_new
        });
        if had_one {
            info!(event = "model_freed", "Nothing to do for long, model freed");
        }
    }

    fn failed(&self, error: ProcessError) -> SpeechError {
        match error {
            ProcessError::NoProgram(program) => {
                SpeechError::NoTranscribeCpp { program, model: self.options.model.clone() }
            }
            ProcessError::Refused(why) | ProcessError::Failed(why) => SpeechError::TranscribeCpp(why),
        }
    }
}

/// Where the program is.
pub(super) fn program(options: &EngineOptions) -> Result<PathBuf, SpeechError> {
    let beside = || process::program().map_err(|error| SpeechError::TranscribeCpp(error.to_string()));
    options.transcribe_cpp.clone().map_or_else(beside, Ok)
}

/// Starts a process with the model.
pub(super) async fn load(options: &EngineOptions, program: &Path) -> Result<Process, SpeechError> {
    let path = &options.model;
    check_gguf(path).map_err(|source| SpeechError::Model { path: path.clone(), source })?;
    Process::start(program, path, threads(options.threads)).await.map_err(|error| match error {
        ProcessError::NoProgram(program) => SpeechError::NoTranscribeCpp { program, model: path.clone() },
        ProcessError::Refused(why) => SpeechError::Refused { path: path.clone(), why },
        ProcessError::Failed(why) => SpeechError::TranscribeCpp(why),
    })
}

/// Frees the model whenever it was not used for so long, as long as the recogniser exists.
async fn free_when_idle(host: Weak<Host>, mut used: watch::Receiver<Instant>, idle: Duration) {
    loop {
        let until = *used.borrow_and_update() + idle;
        tokio::select! {
            changed = used.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = sleep_until(until) => {}
        }
        let Some(host) = host.upgrade() else { return };
        host.free();
        drop(host);
        if used.changed().await.is_err() {
            return;
        }
    }
}
