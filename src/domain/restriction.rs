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
