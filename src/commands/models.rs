//! `stenogram models`: the catalogue, fetching and checking.

mod recommend;

use std::fs;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use indicatif::{DecimalBytes, ProgressBar};

use self::recommend::recommend;
use super::{CommandError, progress, report_error};
use crate::cli::Models;
use crate::config::{CHOSEN_MODEL, Config};
use crate::domain::ModelName;
use crate::runtime::deployment::typed;
use crate::runtime::{atomic_file, problem};
use crate::setup;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::models::download::{PullOptions, pull};
use crate::speech::models::{ModelSpec, SILERO_VAD, SPEECH_MODELS, catalogue};
use crate::speech::problems::{self, MODEL_UNUSABLE};

/// Runs the command. Returns how many models failed.
pub fn run(config: &Config, args: &Models, out: &mut impl Write) -> Result<usize, CommandError> {
    match args {
        Models::List => Ok(list(config, out).map(|()| 0)?),
        Models::Recommend => {
            writeln!(out, "{}", recommend(config).why)?;
            Ok(0)
        }
        Models::Pull { missing: true, .. } if is_complete(config)? => Ok(0),
        Models::Pull { names, .. } => pull_all(config, names, out),
        Models::Verify { names } => verify_all(config, names, out),
    }
}

fn list(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let (name, size, memory, time, sha, here) = ("NAME", "SIZE", "MEMORY", "TIME", "SHA-256", "HERE");
    writeln!(out, "{name:<22} {size:>9} {memory:>9} {time:>5}  {sha:<12}  {here:<10} NOTE")?;
    for spec in catalogue() {
        let size = DecimalBytes(spec.bytes).to_string();
        let here = match spec.installed(&config.model_dir) {
            None => "-",
            Some(found) if found != spec.bytes => "wrong size",
            Some(_) => "yes",
        };
        let time =
            spec.relative_time.map_or("-".to_owned(), |percent| (f64::from(percent) / 100.0).to_string());
        let names = |model: &&ModelName| matches!(model, ModelName::Catalogue(name) if name == spec.name);
        let is_named = config.named_models().iter().any(names);
        let configured = is_named && config.recognises_locally();
        let name = format!("{}{}", spec.name, if configured { " *" } else { "" });
        writeln!(
            out,
            "{name:<22} {size:>9} {:>5} MiB {time:>5}  {:<12}  {here:<10} {}",
            spec.memory_mib,
            spec.sha_prefix(),
            spec.note
        )?;
    }
    let configured = match &config.model {
        _ if !config.recognises_locally() => "None is needed: RECOGNISER names servers alone".to_owned(),
        _ if !config.models.is_empty() => "* are the configured models that are among them".to_owned(),
        ModelName::Catalogue(name) if catalogue().any(|spec| spec.name == name) => {
            "* is the configured model".to_owned()
        }
        ModelName::Catalogue(name) => format!("The configured model, {name}, is not among them"),
        ModelName::Path(path) => format!("The configured model is the file {}", path.display()),
    };
    writeln!(
        out,
        "\nTIME: how long 10 s of speech take on a CPU, as a multiple of base; above small computed, not measured. `{}` measures \
         what is here.",
        typed("bench")
    )?;
    writeln!(out, "\n{configured}. Models are kept in {}.", config.model_dir.display())
}

