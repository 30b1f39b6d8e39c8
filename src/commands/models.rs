//! `stenogram models`: the catalogue, fetching and checking.

use std::io::{self, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

use crate::cli::Models;
use crate::config::{Config, Model};
use crate::speech::checksum::{self, Verdict};
use crate::speech::download::{PullOptions, pull};
use crate::speech::models::{self, ModelSpec, catalogue};

/// Runs the command; how many models failed.
pub fn run(config: &Config, what: &Models, out: &mut impl Write) -> anyhow::Result<usize> {
    match what {
        Models::List => list(config, out).map(|()| 0),
        Models::Pull { names } => pull_all(config, names, out),
        Models::Verify { names } => verify_all(config, names, out),
    }
}

fn list(config: &Config, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "{:<22} {:>9} {:>9}  {:<12}  {:<10} NOTE", "NAME", "SIZE", "MEMORY", "SHA-256", "HERE")?;
    for spec in catalogue() {
        let size = DecimalBytes(spec.bytes).to_string();
        let here = match spec.installed(&config.model_dir) {
            None => "-",
            Some(found) if found != spec.bytes => "incomplete",
            Some(_) => "yes",
        };
        let chosen = matches!(&config.model, Model::Name(name) if name == spec.name);
        let name = format!("{}{}", spec.name, if chosen { " *" } else { "" });
        writeln!(
            out,
            "{name:<22} {size:>9} {:>5} MiB  {:<12}  {here:<10} {}",
            spec.memory_mib,
            spec.sha_prefix(),
            spec.note
        )?;
    }
    writeln!(out, "\n* is the configured model. Models are kept in {}.", config.model_dir.display())?;
    Ok(())
}

fn pull_all(config: &Config, names: &[String], out: &mut impl Write) -> anyhow::Result<usize> {
    let specs = match names {
        [] => match &config.model {
            Model::Name(name) => vec![spec(name)?],
            Model::Path(path) => bail!("MODEL is the file {}, which has no download", path.display()),
        },
        names => names.iter().map(|name| spec(name)).collect::<anyhow::Result<Vec<_>>>()?,
    };
    let options = PullOptions { mirror: config.model_url.clone(), ..PullOptions::default() };
    let mut failed = 0;
    for spec in specs {
        let bar = progress_bar(spec.name);
        let result = pull(spec, &config.model_dir, &options, &mut |done, total| show(&bar, done, total));
        bar.finish_and_clear();
        match result {
            Ok(path) => writeln!(out, "{}: {}", spec.name, path.display())?,
            Err(error) => {
                failed += 1;
                eprintln!("stenogram: {}: {error}", spec.name);
            }
        }
    }
    Ok(failed)
}

fn verify_all(config: &Config, names: &[String], out: &mut impl Write) -> anyhow::Result<usize> {
    let paths: Vec<PathBuf> = match names {
        [] => catalogue()
            .filter(|spec| spec.installed(&config.model_dir).is_some())
            .map(|spec| spec.path(&config.model_dir))
            .collect(),
        names => names.iter().map(|name| path(config, name)).collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        writeln!(out, "No model of the catalogue is in {}.", config.model_dir.display())?;
    }
    let mut failed = 0;
    for path in paths {
        let good = verify(&path, out)?;
        failed += usize::from(!good);
    }
    Ok(failed)
}

fn verify(path: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    let bar = progress_bar(&path.display().to_string());
    let verdict = checksum::verify(path, &mut |done, total| show(&bar, done, total));
    bar.finish_and_clear();
    let path = path.display();
    let again = "run `stenogram models pull` to fetch it again";
    let (good, what) = match verdict.with_context(|| format!("cannot read {path}"))? {
        Verdict::Ok => (true, "ok".to_owned()),
        Verdict::WrongSize { found, expected } => {
            (false, format!("has {found} bytes and should have {expected}; {again}"))
        }
        Verdict::WrongHash { found } => (false, format!("has the wrong SHA-256 {found}; {again}")),
        Verdict::Unknown { found } => (true, format!("not in the catalogue; its SHA-256 is {found}")),
    };
    writeln!(out, "{path}: {what}")?;
    Ok(good)
}

fn spec(name: &str) -> anyhow::Result<&'static ModelSpec> {
    match ModelSpec::resolve(name)? {
        models::Model::Catalogue(spec) => Ok(spec),
        models::Model::File(path) => bail!("{} is a file, not a name of the catalogue", path.display()),
    }
}

fn path(config: &Config, name: &str) -> Result<PathBuf, models::UnknownModel> {
    Ok(match ModelSpec::resolve(name)? {
        models::Model::Catalogue(spec) => spec.path(&config.model_dir),
        models::Model::File(path) => path,
    })
}

fn show(bar: &ProgressBar, done: u64, total: u64) -> ControlFlow<()> {
    bar.set_length(total);
    bar.set_position(done);
    ControlFlow::Continue(())
}

/// On a terminal; elsewhere it shows nothing.
fn progress_bar(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0).with_message(name.to_owned());
    let template = "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
