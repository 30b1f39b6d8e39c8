//! Why a model was not downloaded.

use std::io;
use std::path::{Path, PathBuf};

use crate::runtime::problem::{self, Diagnosis};
use crate::speech::problems::{DOWNLOAD_BUSY, DOWNLOAD_FAILED, DOWNLOAD_WRONG};

/// Why a model was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("{}", DOWNLOAD_WRONG.with(format_args!("{url}: {why}")))]
    Refused { url: String, why: String },
    #[error("{}", DOWNLOAD_FAILED.with(format_args!(
        "{url}: given up after {attempts} attempts without progress, the last one failed: {why}"
    )))]
    GivenUp { url: String, attempts: u32, why: String },
    #[error("{}", DOWNLOAD_WRONG.with(format_args!(
        "what {url} gives has the SHA-256 {found} and not {expected}"
    )))]
    Hash { url: String, found: String, expected: String },
    #[error("{0}")]
    Proxy(Diagnosis),
    #[error("{}", DOWNLOAD_BUSY.with(format_args!("{} is being fetched by another process", .0.display())))]
    Busy(PathBuf),
    #[error("{}", problem::of_file("cannot write", path, source))]
    Disk { path: PathBuf, source: io::Error },
    #[error("broken off; what is there already will be used by the next attempt")]
    Cancelled,
}

impl PullError {
    pub(super) fn disk(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            // Only `checksum::hash_into` returns this, if `progress` cancels it.
            io::ErrorKind::Interrupted => Self::Cancelled,
            _ => Self::Disk { path: path.to_owned(), source },
        }
    }
}
