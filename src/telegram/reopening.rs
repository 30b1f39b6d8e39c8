//! A redb database that is opened anew after a failure.
//!
//! After an I/O error, such as a full disk, redb refuses everything until it is reopened.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction};

pub(super) struct Reopening {
    path: PathBuf,
    /// None after a failure.
    open: Mutex<Option<Arc<Database>>>,
}

impl Reopening {
    /// Opens the file, or makes it.
    pub fn create(path: PathBuf) -> Result<Self, redb::Error> {
        let database = Database::create(&path)?;
        Ok(Self { path, open: Mutex::new(Some(Arc::new(database))) })
    }

    pub fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(self.get()?.begin_read()?)
    }

    pub fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        Ok(self.get()?.begin_write()?)
    }

    /// Something failed: what comes next opens the file anew.
    pub fn give_up(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn get(&self) -> Result<Arc<Database>, redb::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*open {
            return Ok(Arc::clone(database));
        }
        // Not made anew if it is gone: the position in the stream would be lost without a word.
        let database = Arc::new(Database::open(&self.path)?);
        Ok(Arc::clone(open.insert(database)))
    }
}
