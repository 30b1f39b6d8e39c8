//! What keeps a logged-in account from sending.

use serde::{Deserialize, Serialize};

/// Why Telegram does not let a logged-in account send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// The account can read, and nothing else, until an appeal succeeds
    /// (<https://core.telegram.org/api/auth#frozen-accounts>).
    Frozen,
    /// Telegram takes the account for a sender of spam, for a time that it does not tell.
    SpamLimited,
}

impl Restriction {
    pub const ALL: [Self; 2] = [Self::Frozen, Self::SpamLimited];

    /// As in the stored form, for labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::SpamLimited => "spam_limited",
        }
    }
}

/// An account that may not send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restricted {
    pub why: Restriction,
    /// Since when, in seconds of Unix time: as Telegram says, or when it was noticed.
    pub since: i64,
    /// When Telegram deletes a frozen account, in seconds of Unix time, where it says so.
    pub deletion: Option<i64>,
    /// Where the owner can ask Telegram to lift it.
    pub appeal: String,
}
