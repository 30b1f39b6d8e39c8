//! The recognition engine: whisper.cpp on one thread of its own, asked from async code.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{Span, warn};

use super::cpu;
use super::habit::Habit;
use super::header::{self, Header, HeaderError};
use super::language::{Language, UnknownLanguage};
use super::models::SILERO_VAD;
use super::recogniser::Recogniser;
use super::vad::Vad;
use super::whisper::{Control, Whisper};
use super::window::AudioContext;
use crate::domain::{Fault, Task, Transcript};

/// How the engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// A ggml Whisper model.
    pub model: PathBuf,
    /// Threads of a recognition; [`default_threads`] when not given, and no more than the process may
    /// run at once: beyond that recognition becomes 10 to 50 times slower.
    pub threads: Option<NonZeroUsize>,
    /// Languages that are spoken here, by code. One: that one is taken for granted, which saves
    /// guessing and checking it. Several: the likeliest of them. None: the
    /// likeliest of all that the model knows.
    pub languages: Vec<String>,
    /// Refused where the model was not trained for it.
    pub task: Task,
    /// How much of its window Whisper is given for a short recording.
    pub audio_context: AudioContext,
    /// Silero's voice activity model, as the catalogue has it. Where it is not there, or another file,
    /// a warning says so, and recordings are recognised as without it: whole, silence and all.
    pub vad: Option<PathBuf>,
}

/// Told how a recognition gets on, on the engine's thread.
pub trait Observer: Send + Sync {
    /// After each pass of the encoder or decoder: it is not stuck.
    fn passed(&self);
    /// It took so long, not counting the wait for its turn.
    fn took(&self, time: Duration);
    /// A piece of text was dropped, for one of the reasons in [`INVENTIONS`](super::INVENTIONS).
    fn dropped(&self, why: &'static str);
    /// So much was said in the language with this code. Not told where there was none to choose from.
    fn spoken(&self, language: &'static str, speech: Duration);
    /// Text of a shortened window was doubtful, and is recognised again with all of it.
    fn repeated(&self);
}

/// How one recording is recognised.
#[derive(Clone, Default)]
pub struct RecogniseOptions {
    /// The language spoken, by code, in place of [`EngineOptions::languages`].
    pub language: Option<String>,
    /// What was heard of the speaker before, where the language is not given: it makes detecting quicker, and
    /// surer.
    pub habit: Habit,
    /// Told the share that is done, in percent. whisper.cpp reports once per 30 s of the recording.
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
}

/// Why nothing was recognised.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    #[error("the model {} {source}; `stenogram models pull` fetches a good one", path.display())]
    Model { path: PathBuf, source: HeaderError },
    #[error(
        "this CPU lacks {0}, which this build needs: build stenogram on this machine, or take the portable image; \
         in a Proxmox VM choose the CPU type host"
    )]
    Cpu(String),
    #[error("whisper.cpp cannot load the model {}: {why}; is there enough memory?", path.display())]
    Load { path: PathBuf, why: String },
    #[error(transparent)]
    UnknownLanguage(#[from] UnknownLanguage),
    #[error("the model was not trained for the language {0:?}; take a multilingual or a newer model")]
    LanguageNotInModel(&'static str),
    #[error(
        "the model {} cannot translate, it knows English only; take a multilingual one, such as small, or \
         TASK=transcribe", path.display()
    )]
    EnglishOnly { path: PathBuf },
    #[error(
        "the model {} cannot translate: its decoder was cut down and trained to transcribe only, as that of \
         large-v3-turbo; take large-v3, medium or small, or TASK=transcribe", path.display()
    )]
    TranscribesOnly { path: PathBuf },
    #[error("the recording has samples that are no sound: not a number, or over 40 dB too loud")]
    Samples,
    #[error("the recording is longer than 24 hours")]
    TooLong,
    #[error("whisper.cpp failed: {0}")]
    Failed(String),
    #[error("the recognition was aborted")]
    Aborted,
    #[error("the recognition thread is gone; restart stenogram and report its last log lines")]
    Died,
}

