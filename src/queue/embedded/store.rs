//! The queue's file: its tables, and each operation as one transaction.
//!
//! | table    | key                         | value                                    |
//! |----------|-----------------------------|------------------------------------------|
//! | `meta`   | `format`                    | [`FORMAT`]                               |
//! | `jobs`   | job id                      | [`Record`] as JSON                       |
//! | `marks`  | job id                      | expiry (ms of Unix time), [`Mark`] as JSON |
//! | `expiry` | expiry, job id              | nothing: the marks in the order they end |
//!
//! An operation reads the job's record, decides, and commits all it changes as one transaction with
//! an fsync (redb's default); only then the [`Line`] in memory follows.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::domain::{Job, JobId, Part};
use crate::queue::{Added, Claim, Claimed, Counts, DIED_TOO_OFTEN, Dead, MAX_DELIVERIES, QueueError};

/// Changes with the tables or their contents.
const FORMAT: u64 = 1;

/// Account, chat, message.
type Key = (i64, i64, i32);

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const JOBS: TableDefinition<Key, &[u8]> = TableDefinition::new("jobs");
const MARKS: TableDefinition<Key, (u64, &[u8])> = TableDefinition::new("marks");
const EXPIRY: TableDefinition<(u64, Key), ()> = TableDefinition::new("expiry");

/// Ended marks removed with each new one: more than one, so that they cannot pile up, and few, so
/// that no job pays for a whole day's.
const PURGED_AT_ONCE: usize = 8;

/// Memory for redb's pages, in bytes; its default is 1 GiB.
const CACHE: usize = 8 << 20;

/// A job that is not finished, as it is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub job: Job,
    /// Rises with every job added.
    pub seq: u64,
    /// Where it stands in the line, or stood before it was claimed, delayed or buried; none while
    /// older jobs of its chat are unfinished.
    pub place: Option<u64>,
    pub state: State,
    deliveries: u32,
    attempts: u32,
    outbox: Option<Vec<Part>>,
    /// Why it was put back or is dead.
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Waiting,
    /// Waiting, and ahead of the line: released, or claimed by a process that died.
    Returned,
    Claimed,
    /// Until `due`, in milliseconds of Unix time.
    Delayed {
        due: u64,
    },
    Dead,
}

/// How a finished job ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Answered { replies: Vec<i32> },
    Rejected { reason: String },
}

/// One record before and after an operation; none where it is not in the file.
struct Change {
    before: Option<Record>,
    after: Option<Record>,
}

/// The open file and its index. Whoever gets another error from it than
/// [`QueueError::NotClaimed`] drops it and opens it anew.
#[derive(Debug)]
pub struct Store {
    database: Database,
    line: Line,
}

impl Store {
    /// Opens the file as a new process, or makes it, and takes back what the predecessor had claimed.
    pub fn create(path: &Path) -> Result<Self, QueueError> {
        make_file(path).map_err(|error| at_open(path, error.into()))?;
        let mut store = Self::reopen(path)?;
        store.take_back()?;
        Ok(store)
    }

