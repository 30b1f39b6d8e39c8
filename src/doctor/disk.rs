//! The folders: whether they can be written to, and whether there is space.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, Observer};
use crate::config::Config;
use crate::domain::ModelName;
use crate::runtime::problem::{self, DISK_FULL};
use crate::speech::models::ModelSpec;

/// With less free space than this the queue may fail to grow.
const CRITICAL_FREE: u64 = 16 << 20;
/// With less free space than this it is time to make room.
const LOW_FREE: u64 = 200 << 20;
/// How many bytes are written as a test: several pages, because a file of one page may fit where a
/// change of the queue does not.
const WRITE_TEST_BYTES: usize = 64 << 10;

pub(super) fn check(config: &Config, observer: &mut dyn Observer) {
    observer.begins("DATA_DIR");
    observer.found(folder("DATA_DIR", &config.data_dir, 0));
    observer.begins("MODEL_DIR");
    let more = bytes_to_download(config);
    let finding = folder("MODEL_DIR", &config.model_dir, more);
    // Only `models pull` writes there.
    observer.found(if more == 0 { no_worse_than_warning(finding) } else { finding });
    if let Some(log_dir) = &config.log_dir {
        observer.begins("LOG_DIR");
        // The daemon runs without log files too.
        observer.found(no_worse_than_warning(folder("LOG_DIR", log_dir, 0)));
    }
}

fn no_worse_than_warning(finding: Finding) -> Finding {
    Finding { outcome: finding.outcome.min(super::Outcome::Warn), ..finding }
}

/// The size of the configured models that are needed, in the catalogue and not downloaded yet.
fn bytes_to_download(config: &Config) -> u64 {
    if !config.recognises_locally() {
        return 0;
    }
    let missing = |spec: &&ModelSpec| spec.installed(&config.model_dir).is_none();
    let spec = |model: &&ModelName| match model {
        ModelName::Catalogue(name) => ModelSpec::named(name).ok().filter(missing),
        ModelName::Path(_) => None,
    };
    config.named_models().iter().filter_map(spec).map(|spec| spec.bytes).sum()
}

/// Whether the folder that variable `name` sets can be written to, with space for `more` bytes.
fn folder(name: &'static str, folder: &Path, more: u64) -> Finding {
    let shown = folder.display();
    let place = existing(folder);
    if let Err(error) = test_write(&place) {
        return Finding::fail(name, problem::of_file("cannot write to", &place, &error));
    }
    let full = |free, how| DISK_FULL.with(format_args!("only {} free in {shown}{how}", megabytes(free)));
    match free(&place) {
        Err(error) => {
            Finding::warn(name, problem::of_file("cannot tell how much room is in", &place, &error))
        }
        Ok(free) if free < CRITICAL_FREE.saturating_add(more) => {
            Finding::fail(name, full(free, ", too little"))
        }
        Ok(free) if free < LOW_FREE.saturating_add(more) => Finding::warn(name, full(free, "")),
        Ok(free) if place == folder => {
            Finding::ok(name, format!("{shown} can be written to, {} free", megabytes(free)))
        }
        Ok(free) => Finding::ok(name, format!("{shown} can be made, {} free", megabytes(free))),
    }
}

/// The folder itself, or the nearest one above it that exists.
fn existing(folder: &Path) -> PathBuf {
    let parents = folder.ancestors().map(|parent| match parent.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => parent,
    });
    parents.into_iter().find(|parent| parent.exists()).unwrap_or(Path::new(".")).to_owned()
}

/// Writes a file that has no name any more, so nothing is left when it is closed.
fn test_write(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let name = folder.join(format!(".stenogram-doctor-{}", std::process::id()));
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
    fs::remove_file(&name)?;
    file.write_all(&[0; WRITE_TEST_BYTES])?;
    file.sync_all()
}

/// The bytes that a user other than root may still write.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn megabytes(bytes: u64) -> String {
    match bytes / 1_000_000 {
        large @ 10_000.. => format!("{} GB", large / 1000),
        small => format!("{small} MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_tested_by_its_nearest_parent() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
        assert_eq!(existing(Path::new("no/such/folder")), Path::new("."));
        assert!(test_write(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }
}
