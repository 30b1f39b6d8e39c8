//! What Telegram holds against the account.
//!
//! A restriction is a state of the account: it applies in every chat and outlives restarts. It is
//! kept in a small JSON file beside the session, which `stenogram doctor` can read while the daemon
//! runs. While it lasts, nothing is sent. After a pause a single send is tried, and if that
//! succeeds, the restriction is over. Telegram's configuration also says whether an account is
//! frozen.
//!
//! So that Telegram has nothing to hold against the account, it sends no more than a person would:
//! `pace` keeps its budget.

pub(super) mod app_config;
pub(super) mod pace;
pub(super) mod state;
