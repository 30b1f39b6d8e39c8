//! The folders: can they be written to, and is there room?

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Finding, Observer};
use crate::config::{Config, Model};
use crate::runtime::problem::{self, DISK_FULL};
use crate::speech::models::{self, ModelSpec};

/// With less than this the queue's next pages may not fit.
const TOO_LITTLE: u64 = 16 << 20;
/// With less than this it is time to make room.
const LITTLE: u64 = 200 << 20;
/// What is written to see whether it can be, in bytes: a few pages, since a file of one may still
/// fit where a change of the queue does not.
const TRIAL: usize = 64 << 10;

pub(super) fn check(config: &Config, observer: &mut dyn Observer) {
    observer.begins("DATA_DIR");
    observer.found(needed("DATA_DIR", &config.data_dir, 0));
    observer.begins("MODEL_DIR");
    let more = still_to_fetch(config);
    let finding = needed("MODEL_DIR", &config.model_dir, more);
    // Only `models pull` writes there.
    observer.found(if more == 0 { no_worse_than_warning(finding) } else { finding });
    if let Some(folder) = &config.log_dir {
        observer.begins("LOG_DIR");
        // The daemon goes on without it.
        observer.found(no_worse_than_warning(needed("LOG_DIR", folder, 0)));
    }
}

fn no_worse_than_warning(finding: Finding) -> Finding {
    Finding { outcome: finding.outcome.min(super::Outcome::Warn), ..finding }
}

/// Bytes of the configured model, where it is one of the catalogue's that is not there.
fn still_to_fetch(config: &Config) -> u64 {
    match &config.model {
        Model::Name(name) => match ModelSpec::resolve(name) {
            Ok(models::Model::Catalogue(spec)) if spec.installed(&config.model_dir).is_none() => spec.bytes,
            _ => 0,
        },
        Model::Path(_) => 0,
    }
}

/// Whether the folder `name` can be written to and has room, also for `more` bytes.
fn needed(name: &'static str, folder: &Path, more: u64) -> Finding {
    let shown = folder.display();
    let place = existing(folder);
    if let Err(error) = write_in(&place) {
        return Finding::fail(name, problem::of_file("cannot write to", &place, &error));
    }
    let full = |free, how| DISK_FULL.with(format_args!("only {} free in {shown}{how}", megabytes(free)));
    match free(&place) {
        Err(error) => {
            Finding::warn(name, problem::of_file("cannot tell how much room is in", &place, &error))
        }
        Ok(free) if free < TOO_LITTLE.saturating_add(more) => Finding::fail(name, full(free, ", too little")),
        Ok(free) if free < LITTLE.saturating_add(more) => Finding::warn(name, full(free, "")),
        Ok(free) if place == folder => {
            Finding::ok(name, format!("{shown} can be written to, {} free", megabytes(free)))
        }
        Ok(free) => Finding::ok(name, format!("{shown} can be made, {} free", megabytes(free))),
    }
}

/// The folder itself, or the nearest one above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let parents = folder.ancestors().map(|parent| match parent.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => parent,
    });
    parents.into_iter().find(|parent| parent.exists()).unwrap_or(Path::new(".")).to_owned()
}

/// Writes as a file without a name what is gone when it is closed.
fn write_in(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let name = folder.join(format!(".stenogram-doctor-{}", std::process::id()));
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
    fs::remove_file(&name)?;
    file.write_all(&[0; TRIAL])?;
    file.sync_all()
}

/// Bytes that a user other than root may still write.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn megabytes(bytes: u64) -> String {
    match bytes / 1_000_000 {
        much @ 10_000.. => format!("{} GB", much / 1000),
        little => format!("{little} MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_is_looked_for_above() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(existing(&folder.path().join("a/b")), folder.path());
        assert_eq!(existing(Path::new("no/such/folder")), Path::new("."));
        assert!(write_in(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }
}
