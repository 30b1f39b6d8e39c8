//! Why the session cannot be used.

use std::io;
use std::path::PathBuf;

use crate::runtime::deployment::typed;

/// Why the session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no session file yet.
    #[error("there is no session at {}: log in first with `{}`", .0.display(), typed("login"))]
    Missing(PathBuf),
    /// The file exists but nobody is logged in with it.
    #[error("the session at {} is not logged in: run `{}`", .0.display(), typed("login"))]
    NotLoggedIn(PathBuf),
    /// The file's mode lets others read it.
    #[error(
        "the session {} can be read by other users (mode {mode:03o}); it gives full access to the account: \
         run `chmod 600 {}` and, if others may have read it, end that session in Telegram under Settings > Devices",
        .path.display(), .path.display()
    )]
    ReadableByOthers { path: PathBuf, mode: u32 },
    /// The contents are not a session.
    #[error(
        "the session {} is damaged ({why}): restore it from a backup, or delete it and run `{}`",
        .path.display(), typed("login")
    )]
    Damaged { path: PathBuf, why: String },
    /// Another process holds the lock.
    #[error(
        "another stenogram is using this account ({} is locked): stop it first; \
         two programs on one session make Telegram revoke it", .0.display()
    )]
    InUse(PathBuf),
    /// The file system reported an error.
    #[error("cannot use {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The store of the update state reported an error.
    #[error("cannot use the update state {}: {why}", .path.display())]
    State { path: PathBuf, why: String },
    /// A key of the home datacentre would have been replaced.
    #[error("datacentre {0} does not know this session's key and offered a new one; the stored key was kept")]
    KeyRefused(i32),
}
