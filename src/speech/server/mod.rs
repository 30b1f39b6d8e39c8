//! A recogniser elsewhere: any server with OpenAI's interface for speech. What it writes down goes
//! through the same guard as whisper.cpp's text.

mod answer;
mod client;
mod error;
mod form;
mod wav;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tracing::{Span, debug};

use self::answer::Answer;
use self::client::{Client, Request};
pub use self::error::{ServerError, ServerErrorKind};
use self::wav::wav;
use super::error::SpeechError;
use super::hallucination::echo::has_echo;
use super::hallucination::guard::guard;
use super::language::choice::Choice;
use super::options::RecogniseOptions;
use super::recogniser::{Recognised, Recogniser, report};
use super::vad::detector::{Detector, Speech};
use super::whisper::RATE;
use crate::domain::{LanguageCode, Languages, SAMPLE_RATE, Secret, ServerUrl, Task, Transcript, Vocabulary};

/// Shorter speech is padded with silence: OpenAI's server takes no less than 0.1 s, and Whisper
/// hears little in less than a second.
const SHORTEST: usize = RATE;

/// How a server is asked.
#[derive(Clone, Debug)]
pub struct SpeechServerOptions {
    pub url: ServerUrl,
    /// The name of the model there.
    pub model: String,
    pub key: Option<Secret>,
    /// A PEM file with the authorities that sign its certificate; `None` for the public ones.
    pub ca: Option<PathBuf>,
    /// How long it may take for one stretch.
    pub timeout: Duration,
    /// The languages that a recording may be in, see [`EngineOptions`](super::EngineOptions).
    pub languages: Languages,
    /// Terms that it is given before each stretch; one that knows no prompts passes over them.
    pub vocabulary: Vocabulary,
}

/// Whether a server has the model that it will be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelThere {
    Yes,
    /// It has these.
    No(Vec<String>),
    /// It does not list its models.
    Unknown,
}

/// Asks a server for the list of its models. Blocks.
///
/// # Errors
/// If it cannot be reached, or refuses the key.
pub fn examine(options: &SpeechServerOptions) -> Result<ModelThere, SpeechError> {
    let models = Client::new(options.clone())?.models().map_err(SpeechError::Server)?;
    Ok(match models {
        None => ModelThere::Unknown,
        Some(models) if models.contains(&options.model) => ModelThere::Yes,
        Some(models) => ModelThere::No(models),
    })
}

/// A server that recognises.
pub(super) struct Server {
    name: Arc<str>,
    client: Arc<Client>,
    choice: Choice,
    vocabulary: Vocabulary,
    detector: Detector,
}

impl Server {
    pub fn new(options: SpeechServerOptions, detector: Detector) -> Result<Self, SpeechError> {
        let name = options.url.name().into();
        let choice = choice(&options.languages);
        let vocabulary = options.vocabulary.clone();
        let client = Client::new(options)?;
        Ok(Self { name, client: Arc::new(client), choice, vocabulary, detector })
    }

    /// Sends a request from a blocking thread, which goes on until its time limit if the future is
    /// dropped.
    async fn ask(
        &self,
        request: &Arc<Request>,
        language: Option<LanguageCode>,
    ) -> Result<Answer, SpeechError> {
        let (client, request, span) = (Arc::clone(&self.client), Arc::clone(request), Span::current());
        let asked = tokio::task::spawn_blocking(move || {
            let _entered = span.enter();
            client.recognise(&request, language)
        });
        // A join error means that the runtime is shutting down.
        asked.await.map_err(|_| SpeechError::Aborted)?.map_err(SpeechError::Server)
    }
}

/// Which languages a server knows is not known, so it may be any.
fn choice(languages: &Languages) -> Choice {
    Choice::new(languages.clone(), LanguageCode::all().count())
}

#[async_trait]
impl Recogniser for Server {
    fn detector(&self) -> &Detector {
        &self.detector
    }

    async fn wake(&self) -> Result<(), SpeechError> {
        Ok(())
    }

    async fn recognise_stretch(
        &self,
        mut speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        let vocabulary = options.known(&self.vocabulary);
        // The times of words are not asked for: what a server would say of them is not checked.
        let RecogniseOptions { language, task, prior, previous_text, observer, lists, .. } = options;
        let observer = observer.as_deref().unwrap_or(&());
        if speech.is_empty() {
            return Ok(Recognised { transcript: Transcript { task, ..Transcript::default() }, by: None });
        }
        let its_choice = lists.as_ref().map(|lists| choice(&lists.languages));
        let choice = its_choice.as_ref().unwrap_or(&self.choice);
        let started = Instant::now();
        let spoken = speech.activity.voiced(0..speech.pcm.len()).unwrap_or(speech.pcm.len());
        speech.pcm.resize(speech.pcm.len().max(SHORTEST), 0.0);
        let prompt = vocabulary.before(&previous_text);
        let mut request = Arc::new(Request { audio: wav(&speech.pcm, SAMPLE_RATE), task, prompt });
        let given = language.or(choice.only());
        let mut answer = self.ask(&request, given).await?;
        observer.on_pass();
        if has_echo(&answer.candidates(&speech), &vocabulary) {
            debug!("an echo of the vocabulary, asking again without it");
            request = Arc::new(Request { prompt: previous_text, ..Request::clone(&request) });
            answer = self.ask(&request, given).await?;
        }
        // What a translation calls its language is that of the text.
        let mut detected = answer.language().filter(|_| task == Task::Transcribe);
        let mut guarded = guard(&answer.candidates(&speech));
        let instead = detected
            .filter(|_| given.is_none() && !guarded.kept.is_empty())
            .and_then(|detected| choice.instead_of(detected, &prior, spoken));
        if let Some(instead) = instead {
            debug!(language = instead.as_str(), "the server took another language, asking again");
            answer = self.ask(&request, Some(instead)).await?;
            detected = Some(instead);
            guarded = guard(&answer.candidates(&speech));
        }
        let told = detected.filter(|_| given.is_none());
        report(observer, &self.name, speech.samples, started, &guarded, told);
        let segments = guarded.kept;
        let language = given.or(detected).filter(|_| !segments.is_empty());
        let transcript = Transcript { task, language, segments, ..Transcript::default() };
        Ok(Recognised { transcript, by: Some(Arc::clone(&self.name)) })
    }

    async fn shutdown(&self, _: Duration) -> bool {
        true
    }
}
