//! The recognition engine: whisper.cpp on one thread of its own, asked from async code.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{error, fmt};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{Span, warn};

use super::cpu;
use super::detector::{Detector, Speech};
use super::device;
use super::habit::Habit;
use super::header::{self, Header, HeaderError};
use super::language::{Language, UnknownLanguage};
use super::problems::{
    self, CPU_TOO_OLD, LANGUAGE_NOT_IN_MODEL, MODEL_REPLACED, OUT_OF_MEMORY, RECOGNITION_FAILED,
    TRANSLATION_IMPOSSIBLE,
};
use super::thread::{self, Message, Request};
use super::window::AudioContext;
use crate::domain::{Fault, Task, Transcript};
use crate::runtime::problem::{self, Diagnosis};

/// How long a job waits for a model that cannot be loaded again.
const UNTIL_LOADED: Duration = Duration::from_secs(60);

/// How the engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// A ggml Whisper model.
    pub model: PathBuf,
    /// Threads of a recognition; [`default_threads`] when not given, and no more than the process
    /// may run at once: beyond that recognition becomes 10 to 50 times slower.
    pub threads: Option<NonZeroUsize>,
    /// Languages that are spoken here, by code: a recording is taken to be in the likeliest of
    /// them. One without others is taken for granted, which saves guessing and checking it. None:
    /// the likeliest of all that the model knows.
    pub languages: Vec<String>,
    /// Whether a recording that is clearly in none of `languages`, but in another one that the
    /// model knows, is recognised in that.
    pub other_languages: bool,
    /// Refused where the model was not trained for it.
    pub task: Task,
    /// How much of its window Whisper is given for a short recording.
    pub audio_context: AudioContext,
    /// Whether attention is computed in one go, block by block. None: on a GPU, where that is
    /// quicker; on CPUs it is slower.
    pub flash_attention: Option<bool>,
    /// Silero's voice activity model, as the catalogue has it. Where it is not there, or another
    /// file, a warning says so, and recordings are recognised as without it: whole, silence and
    /// all.
    pub vad: Option<PathBuf>,
    /// After so long without a recording the model's memory is given back, and the model loaded
    /// again with the next one. None: it stays.
    pub idle_unload: Option<Duration>,
}

/// Told how a recognition gets on, on the engine's thread.
pub trait Observer: Send + Sync {
    /// After each pass of the encoder or decoder: it is not stuck.
    fn passed(&self);
    /// It took so long, not counting the wait for its turn.
    fn took(&self, time: Duration);
    /// A piece of text was dropped, for one of the reasons in [`INVENTIONS`](super::INVENTIONS).
    fn dropped(&self, why: &'static str);
    /// So much was said in the language with this code. Not told where there was none to choose
    /// from.
    fn spoken(&self, language: &'static str, speech: Duration);
    /// Text of a shortened window was doubtful, and is recognised again with all of it.
    fn repeated(&self);
}

/// How one recording is recognised.
#[derive(Clone, Default)]
pub struct RecogniseOptions {
    /// The language spoken, by code, in place of [`EngineOptions::languages`].
    pub language: Option<String>,
    /// What was heard of the speaker before, where the language is not given: it makes detecting
    /// quicker, and surer.
    pub habit: Habit,
    /// The end of what was said just before, some sentences at most: Whisper goes on from it, in
    /// sense and in spelling.
    pub before: String,
    /// Told the share that is done, in percent. whisper.cpp reports once per 30 s of the recording.
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
}

/// Why nothing was recognised.
#[derive(Debug)]
pub enum SpeechError {
    Model {
        path: PathBuf,
        source: HeaderError,
    },
    /// The instructions that are missing.
    Cpu(String),
    Load {
        path: PathBuf,
        why: String,
    },
    NotLoadedAgain(Box<SpeechError>),
    Replaced {
        path: PathBuf,
    },
    UnknownLanguage(UnknownLanguage),
    LanguageNotInModel(&'static str),
    EnglishOnly {
        path: PathBuf,
    },
    TranscribesOnly {
        path: PathBuf,
    },
    /// Not numbers, or over 40 dB too loud.
    Samples,
    TooLong,
    Failed(String),
    Aborted,
    Died,
}

impl SpeechError {
    /// What went wrong and what to do, unless the recording is to blame or the program is stopping.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        Some(match self {
            Self::Model { path, source: HeaderError::Io(error) } if error.kind() != ErrorKind::NotFound => {
                problem::of_file("cannot read the model", path, error)
            }
            Self::Model { path, source } => {
                problems::unusable_model(path, format_args!("the model {} {source}", path.display()))
            }
            Self::Cpu(missing) => {
                CPU_TOO_OLD.with(format_args!("this CPU lacks {missing}, which this build needs"))
            }
            Self::Load { path, why } => OUT_OF_MEMORY
                .with(format_args!("whisper.cpp cannot load the model {}: {why}", path.display())),
            Self::NotLoadedAgain(error) => {
                error.diagnosis()?.within("the model was freed for want of work and cannot be loaded again")
            }
            Self::Replaced { path } => MODEL_REPLACED
                .with(format_args!("the model {} is another one than at the start", path.display())),
            Self::UnknownLanguage(unknown) => unknown.diagnosis(),
            Self::LanguageNotInModel(code) => LANGUAGE_NOT_IN_MODEL
                .with(format_args!("the model was not trained for the language {code:?}")),
            Self::EnglishOnly { path } => TRANSLATION_IMPOSSIBLE
                .with(format_args!("the model {} cannot translate, it knows English only", path.display())),
            Self::TranscribesOnly { path } => TRANSLATION_IMPOSSIBLE.with(format_args!(
                "the model {} cannot translate: its decoder was cut down and trained to transcribe only",
                path.display()
            )),
            Self::Failed(why) => RECOGNITION_FAILED.with(format_args!("whisper.cpp failed: {why}")),
            Self::Died => RECOGNITION_FAILED.with("the recognition thread is gone"),
            Self::Samples | Self::TooLong | Self::Aborted => return None,
        })
    }
}

