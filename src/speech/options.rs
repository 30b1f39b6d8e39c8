//! How the engine is set up, and how one recording is recognised.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::error::SpeechError;
use super::language::prior::LanguagePrior;
use super::models::ModelSpec;
use super::models::file_check::{self, ModelInfo};
use super::observer::Observer;
use super::problems::too_many_threads;
use super::whisper::device;
use crate::domain::{AudioContext, LanguageCode, Languages, Task, Vocabulary};

/// How the engine is set up.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// A ggml Whisper model, or a GGUF file for transcribe.cpp.
    pub model: PathBuf,
    /// The program that runs GGUF files. None: the one beside this program.
    pub transcribe_cpp: Option<PathBuf>,
    /// Threads of a recognition; [`default_threads`] if not given. Never more than the process may
    /// run at once, because recognition then becomes 10 to 50 times slower.
    pub threads: Option<NonZeroUsize>,
    /// The languages that a recording may be in, unless [`RecogniseOptions::language`] gives its
    /// language. A single one without others is never detected, which saves time.
    pub languages: Languages,
    /// The language that [`RecogniseOptions::language`] gives for every recording, if it does. Only
    /// this one must be known to the model then.
    pub only_language: Option<LanguageCode>,
    /// [`Engine::start`](super::Engine::start) fails if the model was not trained for it.
    pub task: Task,
    /// Names and terms that Whisper is given before each recording.
    pub vocabulary: Vocabulary,
    /// How much of Whisper's window is computed for a short recording.
    pub audio_context: AudioContext,
    /// Whether flash attention is used. None: on GPUs, where it is faster, and not on CPUs, where
    /// it is slower.
    pub flash_attention: Option<bool>,
    /// Silero's voice activity model. If the file is missing, or is not the one in the catalogue,
    /// a warning is logged and recordings are recognised whole, including their silence.
    pub vad: Option<PathBuf>,
    /// After this long without a recording the model is freed; the next recording loads it again.
    /// None: it stays in memory.
    pub idle_unload: Option<Duration>,
}

impl RecogniseOptions {
    /// All that is to be known, with the vocabulary of the recording's owner, which is the one that
    /// is `configured` unless it came with the recording. Of what is too much the end is left out.
    pub(super) fn known(&self, configured: &Vocabulary) -> Vocabulary {
        let owners = self.lists.as_ref().map_or(configured, |lists| &lists.vocabulary);
        self.vocabulary.clone().and(owners).and(&self.people)
    }
}

impl EngineOptions {
    /// Checks, if the file exists and the catalogue has it, that it has the right size. This finds
    /// an incomplete copy at once.
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

    /// Whether transcribe.cpp runs the model, rather than whisper.cpp. A file that is not there is
    /// known by its name.
    pub fn is_gguf(&self) -> bool {
        file_check::is_gguf(&self.model)
    }

    /// The languages that the model is to know.
    pub(super) fn required_languages(&self) -> &[LanguageCode] {
        self.only_language.as_ref().map_or(&*self.languages.listed, slice::from_ref)
    }

    /// The model's name, see [`model_name`].
    pub fn name(&self) -> String {
        model_name(&self.model)
    }

    /// Checks the model's file, and that the model was trained for the languages and the task.
    pub fn check_model(&self) -> Result<ModelInfo, SpeechError> {
        let info = file_check::check(&self.model)
            .map_err(|source| SpeechError::Model { path: self.model.clone(), source })?;
        let required = self.required_languages();
        let is_unknown = |language: &&LanguageCode| language.number() >= info.languages;
        if let Some(&unknown) = required.iter().find(is_unknown) {
            return Err(SpeechError::LanguageNotInModel(unknown));
        }
        let path = self.model.clone();
        match self.task {
            Task::Translate if info.languages == 1 => Err(SpeechError::EnglishOnly { path }),
            Task::Translate if !info.can_translate() => Err(SpeechError::TranscribesOnly { path }),
            Task::Translate | Task::Transcribe => Ok(info),
        }
    }

    /// Whether flash attention is used: as configured, or if there is a GPU.
    pub fn flash_attention(&self) -> bool {
        self.flash_attention.unwrap_or_else(|| device::gpu().is_some())
    }
}

/// What the model in this file is called: its name in the catalogue, or the file's without `ggml-`
/// and the extension.
pub fn model_name(file: &Path) -> String {
    if let Some(spec) = ModelSpec::of_file(file) {
        return spec.name.to_owned();
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    name.strip_prefix("ggml-").unwrap_or(&name).to_owned()
}

/// The threads that this process may run at once, but at most four, as in whisper.cpp itself: more
/// gain little, and other programs need the cores too.
pub fn default_threads() -> NonZeroUsize {
    const MOST: NonZeroUsize = NonZeroUsize::new(4).unwrap();
    cores().min(MOST)
}

/// The threads that this process may run at once, by CPU affinity and cgroup quota.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The threads to use if `asked` are configured.
pub(crate) fn threads(asked: Option<NonZeroUsize>) -> NonZeroUsize {
    let Some(asked) = asked else { return default_threads() };
    let cores = cores();
    if asked > cores {
        warn!("{}", too_many_threads(asked, cores));
    }
    asked.min(cores)
}

/// How one recording is recognised.
#[derive(Clone, Default)]
pub struct RecogniseOptions {
    /// The language, which is then not detected.
    pub language: Option<LanguageCode>,
    /// What the language was found to be before. It is checked, unlike `language`.
    pub guess: Option<LanguageCode>,
    /// Recognition fails if the model was not trained for it.
    pub task: Task,
    /// How likely each language is before the recording is analysed. It makes detection faster and
    /// more reliable.
    pub prior: LanguagePrior,
    /// The last sentences before this recording. Whisper continues them in sense and spelling.
    pub previous_text: String,
    /// What is to be known of this recording's chat, before the vocabulary that is configured.
    pub vocabulary: Vocabulary,
    /// The same behind it.
    pub people: Vocabulary,
    /// Whether the times of words are wanted. Servers are not asked for them.
    pub words: bool,
    /// Receives the share that is done, in percent, once per 30 s of the recording.
    pub progress: Option<watch::Sender<u8>>,
    pub observer: Option<Arc<dyn Observer>>,
    /// What the recording's owner has listed, if that is another one than the recogniser's.
    pub lists: Option<Arc<OwnersLists>>,
}

/// What an owner has listed: the languages that a recording may be in, and terms to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnersLists {
    pub languages: Languages,
    pub vocabulary: Vocabulary,
}
