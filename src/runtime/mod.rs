//! What any long-running process needs, whatever it does.

pub mod allocator;
pub mod atomic_file;
pub mod connections;
pub mod deployment;
pub mod ending;
pub mod ledger;
pub mod logging;
pub mod memory_budget;
pub mod private;
pub mod problem;
pub mod process;
pub mod pulse;
pub mod redb_file;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic in another thread: what it holds is valid at any time.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