impl fmt::Display for SpeechError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.diagnosis()) {
            (_, Some(diagnosis)) => diagnosis.fmt(f),
            (Self::Samples, None) => f.write_str(
                "the recording has samples that are no sound: not a number, or over 40 dB too loud",
            ),
            (Self::TooLong, None) => f.write_str("the recording is longer than 24 hours"),
            (_, None) => f.write_str("the recognition was aborted"),
        }
    }
}

impl error::Error for SpeechError {}

impl From<UnknownLanguage> for SpeechError {
    fn from(error: UnknownLanguage) -> Self {
        Self::UnknownLanguage(error)
    }
}

impl From<SpeechError> for Fault {
    fn from(error: SpeechError) -> Self {
        match error {
            SpeechError::Aborted => Self::Aborted,
            SpeechError::Failed(_) => Self::retry_in(30, error),
            // Nobody's failed attempt: the owner puts the file back, or there is memory again.
            SpeechError::NotLoadedAgain(_) => Self::Later { after: UNTIL_LOADED, why: error.to_string() },
            SpeechError::Samples
            | SpeechError::TooLong
            | SpeechError::UnknownLanguage(_)
            | SpeechError::LanguageNotInModel(_) => Self::Reject(error.to_string()),
            SpeechError::EnglishOnly { .. }
            | SpeechError::TranscribesOnly { .. }
            | SpeechError::Cpu(_)
            | SpeechError::Model { .. }
            | SpeechError::Load { .. }
            | SpeechError::Replaced { .. }
            | SpeechError::Died => Self::Fatal(error.to_string()),
        }
    }
}

impl EngineOptions {
    /// Finds what can be wrong before anything is loaded: the languages' codes.
    pub fn check(&self) -> Result<(), SpeechError> {
        self.listed().map(drop)
    }

    /// What the model is called: its file's name without what all such names have in common.
    pub fn name(&self) -> String {
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy();
        name.strip_prefix("ggml-").unwrap_or(&name).to_owned()
    }

    /// Looks through the model's file, and whether the model knows the languages and the task.
    pub fn check_model(&self) -> Result<Header, SpeechError> {
        let header = header::check(&self.model)
            .map_err(|source| SpeechError::Model { path: self.model.clone(), source })?;
        if let Some(unknown) = self.listed()?.iter().find(|language| language.0 >= header.languages) {
            return Err(SpeechError::LanguageNotInModel(unknown.code()));
        }
        let path = self.model.clone();
        match self.task {
            Task::Translate if header.languages == 1 => Err(SpeechError::EnglishOnly { path }),
            Task::Translate if header.is_pruned => Err(SpeechError::TranscribesOnly { path }),
            Task::Translate | Task::Transcribe => Ok(header),
        }
    }

    /// Whether attention is computed in one go: as asked, or as suits what recognises.
    pub fn flash_attention(&self) -> bool {
        self.flash_attention.unwrap_or_else(|| device::gpu().is_some())
    }

    pub(super) fn listed(&self) -> Result<Vec<Language>, SpeechError> {
        Ok(self.languages.iter().map(|name| Language::find(name)).collect::<Result<_, _>>()?)
    }
}

/// The threads that this process may run at once, at most four: whisper.cpp's own default. Beyond
/// it recognition gains little, and other programs need the cores too.
pub fn default_threads() -> NonZeroUsize {
    const MOST: NonZeroUsize = NonZeroUsize::new(4).unwrap();
    cores().min(MOST)
}

/// By CPU affinity and cgroup quota.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The threads to use when so many are asked for.
pub(super) fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let Some(asked) = asked else { return default_threads() };
    let cores = cores();
    if asked > cores {
        warn!("{}", problems::too_many_threads(asked, cores));
    }
    asked.min(cores)
}

/// Where the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelState {
    Loaded,
    /// Freed for want of work; the next recording has it loaded.
    Freed,
    /// Freed, and it cannot be loaded again: the log has the reason. The next recording tries
    /// again.
    Missing,
}