    /// Opens the file again after it failed; what is claimed stays so.
    pub fn reopen(path: &Path) -> Result<Self, QueueError> {
        let open = || -> Result<(Database, u64), redb::Error> {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE);
            // An empty file becomes a database; one that vanished does not come back empty.
            File::open(path)?;
            let database = builder.create(path)?;
            let tx = database.begin_write()?;
            let format = {
                let mut meta = tx.open_table(META)?;
                let format = meta.get("format")?.map(|format| format.value());
                if format.is_none() {
                    meta.insert("format", FORMAT)?;
                }
                tx.open_table(JOBS)?;
                tx.open_table(MARKS)?;
                tx.open_table(EXPIRY)?;
                format
            };
            match format {
                None => tx.commit()?,
                Some(_) => tx.abort()?,
            }
            Ok((database, format.unwrap_or(FORMAT)))
        };
        let (database, format) = open().map_err(|error| at_open(path, error))?;
        if format != FORMAT {
            return Err(QueueError::Configuration(format!(
                "{} was written by another version of stenogram (format {format}, this one knows \
                 {FORMAT}): use that version, or move the file away to start with an empty queue",
                path.display()
            )));
        }
        let mut store = Self { database, line: Line::default() };
        store.read_all()?;
        Ok(store)
    }

    fn read_all(&mut self) -> Result<(), QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let jobs = tx.open_table(JOBS).map_err(failed)?;
        for entry in jobs.iter().map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            self.line.insert(&decode(key.value(), value.value())?);
        }
        Ok(())
    }

    fn take_back(&mut self) -> Result<(), QueueError> {
        let claimed: Vec<JobId> = self.line.claimed().collect();
        let mut changes = Vec::new();
        for id in claimed {
            let before = self.known(id)?;
            changes.push(Change::update(before, |record| record.state = State::Returned));
        }
        if changes.is_empty() { Ok(()) } else { self.commit(changes, None) }
    }

    pub fn add(&mut self, job: Job, now: u64) -> Result<Added, QueueError> {
        if self.load(job.id)?.is_some() || self.mark_ends(job.id)?.is_some_and(|end| end > now) {
            return Ok(Added::Seen);
        }
        let first_of_chat = !self.line.is_busy(job.id.chat);
        let record = Record {
            job,
            seq: self.line.number(),
            place: first_of_chat.then(|| self.line.number()),
            state: State::Waiting,
            deliveries: 0,
            attempts: 0,
            outbox: None,
            reason: None,
        };
        self.commit(vec![Change { before: None, after: Some(record) }], None)?;
        Ok(Added::New)
    }

    /// `unreceived` names the job of a claim whose outcome its caller may not know; it is set to
    /// the new one before that is committed.
    pub fn claim(&mut self, now: u64, unreceived: &mut Option<JobId>) -> Result<Claimed, QueueError> {
        if let Some(id) = *unreceived
            && let Some(record) = self.load(id)?
            && record.state == State::Claimed
        {
            return Ok(record.into_claim());
        }
        self.line_up_due(now)?;
        while let Some(id) = self.line.first() {
            let before = self.known(id)?;
            if before.deliveries >= MAX_DELIVERIES {
                self.bury_record(before, DIED_TOO_OFTEN.to_owned())?;
                continue;
            }
            let change = Change::update(before, |record| {
                record.state = State::Claimed;
                record.deliveries += 1;
            });
            let claimed = change.after.clone();
            *unreceived = Some(id);
            self.commit(vec![change], None)?;
            if let Some(record) = claimed {
                return Ok(record.into_claim());
            }
        }
        let time = |due| UNIX_EPOCH.checked_add(Duration::from_millis(due));
        Ok(Claimed::Empty { next_due: self.line.next_due().and_then(time) })
    }

    /// Puts the delayed jobs that are due at the end of the line.
    fn line_up_due(&mut self, now: u64) -> Result<(), QueueError> {
        let mut changes = Vec::new();
        for id in self.line.due(now) {
            let before = self.known(id)?;
            let place = self.line.number();
            changes.push(Change::update(before, |record| {
                record.state = State::Waiting;
                record.place = Some(place);
            }));
        }
        if changes.is_empty() { Ok(()) } else { self.commit(changes, None) }
    }

    pub fn store_outbox(&mut self, id: JobId, parts: Vec<Part>) -> Result<(), QueueError> {
        let record = self.claimed(id)?;
        self.commit(vec![Change::update(record, |record| record.outbox = Some(parts))], None)
    }

    /// Ends the job and remembers it until `until`, in milliseconds of Unix time.
    pub fn finish(&mut self, id: JobId, mark: &Mark, now: u64, until: u64) -> Result<(), QueueError> {
        let record = match self.load(id)? {
            None if self.mark_ends(id)?.is_some() => return Ok(()),
            Some(record) if record.state == State::Claimed => record,
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let next = self.next_of_chat(&record)?;
        let mut changes = vec![Change { before: Some(record), after: None }];
        changes.extend(next);
        self.commit(changes, Some(NewMark { id, mark, now, until }))
    }

    pub fn retry(&mut self, id: JobId, due: u64, reason: String) -> Result<(), QueueError> {
        let record = match self.load(id)? {
            Some(record) if record.state == State::Claimed => record,
            Some(record) if record.state.is_put_back() && record.attempts > 0 => return Ok(()),
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let change = Change::update(record, |record| {
            record.state = State::Delayed { due };
            record.deliveries = 0;
            record.attempts = record.attempts.saturating_add(1);
            record.reason = Some(reason);
        });
        self.commit(vec![change], None)
    }

    pub fn release(&mut self, id: JobId) -> Result<(), QueueError> {
        let record = match self.load(id)? {
            Some(record) if record.state == State::Claimed => record,
            Some(record) if record.state.is_put_back() => return Ok(()),
            _ => return Err(QueueError::NotClaimed(id)),
        };
        let change = Change::update(record, |record| {
            record.state = State::Returned;
            record.deliveries = record.deliveries.saturating_sub(1);
        });
        self.commit(vec![change], None)
    }

    pub fn bury(&mut self, id: JobId, reason: String) -> Result<(), QueueError> {
        match self.load(id)? {
            Some(record) if record.state == State::Claimed => self.bury_record(record, reason),
            Some(record) if record.state == State::Dead => Ok(()),
            _ => Err(QueueError::NotClaimed(id)),
        }
    }

    fn bury_record(&mut self, record: Record, reason: String) -> Result<(), QueueError> {
        let next = self.next_of_chat(&record)?;
        let place = self.line.number();
        let mut changes = vec![Change::update(record, |record| {
            record.state = State::Dead;
            record.place = Some(place);
            record.reason = Some(reason);
        })];
        changes.extend(next);
        self.commit(changes, None)
    }

    /// Puts the job behind `record` in its chat at the end of the line.
    fn next_of_chat(&mut self, record: &Record) -> Result<Option<Change>, QueueError> {
        let Some(next) = self.line.behind(record) else { return Ok(None) };
        let before = self.known(next)?;
        let place = self.line.number();
        Ok(Some(Change::update(before, |record| record.place = Some(place))))
    }

    pub fn counts(&self) -> Counts {
        self.line.counts()
    }

    pub fn dead(&self) -> Result<Vec<Dead>, QueueError> {
        let dead = |id| {
            let record = self.known(id)?;
            Ok(Dead { job: record.job, reason: record.reason.unwrap_or_default() })
        };
        self.line.dead().map(dead).collect()
    }

    pub fn check(&mut self, now: u64) -> Result<(), QueueError> {
        let write = || -> Result<(), redb::Error> {
            let tx = self.database.begin_write()?;
            tx.open_table(META)?.insert("checked", now)?;
            Ok(tx.commit()?)
        };
        write().map_err(failed)
    }

    fn claimed(&self, id: JobId) -> Result<Record, QueueError> {
        self.load(id)?.filter(|record| record.state == State::Claimed).ok_or(QueueError::NotClaimed(id))
    }

    /// A job that the index names.
    fn known(&self, id: JobId) -> Result<Record, QueueError> {
        self.load(id)?.ok_or_else(|| QueueError::Damaged(format!("job {id} is gone from its file")))
    }

    fn load(&self, id: JobId) -> Result<Option<Record>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let jobs = tx.open_table(JOBS).map_err(failed)?;
        let value = jobs.get(key(id)).map_err(failed)?;
        value.map(|value| decode(key(id), value.value())).transpose()
    }

    /// When the job's mark ends, in milliseconds of Unix time.
    fn mark_ends(&self, id: JobId) -> Result<Option<u64>, QueueError> {
        let tx = self.database.begin_read().map_err(failed)?;
        let marks = tx.open_table(MARKS).map_err(failed)?;
        Ok(marks.get(key(id)).map_err(failed)?.map(|mark| mark.value().0))
    }

    fn commit(&mut self, changes: Vec<Change>, mark: Option<NewMark>) -> Result<(), QueueError> {
        self.write(&changes, mark)?;
        for change in &changes {
            if let Some(before) = &change.before {
                self.line.remove(before);
            }
        }
        for change in &changes {
            if let Some(after) = &change.after {
                self.line.insert(after);
            }
        }
        Ok(())
    }

    fn write(&self, changes: &[Change], mark: Option<NewMark>) -> Result<(), QueueError> {
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
        if let Some(mark) = mark {
            let mut marks = tx.open_table(MARKS).map_err(failed)?;
            let mut expiry = tx.open_table(EXPIRY).map_err(failed)?;
            mark.write(&mut marks, &mut expiry, &encode(mark.mark)?).map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }
}

/// A mark to be written with the end of its job.
struct NewMark<'a> {
    id: JobId,
    mark: &'a Mark,
    now: u64,
    until: u64,
}

