//! The state that all downloads of an account share: a pause that Telegram demands, and the bytes
//! of unfinished files, in memory and in the spool.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::warn;

use super::spool::{self, Spool};
use crate::domain::JobId;
use crate::runtime::lock;
use crate::runtime::memory_budget::MemoryBudget;

/// How many unfinished files are kept. More jobs than that rarely wait at the same time.
const MAX_FILES: usize = 16;

/// The state that all downloads of an account share.
pub(crate) struct Downloads {
    pause: Mutex<Option<Pause>>,
    /// Latest last.
    unfinished: Mutex<VecDeque<Unfinished>>,
    /// The memory of all recordings, of which unfinished files get what the others leave.
    memory: Arc<MemoryBudget>,
    /// Large files, finished or not, which outlive the process.
    spool: Arc<Spool>,
}

/// Telegram demands that nothing is downloaded for a while.
struct Pause {
    until: Instant,
    why: String,
}

/// The beginning of a file whose download was interrupted.
struct Unfinished {
    job: JobId,
    document: i64,
    bytes: Vec<u8>,
}

impl Downloads {
    pub fn new(memory: Arc<MemoryBudget>, spool: Spool) -> Self {
        Self { pause: Mutex::default(), unfinished: Mutex::default(), memory, spool: Arc::new(spool) }
    }

    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.memory)
    }

    /// Pauses all downloads for `time`.
    pub fn pause_for(&self, time: Duration, why: String) {
        let until = Instant::now() + time;
        let mut pause = lock(&self.pause);
        if pause.as_ref().is_none_or(|pause| pause.until < until) {
            warn!(
                event = "download_paused",
                reason = why,
                "Nothing is downloaded for {} s, as Telegram demands",
                time.as_secs()
            );
            *pause = Some(Pause { until, why });
        }
    }

    /// How much longer nothing may be downloaded, and why.
    pub fn paused_for(&self) -> Option<(Duration, String)> {
        let pause = lock(&self.pause);
        let Pause { until, why } = pause.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (left, why.clone()))
    }

    /// Begins the download of `document`, which has `size` bytes, for `job`, or resumes an earlier
    /// attempt. The memory for it is reserved already, so unfinished files of other jobs may have
    /// to make room.
    pub async fn resume(&self, job: JobId, document: i64, size: u64) -> FileBytes<'_> {
        let is_large = size >= spool::LEAST_SIZE;
        let unfinished = self.take(job).filter(|file| file.document == document);
        let bytes = match unfinished {
            Some(file) => file.bytes,
            None if is_large => self.in_spool(move |spool| spool.load(job, document, size)).await,
            None => Vec::new(),
        };
        self.make_room(&mut lock(&self.unfinished), self.memory.reserved());
        FileBytes { downloads: self, job, document, bytes, is_large }
    }

    /// Drops what is kept for a job that has ended.
    pub fn forget(&self, job: JobId) {
        self.take(job);
        self.spool.remove(job);
        self.spool.remove_stale();
    }

    /// Drops all that is kept on disk.
    pub fn clear_spool(&self) {
        self.spool.clear();
    }

    /// Lets the disk take its time. After a panic there is just nothing from the spool.
    async fn in_spool<T: Default + Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> T + Send + 'static,
    ) -> T {
        let spool = Arc::clone(&self.spool);
        spawn_blocking(move || work(&spool)).await.unwrap_or_default()
    }

    fn take(&self, job: JobId) -> Option<Unfinished> {
        let mut files = lock(&self.unfinished);
        let index = files.iter().position(|file| file.job == job)?;
        files.remove(index)
    }

    /// Keeps an unfinished file, and drops the oldest ones if there are too many.
    fn keep(&self, file: Unfinished) {
        let mut files = lock(&self.unfinished);
        files.push_back(file);
        // The job still has its reservation, so that of all is not counted here.
        self.make_room(&mut files, 0);
    }

    /// Drops the oldest files until the rest fits beside `reserved` bytes.
    fn make_room(&self, files: &mut VecDeque<Unfinished>, reserved: u64) {
        let too_much = |files: &VecDeque<Unfinished>| {
            let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
            files.len() > MAX_FILES || bytes as u64 > self.memory.limit().saturating_sub(reserved)
        };
        while !files.is_empty() && too_much(files) {
            files.pop_front();
        }
    }
}

