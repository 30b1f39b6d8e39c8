//! Large files on disk while their jobs last, so that a restart does not fetch them again.
//!
//! A file of the spool has a head and then the chunks in the order in which they came, each with its
//! checksum. It is not synced: a killed process loses nothing of it, and after a power cut what is
//! damaged is fetched again. What goes wrong here costs a job nothing but time.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tracing::{debug, info, warn};

use crate::domain::JobId;
use crate::runtime::{lock, private, problem};

/// Smaller files, in bytes, are fetched again: they take a few requests.
pub(super) const LEAST_SIZE: u64 = 2 << 20;
/// A file that nobody has used for this long belongs to a job that is gone, as one that its owner
/// has dropped.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A chunk that is not the last has a multiple of this many bytes.
const CHUNK_UNIT: usize = 16 << 10;

/// The head of a file: this, and the number of the document.
const MAGIC: &[u8; 8] = b"stenspl1";
const HEAD: usize = 16;
/// Before each chunk: its length, and its CRC-32.
const CHUNK_HEAD: usize = 8;

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
        if let Some(options) = &spool.options
            && let Err(error) = spool.find_files(options)
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
        match load(&path, document, size) {
            Ok((bytes, file_size)) => {
                let content = Some(bytes.len() as u64);
                let file = SpoolFile { size: file_size, content, used: SystemTime::now() };
                lock(&self.files).insert(job, file);
                info!(
                    event = "download_resumed",
                    bytes = bytes.len(),
                    "Going on with a file that an earlier run began"
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
        let Some(path) = self.path(job) else { return };
        let known = lock(&self.files).get(&job).copied();
        let follows = known.map_or(offset == 0, |file| file.content == Some(offset));
        let added = (chunk.len() + CHUNK_HEAD + if known.is_none() { HEAD } else { 0 }) as u64;
        if !follows || !self.make_room(added, Some(job)) {
            return;
        }
        match append(&path, known.is_none().then_some(document), chunk) {
            Ok(()) => {
                let size = known.map_or(0, |file| file.size) + added;
                let content = Some(offset + chunk.len() as u64);
                lock(&self.files).insert(job, SpoolFile { size, content, used: SystemTime::now() });
            }
            Err(error) => {
                self.report(&error);
                self.remove(job);
            }
        }
    }

    /// Removes the file of a job that has ended.
    pub fn remove(&self, job: JobId) {
        if lock(&self.files).remove(&job).is_some()
            && let Some(path) = self.path(job)
        {
            remove_file(&path);
        }
    }

    /// Removes all files of the account.
    pub fn clear(&self) {
        let jobs: Vec<JobId> = lock(&self.files).keys().copied().collect();
        jobs.into_iter().for_each(|job| self.remove(job));
    }

    fn find_files(&self, SpoolOptions { folder, limit }: &SpoolOptions) -> io::Result<()> {
        if *limit == 0 && !folder.exists() {
            return Ok(());
        }
        private::make_folder(folder, |_| true)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Some(job) = entry.file_name().to_str().and_then(|name| self.job(name)) else { continue };
            let metadata = entry.metadata()?;
            let used = metadata.modified()?;
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

    fn remove_stale(&self) {
        let is_stale = |file: &SpoolFile| file.used.elapsed().is_ok_and(|age| age > STALE_AFTER);
        let stale: Vec<JobId> =
            lock(&self.files).iter().filter(|(_, file)| is_stale(file)).map(|(job, _)| *job).collect();
        stale.into_iter().for_each(|job| self.remove(job));
    }

    fn path(&self, job: JobId) -> Option<PathBuf> {
        // Not every file system takes a colon.
        Some(self.options.as_ref()?.folder.join(job.to_string().replace(':', "_")))
    }

    /// The job whose file has this name, if it is of this account.
    fn job(&self, name: &str) -> Option<JobId> {
        name.replace('_', ":").parse().ok().filter(|job: &JobId| job.account == self.account)
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

/// Reads the chunks that are whole, and cuts off the rest. Returns them, and the size of the file.
fn load(path: &Path, document: i64, size: u64) -> io::Result<(Vec<u8>, u64)> {
    let no_use = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let file = fs::read(path)?;
    let mut rest = file
        .strip_prefix(&head(document)[..])
        .ok_or_else(|| no_use("it is of another document, or its head is damaged"))?;
    let mut bytes = Vec::new();
    while let Some((chunk, after)) = next_chunk(rest) {
        bytes.extend_from_slice(chunk);
        rest = after;
    }
    if (bytes.len() as u64) < size && !bytes.len().is_multiple_of(CHUNK_UNIT) {
        return Err(no_use("it ends with a short chunk before the end"));
    }
    let whole = (file.len() - rest.len()) as u64;
    if !rest.is_empty() {
        OpenOptions::new().write(true).open(path)?.set_len(whole)?;
    }
    Ok((bytes, whole))
}

/// The first chunk, and what follows it; `None` if it is not whole.
fn next_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let (chunk, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (crc32fast::hash(chunk) == u32::from_le_bytes(*checksum)).then_some((chunk, rest))
}

/// Appends a chunk, to a new file if it `begins` that of a document.
fn append(path: &Path, begins: Option<i64>, chunk: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o600);
    let mut record = Vec::with_capacity(HEAD + CHUNK_HEAD + chunk.len());
    if let Some(document) = begins {
        // One that is not known of would be of no use.
        remove_file(path);
        options.create_new(true);
        record.extend_from_slice(&head(document));
    }
    let mut file: File = options.open(path)?;
    record.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(chunk).to_le_bytes());
    record.extend_from_slice(chunk);
    file.write_all(&record)
}

fn head(document: i64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..MAGIC.len()].copy_from_slice(MAGIC);
    head[MAGIC.len()..].copy_from_slice(&document.to_le_bytes());
    head
}

fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        debug!(%error, path = %path.display(), "a file of the spool could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ME: i64 = 1;
    const DOCUMENT: i64 = 7;
    const CHUNK: usize = 512 << 10;
    const SIZE: u64 = 4 * CHUNK as u64;

    fn job(message: i32) -> JobId {
        JobId { account: ME, chat: -2, message }
    }

    fn spool(folder: &Path, limit: u64) -> Spool {
        Spool::open(Some(SpoolOptions { folder: folder.join("spool"), limit }), ME)
    }

    fn chunk(number: u8) -> Vec<u8> {
        vec![number; CHUNK]
    }

    fn fill(spool: &Spool, message: i32, chunks: u8) {
        for number in 0..chunks {
            spool.append(job(message), DOCUMENT, u64::from(number) * CHUNK as u64, &chunk(number));
        }
    }

    fn path(folder: &Path, message: i32) -> PathBuf {
        folder.join(format!("spool/1_-2_{message}"))
    }

    #[test]
    fn a_restart_goes_on_where_the_file_ended() {
        let folder = tempfile::tempdir().unwrap();
        fill(&spool(folder.path(), 1 << 30), 1, 2);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("spool")), 0o700);
        assert_eq!(mode(&path(folder.path(), 1)), 0o600);
        let spool = spool(folder.path(), 1 << 30);
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), [chunk(0), chunk(1)].concat());
        spool.append(job(1), DOCUMENT, 2 * CHUNK as u64, &chunk(2));
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), [chunk(0), chunk(1), chunk(2)].concat());
        assert_eq!(spool.load(job(2), DOCUMENT, SIZE), b"", "another job");
        spool.remove(job(1));
        assert!(!path(folder.path(), 1).exists());
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
    }

    #[test]
    fn what_is_damaged_is_cut_off_and_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let spoilt = |change: &dyn Fn(&mut Vec<u8>)| {
            fill(&spool(folder.path(), 1 << 30), 1, 3);
            let path = path(folder.path(), 1);
            let mut file = fs::read(&path).unwrap();
            change(&mut file);
            fs::write(&path, file).unwrap();
            let spool = spool(folder.path(), 1 << 30);
            let loaded = spool.load(job(1), DOCUMENT, SIZE).len();
            // It can be gone on with.
            spool.append(job(1), DOCUMENT, loaded as u64, &chunk(9));
            let more = spool.load(job(1), DOCUMENT, SIZE).len();
            assert_eq!(more, loaded + CHUNK);
            spool.remove(job(1));
            loaded / CHUNK
        };
        let end = HEAD + 3 * (CHUNK_HEAD + CHUNK);
        assert_eq!(spoilt(&|_| {}), 3);
        assert_eq!(spoilt(&|file| file.truncate(end - 1)), 2);
        assert_eq!(spoilt(&|file| file[end - 1] ^= 1), 2);
        assert_eq!(spoilt(&|file| file[HEAD + CHUNK_HEAD + CHUNK + 2] ^= 0x80), 1);
        assert_eq!(spoilt(&|file| file[HEAD + 5] ^= 1), 0);
        assert_eq!(spoilt(&|file| file[0] ^= 1), 0);
        assert_eq!(spoilt(&|file| file.truncate(3)), 0);
        assert_eq!(spoilt(&|file| file.clear()), 0);
    }

    #[test]
    fn another_document_and_a_short_chunk_in_the_middle_begin_anew() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 1 << 30);
        fill(&spool, 1, 2);
        assert_eq!(spool.load(job(1), 8, SIZE), b"");
        assert!(!path(folder.path(), 1).exists());
        spool.append(job(1), DOCUMENT, 0, &[1; 1000]);
        assert_eq!(spool.load(job(1), DOCUMENT, 1000).len(), 1000, "all of it");
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
    }

    #[test]
    fn a_chunk_that_does_not_follow_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 1 << 30);
        spool.append(job(1), DOCUMENT, CHUNK as u64, &chunk(1));
        assert!(!path(folder.path(), 1).exists());
        fill(&spool, 1, 1);
        spool.append(job(1), DOCUMENT, 3 * CHUNK as u64, &chunk(3));
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), chunk(0));
    }

    #[test]
    fn the_budget_is_kept_and_the_oldest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let limit = 4 * (CHUNK + 100) as u64;
        let size = || -> u64 {
            let files = fs::read_dir(folder.path().join("spool")).unwrap();
            files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
        };
        let spool = spool(folder.path(), limit);
        fill(&spool, 1, 2);
        fill(&spool, 2, 2);
        fill(&spool, 3, 1);
        assert!(size() <= limit);
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"", "the oldest is gone");
        fill(&spool, 4, 9);
        assert!(size() <= limit, "a file alone keeps within it as well");
        assert_eq!(spool.load(job(4), DOCUMENT, SIZE).len(), 4 * CHUNK);
        drop(spool);
        let smaller = self::spool(folder.path(), 0);
        assert_eq!((size(), smaller.load(job(4), DOCUMENT, SIZE).len()), (0, 0));
        fill(&smaller, 1, 1);
        assert_eq!(size(), 0);
    }

    #[test]
    fn stale_files_go_and_those_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        fill(&spool(folder.path(), 1 << 30), 1, 1);
        fill(&spool(folder.path(), 1 << 30), 2, 1);
        let of_another = folder.path().join("spool/2_-2_1");
        fs::write(&of_another, "x").unwrap();
        let old = SystemTime::now() - STALE_AFTER - Duration::from_secs(60);
        for path in [&path(folder.path(), 1), &of_another] {
            File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
        let spool = spool(folder.path(), 1 << 30);
        assert!(!path(folder.path(), 1).exists() && of_another.exists());
        assert_eq!(spool.load(job(2), DOCUMENT, SIZE), chunk(0));
    }

    #[test]
    fn without_a_folder_nothing_is_kept_and_nothing_fails() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spool"), "no folder").unwrap();
        for spool in [spool(folder.path(), 1 << 30), Spool::open(None, ME)] {
            fill(&spool, 1, 2);
            assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
            spool.remove(job(1));
        }
    }
}
