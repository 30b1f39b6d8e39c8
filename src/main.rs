//! Parses, reads the configuration, starts logging, runs, and maps the outcome to an exit code.

use std::io;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser as _;
use stenogram::cli::{Cli, Command, Exit};
use stenogram::commands;
use stenogram::config::{Config, LogFormat, Mistakes, RawConfig};
use stenogram::ops::logging;

fn main() -> ExitCode {
    let exit = run(Cli::parse()).unwrap_or_else(|error| {
        let exit = exit_of(&error);
        if exit != Exit::Done {
            eprintln!("stenogram: {error:#}");
        }
        exit
    });
    exit.into()
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    let command = cli.command.unwrap_or_default();
    let raw = RawConfig::load();
    if command == Command::Config {
        commands::config::run(&raw, &mut io::stdout().lock())?;
    }
    let config = Config::check(&raw, command.needs())?;
    logging::start(&config.log_filter, log_format(&config))?;
    for warning in raw.warnings() {
        tracing::warn!("{warning}");
    }
    match command {
        Command::Config => Ok(Exit::Done),
        Command::Run => bail!("`run` is not built in yet"),
        Command::Login => bail!("`login` is not built in yet"),
        Command::Logout => bail!("`logout` is not built in yet"),
        Command::Transcribe(_) => bail!("`transcribe` is not built in yet"),
        Command::Models(_) => bail!("`models` is not built in yet"),
    }
}

fn log_format(config: &Config) -> logging::Format {
    match config.log_format {
        LogFormat::Human => logging::Format::human(),
        LogFormat::Json => logging::Format::Json,
    }
}

/// The one place where outcomes become exit codes.
fn exit_of(error: &anyhow::Error) -> Exit {
    let reader_left = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.is::<Mistakes>() {
        Exit::Usage
    } else if error.downcast_ref().is_some_and(reader_left) {
        // `stenogram config | head -1` has all it wanted.
        Exit::Done
    } else {
        Exit::Failed
    }
}
