//! The program: parses the command line, reads the configuration, starts logging, runs the command,
//! and maps the outcome to an exit status.
//!
//! It is part of the library, so that tests/chaos runs the same code as main.rs, with its own
//! decorators around the parts that the daemon works with.

use std::env;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Runtime;

use crate::app::{self, Decorator};
use crate::cli::{Cli, Command, Exit};
use crate::commands::{self, CommandError};
use crate::config::{Config, ConfigErrors, LogFormat, RawConfig, VARIABLE_UNKNOWN};
use crate::decoding::{self, Request};
use crate::doctor::configuration;
use crate::health::facts::Role;
use crate::runtime::logging::{self, LogFiles, LogFilesError};
use crate::runtime::problem::PROCESS_LIMIT;
use crate::runtime::{allocator, ending, private};
use crate::telegram::{LoginError, SessionError};

/// The threads for network and timers. Recognition and blocking work have threads of their own.
const THREADS: usize = 2;

/// Decodes a recording and nothing else, if this process was started for that.
pub fn decode_if_asked() -> Option<ExitCode> {
    Request::from_arguments(env::args_os()).map(|request| decoding::serve(&request, decoding::decode))
}

/// Runs the program, with `decorator` around the parts that the daemon works with.
pub fn main_with(decorator: &dyn Decorator) -> ExitCode {
    // Before anything else, because it is done once for each recording.
    if let Some(exit) = decode_if_asked() {
        return exit;
    }
    allocator::tune_allocator();
    let cli = Cli::parse();
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let why = format!("cannot start its threads: {error}");
                commands::report_error(PROCESS_LIMIT.with(why));
                return Exit::Failed.into();
            }
        };
    let exit = run(cli, &runtime, decorator).unwrap_or_else(|error| {
        let exit = exit_of(&error);
        if exit != Exit::Done {
            // Without the chain of causes, which our messages already contain.
            commands::report_error(&error);
        }
        exit
    });
    ending::exit(runtime, exit as u8)
}

fn run(cli: Cli, runtime: &Runtime, decorator: &dyn Decorator) -> anyhow::Result<Exit> {
    let command = cli.command.unwrap_or_default();
    let out = &mut io::stdout().lock();
    if let Command::Explain(what) = command {
        // It needs no configuration, so that it helps with one that is wrong.
        commands::explain::run(&what.words, out)?;
        return Ok(Exit::Done);
    }
    let raw = RawConfig::load();
    if command == Command::Config {
        // It prints the values and goes on, so that the check below reports what is wrong with
        // them.
        commands::config::run(&raw, out).map_err(CommandError::from)?;
    }
    if let Command::Doctor(args) = command {
        // It works with a wrong configuration too, and reports by itself, without log lines.
        let failed = runtime.block_on(commands::doctor::run(&raw, args, out)).map_err(CommandError::from)?;
        return Ok(exit_after(failed));
    }
    let config = Config::check(&raw, command.needs())?;
    if is_daemon(&command) {
        private::set_mask();
    }
    let (files, files_error) = match log_files(&config, &command) {
        Ok(files) => (files, None),
        Err(error) => (None, Some(error)),
    };
    let shared_folder = files.as_ref().and_then(LogFiles::shared_folder);
    let log = logging::start(&config.log_filter, log_format(&config), files)?;
    for warning in raw.warnings() {
        tracing::warn!("{}", VARIABLE_UNKNOWN.with(warning));
    }
    if let Some(error) = files_error {
        tracing::warn!(event = "log_files_failed", "{error}");
    }
    if let Some(shared) = shared_folder {
        app::report_shared_folder("LOG_DIR", &shared);
    }
    if is_daemon(&command)
        && let Some(mode) = private::mode_if_open(&raw.env_file())
    {
        let diagnosis = configuration::readable(&raw.env_file(), mode);
        tracing::warn!(event = "env_file_readable", "{diagnosis}");
    }
    let failed = match command {
        Command::Config | Command::Doctor(_) | Command::Explain(_) => 0,
        Command::Run | Command::Gateway => {
            let role = if command == Command::Gateway { Role::Gateway } else { Role::Whole };
            runtime.block_on(app::run(role, &config, &config.credentials()?, log, decorator))?;
            0
        }
        Command::Worker => {
            runtime.block_on(app::worker::run(&config, log, decorator))?;
            0
        }
        Command::Login => {
            runtime.block_on(commands::account::login(&config, &config.credentials()?, out))?;
            0
        }
        Command::Logout => {
            runtime.block_on(commands::account::logout(&config, &config.credentials()?, out))?;
            0
        }
        Command::Serve => {
            runtime.block_on(commands::serve::run(&config))?;
            0
        }
        Command::Transcribe(args) => runtime.block_on(commands::transcribe::run(&config, &args, out))?,
        Command::Bench(args) => runtime.block_on(commands::bench::run(&config, &args, out))?,
        Command::Queue(args) => runtime.block_on(commands::queue::run(&config, &args, out))?,
        Command::Transcripts(args) => {
            runtime.block_on(commands::transcripts::run(&config, &args, out))?;
            0
        }
        Command::Health(args) => commands::health::run(&config, &args, out)?,
        Command::Rules(args) => {
            commands::rules::run(&config, &args, out)?;
            0
        }
        Command::Models(args) => commands::models::run(&config, &args, out)?,
    };
    Ok(exit_after(failed))
}

fn exit_after(failed: usize) -> Exit {
    if failed == 0 { Exit::Done } else { Exit::Failed }
}

/// Whether it runs until it is stopped, and keeps what is private.
fn is_daemon(command: &Command) -> bool {
    matches!(command, Command::Run | Command::Gateway | Command::Worker)
}

/// Only the daemon logs to files.
fn log_files(config: &Config, command: &Command) -> Result<Option<LogFiles>, LogFilesError> {
    let folder = config.log_dir.as_deref().filter(|_| is_daemon(command));
    folder.map(|folder| LogFiles::open(folder, config.log_keep_days)).transpose()
}

fn log_format(config: &Config) -> logging::Format {
    match config.log_format {
        LogFormat::Human => logging::Format::human(),
        LogFormat::Json => logging::Format::Json,
    }
}

/// Maps every error to an exit status.
fn exit_of(error: &anyhow::Error) -> Exit {
    let no_session_to_end = |error: &LoginError| {
        matches!(error, LoginError::Session(SessionError::Missing(_) | SessionError::NotLoggedIn(_)))
    };
    let run = error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(CommandError::Run(error)) => Some(error),
        _ => None,
    });
    if let Some(run) = run {
        run.exit()
    } else if error.is::<ConfigErrors>() || error.downcast_ref().is_some_and(CommandError::is_usage) {
        Exit::Usage
    } else if error.downcast_ref().is_some_and(no_session_to_end) {
        Exit::LoggedOut
    } else if error.downcast_ref().is_some_and(CommandError::is_broken_pipe) {
        Exit::Done
    } else {
        Exit::Failed
    }
}
