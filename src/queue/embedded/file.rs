//! The queue's file: its tables, how it is made and opened, and what its errors mean.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format` | [`FORMAT`] |
//! | | `checked` | when a write was last tried, in ms of Unix time |
//! | `jobs` | job id | [`Record`] as JSON |
//! | `damaged_jobs` | job id | what was in `jobs` and could not be read; only if there is any |
//! | [`MARKS`] | id of a job or a command | [`Mark`] as JSON |
//! | [`FINISHED`] | account, channel or 0, message | a [`Job`] that was answered, as JSON |
//! | [`RESULTS`] | account, document | an [`Answer`] as JSON |
//! | [`POISON`] | account, document | the id of the job that showed it, as JSON |
//!
//! The last four end, see [`Expiring`]. Every write is one transaction with an fsync, redb's
//! default.

use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::expiring::Expiring;
use super::migration;
use super::record::{Change, Record};
use crate::domain::{Answer, Job, JobId};
use crate::queue::problems::{QUEUE_DAMAGED, QUEUE_FORMAT, QUEUE_IN_USE};
use crate::queue::{MAX_RESULTS, Mark, QueueError, log_damaged_row};
use crate::runtime::{problem, redb_file};

/// Changes with the tables or their contents.
pub const FORMAT: u64 = 3;

/// Account, chat, message.
pub type Key = (i64, i64, i32);

/// Account, document.
pub type DocumentKey = (i64, i64);

pub const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub const JOBS: TableDefinition<Key, &[u8]> = TableDefinition::new("jobs");
/// Rows of [`JOBS`] that could not be read, as they were.
const DAMAGED: TableDefinition<Key, &[u8]> = TableDefinition::new("damaged_jobs");
/// How finished jobs ended, and which commands were obeyed.
const MARKS: Expiring<Key> = Expiring::new("marks", "expiry", u64::MAX);
/// Jobs that were answered.
const FINISHED: Expiring<Key> = Expiring::new("finished", "finished_expiry", u64::MAX);
/// Answers for copies of a recording.
pub const RESULTS: Expiring<DocumentKey> =
    Expiring::new("account_results", "account_result_expiry", MAX_RESULTS as u64);
/// Recordings that have killed a process too often.
pub const POISON: Expiring<DocumentKey> = Expiring::new("account_poison", "account_poison_expiry", u64::MAX);

/// The open file. After an error other than [`QueueError::NotClaimed`] it has to be opened anew.
#[derive(Debug)]
pub struct File {
    database: Database,
}

/// What outlives the job and is written with a change of it, kept from `now` until `until`, in
/// milliseconds of Unix time.
pub enum SideRecord<'a> {
    None,
    Mark {
        id: JobId,
        mark: &'a Mark,
        now: u64,
        until: u64,
        /// What is kept of the job, under which id and until when.
        finished: Option<(JobId, &'a Job, u64)>,
    },
    Result {
        job: &'a Job,
        answer: &'a Answer,
        now: u64,
        until: u64,
    },
    /// The job has shown that its recording is poisonous.
    Poison {
        job: &'a Job,
        now: u64,
        until: u64,
    },
    /// What is kept of a finished job, under this id, is removed, and the result of its recording
    /// too if `with_result`.
    Forgotten {
        id: JobId,
        job: &'a Job,
        with_result: bool,
    },
    /// The job's recording is not known as poisonous any more.
    NotPoison {
        job: &'a Job,
    },
}

impl File {
    /// Makes the file, with its folder, unless it is there: readable by its owner alone.
    pub fn make(path: &Path) -> Result<(), QueueError> {
        make(path).map_err(|error| at_open(path, error))
    }

