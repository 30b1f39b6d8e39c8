//! The models on this machine. With several, each stretch goes to the one for its language. Only
//! one of them is at work at a time, because threads beyond the cores cost many times the work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};
use tracing::debug;

use super::engine::Engine;
use super::error::SpeechError;
use super::observer::ModelState;
use super::options::{EngineOptions, RecogniseOptions};
use super::recogniser::{Recognised, Recogniser};
use super::recognisers::LOCAL;
use super::transcribe_cpp::TranscribeCpp;
use super::vad::detector::{Detector, Speech};
use crate::domain::{LanguageCode, Task};

/// The models on this machine.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// The model for every language that has none of its own.
    pub engine: EngineOptions,
    /// Those for single languages, each language once.
    pub others: Vec<(LanguageCode, EngineOptions)>,
}

impl From<EngineOptions> for LocalOptions {
    fn from(engine: EngineOptions) -> Self {
        Self { engine, others: Vec::new() }
    }
}

impl LocalOptions {
    /// The options of each model, each once: one model may be for several languages.
    pub fn models(&self) -> Vec<&EngineOptions> {
        let mut models = vec![&self.engine];
        for (_, other) in &self.others {
            if models.iter().all(|known| known.model != other.model) {
                models.push(other);
            }
        }
        models
    }

    /// Checks that each file has the size that the catalogue says, if it has the model.
    pub fn check_size(&self) -> Result<(), SpeechError> {
        self.models().into_iter().try_for_each(EngineOptions::check_size)
    }

    /// By which each of them is called in logs and metrics: one alone is just the local one.
    fn name_of(&self, options: &EngineOptions) -> Arc<str> {
        if self.models().len() == 1 { LOCAL.into() } else { options.name().into() }
    }

    /// Their names, in the order of [`LocalOptions::models`].
    pub fn names(&self) -> Vec<Arc<str>> {
        self.models().into_iter().map(|options| self.name_of(options)).collect()
    }

    /// The languages that have a model of their own, other than the one for all.
    fn own(&self) -> impl Iterator<Item = (LanguageCode, &PathBuf)> {
        let others = self.others.iter().map(|(language, options)| (*language, &options.model));
        others.filter(|(_, model)| **model != self.engine.model)
    }
}

/// What runs a model.
enum Runner {
    Whisper(Box<Engine>),
    TranscribeCpp(Box<TranscribeCpp>),
}

impl Runner {
    async fn start(options: EngineOptions, name: Arc<str>, detector: Detector) -> Result<Self, SpeechError> {
        if options.is_gguf() {
            let runner = TranscribeCpp::start(options, name, detector).await?;
            return Ok(Self::TranscribeCpp(Box::new(runner)));
        }
        Ok(Self::Whisper(Box::new(Engine::start_as(options, name, detector).await?)))
    }

    fn recogniser(&self) -> &dyn Recogniser {
        match self {
            Self::Whisper(engine) => &**engine,
            Self::TranscribeCpp(runner) => &**runner,
        }
    }

    fn model(&self) -> watch::Receiver<ModelState> {
        match self {
            Self::Whisper(engine) => engine.model(),
            Self::TranscribeCpp(runner) => runner.model(),
        }
    }

    fn knows(&self, language: LanguageCode) -> bool {
        match self {
            Self::Whisper(engine) => engine.knows(language),
            Self::TranscribeCpp(runner) => runner.knows(language),
        }
    }

    fn can_translate(&self) -> bool {
        match self {
            Self::Whisper(engine) => engine.can_translate(),
            Self::TranscribeCpp(runner) => runner.can_translate(),
        }
    }
}

/// The place of the model for every language that has none of its own.
const ALL: usize = 0;

/// The models on this machine, loaded.
pub(super) struct Local {
    /// Never empty: see [`ALL`].
    runners: Vec<Runner>,
    /// The languages with a model of their own, and which of the runners it is.
    routes: Vec<(LanguageCode, usize)>,
    /// The language of all recordings, if it is settled.
    only: Option<LanguageCode>,
    /// Held by the one that is at work.
    turn: Mutex<()>,
    detector: Detector,
}

