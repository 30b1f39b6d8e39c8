//! How the engine is set up, and how one recording is recognised.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::error::SpeechError;
use super::language::prior::Habit;
use super::models::ModelSpec;
use super::models::file_check::{self, Header};
use super::observer::Observer;
use super::whisper::device;
use crate::domain::{AudioContext, LanguageCode, Languages, Task};

/// How the engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// A ggml Whisper model.
    pub model: PathBuf,
    /// Threads of a recognition; [`default_threads`] when not given, and no more than the process
    /// may run at once: beyond that recognition becomes 10 to 50 times slower.
    pub threads: Option<NonZeroUsize>,
    /// The languages that recordings may be in. A single one without others is not detected, which
    /// saves time.
    pub languages: Languages,
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

impl EngineOptions {
    /// Checks that a model of the catalogue has its size, if the file exists. A download that was
    /// broken off is found at once by this.
    pub fn check_size(&self) -> Result<(), SpeechError> {
        let (Some(spec), Ok(file)) = (ModelSpec::of_file(&self.model), self.model.metadata()) else {
            return Ok(());
        };
        let (found, expected) = (file.len(), spec.bytes);
        if found == expected {
            return Ok(());
        }
        Err(SpeechError::ModelSize { path: self.model.clone(), found, expected })
    }

    /// What the model is called: its file's name without what all such names have in common.
    pub fn name(&self) -> String {
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy();
        name.strip_prefix("ggml-").unwrap_or(&name).to_owned()
    }

    /// Looks through the model's file, and whether the model knows the languages and the task.
    pub fn check_model(&self) -> Result<Header, SpeechError> {
        let header = file_check::check(&self.model)
            .map_err(|source| SpeechError::Model { path: self.model.clone(), source })?;
        let unknown = |language: &&LanguageCode| language.number() >= header.languages;
        if let Some(&language) = self.languages.listed.iter().find(unknown) {
            return Err(SpeechError::LanguageNotInModel(language));
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
pub(crate) fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let Some(asked) = asked else { return default_threads() };
    let cores = cores();
    if asked > cores {
        warn!("{asked} threads are more than the {cores} cores there are for us; using {cores}");
    }
    asked.min(cores)
}

/// How one recording is recognised.
#[derive(Clone, Default)]
pub struct RecogniseOptions {
    /// The language spoken, in place of [`EngineOptions::languages`].
    pub language: Option<LanguageCode>,
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
