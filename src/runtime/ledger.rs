//! A durable map from numbers to small values, for counts that must outlive the process.

use std::fs;
use std::io;
use std::path::Path;

use redb::{ReadableTable as _, TableDefinition};

use super::atomic_file::with_suffix;
use super::redb_file::{self, Reopening};

const ROWS: TableDefinition<i64, &[u8]> = TableDefinition::new("rows");

/// The open file. Its operations block, each for an fsync at most.
#[derive(Debug)]
pub struct Ledger {
    database: Reopening,
}

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LedgerError(#[from] redb::Error);

/// What a file holds: each key with its value.
pub type Rows = Vec<(i64, Vec<u8>)>;

impl Ledger {
    /// Opens the file at `path`, or makes it, and reads it. One that is damaged is renamed to
    /// `….damaged`, and an empty one takes its place.
    pub fn open(path: &Path) -> Result<(Self, Rows), LedgerError> {
        // redb panics over some kinds of damage.
        let opened = std::panic::catch_unwind(|| Self::open_file(path));
        match opened {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) if !is_damage(&error) => return Err(LedgerError(error)),
            _ => {}
        }
        fs::rename(path, with_suffix(path, ".damaged")).map_err(redb::Error::Io)?;
        Ok(Self::open_file(path)?)
    }

    fn open_file(path: &Path) -> Result<(Self, Rows), redb::Error> {
        redb_file::make(path, |write| {
            write.open_table(ROWS)?;
            Ok(())
        })?;
        let database = Reopening::open(path.to_owned())?;
        let mut rows = Vec::new();
        for row in database.begin_read()?.open_table(ROWS)?.iter()? {
            let (key, value) = row?;
            rows.push((key.value(), value.value().to_vec()));
        }
        Ok((Self { database }, rows))
    }

    /// Stores a value, and removes the rows of these keys. Durable on return.
    pub fn put(&self, key: i64, value: &[u8], remove: &[i64]) -> Result<(), LedgerError> {
        let write = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            {
                let mut rows = write.open_table(ROWS)?;
                for key in remove {
                    rows.remove(key)?;
                }
                rows.insert(key, value)?;
            }
            Ok(write.commit()?)
        };
        Ok(write().inspect_err(|_| self.database.close())?)
    }
}

/// Whether the file is no database, as opposed to one that is in use or cannot be read now.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        error => !matches!(error, redb::Error::DatabaseAlreadyOpen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outlive_the_process_and_damage_costs_the_counts_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.redb");
        let (ledger, rows) = Ledger::open(&path).unwrap();
        assert_eq!(rows, []);
        for key in [1, 2, 3] {
            ledger.put(key, format!("value {key}").as_bytes(), &[]).unwrap();
        }
        ledger.put(1, b"other", &[2]).unwrap();
        drop(ledger);
        let (ledger, rows) = Ledger::open(&path).unwrap();
        assert_eq!(rows, [(1, b"other".to_vec()), (3, b"value 3".to_vec())]);
        drop(ledger);
        fs::write(&path, "no database").unwrap();
        let (ledger, rows) = Ledger::open(&path).unwrap();
        assert_eq!(rows, []);
        ledger.put(1, b"x", &[]).unwrap();
        assert!(folder.path().join("counts.redb.damaged").exists());
    }
}