impl NewMark<'_> {
    fn write(
        &self,
        marks: &mut redb::Table<Key, (u64, &[u8])>,
        expiry: &mut redb::Table<(u64, Key), ()>,
        value: &[u8],
    ) -> Result<(), redb::Error> {
        let ended: Vec<(u64, Key)> = expiry
            .iter()?
            .map(|entry| entry.map(|(ended, _)| ended.value()))
            .take_while(|entry| !matches!(entry, Ok((end, _)) if *end > self.now))
            .take(PURGED_AT_ONCE)
            .collect::<Result<_, _>>()?;
        for (end, id) in ended {
            expiry.remove((end, id))?;
            marks.remove(id)?;
        }
        // The job may have been added again after an earlier mark of it had ended.
        let earlier = marks.insert(key(self.id), (self.until, value))?.map(|mark| mark.value().0);
        if let Some(end) = earlier {
            expiry.remove((end, key(self.id)))?;
        }
        expiry.insert((self.until, key(self.id)), ())?;
        Ok(())
    }
}

impl Change {
    fn update(before: Record, change: impl FnOnce(&mut Record)) -> Self {
        let mut after = before.clone();
        change(&mut after);
        Self { before: Some(before), after: Some(after) }
    }
}

impl Record {
    fn into_claim(self) -> Claimed {
        Claimed::Job(Box::new(Claim {
            job: self.job,
            delivery: self.deliveries,
            attempts: self.attempts,
            outbox: self.outbox,
        }))
    }
}

