//! A budget of memory that several tasks share.

use std::sync::{Arc, Mutex};

use super::lock;

/// How many bytes may be in use, and how many are.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    reserved: Mutex<u64>,
}

/// Bytes that are in use until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, reserved: Mutex::default() })
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub fn reserved(&self) -> u64 {
        *lock(&self.reserved)
    }

    /// Reserves these bytes; `None` if there is no room for them now.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reserved = lock(&self.reserved);
        if reserved.saturating_add(bytes) > self.limit {
            return None;
        }
        *reserved = reserved.saturating_add(bytes);
        Some(Reservation { budget: Arc::clone(self), bytes })
    }
}

impl Reservation {
    /// Gives back what is beyond so many bytes.
    pub fn shrink(&mut self, bytes: u64) {
        let rest = self.bytes.saturating_sub(bytes);
        self.bytes -= rest;
        let mut reserved = lock(&self.budget.reserved);
        *reserved = reserved.saturating_sub(rest);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = lock(&self.budget.reserved);
        *reserved = reserved.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_reserved_than_there_is() {
        let budget = MemoryBudget::new(100);
        let first = budget.reserve(60).unwrap();
        assert!(budget.reserve(41).is_none());
        let second = budget.reserve(40).unwrap();
        assert_eq!(budget.reserved(), 100);
        drop(first);
        assert!(budget.reserve(61).is_none());
        assert_eq!(budget.reserve(60).map(|third| third.bytes), Some(60));
        drop(second);
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn what_is_less_than_was_reserved_leaves_room() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.reserve(100).unwrap();
        first.shrink(30);
        first.shrink(200);
        assert_eq!(budget.reserved(), 30);
        assert!(budget.reserve(70).is_some());
        drop(first);
        assert_eq!(budget.reserved(), 0);
    }
}
