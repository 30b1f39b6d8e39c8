//! The engine's thread: it takes one request after another, and frees the model when none comes for
//! long.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::{Span, error, info, warn};

use super::recogniser::Recogniser;
use crate::domain::{LanguageCode, Transcript};
use crate::runtime::allocator;
use crate::runtime::deployment::typed;
use crate::speech::error::SpeechError;
use crate::speech::language::choice::Choice;
use crate::speech::language::prior::Habit;
use crate::speech::models::SILERO_VAD;
use crate::speech::models::file_check::Header;
use crate::speech::observer::{ModelState, Observer};
use crate::speech::options::{EngineOptions, threads};
use crate::speech::vad::detector::{Detector, Speech};
use crate::speech::vad::silero::Vad;
use crate::speech::whisper::{Control, Whisper, device};

/// What the thread is asked for.
pub(crate) enum Message {
    Recognise(Request),
    /// To have the model in memory.
    Load(oneshot::Sender<Result<(), SpeechError>>),
    /// To look whether it is to stop.
    Wake,
}

/// A recording on its way to the thread. Its caller has gone away when `reply` is closed.
pub(crate) struct Request {
    pub speech: Speech,
    pub language: Option<LanguageCode>,
    pub habit: Habit,
    pub before: String,
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
    pub reply: oneshot::Sender<Result<Transcript, SpeechError>>,
    /// Whose lines those of the recognition are: the job's.
    pub span: Span,
}

/// From loading the model to freeing it for the last time.
pub(crate) fn run(
    options: EngineOptions,
    messages: mpsc::Receiver<Message>,
    stop: &AtomicBool,
    state: watch::Sender<ModelState>,
    ready: oneshot::Sender<Result<(Header, Detector), SpeechError>>,
) {
    // Declared before what holds the model, so dropped after it: a closed queue means a freed
    // model.
    let mut inbox = match Inbox::new(messages, options.idle_unload) {
        Ok(inbox) => inbox,
        Err(error) => {
            let _ = ready.send(Err(SpeechError::Failed(format!("no clock for the engine: {error}"))));
            return;
        }
    };
    let mut attendant = match Attendant::new(options, state) {
        Ok(attendant) => attendant,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let detector = Detector::new(attendant.options.vad.as_deref().and_then(load_vad));
    if ready.send(Ok((attendant.header, detector))).is_err() {
        return; // Nobody waits for the engine any more.
    }
    loop {
        match inbox.next(attendant.model.is_some()) {
            _ if stop.load(Ordering::Relaxed) => return,
            Ok(None) => return,
            Err(_) => attendant.free(),
            Ok(Some(Message::Wake)) => {}
            Ok(Some(Message::Load(reply))) => {
                let _ = reply.send(attendant.model().map(drop));
            }
            Ok(Some(Message::Recognise(request))) => attendant.serve(request, stop),
        }
    }
}

/// Where messages come in, and a clock to wait for them by, if that has an end.
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

    /// The next message, none when there will be no more; late, where there is a limit and it is
    /// `limited`.
    fn next(&mut self, limited: bool) -> Result<Option<Message>, Elapsed> {
        match &self.clock {
            Some((clock, limit)) if limited => {
                clock.block_on(async { timeout(*limit, self.messages.recv()).await })
            }
            _ => Ok(self.messages.blocking_recv()),
        }
    }
}

/// Holds the model, and serves with it.
struct Attendant {
    options: EngineOptions,
    header: Header,
    recogniser: Recogniser,
    /// None while it is freed.
    model: Option<Whisper>,
    state: watch::Sender<ModelState>,
    /// Why it could not be loaded again, as the log has it already.
    told: Option<String>,
}

impl Attendant {
    fn new(options: EngineOptions, state: watch::Sender<ModelState>) -> Result<Self, SpeechError> {
        let header = options.check_model()?;
        let choice = Choice::new(options.languages.clone(), header.languages);
        let recogniser = Recogniser::new(choice, options.audio_context);
        tell_device();
        let model = Some(load(&options)?);
        Ok(Self { options, header, recogniser, model, state, told: None })
    }

    /// The model, loaded again where it was freed.
    fn model(&mut self) -> Result<&mut Whisper, SpeechError> {
        if self.model.is_none() {
            let started = Instant::now();
            match self.options.check_model().and_then(|header| self.load_again(header)) {
                Ok(model) => {
                    info!(took = ?started.elapsed(), "Model loaded again");
                    self.model = Some(model);
                    self.told = None;
                    self.state.send_replace(ModelState::Loaded);
                }
                Err(error) => {
                    let error = SpeechError::NotLoadedAgain(Box::new(error));
                    let why = error.to_string();
                    // Every job that waits tries in vain.
                    if self.told.as_ref() != Some(&why) {
                        error!("{why}");
                        self.told = Some(why);
                    }
                    self.state.send_replace(ModelState::Missing);
                    return Err(error);
                }
            }
        }
        self.model.as_mut().ok_or(SpeechError::Died)
    }

    fn load_again(&self, header: Header) -> Result<Whisper, SpeechError> {
        if header != self.header {
            return Err(SpeechError::Replaced { path: self.options.model.clone() });
        }
        load(&self.options)
    }

    fn free(&mut self) {
        self.model = None;
        allocator::give_back();
        self.state.send_replace(ModelState::Freed);
        info!("Nothing to do for long, model freed");
    }

    fn serve(&mut self, request: Request, stop: &AtomicBool) {
        let Request { speech, language, habit, before, progress, observer, reply, span } = request;
        let _entered = span.enter();
        if let Err(error) = self.model() {
            let _ = reply.send(Err(error));
            return;
        }
        let Some(model) = &mut self.model else { return };
        let control = Control {
            aborted: &|| {
                observer.iter().for_each(|observer| observer.passed());
                stop.load(Ordering::Relaxed) || reply.is_closed()
            },
            progress: &|percent| {
                if let Some(progress) = &progress {
                    progress.send_replace(percent);
                }
            },
            dropped: &|why| observer.iter().for_each(|observer| observer.dropped(why)),
            spoken: &|language, speech| {
                observer.iter().for_each(|observer| observer.spoken(language, speech));
            },
            repeated: &|| observer.iter().for_each(|observer| observer.repeated()),
        };
        let started = Instant::now();
        let outcome = self.recogniser.recognise(model, speech, language, &habit, &before, &control);
        observer.iter().for_each(|observer| observer.took(started.elapsed()));
        let _ = reply.send(outcome);
    }
}

/// The options have passed [`EngineOptions::check_model`].
fn load(options: &EngineOptions) -> Result<Whisper, SpeechError> {
    let threads = threads(options.threads);
    Whisper::load(&options.model, threads, options.task, options.flash_attention())
}

/// Says where a build for a GPU recognises.
fn tell_device() {
    let features = device::BUILT_FOR.join(", ");
    match device::gpu() {
        Some(gpu) => info!("Recognition on {gpu}"),
        None if features.is_empty() => {}
        None => warn!(
            "this is a build for GPUs ({features}), and none is found: the CPU recognises, which is slower; is its \
             driver here, and is the GPU handed to the container?"
        ),
    }
}

/// None, with a warning, where it cannot be used.
fn load_vad(path: &Path) -> Option<Vad> {
    let loaded = Vad::load(path);
    let path = path.display();
    loaded
        .inspect_err(|error| {
            warn!(
                "the voice activity model {path} {error}; going on without it, so silence costs time and may \
                 be given words; `{}` fetches it",
                typed(&format!("models pull {}", SILERO_VAD.name))
            );
        })
        .ok()
}
