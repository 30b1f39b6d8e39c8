//! Why nothing was recognised, and what that means for the job.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;
use std::{error, fmt};

use super::models;
use super::models::file_check::ModelFileError;
use super::problems::{
    self, CPU_TOO_OLD, LANGUAGE_NOT_IN_MODEL, MODEL_REPLACED, OUT_OF_MEMORY, RECOGNITION_FAILED,
    TRANSCRIBE_CPP_MISSING, TRANSLATION_IMPOSSIBLE,
};
use super::server::ServerError;
use crate::domain::{Fault, LanguageCode};
use crate::runtime::problem::{self, Diagnosis};

/// How long a job is put off if the model cannot be loaded again.
const RELOAD_RETRY: Duration = Duration::from_secs(60);

/// Why nothing was recognised.
#[derive(Debug)]
pub enum SpeechError {
    Model {
        path: PathBuf,
        source: ModelFileError,
    },
    /// The instructions that are missing.
    Cpu(String),
    ModelSize {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    Load {
        path: PathBuf,
        why: String,
    },
    NotLoadedAgain(Box<SpeechError>),
    Replaced {
        path: PathBuf,
    },
    /// The program for the model is not there.
    NoTranscribeCpp {
        program: PathBuf,
        model: PathBuf,
    },
    /// transcribe.cpp cannot load the model.
    Refused {
        path: PathBuf,
        why: String,
    },
    /// transcribe.cpp failed, or its process did.
    TranscribeCpp(String),
    LanguageNotInModel(LanguageCode),
    /// The recording is to be recognised in this language, for which the model was not trained.
    LanguageOfRecordingNotInModel(LanguageCode),
    EnglishOnly {
        path: PathBuf,
    },
    TranscribesOnly {
        path: PathBuf,
    },
    /// The recording arrived under TASK=translate, for which the model was not trained.
    TaskNotInModel,
    /// Not numbers, or over 40 dB too loud.
    Samples,
    TooLong,
    Failed(String),
    /// A server has not recognised it.
    Server(ServerError),
    /// The proxy to a server cannot be used.
    Proxy(Diagnosis),
    Aborted,
    Died,
}

impl SpeechError {
    /// What went wrong and what to do, unless the recording is to blame or the program is stopping.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        Some(match self {
            Self::Model { path, source: ModelFileError::Io(error) }
                if error.kind() != ErrorKind::NotFound =>
            {
                problem::of_file("cannot read the model", path, error)
            }
            Self::Model { path, source } => {
                problems::unusable_model(path, format_args!("the model {} {source}", path.display()))
            }
            Self::ModelSize { path, found, expected } => models::wrong_size(path, *found, *expected),
            Self::Cpu(missing) => {
                CPU_TOO_OLD.with(format_args!("this CPU lacks {missing}, which this build needs"))
            }
            Self::Load { path, why } => OUT_OF_MEMORY
                .with(format_args!("whisper.cpp cannot load the model {}: {why}", path.display())),
            Self::NotLoadedAgain(error) => {
                error.diagnosis()?.within("the model was freed for want of work and cannot be loaded again")
            }
            Self::Replaced { path } => MODEL_REPLACED
                .with(format_args!("the model {} is another one than at the start", path.display())),
            Self::NoTranscribeCpp { program, model } => TRANSCRIBE_CPP_MISSING.with(format_args!(
                "the model {} needs the program {}, which is not there",
                model.display(),
                program.display()
            )),
            Self::Refused { path, why } => problems::unusable_model(
                path,
                format_args!("transcribe.cpp cannot load the model {}: {why}", path.display()),
            ),
            Self::TranscribeCpp(why) => RECOGNITION_FAILED.with(format_args!("transcribe.cpp failed: {why}")),
            Self::LanguageNotInModel(code) => {
                LANGUAGE_NOT_IN_MODEL.with(format_args!("the model was not trained for the language {code}"))
            }
            Self::EnglishOnly { path } => TRANSLATION_IMPOSSIBLE
                .with(format_args!("the model {} cannot translate, it knows English only", path.display())),
            Self::TranscribesOnly { path } => TRANSLATION_IMPOSSIBLE.with(format_args!(
                "the model {} cannot translate: its decoder was cut down and trained to transcribe only",
                path.display()
            )),
            Self::Failed(why) => RECOGNITION_FAILED.with(format_args!("whisper.cpp failed: {why}")),
            Self::Server(error) => error.diagnosis(),
            Self::Proxy(diagnosis) => diagnosis.clone(),
            Self::Died => RECOGNITION_FAILED.with("the recognition thread is gone"),
            Self::LanguageOfRecordingNotInModel(_)
            | Self::TaskNotInModel
            | Self::Samples
            | Self::TooLong
            | Self::Aborted => return None,
        })
    }
}

impl fmt::Display for SpeechError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.diagnosis()) {
            (_, Some(diagnosis)) => diagnosis.fmt(f),
            (Self::LanguageOfRecordingNotInModel(code), None) => {
                write!(f, "the recording arrived under LANGUAGE={code}, for which the model was not trained")
            }
            (Self::TaskNotInModel, None) => {
                f.write_str("the recording arrived under TASK=translate, for which the model was not trained")
            }
            (Self::Samples, None) => f.write_str(
                "the recording has samples that are no sound: not a number, or over 40 dB too loud",
            ),
            (Self::TooLong, None) => f.write_str("the recording is longer than 24 hours"),
            (_, None) => f.write_str("the recognition was aborted"),
        }
    }
}

impl error::Error for SpeechError {}

impl From<SpeechError> for Fault {
    fn from(error: SpeechError) -> Self {
        match error {
            SpeechError::Aborted => Self::Aborted,
            SpeechError::Failed(_) | SpeechError::TranscribeCpp(_) => Self::retry_in(30, error),
            SpeechError::Server(error) => error.fault(),
            // Not counted as a failed attempt: the owner may put the file back, or memory may
            // become free again.
            SpeechError::NotLoadedAgain(_) => Self::Later { after: RELOAD_RETRY, why: error.to_string() },
            SpeechError::Samples
            | SpeechError::TooLong
            | SpeechError::LanguageOfRecordingNotInModel(_)
            | SpeechError::TaskNotInModel => Self::Reject(error.to_string()),
            SpeechError::LanguageNotInModel(_)
            | SpeechError::EnglishOnly { .. }
            | SpeechError::TranscribesOnly { .. }
            | SpeechError::Cpu(_)
            | SpeechError::Model { .. }
            | SpeechError::ModelSize { .. }
            | SpeechError::Load { .. }
            | SpeechError::Replaced { .. }
            | SpeechError::NoTranscribeCpp { .. }
            | SpeechError::Refused { .. }
            | SpeechError::Proxy(_)
            | SpeechError::Died => Self::Fatal(error.to_string()),
        }
    }
}
