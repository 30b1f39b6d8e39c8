//! The queue's file: its tables, how it is made and opened, and what its errors mean.
//!
//! | table    | key            | value                                      |
//! |----------|----------------|--------------------------------------------|
//! | `meta`   | `format`       | [`FORMAT`]                                 |
//! |          | `checked`      | when a write was last tried, in ms of Unix time |
//! | `jobs`   | job id         | [`Record`] as JSON                         |
//! | `marks`  | job id         | expiry (ms of Unix time), [`Mark`] as JSON |
//! | `expiry` | expiry, job id | nothing: the marks in the order they end   |
//! | `results` | document      | expiry, an answer's parts as JSON          |
//! | `result_expiry` | expiry, document | nothing: the results in the order they end |
//! | `poison` | document       | expiry, the id of the job that was tried, as JSON |
//! | `poison_expiry` | expiry, document | nothing: the poisonous recordings in the order they end |
//!
//! Every write is one transaction with an fsync, redb's default.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use redb::{
    Database, Key as RedbKey, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    TableError, Value,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{Change, Record};
use crate::domain::{JobId, Part};
use crate::queue::problems::{QUEUE_DAMAGED, QUEUE_FORMAT, QUEUE_IN_USE};
use crate::queue::{MAX_RESULTS, Mark, QueueError};
use crate::runtime::{problem, redb_file};

/// Changes with the tables or their contents.
const FORMAT: u64 = 1;

/// Account, chat, message.
type Key = (i64, i64, i32);

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const JOBS: TableDefinition<Key, &[u8]> = TableDefinition::new("jobs");
const MARKS: TableDefinition<Key, (u64, &[u8])> = TableDefinition::new("marks");
const EXPIRY: TableDefinition<(u64, Key), ()> = TableDefinition::new("expiry");
// Files made before these four get them when they are first written to.
const RESULTS: TableDefinition<i64, (u64, &[u8])> = TableDefinition::new("results");
const RESULT_EXPIRY: TableDefinition<(u64, i64), ()> = TableDefinition::new("result_expiry");
const POISON: TableDefinition<i64, (u64, &[u8])> = TableDefinition::new("poison");
const POISON_EXPIRY: TableDefinition<(u64, i64), ()> = TableDefinition::new("poison_expiry");

/// Ended marks or results removed with each new one: more than one, so that they cannot pile up,
/// and few, so that no job pays for a whole day's.
const PURGED_AT_ONCE: usize = 8;

/// The open file. After an error other than [`QueueError::NotClaimed`] it has to be opened anew.
#[derive(Debug)]
pub struct File {
    database: Database,
}

/// What outlives the job and is written with a change of it, kept from `now` until `until`, in
/// milliseconds of Unix time.
pub enum Kept<'a> {
    Nothing,
    Mark {
        id: JobId,
        mark: &'a Mark,
        now: u64,
        until: u64,
    },
    Result {
        document: i64,
        parts: &'a [Part],
        now: u64,
        until: u64,
    },
    /// The recording is poisonous, as the job of this id has shown.
    Poison {
        document: i64,
        id: JobId,
        now: u64,
        until: u64,
    },
    /// It is not known as poisonous any more.
    Antidote {
        document: i64,
    },
}

impl File {
    /// Makes the file, with its folder, unless it is there: readable by its owner alone.
    pub fn make(path: &Path) -> Result<(), QueueError> {
        make(path).map_err(|error| at_open(path, error))
    }