/// The bytes of a file that is being downloaded. When this is dropped, they are kept for the next
/// attempt, unless [`FileBytes::finish`] has taken them.
pub(crate) struct FileBytes<'a> {
    downloads: &'a Downloads,
    job: JobId,
    document: i64,
    bytes: Vec<u8>,
    /// Whether it is worth a place in the spool.
    is_large: bool,
}

impl FileBytes<'_> {
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub async fn add(&mut self, chunk: Vec<u8>) {
        let (job, document, offset) = (self.job, self.document, self.len());
        self.bytes.extend_from_slice(&chunk);
        if self.is_large {
            self.downloads.in_spool(move |spool| spool.append(job, document, offset, &chunk)).await;
        }
    }

    /// The whole file. Nothing of it is kept in memory; in the spool it stays until its job ends.
    pub fn finish(mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }
}

impl Drop for FileBytes<'_> {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            let bytes = mem::take(&mut self.bytes);
            self.downloads.keep(Unfinished { job: self.job, document: self.document, bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_memory(memory: u64) -> Downloads {
        Downloads::new(MemoryBudget::new(memory), Spool::open(None, 1))
    }

    fn job(message: i32) -> JobId {
        JobId { account: 1, chat: 2, message }
    }

    #[tokio::test]
    async fn what_is_here_of_a_file_is_kept_until_its_job_ends() {
        let downloads = with_memory(100);
        let mut file = downloads.resume(job(1), 7, 10).await;
        file.add(b"abc".to_vec()).await;
        drop(file);
        assert_eq!(downloads.resume(job(2), 7, 10).await.len(), 0, "another job");
        let mut file = downloads.resume(job(1), 7, 10).await;
        assert_eq!(file.len(), 3);
        file.add(b"d".to_vec()).await;
        drop(file);
        downloads.forget(job(1));
        assert_eq!(downloads.resume(job(1), 7, 10).await.len(), 0, "ended");
    }

    #[tokio::test]
    async fn a_whole_file_is_not_kept() {
        let downloads = with_memory(100);
        let mut file = downloads.resume(job(1), 7, 10).await;
        file.add(b"abc".to_vec()).await;
        assert_eq!(file.finish(), b"abc");
        assert_eq!(downloads.resume(job(1), 7, 10).await.len(), 0);
    }

    #[tokio::test]
    async fn another_document_begins_anew() {
        let downloads = with_memory(100);
        downloads.resume(job(1), 7, 10).await.add(b"abc".to_vec()).await;
        assert_eq!(downloads.resume(job(1), 8, 10).await.len(), 0);
    }

    #[tokio::test]
    async fn memory_is_bounded_in_bytes_and_in_files() {
        let downloads = with_memory(10);
        for message in 1..=3 {
            downloads.resume(job(message), 7, 10).await.add(b"1234".to_vec()).await;
        }
        assert_eq!(
            lock(&downloads.unfinished).iter().map(|file| file.job.message).collect::<Vec<_>>(),
            [2, 3]
        );
        let downloads = with_memory(1000);
        for message in 0..40 {
            downloads.resume(job(message), 7, 10).await.add(b"1".to_vec()).await;
        }
        assert_eq!(lock(&downloads.unfinished).len(), MAX_FILES);
        assert_eq!(downloads.resume(job(39), 7, 10).await.len(), 1, "the latest is kept");
    }

    #[tokio::test]
    async fn unfinished_files_make_room_for_what_is_in_work() {
        let downloads = with_memory(10);
        for message in 1..=2 {
            downloads.resume(job(message), 7, 10).await.add(b"1234".to_vec()).await;
        }
        let reserved = downloads.memory().reserve(6).expect("there is room");
        assert_eq!(downloads.resume(job(9), 7, 10).await.len(), 0);
        assert_eq!(downloads.resume(job(1), 7, 10).await.len(), 0, "the oldest is gone");
        assert_eq!(downloads.resume(job(2), 7, 10).await.len(), 4);
        drop(reserved);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_wait_counts() {
        let downloads = with_memory(10);
        assert!(downloads.paused_for().is_none());
        downloads.pause_for(Duration::from_secs(10), "long".into());
        downloads.pause_for(Duration::from_secs(2), "short".into());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(downloads.paused_for(), Some((Duration::from_secs(6), "long".into())));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(downloads.paused_for().is_none());
    }
}
