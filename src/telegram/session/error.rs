//! Why the session cannot be used.

use std::path::PathBuf;
use std::{error, fmt, io};

use crate::runtime::problem::{self, Diagnosis};
use crate::telegram::problems;

/// Why the session cannot be used.
#[derive(Debug)]
pub enum SessionError {
    /// There is no session file yet.
    Missing(PathBuf),
    /// The file exists but nobody is logged in with it.
    NotLoggedIn(PathBuf),
    /// The file's mode lets others read it.
    ReadableByOthers { path: PathBuf, mode: u32 },
    /// The contents are not a session.
    Damaged { path: PathBuf, why: String },
    /// Another process holds the lock.
    InUse(PathBuf),
    /// The file system reported an error.
    Io { path: PathBuf, source: io::Error },
    /// The store of the update state reported an error.
    State { path: PathBuf, why: String },
    /// No port on loopback was to be had, through which grammers is led to a proxy.
    Loopback(io::Error),
    /// A key of the home datacentre would have been replaced.
    KeyRefused(i32),
}

impl SessionError {
    /// What went wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        match self {
            Self::Missing(path) => {
                problems::NOT_LOGGED_IN.with(format_args!("there is no session at {}", path.display()))
            }
            Self::NotLoggedIn(path) => problems::NOT_LOGGED_IN
                .with(format_args!("the session at {} is not logged in", path.display())),
            Self::ReadableByOthers { path, mode } => problems::SESSION_READABLE
                .with(format_args!(
                    "the session {} can be read by other users (mode {mode:03o})",
                    path.display()
                ))
                .fill("path", path.display()),
            Self::Damaged { path, why } => problems::SESSION_DAMAGED
                .with(format_args!("the session {} is damaged ({why})", path.display())),
            Self::InUse(path) => problems::SESSION_IN_USE
                .with(format_args!("another stenogram is using this account ({} is locked)", path.display())),
            Self::Io { path, source } => problem::of_file("cannot use", path, source),
            Self::State { path, why } => problems::UPDATES_UNUSABLE
                .with(format_args!("cannot use the update state {}: {why}", path.display())),
            Self::Loopback(error) => problems::TELEGRAM_UNREACHABLE
                .with(format_args!("no port on loopback for the way through the proxy: {error}")),
            Self::KeyRefused(datacentre) => problems::SESSION_KEY_REFUSED.with(format_args!(
                "datacentre {datacentre} does not know this session's key and offered a new one"
            )),
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnosis().fmt(f)
    }
}

impl error::Error for SessionError {}