    /// Opens a file that is there, and brings one of an older format to today's.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        let open = || {
            let database = redb_file::open(path)?;
            let format = format(&database)?;
            if migration::OLD_FORMATS.contains(&format) {
                migration::migrate(&database, format)?;
            }
            Ok(database)
        };
        let database = open().map_err(|error| at_open(path, error))?;
        Self::checked(path, database, &[FORMAT])
    }

    /// Opens a copy of the file, which goes away with it; `None` where there is no file. The
    /// process that has the file open may write meanwhile: a copy that is not whole is
    /// [`QueueError::Damaged`].
    pub fn open_copy(path: &Path) -> Result<Option<Self>, QueueError> {
        match fs::File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            original => {
                let copy =
                    original.map_err(redb::Error::Io).and_then(|file| redb_file::open_copy(path, file));
                let database = copy.map_err(|error| at_open(path, error))?;
                // The jobs of older formats are read as they are.
                let [first, second] = migration::OLD_FORMATS;
                Self::checked(path, database, &[first, second, FORMAT]).map(Some)
            }
        }
    }

    fn checked(path: &Path, database: Database, known: &[u64]) -> Result<Self, QueueError> {
        let format = format(&database).map_err(|error| at_open(path, error))?;
        if !known.contains(&format) {
            return Err(QueueError::Configuration(QUEUE_FORMAT.with(format_args!(
                "{} was written by another version of stenogram (format {format}, this one knows {FORMAT})",
                path.display()
            ))));
        }
        Ok(Self { database })
    }

    /// Shows every job that can be read to `each`; returns the keys of the others.
    pub fn read_all(&self, mut each: impl FnMut(&Record)) -> Result<Vec<Key>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let jobs = tx.open_table(JOBS).map_err(failed)?;
        let mut damaged = Vec::new();
        for entry in jobs.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            match decode(key.value(), value.value()) {
                Ok(record) => each(&record),
                Err(error) => {
                    log_damaged_row(&error);
                    damaged.push(key.value());
                }
            }
        }
        Ok(damaged)
    }

    /// Keeps rows that cannot be read apart from the jobs.
    pub fn set_aside(&self, damaged: &[Key]) -> Result<(), QueueError> {
        let write = || -> Result<(), redb::Error> {
            let tx = self.database.begin_write()?;
            {
                let (mut jobs, mut aside) = (tx.open_table(JOBS)?, tx.open_table(DAMAGED)?);
                for key in damaged {
                    if let Some(row) = jobs.remove(key)? {
                        aside.insert(key, row.value())?;
                    }
                }
            }
            Ok(tx.commit()?)
        };
        write().map_err(failed)
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
        Ok(MARKS.get(&tx, key(id)).map_err(failed)?.map(|(end, _)| end))
    }

    /// The mark of a job or of a command, if that has not ended. One that cannot be read counts as
    /// one without messages: what it names must not be done again.
    pub fn mark(&self, id: JobId, now: u64) -> Result<Option<Mark>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let found = MARKS.get(&tx, key(id)).map_err(failed)?.filter(|(until, _)| *until > now);
        let read = |(_, value): (u64, Vec<u8>)| {
            serde_json::from_slice(&value).unwrap_or(Mark::Answered { replies: Vec::new() })
        };
        Ok(found.map(read))
    }

    /// The answered job that is kept under this id. One that cannot be read counts as none.
    pub fn finished(&self, id: JobId, now: u64) -> Result<Option<Job>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let found = FINISHED.get(&tx, key(id)).map_err(failed)?.filter(|(until, _)| *until > now);
        Ok(found.and_then(|(_, value)| serde_json::from_slice(&value).ok()))
    }

    /// The result of the job's recording, if that has not ended.
    pub fn result(&self, job: &Job, now: u64) -> Result<Option<Answer>, QueueError> {
        self.of_document(&RESULTS, job, now)
    }

    /// The results that end last: so many at most, the last one first.
    pub fn results(&self, now: u64, most: usize) -> Result<Vec<Answer>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let values = RESULTS.last(&tx, now, most).map_err(failed)?;
        let parsed = |value: Vec<u8>| serde_json::from_slice(&value).map_err(damaged);
        Ok(values.into_iter().filter_map(|value| parsed(value).inspect_err(log_damaged_row).ok()).collect())
    }

    /// The job that has shown the job's recording to be poisonous, if that has not ended.
    pub fn poison(&self, job: &Job, now: u64) -> Result<Option<JobId>, QueueError> {
        self.of_document(&POISON, job, now)
    }

    fn of_document<T: DeserializeOwned>(
        &self,
        table: &Expiring<DocumentKey>,
        job: &Job,
        now: u64,
    ) -> Result<Option<T>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let found = table.get(&tx, document_key(job)).map_err(failed)?;
        let Some((_, value)) = found.filter(|(until, _)| *until > now) else { return Ok(None) };
        let parsed = serde_json::from_slice(&value);
        parsed
            .map(Some)
            .map_err(|error| damaged(format_args!("what is stored of a recording cannot be read: {error}")))
    }

    /// Removes the results that have ended by `now`.
    pub fn purge_results(&self, now: u64) -> Result<(), QueueError> {
        RESULTS.purge(&self.database, now).map_err(failed)
    }

    /// Writes all of it or nothing.
    pub fn write(&self, changes: &[Change], beside: SideRecord) -> Result<(), QueueError> {
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
        match beside {
            SideRecord::None => Ok(()),
            SideRecord::Mark { id, mark, now, until, finished } => {
                if let Some((id, job, until)) = finished {
                    FINISHED.put(&tx, key(id), &encode(job)?, now, until).map_err(failed)?;
                }
                MARKS.put(&tx, key(id), &encode(mark)?, now, until)
            }
            SideRecord::Forgotten { id, job, with_result } => {
                if with_result {
                    RESULTS.remove(&tx, document_key(job)).map_err(failed)?;
                }
                FINISHED.remove(&tx, key(id))
            }
            SideRecord::Result { job, answer, now, until } => {
                RESULTS.put(&tx, document_key(job), &encode(answer)?, now, until)
            }
            SideRecord::Poison { job, now, until } => {
                POISON.put(&tx, document_key(job), &encode(&job.id)?, now, until)
            }
            SideRecord::NotPoison { job } => POISON.remove(&tx, document_key(job)),
        }
        .map_err(failed)?;
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

fn key(id: JobId) -> Key {
    (id.account, id.chat, id.message)
}

fn document_key(job: &Job) -> DocumentKey {
    (job.id.account, job.recording.document)
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
        MARKS.make(write)?;
        RESULTS.make(write)?;
        POISON.make(write)
    })
}

/// 0 of a file that names none.
fn format(database: &Database) -> Result<u64, redb::Error> {
    let format = database.begin_read()?.open_table(META)?.get("format")?.map(|format| format.value());
    Ok(format.unwrap_or_default())
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
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)) => damaged(error),
        error => QueueError::Unavailable(problem::FILE_UNUSABLE.with(error)),
    }
}

fn damaged(what: impl Display) -> QueueError {
    QueueError::Damaged(QUEUE_DAMAGED.with(what))
}