/// Whether the configured models are complete, judged by their sizes, because a checksum takes
/// seconds.
/// Where servers alone recognise, it is the model for voice activity, which keeps silence from
/// them.
fn is_complete(config: &Config) -> Result<bool, CommandError> {
    let is_whole = |spec: &ModelSpec| spec.installed(&config.model_dir) == Some(spec.bytes);
    if !config.recognises_locally() {
        return Ok(is_whole(&SILERO_VAD));
    }
    for model in config.named_models() {
        if let ModelName::Catalogue(name) = model
            && !is_whole(ModelSpec::named(name)?)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn pull_all(config: &Config, names: &[ModelName], out: &mut impl Write) -> Result<usize, CommandError> {
    let specs = match names {
        [] if !config.recognises_locally() => vec![&SILERO_VAD],
        [] => configured(config, out)?,
        names => names.iter().map(spec).collect::<Result<_, _>>()?,
    };
    let options = PullOptions { mirror: config.model_url.clone(), ..PullOptions::default() };
    let mut failed = 0;
    for spec in specs {
        let bar = progress::of_bytes(spec.name);
        let result = pull(spec, &config.model_dir, &options, &mut |done, total| show(&bar, done, total));
        bar.finish_and_clear();
        match result {
            Ok(path) => writeln!(out, "{}: {}", spec.name, path.display())?,
            Err(error) => {
                failed += 1;
                report_error(format_args!("{}: {error}", spec.name));
            }
        }
    }
    Ok(failed)
}

/// What to download if nothing is named: the configured models, but for those that are files of the
/// owner's own, and the voice activity model.
fn configured(config: &Config, out: &mut impl Write) -> Result<Vec<&'static ModelSpec>, CommandError> {
    let mut specs = Vec::new();
    for model in config.named_models() {
        match model {
            ModelName::Catalogue(name) if *model == config.model => {
                specs.push(default_model(config, name, out)?)
            }
            ModelName::Catalogue(name) => specs.push(ModelSpec::named(name)?),
            ModelName::Path(path) if config.models.is_empty() => {
                return Err(CommandError::NoDownload(path.clone()));
            }
            ModelName::Path(_) => {}
        }
    }
    specs.push(&SILERO_VAD);
    Ok(specs)
}

/// The model for every language that has none of its own: the configured one, `name`, unless this
/// is the first installation and MODEL is not set. Then it is chosen for this machine, and the
/// choice is kept in a file of MODEL_DIR, so that it stays the same when stenogram or the machine
/// changes.
fn default_model(
    config: &Config,
    name: &str,
    out: &mut impl Write,
) -> Result<&'static ModelSpec, CommandError> {
    let default = ModelSpec::named(name)?;
    let is_first = SPEECH_MODELS.iter().all(|spec| spec.installed(&config.model_dir).is_none());
    if !(config.model_is_default && is_first) {
        return Ok(default);
    }
    let recommendation = recommend(config);
    let kept = fs::create_dir_all(&config.model_dir).and_then(|()| {
        let path = config.model_dir.join(CHOSEN_MODEL);
        atomic_file::replace(&path, format!("{}\n", recommendation.model.name).as_bytes())
    });
    if let Err(error) = kept {
        let folder = config.model_dir.display();
        report_error(format_args!(
            "the choice of a model cannot be kept in {folder}, so it is {name}: {error}"
        ));
        return Ok(default);
    }
    writeln!(out, "{}", recommendation.why)?;
    out.flush()?;
    Ok(recommendation.model)
}

fn verify_all(config: &Config, names: &[ModelName], out: &mut impl Write) -> Result<usize, CommandError> {
    let paths: Vec<PathBuf> = match names {
        [] => catalogue()
            .filter(|spec| spec.installed(&config.model_dir).is_some())
            .map(|spec| spec.path(&config.model_dir))
            .collect(),
        names => names.iter().map(|name| setup::model_path(config, name)).collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        let folder = config.model_dir.display();
        let what = format_args!("no model of the catalogue is in {folder}");
        report_error(MODEL_UNUSABLE.with(what).fill("name", "base"));
        return Ok(1);
    }
    let mut failed = 0;
    for path in paths {
        failed += usize::from(!verify(&path, out)?);
    }
    Ok(failed)
}

/// Prints the result for one file. Returns whether the file is good.
fn verify(path: &Path, out: &mut impl Write) -> io::Result<bool> {
    let bar = progress::of_bytes(&path.display().to_string());
    let verdict = checksum::verify(path, &mut |done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let unusable = |what: String| problems::unusable_model(path, what).to_string();
    let good = matches!(verdict, Ok(Verdict::Ok | Verdict::Unknown { .. }));
    let text = match verdict {
        Ok(Verdict::Ok) => "ok".to_owned(),
        Ok(Verdict::WrongSize { found, expected }) => {
            unusable(format!("has {found} bytes and should have {expected}"))
        }
        Ok(Verdict::WrongHash { found }) => unusable(format!("has the wrong SHA-256 {found}")),
        Ok(Verdict::Unknown { found }) => {
            format!("is whole, by its structure; the catalogue does not have it, and its SHA-256 is {found}")
        }
        Ok(Verdict::Refused { why }) => unusable(why),
        Err(error) if error.kind() == io::ErrorKind::NotFound => unusable("is not there".to_owned()),
        Err(error) => {
            problem::of_error(&error).within("cannot be read").fill("path", path.display()).to_string()
        }
    };
    writeln!(out, "{}: {text}", path.display())?;
    Ok(good)
}

fn spec(name: &ModelName) -> Result<&'static ModelSpec, CommandError> {
    match name {
        ModelName::Catalogue(name) => Ok(ModelSpec::named(name)?),
        ModelName::Path(path) => Err(CommandError::NoDownload(path.clone())),
    }
}

fn show(bar: &ProgressBar, done: u64, total: u64) -> ControlFlow<()> {
    bar.set_length(total);
    bar.set_position(done);
    ControlFlow::Continue(())
}
