//! The recognition engine: whisper.cpp on one thread of its own, asked from async code.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;

mod recogniser;
mod thread;

use self::thread::{Message, Request};
use super::error::SpeechError;
use super::models::file_check::Header;
use super::observer::ModelState;
use super::options::{EngineOptions, RecogniseOptions};
use super::vad::detector::{Detector, Speech};
use super::whisper::cpu;
use crate::domain::{Task, Transcript};
use crate::runtime::lock;

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
        options.check_size()?;
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
        if let Some(language) = options.language.filter(|language| language.number() >= self.header.languages)
        {
            return Err(SpeechError::LanguageNotInModel(language));
        }
        if speech.is_empty() {
            return Ok(Transcript { task: self.task, ..Transcript::default() });
        }
        let (reply, answer) = oneshot::channel();
        let RecogniseOptions { language, habit, before, progress, observer } = options;
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
        let thread = lock(&self.thread).take();
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
