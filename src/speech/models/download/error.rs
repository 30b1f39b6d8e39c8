//! Why a model was not downloaded.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("{url}: {why}")]
    Refused { url: String, why: String },
    #[error("{url}: given up after {attempts} attempts without progress, the last one failed: {why}")]
    GivenUp { url: String, attempts: u32, why: String },
    #[error(
        "what {url} gives has the SHA-256 {found} and not {expected}; \
         the mirror has another file under this name, or something on the way changed it"
    )]
    Hash { url: String, found: String, expected: String },
    #[error("{} is being fetched by another process", .0.display())]
    Busy(PathBuf),
    #[error(
        "cannot write {}: {source}; MODEL_DIR must name a folder that stenogram may write to, with room for the model",
        path.display()
    )]
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