impl State {
    fn is_put_back(self) -> bool {
        matches!(self, State::Waiting | State::Returned | State::Delayed { .. })
    }
}

fn key(id: JobId) -> Key {
    (id.account, id.chat, id.message)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, QueueError> {
    serde_json::to_vec(value).map_err(|error| QueueError::Damaged(error.to_string()))
}

fn decode((account, chat, message): Key, value: &[u8]) -> Result<Record, QueueError> {
    serde_json::from_slice(value).map_err(|error| {
        QueueError::Damaged(format!("job {account}:{chat}:{message} cannot be read: {error}"))
    })
}

/// Makes an empty file that only its owner can read, unless there is one.
fn make_file(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        // The name itself has to survive a power cut.
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            std::fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

/// What a failure to open the file means; names it, and says what to do.
fn at_open(path: &Path, error: redb::Error) -> QueueError {
    let path = path.display();
    match error {
        redb::Error::DatabaseAlreadyOpen => QueueError::Configuration(format!(
            "the queue {path} is in use by another process: stop the other stenogram first"
        )),
        redb::Error::UpgradeRequired(_) => QueueError::Configuration(format!(
            "{path} has an old file format ({error}): move it away to start with an empty queue"
        )),
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
            QueueError::Configuration(format!(
                "the queue {path} cannot be opened: {error}; it has to be a file that this user may write"
            ))
        }
        error => match failed(error) {
            QueueError::Damaged(what) => QueueError::Damaged(format!(
                "{path} is no queue of stenogram or was cut short ({what}): restore it from a backup, or \
                 move it away to start with an empty queue"
            )),
            QueueError::Unavailable(what) => QueueError::Unavailable(format!("{path}: {what}")),
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
            QueueError::Damaged(error.to_string())
        }
        error @ (redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)) => QueueError::Damaged(error.to_string()),
        error => QueueError::Unavailable(error.to_string()),
    }
}
