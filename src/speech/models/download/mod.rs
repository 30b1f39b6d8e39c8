//! Downloads a model. An interrupted download is resumed, the SHA-256 is checked, and the file gets
//! its name only when it is complete.

mod error;
mod fetcher;
mod partial_file;
pub(in crate::speech) mod proxy;

use std::fs;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

pub use self::error::PullError;
use self::fetcher::Fetcher;
pub use self::fetcher::PullOptions;
use self::partial_file::PartialFile;
use super::catalogue::ModelSpec;
use super::checksum::{self, Progress, Verdict};
use super::hex::hex;

/// The proxy through which `url` is reached, from the variables that curl reads too; `None` for the
/// direct way, an error if it cannot be used.
pub fn web_proxy(url: &str) -> Result<Option<ureq::Proxy>, String> {
    proxy::proxy_for(url, |name| std::env::var(name).ok()).map_err(|error| error.to_string())
}

/// Downloads `spec` into `directory` and returns the file's path. If the right file is already
/// there, nothing is done; a wrong one is replaced when the right one is complete.
///
/// Blocks until it is done, so run it on a blocking thread. `progress` is called at least once per
/// 64 KiB and after each failure. So it cancels at once while bytes arrive, and else within a
/// minute.
pub fn pull(
    spec: &ModelSpec,
    directory: &Path,
    options: &PullOptions,
    progress: &mut Progress,
) -> Result<PathBuf, PullError> {
    let target = spec.path(directory);
    let disk = |source| PullError::disk(&target, source);
    fs::create_dir_all(directory).map_err(|source| PullError::disk(directory, source))?;
    if target.exists() && checksum::verify_as(spec, &target, progress).map_err(disk)? == Verdict::Ok {
        return Ok(target);
    }

    let mut part = PartialFile::open(&target, spec, progress)?;
    let fetcher = Fetcher::new(spec, options)?;
    let mut resumed = part.length > 0;
    loop {
        fetcher.fetch(&mut part, options, progress)?;
        let found = part.digest();
        if found == spec.sha256 {
            part.publish(&target)?;
            info!(model = spec.name, path = %target.display(), "model fetched");
            return Ok(target);
        }
        part.clear()?;
        if !resumed {
            let (found, expected) = (hex(&found), hex(&spec.sha256));
            return Err(PullError::Hash { url: fetcher.url, found, expected });
        }
        // The partial file may have been of another version, or damaged by a power cut.
        warn!(model = spec.name, "the resumed download has the wrong SHA-256, downloading all of it again");
        resumed = false;
    }
}
