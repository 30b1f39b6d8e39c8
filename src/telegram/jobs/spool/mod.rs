//! Large files on disk while their jobs last, so that a restart does not fetch them again.
//!
//! What goes wrong here costs a job nothing but time.

mod file;
/// The job whose file has this name.
fn job_named(name: &str) -> Option<JobId> {
    name.replace('_', ":").parse().ok()
}

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use tracing::{debug, info, warn};

use crate::domain::JobId;
use crate::runtime::{lock, private, problem};

/// Smaller files, in bytes, are fetched again: they take a few requests.
pub(super) const LEAST_SIZE: u64 = 2 << 20;
/// A file that nobody has used for this long belongs to a job that is gone, as one that its owner
/// has dropped.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Where large files are kept over a restart.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    pub folder: PathBuf,
    /// How many bytes the files there may have together; zero keeps none.
    pub limit: u64,
}

/// The large files of one account. All its functions block.
pub(crate) struct Spool {
    /// `None` if nothing is kept.
    options: Option<SpoolOptions>,
    account: i64,
    files: Mutex<HashMap<JobId, SpoolFile>>,
    /// Whether it has been logged that the folder cannot be used.
    is_reported: AtomicBool,
}

/// A file of the spool.
#[derive(Clone, Copy)]
struct SpoolFile {
    /// Its size in bytes, as the disk has it.
    size: u64,
    /// How many bytes of the recording are in it; `None` until it has been read.
    content: Option<u64>,
    used: SystemTime,
}

impl Spool {
    pub fn open(options: Option<SpoolOptions>, account: i64) -> Self {
        let spool = Self { options, account, files: Mutex::default(), is_reported: AtomicBool::new(false) };
        if let Some(SpoolOptions { folder, .. }) = &spool.options
            && let Err(error) = spool.find_files(folder)
        {
            spool.report(&error);
        }
        spool.remove_stale();
        spool.make_room(0, None);
        spool
    }

    /// What is there of `document` for `job`, whose recording has `size` bytes.
    pub fn load(&self, job: JobId, document: i64, size: u64) -> Vec<u8> {
        self.remove_stale();
        let Some(path) = self.path(job).filter(|_| lock(&self.files).contains_key(&job)) else {
            return Vec::new();
        };
        match file::load(&path, document, size) {
            Ok((bytes, file_size)) => {
                let content = Some(bytes.len() as u64);
                let file = SpoolFile { size: file_size, content, used: SystemTime::now() };
                lock(&self.files).insert(job, file);
                info!(
                    event = "download_resumed",
                    bytes = bytes.len(),
                    "Going on with a file that an earlier attempt began"
                );
                bytes
            }
            Err(error) => {
                debug!(%error, "a file of the spool is of no use");
                self.remove(job);
                Vec::new()
            }
        }
    }

    /// Keeps the chunk that follows after `offset` bytes of `document`. It is left out if those
    /// bytes are not there, or if there is no room.
    pub fn append(&self, job: JobId, document: i64, offset: u64, chunk: &[u8]) {
        let (Some(SpoolOptions { folder, .. }), Some(path)) = (&self.options, self.path(job)) else { return };
        let known = lock(&self.files).get(&job).copied();
        let follows = known.map_or(offset == 0, |file| file.content == Some(offset));
        let begins = known.is_none().then_some(document);
        let added = file::appended(begins, chunk);
        if !follows || !self.make_room(added, Some(job)) {
            return;
        }
        let is_there = match begins {
            Some(_) => private::make_folder(folder, |_| true).map(drop),
            None => Ok(()),
        };
        match is_there.and_then(|()| file::append(&path, begins, chunk)) {
            Ok(()) => {
                let size = known.map_or(0, |file| file.size) + added;
                let content = Some(offset + chunk.len() as u64);
                lock(&self.files).insert(job, SpoolFile { size, content, used: SystemTime::now() });
            }
            // It may have made room for another one meanwhile.
            Err(error) => {
                if begins.is_some() || error.kind() != io::ErrorKind::NotFound {
                    self.report(&error);
                }
                lock(&self.files).remove(&job);
                file::remove(&path);
            }
        }
    }

    /// Removes the file of a job that has ended.
    pub fn remove(&self, job: JobId) {
        if lock(&self.files).remove(&job).is_some()
            && let Some(path) = self.path(job)
        {
            file::remove(&path);
        }
    }

    /// Removes all files of the account.
    pub fn clear(&self) {
        let jobs: Vec<JobId> = lock(&self.files).keys().copied().collect();
        jobs.into_iter().for_each(|job| self.remove(job));
    }

    fn find_files(&self, folder: &Path) -> io::Result<()> {
        if !folder.exists() {
            return Ok(());
        }
        private::make_folder(folder, |_| true)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Some(job) = entry.file_name().to_str().and_then(job_named) else { continue };
            let metadata = entry.metadata()?;
            let used = metadata.modified()?;
            // Another account's files are its own, as long as they are of any use.
            if job.account != self.account {
                if used.elapsed().is_ok_and(|age| age > STALE_AFTER) {
                    file::remove(&entry.path());
                }
                continue;
            }
            lock(&self.files).insert(job, SpoolFile { size: metadata.len(), content: None, used });
        }
        Ok(())
    }

    /// Removes files until `more` bytes fit in: those that were not used for longest, and not that
    /// of `job`. Returns whether they do.
    fn make_room(&self, more: u64, job: Option<JobId>) -> bool {
        let Some(SpoolOptions { limit, .. }) = self.options else { return false };
        loop {
            let oldest = {
                let files = lock(&self.files);
                let used: u64 = files.values().map(|file| file.size).sum();
                if used.saturating_add(more) <= limit {
                    return true;
                }
                let others = files.iter().filter(|(id, _)| Some(**id) != job);
                others.min_by_key(|(_, file)| file.used).map(|(id, _)| *id)
            };
            match oldest {
                Some(oldest) => self.remove(oldest),
                None => return false,
            }
        }
    }

    /// Removes the files that were not used for too long.
    pub fn remove_stale(&self) {
        let is_stale = |file: &SpoolFile| file.used.elapsed().is_ok_and(|age| age > STALE_AFTER);
        let stale: Vec<JobId> =
            lock(&self.files).iter().filter(|(_, file)| is_stale(file)).map(|(job, _)| *job).collect();
        stale.into_iter().for_each(|job| self.remove(job));
    }

    fn path(&self, job: JobId) -> Option<PathBuf> {
        // Not every file system takes a colon.
        Some(self.options.as_ref()?.folder.join(job.to_string().replace(':', "_")))
    }

    fn report(&self, error: &io::Error) {
        let Some(SpoolOptions { folder, .. }) = &self.options else { return };
        if !self.is_reported.swap(true, Ordering::Relaxed) {
            let why =
                problem::of_file("large files are fetched anew after a restart: cannot use", folder, error);
            warn!(event = "spool_unusable", "{why}");
        }
    }
}
