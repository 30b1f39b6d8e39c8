//! The recognition engine: a handle for async code, and the thread that runs whisper.cpp.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Span;

mod recogniser;
mod thread;

use self::recogniser::Input;
use self::thread::{Message, Request};
use super::error::SpeechError;
use super::models::file_check::ModelInfo;
use super::observer::ModelState;
use super::options::{EngineOptions, RecogniseOptions};
use super::recogniser::{Recognised, Recogniser};
use super::recognisers::LOCAL;
use super::vad::detector::{Detector, Speech};
use super::whisper::cpu;
use crate::domain::{LanguageCode, Task, Transcript};
use crate::runtime::lock;

/// The handle. There is one per process: the model's weights are in memory once, and recordings
/// are recognised one after another, in the order in which their voice activity was detected.
pub struct Engine {
    /// One message waits in the channel, the others with their senders.
    messages: mpsc::Sender<Message>,
    model: watch::Receiver<ModelState>,
    stop: Arc<AtomicBool>,
    detector: Detector,
    info: ModelInfo,
    /// By which it is called among other recognisers.
    name: Arc<str>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Checks the options and the model's file, then loads the model on the engine's thread. That
    /// takes from 0.1 s (tiny) to many seconds (large, from a slow disk).
    pub async fn start(options: EngineOptions) -> Result<Self, SpeechError> {
        let vad = options.vad.clone();
        let detector = tokio::task::spawn_blocking(move || Detector::load(vad.as_deref()));
        let detector = detector.await.map_err(|_| SpeechError::Aborted)?;
        Self::start_as(options, LOCAL.into(), detector).await
    }

    /// The same, under a name by which it is called among other recognisers.
    pub(super) async fn start_as(
        options: EngineOptions,
        name: Arc<str>,
        detector: Detector,
    ) -> Result<Self, SpeechError> {
        options.check_size()?;
        if let Some(missing) = cpu::missing(&cpu::needed()) {
            return Err(SpeechError::Cpu(missing));
        }
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
        let info = started.await.map_err(|_| SpeechError::Died)??;
        Ok(Self { messages, model, stop, detector, info, name, thread: Mutex::new(Some(thread)) })
    }

    /// Whether the model was trained for the language.
    pub(super) fn knows(&self, language: LanguageCode) -> bool {
        language.number() < self.info.languages
    }

    /// Whether the model was trained to translate.
    pub(super) fn can_translate(&self) -> bool {
        self.info.can_translate()
    }

    /// The likeliest language of the beginning of the speech, which is not empty.
    pub(super) async fn detect_language(
        &self,
        speech: &Speech,
        options: &RecogniseOptions,
    ) -> Result<LanguageCode, SpeechError> {
        let (reply, answer) = oneshot::channel();
        let speech = speech.clone();
        let RecogniseOptions { prior, observer, .. } = options.clone();
        let input = Input {
            speech,
            language: None,
            guess: None,
            task: Task::Transcribe,
            prior,
            previous_text: String::new(),
        };
        let request = Request { input, progress: None, observer, reply, span: Span::current() };
        self.messages.send(Message::Detect(request)).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Where the model is, now and later.
    pub fn model(&self) -> watch::Receiver<ModelState> {
        self.model.clone()
    }

    /// Loads the model if it was freed, for instance while the next recording is being fetched.
    /// [`Engine::recognise`] loads it too.
    pub async fn wake(&self) -> Result<(), SpeechError> {
        if *self.model.borrow() == ModelState::Loaded {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Load(reply)).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Detects voice activity before recognition, for threads that may block.
    /// [`Engine::recognise`] does it by itself.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Recognises `pcm`, 16 kHz mono, full scale ±1.
    ///
    /// Detects voice activity first, on a blocking thread. If nobody speaks, the transcript is
    /// empty and Whisper does not run. Long silences are cut out before recognition; the
    /// transcript's times still refer to `pcm`. See [`Detector::detect`].
    pub async fn recognise(
        &self,
        pcm: Vec<f32>,
        options: RecogniseOptions,
    ) -> Result<Transcript, SpeechError> {
        let (detector, stop) = (self.detector.clone(), Arc::clone(&self.stop));
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let span = Span::current();
        let detection = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            detector.detect(pcm, &|| stop.load(Ordering::Relaxed) || dropped.is_cancelled())
        });
        // A join error means that the runtime is shutting down.
        let speech = detection.await.unwrap_or(Err(SpeechError::Aborted))?;
        self.recognise_speech(speech, options).await
    }

    /// Recognises the speech that [`Engine::detector`] found in a recording, if any.
    ///
    /// Recordings wait for their turn. Dropping the future takes the recording out of the queue, or
    /// aborts its recognition after the current pass of the encoder or decoder.
    ///
    /// Hallucinations are dropped: text that nobody can have said, and text that Whisper is known
    /// to invent if the evidence for it is weak. whisper.cpp's own check for windows without speech
    /// is off, because the probability that it uses is that of another window.
    pub async fn recognise_speech(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Transcript, SpeechError> {
        if let Some(language) = options.language.filter(|language| !self.knows(*language)) {
            return Err(SpeechError::LanguageOfRecordingNotInModel(language));
        }
        if options.task == Task::Translate && !self.info.can_translate() {
            return Err(SpeechError::TaskNotInModel);
        }
        if speech.is_empty() {
            return Ok(Transcript { task: options.task, ..Transcript::default() });
        }
        let (reply, answer) = oneshot::channel();
        let RecogniseOptions { language, guess, task, prior, previous_text, progress, observer } = options;
        let guess = guess.filter(|guess| self.knows(*guess));
        let input = Input { speech, language, guess, task, prior, previous_text };
        let request = Request { input, progress, observer, reply, span: Span::current() };
        self.messages.send(Message::Recognise(request)).await.map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Aborts the running recognition, fails the waiting ones with [`SpeechError::Aborted`] and
    /// joins the thread.
    ///
    /// Returns false if the thread has not ended within `limit`: one pass of a large model's
    /// encoder takes many seconds on a slow machine and cannot be interrupted. The thread is then
    /// still inside whisper.cpp, so the process should exit without running C++ exit handlers.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        // If the queue is full, the thread takes another request and sees `stop` anyway.
        let _ = self.messages.try_send(Message::Wake);
        // The thread drops its end of the queue last, after the model.
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

#[async_trait]
impl Recogniser for Engine {
    fn detector(&self) -> &Detector {
        Engine::detector(self)
    }

    async fn wake(&self) -> Result<(), SpeechError> {
        Engine::wake(self).await
    }

    async fn recognise_stretch(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        let by = (!speech.is_empty()).then(|| Arc::clone(&self.name));
        let transcript = self.recognise_speech(speech, options).await?;
        Ok(Recognised { transcript, by })
    }

    async fn shutdown(&self, limit: Duration) -> bool {
        Engine::shutdown(self, limit).await
    }
}

impl Drop for Engine {
    /// Makes the thread end soon, without waiting for it. [`Engine::shutdown`] waits.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
