//! Pauses that Telegram demands and that outlive a restart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::unix_time;

/// What Telegram wants to have paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// Everything that is sent.
    Sends,
    /// Edits of messages.
    Edits,
}

impl Paused {
    pub const ALL: [Self; 2] = [Self::Sends, Self::Edits];

    /// The row in the store.
    pub(super) fn row(self) -> &'static str {
        match self {
            Self::Sends => "pause",
            Self::Edits => "pause_of_edits",
        }
    }
}

/// Telegram's demand that this account sends or edits nothing for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPause {
    pub account: i64,
    /// Milliseconds of Unix time.
    pub until: u64,
    /// Milliseconds. A clock that is turned back cannot make the rest longer than this.
    pub length: u64,
    pub why: String,
}

impl StoredPause {
    /// A pause that begins now.
    pub fn begin(account: i64, length: Duration, why: String) -> Self {
        let length = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self { account, until: unix_time::now_millis().saturating_add(length), length, why }
    }

    /// How much longer it lasts; `None` once it is over.
    pub fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_sub(unix_time::now_millis()).min(self.length);
        (left > 0).then(|| Duration::from_millis(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_turned_back_does_not_lengthen_a_pause() {
        let hour = 3_600_000;
        let pause = |until, length| StoredPause { account: 1000, until, length, why: String::new() };
        assert!(
            pause(unix_time::now_millis() + 24 * hour, hour).left().unwrap() <= Duration::from_secs(3600)
        );
        assert_eq!(pause(unix_time::now_millis() - 1, hour).left(), None);
    }
}