impl Local {
    /// Loads the models one after another.
    pub async fn start(options: LocalOptions) -> Result<Self, SpeechError> {
        let vad = options.engine.vad.clone();
        let detector = tokio::task::spawn_blocking(move || Detector::load(vad.as_deref()));
        let detector = detector.await.map_err(|_| SpeechError::Aborted)?;
        let models = options.models();
        let place = |model: &PathBuf| models.iter().position(|known| known.model == *model);
        let routes = options.own().filter_map(|(language, model)| Some((language, place(model)?))).collect();
        let mut runners = Vec::new();
        for model in &models {
            let name = options.name_of(model);
            runners.push(Runner::start((*model).clone(), name, detector.clone()).await?);
        }
        let only = options.engine.only_language;
        Ok(Self { runners, routes, only, turn: Mutex::new(()), detector })
    }

    /// Where each model is, now and later.
    pub fn models(&self) -> Vec<watch::Receiver<ModelState>> {
        self.runners.iter().map(Runner::model).collect()
    }

    /// The languages that one of the models was trained for and would be given, and whether the
    /// model for all languages translates.
    pub fn abilities(&self) -> (Vec<LanguageCode>, bool) {
        let known = |language: &LanguageCode| self.runner_for(*language).knows(*language);
        (LanguageCode::all().filter(known).collect(), self.runners[ALL].can_translate())
    }

    /// The place of the model for this language.
    fn place_for(&self, language: LanguageCode) -> usize {
        self.routes.iter().find(|(own, _)| *own == language).map_or(ALL, |(_, place)| *place)
    }

    fn runner_for(&self, language: LanguageCode) -> &Runner {
        &self.runners[self.place_for(language)]
    }

    async fn hear(
        &self,
        place: usize,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        self.runners[place].recogniser().recognise_stretch(speech, options).await
    }

    /// Has the model for the language of the speech hear it.
    async fn hear_in_its_language(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        if let Some(language) = options.language {
            return self.hear(self.place_for(language), speech, options).await;
        }
        // One of transcribe.cpp's cannot be asked for the language alone.
        let Runner::Whisper(engine) = &self.runners[ALL] else {
            return self.hear(ALL, speech, options).await;
        };
        let detected = engine.detect_language(&speech, &options).await?;
        let place = self.place_for(detected);
        debug!(
            language = detected.as_str(),
            has_own_model = place != ALL,
            "the language decides who hears it"
        );
        if place != ALL {
            let observer = options.observer.clone();
            let options = RecogniseOptions { language: Some(detected), ..options };
            let recognised = self.hear(place, speech, options).await?;
            let segments = &recognised.transcript.segments;
            if let Some(observer) = observer.filter(|_| !segments.is_empty()) {
                let spoken = segments.iter().map(|segment| segment.end_ms - segment.start_ms).sum();
                observer.on_language(detected, Duration::from_millis(spoken));
            }
            return Ok(recognised);
        }
        let guessing = RecogniseOptions { guess: Some(detected), ..options.clone() };
        let recognised = self.hear(ALL, speech.clone(), guessing).await?;
        // It knows better once it has heard everything.
        match recognised.transcript.language {
            Some(language) if self.place_for(language) != ALL => {
                let options = RecogniseOptions { language: Some(language), ..options };
                self.hear(self.place_for(language), speech, options).await
            }
            _ => Ok(recognised),
        }
    }
}

#[async_trait]
impl Recogniser for Local {
    fn detector(&self) -> &Detector {
        &self.detector
    }

    fn longest_stretch(&self) -> Duration {
        let limits = self.runners.iter().map(|runner| runner.recogniser().longest_stretch());
        limits.min().unwrap_or(super::recogniser::LONGEST_STRETCH)
    }

    /// Wakes those that may be needed.
    async fn wake(&self) -> Result<(), SpeechError> {
        if let Some(only) = self.only {
            return self.runner_for(only).recogniser().wake().await;
        }
        for runner in &self.runners {
            runner.recogniser().wake().await?;
        }
        Ok(())
    }

    async fn recognise_stretch(
        &self,
        speech: Speech,
        options: RecogniseOptions,
    ) -> Result<Recognised, SpeechError> {
        if let [only] = &self.runners[..] {
            return only.recogniser().recognise_stretch(speech, options).await;
        }
        let _turn = self.turn.lock().await;
        // A translation is one into English, which no model for a single language makes.
        if options.task == Task::Translate || speech.is_empty() {
            return self.hear(ALL, speech, options).await;
        }
        self.hear_in_its_language(speech, options).await
    }

    async fn shutdown(&self, limit: Duration) -> bool {
        let ends = self.runners.iter().map(|runner| runner.recogniser().shutdown(limit));
        join_all(ends).await.into_iter().all(|ended| ended)
    }
}
