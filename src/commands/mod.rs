//! The commands that are more than a call: one file each.

pub mod account;
pub mod bench;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod health;
pub mod models;
mod progress;
pub mod queue;
pub mod transcribe;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::app::RunError;
use crate::runtime::deployment::typed;
use crate::speech::models::UnknownModel;

/// Why a command could not even go through what it was given. What single files and models suffer
/// from is told when it happens, and the others are gone on with.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The standard output takes nothing.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// What is the daemon's too, the engine or the queue, cannot be used as it is configured.
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
    /// What was asked for, or configured, cannot be: trying again does not help.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Model(_) | Self::NoDownload(_) | Self::NotKnown(_))
    }

    /// Whoever read the output has seen enough and closed it, as in `stenogram config | head -1`.
    pub fn reader_left(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Says on the standard error what is wrong. A standard error that is closed is no reason to stop.
pub fn complain(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "stenogram: {what}");
}
