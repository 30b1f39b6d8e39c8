//! The file that a download is written to until it is complete.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::PullError;
use crate::runtime::atomic_file;
use crate::speech::models::ModelSpec;
use crate::speech::models::checksum::{self, Progress};

/// The partial file beside the target, locked against other processes while it is open.
pub(super) struct PartialFile {
    file: File,
    path: PathBuf,
    pub(super) length: u64,
    /// Has hashed all `length` bytes.
    hasher: Sha256,
    /// The server's ETag of this version of the file, if it is a strong one.
    pub(super) etag: Option<String>,
}

impl PartialFile {
    pub(super) fn open(target: &Path, spec: &ModelSpec, progress: &mut Progress) -> Result<Self, PullError> {
        let path = atomic_file::with_suffix(target, ".part");
        let file = lock(&path)?;
        let mut part = Self { file, path, length: 0, hasher: Sha256::new(), etag: None };
        let hashed = checksum::hash_into(&mut part.hasher, &mut part.file, progress);
        part.length = hashed.map_err(|source| part.disk(source))?;
        if part.length > spec.bytes {
            part.clear()?;
        }
        Ok(part)
    }

    fn disk(&self, source: io::Error) -> PullError {
        PullError::disk(&self.path, source)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PullError> {
        self.file.write_all(bytes).map_err(|source| self.disk(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn clear(&mut self) -> Result<(), PullError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map_err(|source| self.disk(source))?;
        self.hasher.reset();
        self.length = 0;
        self.etag = None;
        Ok(())
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Gives the file its final name. The bytes, then the name, are synced to disk.
    pub(super) fn publish(self, target: &Path) -> Result<(), PullError> {
        atomic_file::publish(&self.file, &self.path, target).map_err(|source| self.disk(source))
    }
}

fn lock(path: &Path) -> Result<File, PullError> {
    let disk = |source| PullError::disk(path, source);
    loop {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PullError::Busy(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(disk(error)),
        }
        // Between our opening and locking the file, another process may have completed and renamed
        // it.
        let opened = file.metadata().map_err(disk)?;
        if fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino())) {
            return Ok(file);
        }
    }
}
