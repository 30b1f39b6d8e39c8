//! The models: whether they are there, undamaged, and trained for the languages.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Finding, Observer};
use crate::config::Config;
use crate::runtime::problem;
use crate::setup;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::models::{self, SILERO_VAD};
use crate::speech::problems::{RECOGNITION_FAILED, VAD_UNUSABLE, unusable_model};

const CHECK: &str = "model";
const VAD: &str = "voice activity";

/// Returns the model's file, if it exists and is needed.
pub(super) fn check(config: &Config, observer: &mut dyn Observer) -> Option<PathBuf> {
    let path = if config.recognises_locally() { speech_model(config, observer) } else { None };
    observer.begins(VAD);
    let vad = SILERO_VAD.path(&config.model_dir);
    let finding = match whole(VAD, &vad, observer) {
        Ok(_) => Finding::ok(VAD, format!("{} is whole", vad.display())),
        // The daemon runs without it too.
        Err(finding) => {
            let what = format_args!("{}; silence is recognised too, and may be given words", finding.says);
            Finding::warn(VAD, VAD_UNUSABLE.with(what))
        }
    };
    observer.found(finding);
    path
}

fn speech_model(config: &Config, observer: &mut dyn Observer) -> Option<PathBuf> {
    observer.begins(CHECK);
    let path = match setup::model_path(config, &config.model) {
        Ok(path) => path,
        Err(error) => {
            observer.found(Finding::fail(CHECK, error.diagnosis()));
            return None;
        }
    };
    let finding =
        whole(CHECK, &path, observer).map_or_else(|finding| finding, |known| fit(config, &path, known));
    observer.found(finding);
    path.exists().then_some(path)
}

/// Compares the file with the catalogue. Returns whether the catalogue has it.
fn whole(check: &'static str, path: &Path, observer: &mut dyn Observer) -> Result<bool, Finding> {
    let shown = path.display();
    let what = match checksum::verify(path, &mut |done, total| {
        observer.progress(done, total);
        ControlFlow::Continue(())
    }) {
        Ok(Verdict::Ok) => return Ok(true),
        Ok(Verdict::Unknown { .. }) => return Ok(false),
        Ok(Verdict::WrongSize { found, expected }) => {
            return Err(Finding::fail(check, models::wrong_size(path, found, expected)));
        }
        Ok(Verdict::WrongHash { .. }) => {
            format!("{shown} has not the SHA-256 of the catalogue: it is damaged, or another file")
        }
        Ok(Verdict::Refused { why }) => format!("the model {shown} {why}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => format!("{shown} is not there"),
        Err(error) => return Err(Finding::fail(check, problem::of_file("cannot read", path, &error))),
    };
    Err(Finding::fail(check, unusable_model(path, what)))
}

/// Checks the file as the engine does, languages included.
fn fit(config: &Config, path: &Path, known: bool) -> Finding {
    let options = setup::engine_options(config, path.to_owned(), &setup::policy(config).settings);
    let shown = path.display();
    match options.check_model() {
        Ok(_) if known => Finding::ok(CHECK, format!("{shown} is whole, by its SHA-256")),
        Ok(_) => {
            Finding::ok(CHECK, format!("{shown} is whole, by its structure; the catalogue does not know it"))
        }
        Err(error) => match error.diagnosis() {
            Some(diagnosis) => Finding::fail(CHECK, diagnosis),
            None => Finding::fail(CHECK, RECOGNITION_FAILED.with(error)),
        },
    }
}
