//! transcribe.cpp, in a process of its own: GigaAM, Parakeet and other models in GGUF files. Its
//! text goes through the same guard as whisper.cpp's.
//!
//! ```text
//! wire      what the program and we write to each other; the program compiles it too
//! process   the process: starts it, asks it, finds out what it died of
//! host      holds the process, frees and starts it
//! text      segments from the words or tokens that it heard
//! ```
//!
//! The program is `src/bin/stenogram-transcribe-cpp`, which the feature `transcribe-cpp` builds. It
//! has a ggml of its own, made for another version than whisper.cpp's, so the two cannot be linked
//! into one program. A stretch that nobody waits for any more is ended with its process. The
//! weights are mapped from the file, so a new process has them at once.

mod host;
mod process;
mod text;
mod wire;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::{debug, info};

use self::host::{Host, load, program};
use self::text::candidates;
use self::wire::{About, Request};
use super::error::SpeechError;
use super::hallucination::echo::has_echo;
use super::language::choice::Choice;
use super::observer::ModelState;
use super::options::{EngineOptions, RecogniseOptions};
use super::recogniser::{LONGEST_STRETCH, Recognised, Recogniser, report};
use super::vad::detector::{Detector, Speech};
use super::whisper::RATE;
use crate::domain::{LanguageCode, Languages, Task, Transcript};

/// Shorter speech is padded with silence, as for whisper.cpp.
const SHORTEST: usize = RATE;
/// GigaAM was trained on no more than this. For longer speech transcribe.cpp computes overlapping
/// windows, which costs more.
const LONGEST_OF_GIGAAM: Duration = Duration::from_secs(25);

/// A model that transcribe.cpp runs. There is at most one process.
pub(super) struct TranscribeCpp {
    host: Arc<Host>,
    name: Arc<str>,
    about: About,
    /// The languages that it knows; all of Whisper's if its file does not say.
    languages: HashSet<LanguageCode>,
    choice: Choice,
    detector: Detector,
}

impl TranscribeCpp {
    /// Starts the process, which loads the model, and checks that it was trained for the languages
    /// and the task.
    pub async fn start(
        options: EngineOptions,
        name: Arc<str>,
        detector: Detector,
    ) -> Result<Self, SpeechError> {
        options.check_size()?;
        let program = program(&options)?;
        let process = load(&options, &program).await?;
        let about = process.about().clone();
        let languages = languages(&about);
        fits(&options, &about, &languages)?;
        let choice = choice(&options.languages, &languages);
        info!(arch = about.arch, device = about.device, model = &*name, "transcribe.cpp has loaded a model");
        let host = Host::new(options, program, process);
        Ok(Self { host, name, about, languages, choice, detector })
    }

    pub fn knows(&self, language: LanguageCode) -> bool {
        self.languages.contains(&language)
    }

    pub fn can_translate(&self) -> bool {
        self.about.translates
    }

    /// Where the model is, now and later.
    pub fn model(&self) -> watch::Receiver<ModelState> {
        self.host.state()
    }
}

/// Loads the model of the options once, and checks that it was trained for what is asked of it.
/// Returns the family, and the device that it runs on.
pub async fn examine(options: &EngineOptions) -> Result<(String, String), SpeechError> {
    options.check_size()?;
    let process = load(options, &program(options)?).await?;
    let about = process.about();
    fits(options, about, &languages(about))?;
    Ok((about.arch.clone(), about.device.clone()))
}

fn languages(about: &About) -> HashSet<LanguageCode> {
    let told: HashSet<_> = about.languages.iter().filter_map(|code| code.parse().ok()).collect();
    if told.is_empty() { LanguageCode::all().collect() } else { told }
}

/// The listed languages that the model knows, to choose from.
fn choice(listed: &Languages, known: &HashSet<LanguageCode>) -> Choice {
    Choice::among(listed.clone(), LanguageCode::all().filter(|language| known.contains(language)))
}

