//! Who turns recordings into transcripts: this process, or the workers of a fleet.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::decorator::Decorator;
use super::stretch_transcriber::StretchTranscriber;
use super::{RunError, decoder};
use crate::audio::{Containers, Limits};
use crate::config::Config;
use crate::decoding::DecoderProgram;
use crate::domain::LanguageCode;
use crate::fleet::FleetTranscriber;
use crate::health::HealthState;
use crate::health::limits::ENCODER_PASS_LIMIT;
use crate::health::observed::ObservedTranscriber;
use crate::jobs::ports::Transcriber;
use crate::runtime::pulse::Pulse;
use crate::setup;
use crate::speech::{LocalOptions, ModelState, Recogniser as _, Recognisers, RecognisersOptions};
use crate::transcribe::knowledge::Knowledge;

/// Who recognises.
pub(super) enum Recognition {
    Here {
        own: Arc<StretchTranscriber>,
        /// The same, in what tests have put around it.
        decorated: Arc<dyn Transcriber>,
    },
    Fleet {
        fleet: Arc<FleetTranscriber>,
        /// How many recordings are with the workers at a time.
        jobs: usize,
    },
}

impl Recognition {
    pub fn here(
        config: &Config,
        recognisers: Recognisers,
        decoder: DecoderProgram,
        known: Arc<dyn Knowledge>,
        health: &Arc<HealthState>,
        recognition: Pulse,
        decorator: &dyn Decorator,
    ) -> Self {
        let own = Arc::new(StretchTranscriber {
            recognisers,
            decoder,
            limits: Limits { containers: Containers::OfMessages, ..setup::limits(config) },
            known,
            health: Arc::clone(health),
            recognition,
        });
        let decorated = decorator.transcriber(Arc::clone(&own) as Arc<dyn Transcriber>);
        Self::Here { own, decorated }
    }

    pub fn transcriber(&self) -> Arc<dyn Transcriber> {
        match self {
            Self::Here { decorated, .. } => Arc::clone(decorated),
            Self::Fleet { fleet, .. } => Arc::clone(fleet) as Arc<dyn Transcriber>,
        }
    }

    /// The transcriber, with the health recording what passes through.
    pub fn observed(&self, health: &Arc<HealthState>) -> Arc<dyn Transcriber> {
        let pulse = match self {
            Self::Here { own, .. } => own.recognition.clone(),
            Self::Fleet { .. } => Pulse::default(),
        };
        Arc::new(ObservedTranscriber::new(self.transcriber(), Arc::clone(health), pulse))
    }

    /// The languages that can be recognised, and whether they can be translated. What workers can
    /// is not known.
    pub fn abilities(&self) -> (Vec<LanguageCode>, bool) {
        match self {
            Self::Here { own, .. } => own.recognisers.abilities(),
            Self::Fleet { .. } => (LanguageCode::all().collect(), true),
        }
    }

    /// How many jobs are in work at a time, if not as many as suit one machine.
    pub fn concurrency(&self) -> Option<usize> {
        match self {
            Self::Here { .. } => None,
            Self::Fleet { jobs, .. } => Some(*jobs),
        }
    }

    pub fn fleet(&self) -> Option<&Arc<FleetTranscriber>> {
        match self {
            Self::Here { .. } => None,
            Self::Fleet { fleet, .. } => Some(fleet),
        }
    }

    /// Ends the recognition in this process. False if it has not ended within the limit.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        match self {
            Self::Here { own, .. } => own.recognisers.shutdown(limit).await,
            Self::Fleet { .. } => true,
        }
    }
}

/// Finds the decoder, loads the models, and has the health follow it. `None` if the shutdown comes
/// first.
pub(super) async fn start_recognisers(
    options: RecognisersOptions,
    health: &Arc<HealthState>,
    recognition: &Pulse,
    watchers: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Result<Option<(Recognisers, DecoderProgram)>, RunError> {
    let decoder = decoder::find().await.map_err(RunError::Decoder)?;
    let local = options.local().cloned();
    let models = local.as_ref().map(LocalOptions::models).unwrap_or_default();
    let loading = recognition.during(ENCODER_PASS_LIMIT);
    let recognisers = tokio::select! {
        recognisers = Recognisers::start(options) => recognisers?,
        () = shutdown.cancelled() => return Ok(None),
    };
    drop(loading);
    for model in &models {
        info!(event = "model_loaded", model = %model.model.display(), "Model loaded");
    }
    if !models.is_empty() {
        let names: Vec<_> = models.iter().map(|model| model.name()).collect();
        health.model_loaded(names.join(", "));
    }
    health.recognisers_started(&recognisers.names());
    watchers.spawn(follow_recognisers(recognisers.well(), Arc::clone(health)));
    let states = recognisers.models();
    for model in &states {
        watchers.spawn(follow_models(model.clone(), states.clone(), Arc::clone(health)));
    }
    Ok(Some((recognisers, decoder)))
}

/// Reports which recognisers are well, as long as they exist.
async fn follow_recognisers(mut well: watch::Receiver<Vec<bool>>, health: Arc<HealthState>) {
    while well.changed().await.is_ok() {
        health.recognisers_well(&well.borrow_and_update());
    }
}

/// Reports whether all models are loaded whenever that of `model` changes, as long as it exists.
async fn follow_models(
    mut model: watch::Receiver<ModelState>,
    all: Vec<watch::Receiver<ModelState>>,
    health: Arc<HealthState>,
) {
    while model.changed().await.is_ok() {
        let states: Vec<_> = all.iter().map(|model| *model.borrow()).collect();
        if states.contains(&ModelState::Missing) {
            health.model_missing();
        } else if states.contains(&ModelState::Loaded) {
            health.model_reloaded();
        } else {
            health.model_freed();
        }
    }
}
