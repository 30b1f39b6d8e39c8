//! The engine's thread: it serves one request after another, and frees the model after an idle
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{Span, error, info, warn};

use super::recogniser::{Input, WhisperRecogniser};
use crate::domain::{LanguageCode, Transcript};
use crate::runtime::allocator;
use crate::speech::error::SpeechError;
use crate::speech::language::choice::Choice;
use crate::speech::models::file_check::ModelInfo;
use crate::speech::observer::{ModelState, Observer};
use crate::speech::options::{EngineOptions, threads};
use crate::speech::problems::GPU_MISSING;
use crate::speech::whisper::{Control, Whisper, device};

/// What the thread is asked to do.
pub(super) enum Message {
    Recognise(Request<Transcript>),
    /// Find the language of a recording.
    Detect(Request<LanguageCode>),
    /// Load the model, if it was freed.
    Load(oneshot::Sender<Result<(), SpeechError>>),
    /// Check whether to stop.
    Wake,
}

/// What is asked about a recording. If `reply` is closed, its caller no longer waits.
pub(super) struct Request<T> {
    pub input: Input,
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
    pub reply: oneshot::Sender<Result<T, SpeechError>>,
    /// The job's span, for the log lines of its recognition.
    pub span: Span,
}

/// What is done for a request.
type Ask<T> = fn(&WhisperRecogniser, &mut Whisper, Input, &Control) -> Result<T, SpeechError>;

/// Loads the model, and serves requests until the engine stops.
pub(super) fn run(
    options: EngineOptions,
    messages: mpsc::Receiver<Message>,
    stop: &AtomicBool,
    state: watch::Sender<ModelState>,
    ready: oneshot::Sender<Result<ModelInfo, SpeechError>>,
) {
    // Dropped in reverse order: when the queue is closed, the model has been freed.
    let (mut inbox, mut host) = match start(messages, options, state) {
        Ok(started) => started,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(host.info)).is_err() {
        return; // The caller no longer waits for the engine.
    }
    loop {
        match inbox.next(host.model.is_some()) {
            _ if stop.load(Ordering::Relaxed) => return,
            Ok(None) => return,
            Err(_) => host.free(),
            Ok(Some(Message::Wake)) => {}
            Ok(Some(Message::Load(reply))) => {
                let _ = reply.send(host.model().map(drop));
            }
            Ok(Some(Message::Recognise(request))) => host.serve(request, stop, WhisperRecogniser::recognise),
            Ok(Some(Message::Detect(request))) => {
                host.serve(request, stop, WhisperRecogniser::detect_language)
            }
        }
    }
}

fn start(
    messages: mpsc::Receiver<Message>,
    options: EngineOptions,
    state: watch::Sender<ModelState>,
) -> Result<(Inbox, ModelHost), SpeechError> {
    let inbox = Inbox::new(messages, options.idle_unload)
        .map_err(|error| SpeechError::Failed(format!("no clock for the engine: {error}")))?;
    Ok((inbox, ModelHost::new(options, state)?))
}

/// The queue of messages, and a clock to wait for them with, if the model is freed when idle.
struct Inbox {
    messages: mpsc::Receiver<Message>,
    clock: Option<(Runtime, Duration)>,
}

impl Inbox {
    fn new(messages: mpsc::Receiver<Message>, idle: Option<Duration>) -> std::io::Result<Self> {
        let clock = match idle {
            Some(idle) => Some((runtime::Builder::new_current_thread().enable_time().build()?, idle)),
            None => None,
        };
        Ok(Self { messages, clock })
    }

    /// The next message, or None if there will be no more. `Err(Elapsed)` after the idle time, but
    /// only if the wait is `limited`.
    fn next(&mut self, limited: bool) -> Result<Option<Message>, Elapsed> {
        match &self.clock {
            Some((clock, limit)) if limited => {
                clock.block_on(async { timeout(*limit, self.messages.recv()).await })
            }
            _ => Ok(self.messages.blocking_recv()),
        }
    }
}

