//! What an account has whether or not it is connected, and shares with each of its connections.

use std::sync::Arc;

use super::connection::logout::FirstLogout;
use super::options::AccountOptions;
use super::restrictions::pace::Pace;
use super::restrictions::state::Restrictions;
use super::session::contents::User;
use super::session::grammers::AccountSession;
use super::store::UpdateStore;
use crate::runtime::pulse::Pulse;

/// Heartbeats of an account's loops, for a watchdog.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    /// Of [`Account::run`](super::Account::run): the supervisor and the loop over the updates.
    pub updates: Pulse,
    /// Of the downloads in progress.
    pub files: Pulse,
}

/// What an account and its connections share.
pub(super) struct AccountContext {
    pub user: User,
    pub api_id: i32,
    pub options: AccountOptions,
    pub session: Arc<AccountSession>,
    pub store: UpdateStore,
    pub restrictions: Restrictions,
    pub pace: Pace,
    pub pulses: Pulses,
    pub logout: FirstLogout,
}
