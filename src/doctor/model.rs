//! The models: whether they are there, undamaged, and trained for the languages.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Finding, Observer};
use crate::config::Config;
use crate::runtime::deployment::typed;
use crate::setup;
use crate::speech::SpeechError;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::models::{ModelSpec, SILERO_VAD};

const CHECK: &str = "model";
const VAD: &str = "voice activity";

/// Returns the model's file, if it exists.
pub(super) fn check(config: &Config, observer: &mut dyn Observer) -> Option<PathBuf> {
    observer.begins(CHECK);
    let path = match setup::model_path(config, &config.model) {
        Ok(path) => path,
        Err(error) => {
            let remedy = format!("correct MODEL; `{}` shows the names", typed("models list"));
            observer.found(Finding::fail(CHECK, error.to_string(), remedy));
            return None;
        }
    };
    let finding =
        whole(CHECK, &path, observer).map_or_else(|finding| finding, |known| fit(config, &path, known));
    observer.found(finding);
    observer.begins(VAD);
    let vad = SILERO_VAD.path(&config.model_dir);
    let finding = match whole(VAD, &vad, observer) {
        Ok(_) => Finding::ok(VAD, format!("{} is whole", vad.display())),
        // The daemon runs without it too.
        Err(finding) => Finding {
            outcome: super::Outcome::Warn,
            says: format!("{}; silence is recognised too, and may be given words", finding.says),
            ..finding
        },
    };
    observer.found(finding);
    path.exists().then_some(path)
}

/// Compares the file with the catalogue. Returns whether the catalogue has it.
fn whole(check: &'static str, path: &Path, observer: &mut dyn Observer) -> Result<bool, Finding> {
    let shown = path.display();
    let fetch = match ModelSpec::of_file(path) {
        Some(spec) => format!("fetch it: `{}`", typed(&format!("models pull {}", spec.name))),
        None => format!(
            "copy the file there, or name another in MODEL; `{}` shows the names",
            typed("models list")
        ),
    };
    let says = match checksum::verify(path, &mut |done, total| {
        observer.progress(done, total);
        ControlFlow::Continue(())
    }) {
        Ok(Verdict::Ok) => return Ok(true),
        Ok(Verdict::Unknown { .. }) => return Ok(false),
        Ok(Verdict::WrongSize { found, expected }) => {
            format!("{shown} has {found} bytes and should have {expected}: it is not whole")
        }
        Ok(Verdict::WrongHash { .. }) => {
            format!("{shown} has not the SHA-256 of the catalogue: it is damaged, or another file")
        }
        Ok(Verdict::Refused { why }) => {
            return Err(Finding::fail(check, format!("the model {shown} {why}"), another()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("{shown} is not there"),
        Err(error) => {
            let remedy =
                format!("it has to be a file that the user who runs stenogram may read: chmod a+r {shown}");
            return Err(Finding::fail(check, format!("{shown} cannot be read: {error}"), remedy));
        }
    };
    Err(Finding::fail(check, says, fetch))
}

/// Checks the file as the engine does, languages included.
fn fit(config: &Config, path: &Path, known: bool) -> Finding {
    let options = setup::engine_options(config, path.to_owned(), config.language);
    let shown = path.display();
    match options.check_model() {
        Ok(_) if known => Finding::ok(CHECK, format!("{shown} is whole, by its SHA-256")),
        Ok(_) => {
            Finding::ok(CHECK, format!("{shown} is whole, by its structure; the catalogue does not know it"))
        }
        Err(error @ SpeechError::LanguageNotInModel(_)) => Finding::fail(
            CHECK,
            error.to_string(),
            "correct LANGUAGE or LANGUAGES, or name a multilingual model in MODEL",
        ),
        Err(error @ (SpeechError::EnglishOnly { .. } | SpeechError::TranscribesOnly { .. })) => {
            Finding::fail(CHECK, error.to_string(), "correct TASK, or name a model in MODEL that translates")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), another()),
    }
}

/// What to do about a damaged file.
fn another() -> String {
    let (list, pull) = (typed("models list"), typed("models pull"));
    format!("put a good file in its place, or name a model of `{list}` in MODEL and run `{pull}`")
}
