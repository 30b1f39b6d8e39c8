//! Who may ask what: authorised keys, login codes, the password.

use std::collections::{HashMap, HashSet};

use crate::protocol::crypto::KeyId;
use crate::protocol::srp::Srp;

/// Why Telegram ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The key is not, or no longer, tied to an account: 401 AUTH_KEY_UNREGISTERED.
    KeyUnregistered,
    /// The owner ended this session from another device: 401 SESSION_REVOKED.
    SessionRevoked,
    /// The same key was used from two places at once: 406 AUTH_KEY_DUPLICATED.
    KeyDuplicated,
    /// The account was deleted: 401 USER_DEACTIVATED.
    UserDeactivated,
    /// The account was banned: 401 USER_DEACTIVATED_BAN.
    UserBanned,
}

/// An account that can read, and nothing else
/// (<https://core.telegram.org/api/auth#frozen-accounts>).
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Freeze {
    /// In seconds of Unix time.
    pub since: i64,
    /// When it will be deleted.
    pub until: i64,
    pub appeal: String,
    /// Whether help.getAppConfig tells of it; the refused methods always do.
    #[serde(default = "told")]
    pub in_config: bool,
}

fn told() -> bool {
    true
}

impl Revocation {
    /// The error that every request gets.
    pub fn error(self) -> (i32, &'static str) {
        match self {
            Self::KeyUnregistered => (401, "AUTH_KEY_UNREGISTERED"),
            Self::SessionRevoked => (401, "SESSION_REVOKED"),
            Self::KeyDuplicated => (406, "AUTH_KEY_DUPLICATED"),
            Self::UserDeactivated => (401, "USER_DEACTIVATED"),
            Self::UserBanned => (401, "USER_DEACTIVATED_BAN"),
        }
    }
}

/// The state of logging in.
pub struct Login {
    /// The datacentre of the account.
    pub home: i32,
    /// The keys that are tied to the account, each with its datacentre.
    pub authorised: HashSet<(i32, KeyId)>,
    pub revoked: Option<Revocation>,
    pub frozen: Option<Freeze>,
    /// How often that has changed.
    pub freezes: i32,
    /// The keys that their datacentres forgot.
    pub forgotten: HashSet<(i32, KeyId)>,
    /// The only api_hash that belongs to the application of the owner, where it is looked at.
    pub api_hash: Option<String>,
    /// The code that the owner is sent.
    pub code: String,
    /// The account's second password.
    pub password: Option<Srp>,
    /// The code was right, the password is awaited.
    pub password_due: bool,
    /// Hashes of codes sent, each with its phone number.
    pub sent_codes: HashMap<String, String>,
    /// Tickets of auth.exportAuthorization, each with the datacentre that may take it.
    pub tickets: HashMap<Vec<u8>, i32>,
}

impl Login {
    pub fn new(home: i32) -> Self {
        Self {
            home,
            authorised: HashSet::new(),
            revoked: None,
            frozen: None,
            freezes: 0,
            forgotten: HashSet::new(),
            api_hash: None,
            code: "12345".to_owned(),
            password: None,
            password_due: false,
            sent_codes: HashMap::new(),
            tickets: HashMap::new(),
        }
    }

    /// Whether the key `key` of datacentre `dc` is tied to the account, and the account still there.
    pub fn may_ask(&self, dc: i32, key: KeyId) -> bool {
        self.revoked.is_none() && self.authorised.contains(&(dc, key))
    }
}