/// Holds the model, loads and frees it, and serves requests with it.
struct ModelHost {
    options: EngineOptions,
    info: ModelInfo,
    recogniser: WhisperRecogniser,
    /// None while the model is freed.
    model: Option<Whisper>,
    state: watch::Sender<ModelState>,
    /// Why the model could not be loaded again, if that is in the log already.
    last_reported_error: Option<String>,
}

impl ModelHost {
    fn new(options: EngineOptions, state: watch::Sender<ModelState>) -> Result<Self, SpeechError> {
        let info = options.check_model()?;
        let choice = Choice::new(options.languages.clone(), info.languages);
        let recogniser = WhisperRecogniser::new(choice, options.audio_context, options.vocabulary.clone());
        log_device();
        let model = Some(load(&options)?);
        Ok(Self { options, info, recogniser, model, state, last_reported_error: None })
    }

    /// The model, which is loaded again if it was freed.
    fn model(&mut self) -> Result<&mut Whisper, SpeechError> {
        if self.model.is_none() {
            let started = Instant::now();
            match self.options.check_model().and_then(|info| self.load_again(info)) {
                Ok(model) => {
                    info!(event = "model_loaded", took = ?started.elapsed(), "Model loaded again");
                    self.model = Some(model);
                    self.last_reported_error = None;
                    self.state.send_replace(ModelState::Loaded);
                }
                Err(error) => {
                    let error = SpeechError::NotLoadedAgain(Box::new(error));
                    let why = error.to_string();
                    // Every waiting job tries to load the model; the same error is logged once.
                    if self.last_reported_error.as_ref() != Some(&why) {
                        error!("{why}");
                        self.last_reported_error = Some(why);
                    }
                    self.state.send_replace(ModelState::Missing);
                    return Err(error);
                }
            }
        }
        self.model.as_mut().ok_or(SpeechError::Died)
    }

    fn load_again(&self, info: ModelInfo) -> Result<Whisper, SpeechError> {
        if info != self.info {
            return Err(SpeechError::Replaced { path: self.options.model.clone() });
        }
        load(&self.options)
    }

    fn free(&mut self) {
        self.model = None;
        allocator::trim_heap();
        self.state.send_replace(ModelState::Freed);
        info!(event = "model_freed", "Nothing to do for long, model freed");
    }

    /// Does what is asked with `ask`.
    fn serve<T>(&mut self, request: Request<T>, stop: &AtomicBool, ask: Ask<T>) {
        let Request { input, progress, observer, reply, span } = request;
        let _entered = span.enter();
        if let Err(error) = self.model() {
            let _ = reply.send(Err(error));
            return;
        }
        let Some(model) = &mut self.model else { return };
        let observer = observer.as_deref().unwrap_or(&());
        let aborted = || stop.load(Ordering::Relaxed) || reply.is_closed();
        let control = Control { observer, progress: progress.as_ref(), aborted: &aborted };
        let started = Instant::now();
        let outcome = ask(&self.recogniser, model, input, &control);
        observer.on_finished(started.elapsed());
        let _ = reply.send(outcome);
    }
}

/// The options must have passed [`EngineOptions::check_model`].
fn load(options: &EngineOptions) -> Result<Whisper, SpeechError> {
    let threads = threads(options.threads);
    Whisper::load(&options.model, threads, options.flash_attention())
}

/// Logs the GPU that is used, or that a build for GPUs has found none.
fn log_device() {
    let features = device::BUILT_FOR.join(", ");
    match device::gpu() {
        Some(gpu) => info!("Recognition on {gpu}"),
        None if features.is_empty() => {}
        None => {
            let what =
                format!("this is a build for GPUs ({features}), and none is found: the CPU recognises");
            warn!("{}", GPU_MISSING.with(what));
        }
    }
}
