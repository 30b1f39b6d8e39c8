//! The session: who the account is, and the keys with which Telegram knows it.

pub(super) mod contents;
pub(super) mod error;
pub(super) mod file;
pub(super) mod grammers;
