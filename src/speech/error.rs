//! Why nothing was recognised, and what that means for the job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::models::ModelSpec;
use super::models::file_check::ModelFileError;
use crate::domain::{Fault, LanguageCode};
use crate::runtime::deployment::typed;

/// How long a job is put off if the model cannot be loaded again.
const RELOAD_RETRY: Duration = Duration::from_secs(60);

/// Why nothing was recognised.
#[derive(Debug, thiserror::Error)]
pub enum SpeechError {
    #[error("the model {} {source}; {}", path.display(), remedy(path))]
    Model { path: PathBuf, source: ModelFileError },
    #[error(
        "this CPU lacks {0}, which this build needs: build stenogram on this machine, or take the portable image; \
         in a Proxmox VM choose the CPU type host"
    )]
    Cpu(String),
    #[error(
        "the model {} has {found} bytes and should have {expected}: it is not whole; run `{}`",
        path.display(), typed("models pull")
    )]
    ModelSize { path: PathBuf, found: u64, expected: u64 },
    #[error("whisper.cpp cannot load the model {}: {why}; is there enough memory?", path.display())]
    Load { path: PathBuf, why: String },
    #[error("the model was freed for want of work and cannot be loaded again: {0}")]
    NotLoadedAgain(Box<SpeechError>),
    #[error("the model {} is another one than at the start; restart stenogram to use it", path.display())]
    Replaced { path: PathBuf },
    #[error("the model was not trained for the language {0}; take a multilingual or a newer model")]
    LanguageNotInModel(LanguageCode),
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
            // Not counted as a failed attempt: the owner may put the file back, or memory may
            // become free again.
            SpeechError::NotLoadedAgain(_) => Self::Later { after: RELOAD_RETRY, why: error.to_string() },
            SpeechError::Samples | SpeechError::TooLong | SpeechError::LanguageNotInModel(_) => {
                Self::Reject(error.to_string())
            }
            SpeechError::EnglishOnly { .. }
            | SpeechError::TranscribesOnly { .. }
            | SpeechError::Cpu(_)
            | SpeechError::Model { .. }
            | SpeechError::ModelSize { .. }
            | SpeechError::Load { .. }
            | SpeechError::Replaced { .. }
            | SpeechError::Died => Self::Fatal(error.to_string()),
        }
    }
}

/// What to do about an unusable model file. Only models of the catalogue can be downloaded.
fn remedy(path: &Path) -> String {
    match ModelSpec::of_file(path) {
        Some(spec) => format!("`{}` fetches a good one", typed(&format!("models pull {}", spec.name))),
        None => {
            format!("put a good file in its place, or name a model of `{}` in MODEL", typed("models list"))
        }
    }
}
