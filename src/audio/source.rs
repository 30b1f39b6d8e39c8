//! The bytes as symphonia reads them, and the watch over how long it does.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use symphonia::core::io::MediaSource;

use super::AudioError;
use super::view::View;

/// How often the file may be read over before its reader is taken to go in circles. A kilobyte or
/// more is read after every seek, and chained Ogg needs some for each link.
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

/// What of a file is to be read, which a [`Watch`] can close.
pub(super) struct Source<'a> {
    view: View<'a>,
    position: u64,
    watch: Arc<Watch<'a>>,
}

impl<'a> Source<'a> {
    pub fn new(view: View<'a>, watch: Arc<Watch<'a>>) -> Self {
        Self { view, position: 0, watch }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.view.at(self.position).read(buffer)?;
        self.position += read as u64;
        self.watch.spend(read)?;
        Ok(read)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.watch.spend(0)?;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.view.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl MediaSource for Source<'_> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.view.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static RUN: AtomicBool = AtomicBool::new(false);

    #[test]
    fn an_endless_reader_is_stopped() {
        let watch = Arc::new(Watch::new(1000, Duration::from_secs(60), &RUN));
        let mut source = Source::new(View::whole(&[0; 1000]), watch.clone());
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
        let mut source = Source::new(View::whole(&[0; 10]), watch.clone());
        assert!(source.read(&mut [0; 1]).is_ok());
        abort.store(true, Relaxed);
        assert!(source.read(&mut [0; 1]).is_err());
        assert_eq!(watch.check(), Err(AudioError::Aborted));
    }
}
