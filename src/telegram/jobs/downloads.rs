//! The state that all downloads of an account share: a pause that Telegram demands, and the bytes
//! of unfinished files.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

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
    pub fn new(memory: Arc<MemoryBudget>) -> Self {
        Self { pause: Mutex::default(), unfinished: Mutex::default(), memory }
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

    /// Begins the download of `document` for `job`, or resumes an earlier attempt. The memory for
    /// it is reserved already, so unfinished files of other jobs may have to make room.
    pub fn resume(&self, job: JobId, document: i64) -> FileBytes<'_> {
        let unfinished = self.take(job).filter(|file| file.document == document);
        let bytes = unfinished.map(|file| file.bytes).unwrap_or_default();
        self.make_room(&mut lock(&self.unfinished), self.memory.reserved());
        FileBytes { downloads: self, job, document, bytes }
    }

    /// Drops what is kept for a job that has ended.
    pub fn forget(&self, job: JobId) {
        self.take(job);
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
}

impl FileBytes<'_> {
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn add(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// The whole file. Nothing of it is kept.
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
        Downloads::new(MemoryBudget::new(memory))
    }

    fn job(message: i32) -> JobId {
        JobId { account: 1, chat: 2, message }
    }

    #[test]
    fn what_is_here_of_a_file_is_kept_until_its_job_ends() {
        let downloads = with_memory(100);
        let mut file = downloads.resume(job(1), 7);
        file.add(b"abc");
        drop(file);
        assert_eq!(downloads.resume(job(2), 7).len(), 0, "another job");
        let mut file = downloads.resume(job(1), 7);
        assert_eq!(file.len(), 3);
        file.add(b"d");
        drop(file);
        downloads.forget(job(1));
        assert_eq!(downloads.resume(job(1), 7).len(), 0, "ended");
    }

    #[test]
    fn a_whole_file_is_not_kept() {
        let downloads = with_memory(100);
        let mut file = downloads.resume(job(1), 7);
        file.add(b"abc");
        assert_eq!(file.finish(), b"abc");
        assert_eq!(downloads.resume(job(1), 7).len(), 0);
    }

    #[test]
    fn another_document_begins_anew() {
        let downloads = with_memory(100);
        downloads.resume(job(1), 7).add(b"abc");
        assert_eq!(downloads.resume(job(1), 8).len(), 0);
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_in_files() {
        let downloads = with_memory(10);
        for message in 1..=3 {
            downloads.resume(job(message), 7).add(b"1234");
        }
        assert_eq!(
            lock(&downloads.unfinished).iter().map(|file| file.job.message).collect::<Vec<_>>(),
            [2, 3]
        );
        let downloads = with_memory(1000);
        for message in 0..40 {
            downloads.resume(job(message), 7).add(b"1");
        }
        assert_eq!(lock(&downloads.unfinished).len(), MAX_FILES);
        assert_eq!(downloads.resume(job(39), 7).len(), 1, "the latest is kept");
    }

    #[test]
    fn unfinished_files_make_room_for_what_is_in_work() {
        let downloads = with_memory(10);
        for message in 1..=2 {
            downloads.resume(job(message), 7).add(b"1234");
        }
        let reserved = downloads.memory().reserve(6).expect("there is room");
        assert_eq!(downloads.resume(job(9), 7).len(), 0);
        assert_eq!(downloads.resume(job(1), 7).len(), 0, "the oldest is gone");
        assert_eq!(downloads.resume(job(2), 7).len(), 4);
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
