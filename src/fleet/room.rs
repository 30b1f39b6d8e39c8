//! How much of an account's recordings may be in Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

/// The unit of the budget, in bytes. A recording takes at least one.
const UNIT: u64 = 1 << 10;

/// The budget, and what of it is in use. Whoever asks first gets room first.
pub struct Budget {
    units: Arc<Semaphore>,
    limit: u64,
    /// How many wait for room.
    waiting: AtomicU64,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        let limit = (bytes / UNIT).clamp(1, u64::from(u32::MAX));
        Self { units: Arc::new(Semaphore::new(limit as usize)), limit, waiting: AtomicU64::new(0) }
    }

    /// The bytes in use, and the limit.
    pub fn used(&self) -> (u64, u64) {
        let free = self.units.available_permits() as u64;
        (self.limit.saturating_sub(free) * UNIT, self.limit * UNIT)
    }

    /// Waits until there is room for so many bytes. What is larger than the whole budget takes all
    /// of it.
    pub async fn make_room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(UNIT).clamp(1, self.limit) as u32;
        if let Ok(room) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Some(room);
        }
        let waiting = Waiting::begin(&self.waiting);
        let room = Arc::clone(&self.units).acquire_many_owned(units).await.ok();
        drop(waiting);
        room
    }
}

/// Somebody waits for room. The first who does and the last who has waited say so in the log.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(
                event = "fleet_full",
                "The recordings that wait for workers take as much of Redis as FLEET_BYTES allows; no further ones \
                 are fetched until some are recognised"
            );
        }
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            info!(event = "fleet_has_room", "No recording waits for room in Redis any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_finds_no_room_waits_until_there_is() {
        let budget = Budget::new(100 << 10);
        let first = budget.make_room(60 << 10).await.unwrap();
        let _second = budget.make_room(1).await.unwrap();
        assert_eq!(budget.used(), (61 << 10, 100 << 10));
        let mut third = std::pin::pin!(budget.make_room(40 << 10));
        let passed = tokio::time::timeout(Duration::from_millis(20), &mut third).await;
        assert!(passed.is_err());
        drop(first);
        let third = third.await.unwrap();
        assert_eq!(budget.used().0, 41 << 10);
        drop(third);
        let everything = budget.make_room(u64::MAX);
        assert!(tokio::time::timeout(Duration::from_millis(20), everything).await.is_err());
    }
}
