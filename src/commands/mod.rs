//! The commands, one file each, except `run`.

pub mod account;
pub mod bench;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod health;
pub mod models;
mod progress;
pub mod queue;
pub mod rules;
pub mod serve;
pub mod transcribe;
pub mod transcripts;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::app::RunError;
use crate::runtime::deployment::typed;
use crate::speech::models::UnknownModel;

/// Why a command failed as a whole. Errors of single files and models are printed when they happen,
/// and the command goes on with the others.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Standard output cannot be written to.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// The session, the queue or the engine cannot be used, for a reason that stops the daemon too.
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Model(#[from] UnknownModel),
    #[error(
        "{} is a file of your own, which cannot be fetched; name a model of `{}`",
        .0.display(), typed("models list")
    )]
    NoDownload(PathBuf),
    /// `stenogram explain` was asked for what it does not know.
    #[error("nothing is known about {0:?}; `{list}` lists what is", list = typed("explain"))]
    NotKnown(String),
}

impl CommandError {
    /// Whether the arguments or the configuration are wrong, so that trying again does not help.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Model(_) | Self::NoDownload(_) | Self::NotKnown(_))
    }

    /// Whether the reader of the output has closed it, as in `stenogram config | head -1`.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Prints an error to standard error, if that is open.
pub fn report_error(error: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "stenogram: {error}");
}
