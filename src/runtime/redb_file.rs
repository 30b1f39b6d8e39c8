//! A redb file that only its owner can read, that is there as a whole or not at all, and that takes
//! little memory.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::backends::FileBackend;
use redb::{Builder, Database, Error, ReadTransaction, ReadableDatabase as _, WriteTransaction};

use super::atomic_file::{folder_of, publish, with_suffix};
use super::lock;

/// Bytes of memory for redb's pages; its default is 1 GiB.
const CACHE: usize = 2 << 20;

/// Makes the file at `path` (mode 0600) and its folder (0700), unless the file is there.
///
/// `fill` makes its tables. The file gets its name only after that, because redb refuses to open a
/// file whose making was interrupted. A file that is there loses the rights of other users.
pub fn make(path: &Path, fill: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))?;
    match fs::metadata(path) {
        Ok(file) if file.len() > 0 => return Ok(fs::set_permissions(path, Permissions::from_mode(0o600))?),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    let unfinished = with_suffix(path, ".new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    let database = Builder::new().set_cache_size(CACHE).create(&unfinished)?;
    let write = database.begin_write()?;
    fill(&write)?;
    write.commit()?;
    database.close()?;
    Ok(publish(&file, &unfinished, path)?)
}

/// Opens a file that is there and checks it as a whole. redb may panic over a damaged file, so call
/// this where a panic is caught.
pub fn open(path: &Path) -> Result<Database, Error> {
    Ok(builder().open(path)?)
}

/// Opens a copy of `original`, the file at `path`, which another process may have open. The copy
/// has no name, so nothing is left of it however this process ends.
pub fn open_copy(path: &Path, mut original: File) -> Result<Database, Error> {
    let name = with_suffix(path, &format!(".copy-{}", std::process::id()));
    let mut copy =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&name)?;
    fs::remove_file(&name)?;
    io::copy(&mut original, &mut copy)?;
    Ok(builder().create_with_backend(FileBackend::new(copy)?)?)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// A database that is opened again after a failure: after an I/O error, such as a full disk, redb
/// refuses everything until then.
#[derive(Debug)]
pub struct Reopening {
    path: PathBuf,
    /// `None` after a failure.
    database: Mutex<Option<Arc<Database>>>,
}

impl Reopening {
    /// Opens a file that is there.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let database = Arc::new(open(&path)?);
        Ok(Self { path, database: Mutex::new(Some(database)) })
    }

    pub fn begin_read(&self) -> Result<ReadTransaction, Error> {
        Ok(self.get()?.begin_read()?)
    }

    pub fn begin_write(&self) -> Result<WriteTransaction, Error> {
        Ok(self.get()?.begin_write()?)
    }

    /// Has the next transaction open the file again. To be called after every failure and panic.
    pub fn close(&self) {
        *self.lock() = None;
    }

    fn get(&self) -> Result<Arc<Database>, Error> {
        let mut database = self.lock();
        if let Some(database) = &*database {
            return Ok(Arc::clone(database));
        }
        // A file that has vanished is not made anew: its contents would be lost without a word.
        Ok(Arc::clone(database.insert(Arc::new(open(&self.path)?))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        // A panic while it was held has left it empty or whole.
        lock(&self.database)
    }
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;

    const TABLE: TableDefinition<&str, u64> = TableDefinition::new("table");

    fn fill(write: &WriteTransaction) -> Result<(), Error> {
        write.open_table(TABLE)?.insert("key", 1)?;
        Ok(())
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_made_for_its_owner_alone_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/state.redb");
        make(&path, fill).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        make(&path, |_| panic!("it is there")).unwrap();
        assert_eq!(mode(&path), 0o600);
        let table = open(&path).unwrap().begin_read().unwrap().open_table(TABLE).unwrap();
        assert_eq!(redb::ReadableTable::get(&table, "key").unwrap().unwrap().value(), 1);
    }

    #[test]
    fn what_an_interrupted_process_left_behind_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        // Killed while it made the file, under either name.
        fs::write(&path, "").unwrap();
        fs::write(folder.path().join("state.redb.new"), "redb").unwrap();
        make(&path, fill).unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn a_failed_database_is_opened_again_and_a_vanished_one_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        make(&path, fill).unwrap();
        let reopening = Reopening::open(path.clone()).unwrap();
        reopening.close();
        reopening.begin_write().unwrap().commit().unwrap();
        reopening.close();
        fs::remove_file(&path).unwrap();
        assert!(reopening.begin_read().is_err());
        assert!(!path.exists());
    }
}