impl From<SpeechError> for Fault {
    fn from(error: SpeechError) -> Self {
        match error {
            SpeechError::Aborted => Self::Aborted,
            SpeechError::Failed(_) => Self::retry_in(30, error),
            SpeechError::Samples
            | SpeechError::TooLong
            | SpeechError::UnknownLanguage(_)
            | SpeechError::LanguageNotInModel(_) => Self::Reject(error.to_string()),
            SpeechError::EnglishOnly { .. }
            | SpeechError::TranscribesOnly { .. }
            | SpeechError::Cpu(_)
            | SpeechError::Model { .. }
            | SpeechError::Load { .. }
            | SpeechError::Died => Self::Fatal(error.to_string()),
        }
    }
}

impl EngineOptions {
    /// Finds what can be wrong before anything is loaded: the languages' codes.
    pub fn check(&self) -> Result<(), SpeechError> {
        self.candidates().map(drop)
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
        if let Some(unknown) = self.candidates()?.iter().find(|language| language.0 >= header.languages) {
            return Err(SpeechError::LanguageNotInModel(unknown.code()));
        }
        let path = self.model.clone();
        match self.task {
            Task::Translate if header.languages == 1 => Err(SpeechError::EnglishOnly { path }),
            Task::Translate if header.is_pruned => Err(SpeechError::TranscribesOnly { path }),
            Task::Translate | Task::Transcribe => Ok(header),
        }
    }

    fn candidates(&self) -> Result<Vec<Language>, SpeechError> {
        Ok(self.languages.iter().map(|name| Language::find(name)).collect::<Result<_, _>>()?)
    }
}

/// The threads that this process may run at once, at most four: whisper.cpp's own default. Beyond it
/// recognition gains little, and other programs need the cores too.
pub fn default_threads() -> NonZeroUsize {
    const MOST: NonZeroUsize = NonZeroUsize::new(4).unwrap();
    cores().min(MOST)
}

/// By CPU affinity and cgroup quota.
pub fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The threads to use when so many are asked for.
fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let Some(asked) = asked else { return default_threads() };
    let cores = cores();
    if asked > cores {
        warn!("{asked} threads are more than the {cores} cores there are for us; using {cores}");
    }
    asked.min(cores)
}

/// A recording on its way to the thread. Its caller has gone away when `reply` is closed.
struct Request {
    pcm: Vec<f32>,
    language: Option<Language>,
    habit: Habit,
    progress: Option<watch::Sender<u8>>,
    observer: Option<Arc<dyn Observer>>,
    reply: oneshot::Sender<Result<Transcript, SpeechError>>,
    /// Whose lines those of the recognition are: the job's.
    span: Span,
}

