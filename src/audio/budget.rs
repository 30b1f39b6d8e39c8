//! What decoding one recording may cost: time, and bytes read.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::error::AudioError;

/// How many times a file's size may be read before we assume that its reader goes in circles. The
/// reader reads a kilobyte or more after every seek, and seeks several times for each link of a
/// chained Ogg file.
pub(super) const MAX_REREADS: u64 = 512;

/// The least that a read or a seek costs, in bytes, so that a loop that reads nothing ends as well.
pub(super) const MIN_COST: u64 = 64;

/// Bytes that may be read from any file, however small it is.
pub(super) const BASE_BUDGET: u64 = 16 << 20;

/// Decides whether decoding has to stop. It is asked wherever a decoder can be stopped.
pub(super) struct DecodeBudget<'a> {
    abort: &'a AtomicBool,
    started: Instant,
    time_limit: Duration,
    /// When decoding has to end, in microseconds after `started`.
    deadline: AtomicU64,
    /// Bytes that may still be read.
    bytes_left: AtomicU64,
    /// The first reason to stop, which is given from then on.
    stopped: OnceLock<AudioError>,
}

impl<'a> DecodeBudget<'a> {
    pub fn new(file_size: usize, time_limit: Duration, abort: &'a AtomicBool) -> Self {
        let bytes = BASE_BUDGET.saturating_add(MAX_REREADS.saturating_mul(file_size as u64));
        Self {
            abort,
            started: Instant::now(),
            time_limit,
            deadline: AtomicU64::new(micros(time_limit)),
            bytes_left: AtomicU64::new(bytes),
            stopped: OnceLock::new(),
        }
    }

    /// Moves the deadline by `pause`, in which nothing was decoded.
    pub fn extend_deadline(&self, pause: Duration) {
        let deadline = self.deadline.load(Relaxed).saturating_add(micros(pause));
        self.deadline.store(deadline, Relaxed);
    }

    /// Fails once decoding has to stop, and with the same error from then on.
    pub fn check(&self) -> Result<(), AudioError> {
        if self.stopped.get().is_none() {
            let reason = if self.abort.load(Relaxed) {
                AudioError::Aborted
            } else if micros(self.started.elapsed()) > self.deadline.load(Relaxed) {
                AudioError::TooSlow { limit: self.time_limit }
            } else if self.bytes_left.load(Relaxed) == 0 {
                AudioError::Circular
            } else {
                return Ok(());
            };
            // Only one thread decodes, so no other reason can have been set meanwhile.
            let _ = self.stopped.set(reason);
        }
        self.stopped.get().map_or(Ok(()), |reason| Err(reason.clone()))
    }

    /// Charges a read of `bytes`, or a seek; fails where decoding has to stop.
    pub fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.bytes_left.load(Relaxed).saturating_sub((bytes as u64).max(MIN_COST));
        self.bytes_left.store(left, Relaxed);
        self.check().map_err(io::Error::other)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_holds_unless_it_is_extended() {
        let (limit, abort) = (Duration::ZERO, AtomicBool::new(false));
        let budget = DecodeBudget::new(0, limit, &abort);
        budget.extend_deadline(Duration::from_secs(60));
        assert_eq!(budget.check(), Ok(()));
        let budget = DecodeBudget::new(0, limit, &abort);
        while budget.started.elapsed() < Duration::from_micros(2) {}
        assert_eq!(budget.check(), Err(AudioError::TooSlow { limit }));
    }
}
