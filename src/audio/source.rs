//! The bytes of a recording as symphonia reads them.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use symphonia::core::io::MediaSource;

use super::budget::DecodeBudget;
use super::view::View;

/// A view of a file, with a budget that can stop its reader.
pub(super) struct Source<'a> {
    view: View<'a>,
    position: u64,
    budget: Arc<DecodeBudget<'a>>,
}

impl<'a> Source<'a> {
    pub fn new(view: View<'a>, budget: Arc<DecodeBudget<'a>>) -> Self {
        Self { view, position: 0, budget }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.view.bytes_from(self.position).read(buffer)?;
        self.position += read as u64;
        self.budget.spend(read)?;
        Ok(read)
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.budget.spend(0)?;
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
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::time::Duration;

    use super::super::budget::{BASE_BUDGET, MAX_REREADS, MIN_COST};
    use super::super::error::AudioError;
    use super::*;

    #[test]
    fn an_endless_reader_is_stopped() {
        let abort = AtomicBool::new(false);
        let budget = Arc::new(DecodeBudget::new(1000, Duration::from_secs(60), &abort));
        let mut source = Source::new(View::whole(&[0; 1000]), budget.clone());
        let mut reads = 0u64;
        while source.read(&mut [0; 100]).is_ok() {
            reads += 1;
        }
        assert!(reads <= (BASE_BUDGET + MAX_REREADS * 1000) / MIN_COST, "{reads}");
        assert_eq!(budget.check(), Err(AudioError::Circular));
        assert!(source.seek(SeekFrom::Start(0)).is_err());
    }

    #[test]
    fn an_abort_stops_the_next_read() {
        let abort = AtomicBool::new(false);
        let budget = Arc::new(DecodeBudget::new(10, Duration::from_secs(60), &abort));
        let mut source = Source::new(View::whole(&[0; 10]), budget.clone());
        assert!(source.read(&mut [0; 1]).is_ok());
        abort.store(true, Relaxed);
        assert!(source.read(&mut [0; 1]).is_err());
        assert_eq!(budget.check(), Err(AudioError::Aborted));
    }
}