fn fits(
    options: &EngineOptions,
    about: &About,
    languages: &HashSet<LanguageCode>,
) -> Result<(), SpeechError> {
    let listed = options.required_languages();
    let unknown: Vec<_> = listed.iter().filter(|language| !languages.contains(language)).collect();
    if let Some(&&first) = unknown.first() {
        // A model for few languages knows few of the likely ones.
        if unknown.len() == listed.len() {
            return Err(SpeechError::LanguageNotInModel(first));
        }
        let unknown: Vec<_> = unknown.iter().map(|language| language.as_str()).collect();
        info!(model = options.name(), "The model was not trained for {}, of LANGUAGES", unknown.join(", "));
    }
    if options.task == Task::Translate && !about.translates {
        return Err(SpeechError::TranscribesOnly { path: options.model.clone() });
    }
    Ok(())
}

#[async_trait]
impl Recogniser for TranscribeCpp {
    fn detector(&self) -> &Detector {
        &self.detector
    }

    fn longest_stretch(&self) -> Duration {
        let limit = if self.about.arch == "gigaam" { LONGEST_OF_GIGAAM } else { LONGEST_STRETCH };
        match self.about.longest_ms {
            0 => limit,
            longest => limit.min(Duration::from_millis(longest)),
        }
    }

    async fn wake(&self) -> Result<(), SpeechError> {
        self.host.wake().await
    }

    async fn recognise_stretch(
        &self,
        mut speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        let vocabulary = &options.known(&self.host.options.vocabulary);
        let RecogniseOptions {
            language,
            task,
            prior,
            previous_text,
            observer,
            lists,
            words: wants_words,
            ..
        } = options;
        let observer = observer.as_deref().unwrap_or(&());
        if let Some(language) = language.filter(|language| !self.knows(*language)) {
            return Err(SpeechError::LanguageOfRecordingNotInModel(language));
        }
        if task == Task::Translate && !self.can_translate() {
            return Err(SpeechError::TaskNotInModel);
        }
        if speech.is_empty() {
            return Ok(Recognised { transcript: Transcript { task, ..Transcript::default() }, by: None });
        }
        let started = Instant::now();
        let spoken = speech.activity.voiced(0..speech.pcm.len()).unwrap_or(speech.pcm.len());
        speech.pcm.resize(speech.pcm.len().max(SHORTEST), 0.0);
        let its_choice = lists.map(|lists| choice(&lists.languages, &self.languages));
        let choice = its_choice.as_ref().unwrap_or(&self.choice);
        let given = language.or(choice.only());
        let request = |language: Option<LanguageCode>, prompt: String| Request {
            samples: speech.pcm.len(),
            language: language.filter(|_| self.about.takes_language).map(|code| code.as_str().to_owned()),
            translate: task == Task::Translate,
            prompt: if self.about.takes_prompt { prompt } else { String::new() },
        };
        let mut asked = request(given, vocabulary.before(&previous_text));
        let mut heard = self.host.hear(&asked, &speech.pcm).await?;
        observer.on_pass();
        if !asked.prompt.is_empty() && has_echo(&candidates(&heard, &speech), vocabulary) {
            debug!("an echo of the vocabulary, hearing it again without it");
            asked = request(given, previous_text);
            heard = self.host.hear(&asked, &speech.pcm).await?;
        }
        let mut detected = heard.language.as_deref().and_then(|code| code.parse().ok());
        let (mut guarded, mut words) = text::guarded(&heard, &speech);
        let instead = detected
            .filter(|_| given.is_none() && self.about.takes_language && !guarded.kept.is_empty())
            .and_then(|detected| choice.instead_of(detected, &prior, spoken));
        if let Some(instead) = instead {
            debug!(language = instead.as_str(), "another language was detected, hearing it again");
            asked = request(Some(instead), asked.prompt);
            heard = self.host.hear(&asked, &speech.pcm).await?;
            detected = Some(instead);
            (guarded, words) = text::guarded(&heard, &speech);
        }
        let told = detected.filter(|_| given.is_none());
        report(observer, &self.name, speech.samples, started, &guarded, told);
        let segments = guarded.kept;
        let language = given.or(detected).filter(|_| !segments.is_empty());
        if !wants_words {
            words.clear();
        }
        let transcript = Transcript { task, language, segments, words };
        Ok(Recognised { transcript, by: Some(Arc::clone(&self.name)) })
    }

    /// The process is killed, so nothing stays at work.
    async fn shutdown(&self, _: Duration) -> bool {
        self.host.stop().await;
        true
    }
}