/// The handle. One per process: the model's weights are in memory once, and recordings are
/// recognised one after another, in the order in which they come from being listened to.
pub struct Engine {
    /// One message waits here, the others in their senders.
    messages: mpsc::Sender<Message>,
    model: watch::Receiver<ModelState>,
    stop: Arc<AtomicBool>,
    detector: Detector,
    header: Header,
    task: Task,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Checks options and model file, then loads the model on the engine's thread, which takes from
    /// 0.1 s (tiny) to many seconds (large, from a slow disk).
    pub async fn start(options: EngineOptions) -> Result<Self, SpeechError> {
        options.check()?;
        if let Some(missing) = cpu::missing(&cpu::needed()) {
            return Err(SpeechError::Cpu(missing));
        }
        let task = options.task;
        let (messages, inbox) = mpsc::channel(1);
        let (state, model) = watch::channel(ModelState::Loaded);
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("whisper".into())
            .spawn({
                let stop = stop.clone();
                move || thread::run(options, inbox, &stop, state, ready)
            })
            .map_err(|error| SpeechError::Failed(format!("no thread for it: {error}")))?;
        let (header, detector) = started.await.map_err(|_| SpeechError::Died)??;
        Ok(Self { messages, model, stop, detector, header, task, thread: Mutex::new(Some(thread)) })
    }

    /// Where the model is, now and later.
    pub fn model(&self) -> watch::Receiver<ModelState> {
        self.model.clone()
    }

    /// Has the model loaded, where it was freed: while the recording it is needed for is on its
    /// way. [`Engine::recognise`] would do it too.
    pub async fn wake(&self) -> Result<(), SpeechError> {
        if *self.model.borrow() == ModelState::Loaded {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Load(reply)).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// What is written down of the recordings.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Listens to recordings before they are recognised: by then what is said here about
    /// [`Engine::recognise`] is done. For threads that may block.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Recognises `pcm`, 16 kHz mono, full scale ±1.
    ///
    /// Listens to it first, on a thread for what blocks: where nobody speaks, the transcript is
    /// empty and Whisper is not asked. Long silences are cut before recognition; times are those of
    /// `pcm` all the same. [`Detector::listen`] has the rest.
    pub async fn recognise(
        &self,
        pcm: Vec<f32>,
        options: RecogniseOptions,
    ) -> Result<Transcript, SpeechError> {
        let (detector, stop) = (self.detector.clone(), Arc::clone(&self.stop));
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let span = Span::current();
        let listening = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            detector.listen(pcm, &|| stop.load(Ordering::Relaxed) || dropped.is_cancelled())
        });
        // It does not come back: the runtime ends.
        let speech = listening.await.unwrap_or(Err(SpeechError::Aborted))?;
        self.recognise_speech(speech, options).await
    }

    /// Recognises what [`Engine::detector`] has left of a recording, which may be nothing.
    ///
    /// Waits its turn. Dropping the future takes the recording out of the queue, or aborts its
    /// recognition after the current pass of the encoder or decoder.
    ///
    /// Text is dropped that nobody can have said, or that Whisper is known to invent where the
    /// evidence is weak. whisper.cpp's own rule for windows without speech is off, for its
    /// probability is not that of the window.
    pub async fn recognise_speech(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Transcript, SpeechError> {
        let language = options.language.as_deref().map(Language::find).transpose()?;
        if let Some(language) = language.filter(|language| language.0 >= self.header.languages) {
            return Err(SpeechError::LanguageNotInModel(language.code()));
        }
        if speech.is_empty() {
            return Ok(Transcript { task: self.task, ..Transcript::default() });
        }
        let (reply, answer) = oneshot::channel();
        let RecogniseOptions { habit, before, progress, observer, .. } = options;
        let span = Span::current();
        let request = Request { speech, language, habit, before, progress, observer, reply, span };
        self.messages.send(Message::Recognise(request)).await.map_err(|_| self.gone())?;
        let transcript = answer.await.map_err(|_| self.gone())??;
        Ok(Transcript { task: self.task, ..transcript })
    }

    /// Aborts the running recognition, refuses the waiting ones ([`SpeechError::Aborted`]) and
    /// joins the thread.
    ///
    /// False when it has not come back within `limit`: a pass of a large model's encoder on a slow
    /// machine takes many seconds and cannot be stopped within. The thread then still runs inside
    /// whisper.cpp, so the process should leave without running C++'s exit handlers.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        // When the queue is full, the thread meets another request and sees `stop` on its own.
        let _ = self.messages.try_send(Message::Wake);
        // The thread drops its end last of all, when the model is freed.
        if tokio::time::timeout(limit, self.messages.closed()).await.is_err() {
            return false;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        thread.is_none_or(|thread| thread.join().is_ok())
    }

    fn gone(&self) -> SpeechError {
        if self.stop.load(Ordering::Relaxed) { SpeechError::Aborted } else { SpeechError::Died }
    }
}

impl Drop for Engine {
    /// Has the thread end soon, without waiting for it; [`Engine::shutdown`] waits.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