    /// Opens a file that is there.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        open(path).map_err(|error| at_open(path, error)).and_then(|opened| Self::checked(path, opened))
    }

    /// Opens a copy of the file, which goes away with it; none where there is no file. The process
    /// that has the file open may write meanwhile: a copy that is not whole is
    /// [`QueueError::Damaged`].
    pub fn open_copy(path: &Path) -> Result<Option<Self>, QueueError> {
        match fs::File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            original => {
                let opened = original.map_err(redb::Error::Io).and_then(|file| open_copy(path, file));
                opened.map_err(|error| at_open(path, error)).and_then(|it| Self::checked(path, it)).map(Some)
            }
        }
    }

    fn checked(path: &Path, (database, format): (Database, u64)) -> Result<Self, QueueError> {
        if format != FORMAT {
            return Err(QueueError::Configuration(QUEUE_FORMAT.with(format_args!(
                "{} was written by another version of stenogram (format {format}, this one knows {FORMAT})",
                path.display()
            ))));
        }
        Ok(Self { database })
    }

    /// Shows every job to `each`.
    pub fn read_all(&self, mut each: impl FnMut(&Record)) -> Result<(), QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let jobs = tx.open_table(JOBS).map_err(failed)?;
        for entry in jobs.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            each(&decode(key.value(), value.value())?);
        }
        Ok(())
    }

    pub fn read(&self, id: JobId) -> Result<Option<Record>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let jobs = tx.open_table(JOBS).map_err(failed)?;
        let value = jobs.get(key(id)).map_err(failed)?;
        value.map(|value| decode(key(id), value.value())).transpose()
    }

    /// When the job's mark ends, in milliseconds of Unix time.
    pub fn mark_ends(&self, id: JobId) -> Result<Option<u64>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let marks = tx.open_table(MARKS).map_err(failed)?;
        Ok(marks.get(key(id)).map_err(failed)?.map(|mark| mark.value().0))
    }

    /// The result of a recording that has not ended.
    pub fn result(&self, document: i64, now: u64) -> Result<Option<Vec<Part>>, QueueError> {
        self.of_document(RESULTS, document, now)
    }

    /// The job that has shown the recording to be poisonous, if that has not ended.
    pub fn poison(&self, document: i64, now: u64) -> Result<Option<JobId>, QueueError> {
        self.of_document(POISON, document, now)
    }

    fn of_document<T: DeserializeOwned>(
        &self,
        table: TableDefinition<i64, (u64, &[u8])>,
        document: i64,
        now: u64,
    ) -> Result<Option<T>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let values = match tx.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let Some(entry) = values.get(document).map_err(failed)? else { return Ok(None) };
        let (until, value) = entry.value();
        let parse = |error| damaged(format_args!("a stored result cannot be read: {error}"));
        (until > now).then(|| serde_json::from_slice(value).map_err(parse)).transpose()
    }

    /// Removes the results that have ended by `now`.
    pub fn purge_results(&self, now: u64) -> Result<(), QueueError> {
        let purge = || -> Result<(), redb::Error> {
            match self.database.begin_read()?.open_table(RESULT_EXPIRY) {
                Ok(ends) => match ends.first()? {
                    Some((end, _)) if end.value().0 <= now => {}
                    _ => return Ok(()),
                },
                Err(TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let tx = self.database.begin_write()?;
            {
                let (mut results, mut ends) = (tx.open_table(RESULTS)?, tx.open_table(RESULT_EXPIRY)?);
                remove_ended(&mut results, &mut ends, now, usize::MAX)?;
            }
            Ok(tx.commit()?)
        };
        purge().map_err(failed)
    }

    /// Writes all of it or nothing.
    pub fn write(&self, changes: &[Change], kept: Kept) -> Result<(), QueueError> {
        let tx = self.database.begin_write().map_err(failed)?;
        {
            let mut jobs = tx.open_table(JOBS).map_err(failed)?;
            for change in changes {
                if let Some(record) = &change.after {
                    jobs.insert(key(record.job.id), encode(record)?.as_slice()).map_err(failed)?;
                } else if let Some(record) = &change.before {
                    jobs.remove(key(record.job.id)).map_err(failed)?;
                }
            }
        }
        match kept {
            Kept::Nothing => {}
            Kept::Mark { id, mark, now, until } => {
                let mut marks = tx.open_table(MARKS).map_err(failed)?;
                let mut ends = tx.open_table(EXPIRY).map_err(failed)?;
                remove_ended(&mut marks, &mut ends, now, PURGED_AT_ONCE).map_err(failed)?;
                keep(&mut marks, &mut ends, key(id), &encode(mark)?, until).map_err(failed)?;
            }
            Kept::Result { document, parts, now, until } => {
                let mut results = tx.open_table(RESULTS).map_err(failed)?;
                let mut ends = tx.open_table(RESULT_EXPIRY).map_err(failed)?;
                remove_ended(&mut results, &mut ends, now, PURGED_AT_ONCE).map_err(failed)?;
                if results.len().map_err(failed)? >= MAX_RESULTS as u64 {
                    remove_ended(&mut results, &mut ends, u64::MAX, 1).map_err(failed)?;
                }
                keep(&mut results, &mut ends, document, &encode(&parts)?, until).map_err(failed)?;
            }
            Kept::Poison { document, id, now, until } => {
                let mut poison = tx.open_table(POISON).map_err(failed)?;
                let mut ends = tx.open_table(POISON_EXPIRY).map_err(failed)?;
                remove_ended(&mut poison, &mut ends, now, PURGED_AT_ONCE).map_err(failed)?;
                keep(&mut poison, &mut ends, document, &encode(&id)?, until).map_err(failed)?;
            }
            Kept::Antidote { document } => {
                let mut poison = tx.open_table(POISON).map_err(failed)?;
                let mut ends = tx.open_table(POISON_EXPIRY).map_err(failed)?;
                let known = poison.remove(document).map_err(failed)?.map(|entry| entry.value().0);
                if let Some(end) = known {
                    ends.remove((end, document)).map_err(failed)?;
                }
            }
        }
        tx.commit().map_err(failed)
    }

    /// Proves that a write goes through.
    pub fn check(&self, now: u64) -> Result<(), QueueError> {
        let write = || -> Result<(), redb::Error> {
            let tx = self.database.begin_write()?;
            tx.open_table(META)?.insert("checked", now)?;
            Ok(tx.commit()?)
        };
        write().map_err(failed)
    }
}

/// Removes up to `most` of the entries that have ended by `now`, the first ones first.
fn remove_ended<K>(
    values: &mut Table<K, (u64, &[u8])>,
    ends: &mut Table<(u64, K), ()>,
    now: u64,
    most: usize,
) -> Result<(), redb::Error>
where
    K: RedbKey + Copy + 'static,
    for<'a> K: Value<SelfType<'a> = K>,
{
    for _ in 0..most {
        let (end, key) = match ends.first()? {
            Some((entry, _)) if entry.value().0 <= now => entry.value(),
            _ => break,
        };
        ends.remove((end, key))?;
        values.remove(key)?;
    }
    Ok(())
}

/// Keeps `value` until `until`, in place of an earlier one.
fn keep<K>(
    values: &mut Table<K, (u64, &[u8])>,
    ends: &mut Table<(u64, K), ()>,
    key: K,
    value: &[u8],
    until: u64,
) -> Result<(), redb::Error>
where
    K: RedbKey + Copy + 'static,
    for<'a> K: Value<SelfType<'a> = K>,
{
    // A job may have been added again after an earlier mark of it had ended.
    let earlier = values.insert(key, (until, value))?.map(|earlier| earlier.value().0);
    if let Some(end) = earlier {
        ends.remove((end, key))?;
    }
    ends.insert((until, key), ())?;
    Ok(())
}

fn key(id: JobId) -> Key {
    (id.account, id.chat, id.message)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, QueueError> {
    serde_json::to_vec(value).map_err(damaged)
}

fn decode((account, chat, message): Key, value: &[u8]) -> Result<Record, QueueError> {
    serde_json::from_slice(value)
        .map_err(|error| damaged(format_args!("job {account}:{chat}:{message} cannot be read: {error}")))
}

fn make(path: &Path) -> Result<(), redb::Error> {
    redb_file::make(path, |write| {
        write.open_table(META)?.insert("format", FORMAT)?;
        write.open_table(JOBS)?;
        write.open_table(MARKS)?;
        write.open_table(EXPIRY)?;
        write.open_table(RESULTS)?;
        write.open_table(RESULT_EXPIRY)?;
        write.open_table(POISON)?;
        write.open_table(POISON_EXPIRY)?;
        Ok(())
    })
}

/// The database and its format.
fn open(path: &Path) -> Result<(Database, u64), redb::Error> {
    with_format(redb_file::open(path)?)
}

fn open_copy(path: &Path, original: fs::File) -> Result<(Database, u64), redb::Error> {
    with_format(redb_file::open_copy(path, original)?)
}

fn with_format(database: Database) -> Result<(Database, u64), redb::Error> {
    let format = database.begin_read()?.open_table(META)?.get("format")?.map(|format| format.value());
    Ok((database, format.unwrap_or_default()))
}

/// What a failure to open the file means; names it, and says what to do.
fn at_open(path: &Path, error: redb::Error) -> QueueError {
    let shown = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen => QueueError::InUse(
            QUEUE_IN_USE.with(format_args!("the queue {shown} is in use by another process")),
        ),
        redb::Error::UpgradeRequired(_) => QueueError::Configuration(
            QUEUE_FORMAT.with(format_args!("{shown} has an old file format ({error})")),
        ),
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::IsADirectory
                    | ErrorKind::NotADirectory
                    | ErrorKind::AlreadyExists // a file where a folder should be
            ) =>
        {
            QueueError::Configuration(problem::of_file("cannot open the queue", path, &error))
        }
        error => match failed(error) {
            QueueError::Damaged(it) => {
                damaged(format_args!("{shown} is no queue of stenogram or was cut short ({})", it.what))
            }
            QueueError::Unavailable(it) => QueueError::Unavailable(it.within(&shown).fill("path", &shown)),
            other => other,
        },
    }
}

fn failed(error: impl Into<redb::Error>) -> QueueError {
    match error.into() {
        // redb says InvalidData of a file that is no database.
        redb::Error::Io(error)
            if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            damaged(error)
        }
        redb::Error::Io(error) => QueueError::Unavailable(problem::of_error(&error)),
        error @ (redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)) => damaged(error),
        error => QueueError::Unavailable(problem::FILE_UNUSABLE.with(error)),
    }
}

fn damaged(what: impl Display) -> QueueError {
    QueueError::Damaged(QUEUE_DAMAGED.with(what))
}
