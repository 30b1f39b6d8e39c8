//! What an account has whether or not it is connected, and shares with each of its connections.

use std::sync::Arc;

use grammers_session::Session as _;
use grammers_session::types::PeerId;

use super::connection::logout::FirstLogout;
use super::options::AccountOptions;
use super::restrictions::pace::Pace;
use super::restrictions::state::Restrictions;
use super::session::contents::User;
use super::session::error::SessionError;
use super::session::grammers::AccountSession;
use super::store::UpdateStore;
use super::store::peer::{PeerTraits, SeenPeer};
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

impl AccountContext {
    /// What is known of a peer.
    pub async fn seen_peer(&self, id: PeerId) -> Result<Option<SeenPeer>, SessionError> {
        let Some(info) = self.session.peer(id).await? else { return Ok(None) };
        let stored = self.store.seen_peer(id).await?;
        let mut traits = stored.map_or_else(PeerTraits::default, |stored| stored.traits);
        if id.bot_api_dialog_id() == Some(self.user.id) {
            traits.contact.get_or_insert(false);
        }
        Ok(Some(SeenPeer { info, traits }))
    }
}
