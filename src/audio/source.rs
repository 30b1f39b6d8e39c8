//! The bytes as symphonia reads them, and the watch over how long it does.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use symphonia::core::io::MediaSource;

use super::{AudioError, mp4};

/// How often the file may be read over before its reader is taken to go in circles. A kilobyte or more is
/// read after every seek, and an MP4 file with sound and picture apart from each other needs one for each
/// packet, be it of 20 bytes.
const REREADS: u64 = 512;

/// What a read or a seek counts for at least, in bytes: a loop that reads nothing ends as well.
const LEAST: u64 = 64;

/// Bytes that any file may cost, however small it is.
const ALLOWANCE: u64 = 16 << 20;

/// Decides, wherever a decoder can be stopped, whether it must.
pub(super) struct Watch<'a> {
    abort: &'a AtomicBool,
    started: Instant,
    limit: Duration,
    /// When the running call has to end, in microseconds after `started`.
    deadline: AtomicU64,
    /// Bytes that may still be read.
    budget: AtomicU64,
    verdict: OnceLock<AudioError>,
}

impl<'a> Watch<'a> {
    pub fn new(file_size: usize, limit: Duration, abort: &'a AtomicBool) -> Self {
        Self {
            abort,
            started: Instant::now(),
            limit,
            deadline: AtomicU64::new(micros(limit)),
            budget: AtomicU64::new(ALLOWANCE.saturating_add(REREADS.saturating_mul(file_size as u64))),
            verdict: OnceLock::new(),
        }
    }

    /// Moves the deadline by `pause`, during which nothing was decoded.
    pub fn forgive(&self, pause: Duration) {
        let deadline = self.deadline.load(Relaxed).saturating_add(micros(pause));
        self.deadline.store(deadline, Relaxed);
    }

    /// Fails once decoding has to stop; with the same error ever after.
    pub fn check(&self) -> Result<(), AudioError> {
        if self.verdict.get().is_none() {
            let verdict = if self.abort.load(Relaxed) {
                AudioError::Aborted
            } else if micros(self.started.elapsed()) > self.deadline.load(Relaxed) {
                AudioError::TooSlow { limit: self.limit }
            } else if self.budget.load(Relaxed) == 0 {
                AudioError::Circular
            } else {
                return Ok(());
            };
            // Whoever came first is right; there is one thread in any case.
            let _ = self.verdict.set(verdict);
        }
        self.verdict.get().map_or(Ok(()), |verdict| Err(verdict.clone()))
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.budget.load(Relaxed).saturating_sub((bytes as u64).max(LEAST));
        self.budget.store(left, Relaxed);
        self.check().map_err(io::Error::other)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A file in memory that a [`Watch`] can close.
pub(super) struct Source<'a> {
    bytes: Cursor<&'a [u8]>,
    /// Where the file says that it ends: beyond its last byte if it was cut off.
    end: u64,
    watch: Arc<Watch<'a>>,
}

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8], watch: Arc<Watch<'a>>) -> Self {
        Self { bytes: Cursor::new(bytes), end: mp4::claimed_size(bytes).max(bytes.len() as u64), watch }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.watch.spend(read)?;
        Ok(read)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.watch.spend(0)?;
        match to {
            // symphonia's MP4 reader asks so for the length, and takes no box that goes beyond it.
            SeekFrom::End(offset) => {
                let end = i64::try_from(self.end).unwrap_or(i64::MAX);
                let position = u64::try_from(end.saturating_add(offset)).unwrap_or(0);
                self.bytes.seek(SeekFrom::Start(position))
            }
            to => self.bytes.seek(to),
        }
    }
}

impl MediaSource for Source<'_> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.bytes.get_ref().len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RUN: AtomicBool = AtomicBool::new(false);

    #[test]
    fn an_endless_reader_is_stopped() {
        let watch = Arc::new(Watch::new(1000, Duration::from_secs(60), &RUN));
        let mut source = Source::new(&[0; 1000], watch.clone());
        let mut reads = 0u64;
        while source.read(&mut [0; 100]).is_ok() {
            reads += 1;
        }
        assert!(reads <= (ALLOWANCE + REREADS * 1000) / LEAST, "{reads}");
        assert_eq!(watch.check(), Err(AudioError::Circular));
        assert!(source.seek(SeekFrom::Start(0)).is_err());
    }

    #[test]
    fn time_runs_out_unless_forgiven() {
        let limit = Duration::ZERO;
        let watch = Watch::new(0, limit, &RUN);
        watch.forgive(Duration::from_secs(60));
        assert_eq!(watch.check(), Ok(()));
        let watch = Watch::new(0, limit, &RUN);
        while watch.started.elapsed() < Duration::from_micros(2) {}
        assert_eq!(watch.check(), Err(AudioError::TooSlow { limit }));
    }

    #[test]
    fn an_abort_is_seen_at_the_next_read() {
        let abort = AtomicBool::new(false);
        let watch = Arc::new(Watch::new(10, Duration::from_secs(60), &abort));
        let mut source = Source::new(&[0; 10], watch.clone());
        assert!(source.read(&mut [0; 1]).is_ok());
        abort.store(true, Relaxed);
        assert!(source.read(&mut [0; 1]).is_err());
        assert_eq!(watch.check(), Err(AudioError::Aborted));
    }
}
