//! The models: whether they are there, undamaged, and trained for the languages.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::{Finding, Observer};
use crate::config::Config;
use crate::runtime::problem;
use crate::setup;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::models::{self, SILERO_VAD};
use crate::speech::problems::{RECOGNITION_FAILED, VAD_UNUSABLE, unusable_model};
use crate::speech::{self, EngineOptions};

const CHECK: &str = "model";
const VAD: &str = "voice activity";

pub(super) async fn check(config: &Config, observer: &mut dyn Observer) {
    if config.recognises_locally() {
        speech_models(config, observer).await;
    }
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
}

async fn speech_models(config: &Config, observer: &mut dyn Observer) {
    observer.begins(CHECK);
    let models = match setup::local_models(config, &setup::policy(config).settings) {
        Ok(models) => models,
        Err(error) => return observer.found(Finding::fail(CHECK, error.diagnosis())),
    };
    for options in models.models() {
        observer.begins(CHECK);
        let finding = match whole(CHECK, &options.model, observer) {
            Ok(known) => fit(options, known).await,
            Err(finding) => finding,
        };
        observer.found(finding);
    }
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

/// Checks the file as the engine does, languages included. transcribe.cpp is asked to load it.
async fn fit(options: &EngineOptions, known: bool) -> Finding {
    let shown = options.model.display();
    let checked = match options.is_gguf() {
        true => {
            let examined = speech::transcribe_cpp::examine(options).await;
            examined.map(|(arch, device)| format!("; transcribe.cpp runs it: {arch} on {device}"))
        }
        false => options.check_model().map(|_| String::new()),
    };
    match checked {
        Ok(run) if known => Finding::ok(CHECK, format!("{shown} is whole, by its SHA-256{run}")),
        Ok(run) => Finding::ok(
            CHECK,
            format!("{shown} is whole, by its structure; the catalogue does not know it{run}"),
        ),
        Err(error) => match error.diagnosis() {
            Some(diagnosis) => Finding::fail(CHECK, diagnosis),
            None => Finding::fail(CHECK, RECOGNITION_FAILED.with(error)),
        },
    }
}
