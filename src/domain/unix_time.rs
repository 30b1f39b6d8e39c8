//! The wall clock, as Unix time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970; zero for a clock that is set before that.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub fn now_seconds() -> i64 {
    i64::try_from(now().as_secs()).unwrap_or(i64::MAX)
}

/// How many seconds have gone by since `date`, in seconds of Unix time; 0 if it is yet to come.
pub fn seconds_since(date: i64) -> u64 {
    u64::try_from(now_seconds().saturating_sub(date)).unwrap_or(0)
}

pub fn now_millis() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

/// The moment that many milliseconds after the beginning of 1970; `None` if it is out of range.
pub fn at_millis(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}