/// The handle. One per process: the model's weights are in memory once, and recordings are
/// recognised one after another, in the order in which they were given.
pub struct Engine {
    /// One request waits here, the others in their callers. `None` only wakes the thread.
    requests: mpsc::Sender<Option<Request>>,
    stop: Arc<AtomicBool>,
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
        let (requests, queue) = mpsc::channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("whisper".into())
            .spawn({
                let stop = stop.clone();
                move || work(&options, queue, &stop, ready)
            })
            .map_err(|error| SpeechError::Failed(format!("no thread for it: {error}")))?;
        let header = started.await.map_err(|_| SpeechError::Died)??;
        Ok(Self { requests, stop, header, task, thread: Mutex::new(Some(thread)) })
    }

    /// What is written down of the recordings.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Recognises `pcm`, 16 kHz mono, full scale ±1.
    ///
    /// Waits its turn. Dropping the future takes the recording out of the queue, or aborts its
    /// recognition after the current pass of the encoder or decoder.
    ///
    /// Where nobody speaks, the transcript is empty and Whisper is not asked: no sample above -60 dBFS,
    /// or no voice by [`EngineOptions::vad`]. Long silences are cut before recognition; times are
    /// those of `pcm` all the same. whisper.cpp's own rule holds: a window is dropped when its no-speech
    /// probability is above 0.6 and its average log probability below -1. Beyond that text is dropped
    /// that nobody can have said, or that Whisper is known to invent where the evidence is weak.
    pub async fn recognise(
        &self,
        pcm: Vec<f32>,
        options: RecogniseOptions,
    ) -> Result<Transcript, SpeechError> {
        let language = options.language.as_deref().map(Language::find).transpose()?;
        if let Some(language) = language.filter(|language| language.0 >= self.header.languages) {
            return Err(SpeechError::LanguageNotInModel(language.code()));
        }
        let (reply, answer) = oneshot::channel();
        let RecogniseOptions { habit, progress, observer, .. } = options;
        let request = Request { pcm, language, habit, progress, observer, reply, span: Span::current() };
        self.requests.send(Some(request)).await.map_err(|_| self.gone())?;
        let transcript = answer.await.map_err(|_| self.gone())??;
        Ok(Transcript { task: self.task, ..transcript })
    }

    /// Aborts the running recognition, refuses the waiting ones ([`SpeechError::Aborted`]) and joins
    /// the thread.
    ///
    /// False when it has not come back within `limit`: a pass of a large model's encoder on a slow
    /// machine takes many seconds and cannot be stopped within. The thread then still runs inside
    /// whisper.cpp, so the process should leave without running C++'s exit handlers.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        // When the queue is full, the thread meets another request and sees `stop` on its own.
        let _ = self.requests.try_send(None);
        // The thread drops its end last of all, when the model is freed.
        if tokio::time::timeout(limit, self.requests.closed()).await.is_err() {
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

/// The engine's thread, from loading to freeing the model.
fn work(
    options: &EngineOptions,
    queue: mpsc::Receiver<Option<Request>>,
    stop: &AtomicBool,
    ready: oneshot::Sender<Result<Header, SpeechError>>,
) {
    // Declared before the recogniser, so dropped after it: a closed queue means a freed model.
    let mut queue = queue;
    let mut recogniser = match load(options) {
        Ok((recogniser, header)) => {
            if ready.send(Ok(header)).is_err() {
                return; // Nobody waits for the engine any more.
            }
            recogniser
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    while let Some(message) = queue.blocking_recv() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Some(request) = message else { continue };
        let Request { pcm, language, habit, progress, observer, reply, span } = request;
        let _entered = span.enter();
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
        let outcome = recogniser.recognise(pcm, language, &habit, &control);
        observer.iter().for_each(|observer| observer.took(started.elapsed()));
        let _ = reply.send(outcome);
    }
}

fn load(options: &EngineOptions) -> Result<(Recogniser, Header), SpeechError> {
    let header = options.check_model()?;
    let candidates = match options.candidates()? {
        none if none.is_empty() => (0..header.languages).map(Language).collect(),
        candidates => candidates,
    };
    let vad = options.vad.as_deref().and_then(load_vad);
    let path = &options.model;
    let whisper = Whisper::load(path, threads(options.threads), options.task)?;
    let recogniser = Recogniser::new(whisper, candidates, options.audio_context, vad)
        .map_err(|error| SpeechError::Load { path: path.clone(), why: error.to_string() })?;
    Ok((recogniser, header))
}

/// None, with a warning, where it cannot be used.
fn load_vad(path: &Path) -> Option<Vad> {
    let loaded = Vad::load(path);
    let path = path.display();
    loaded
        .inspect_err(|error| {
            warn!(
                "the voice activity model {path} {error}; going on without it, so silence costs time and may \
                 be given words; `stenogram models pull {}` fetches it",
                SILERO_VAD.name
            );
        })
        .ok()
}
