//! The session as grammers uses it.

use std::sync::{Mutex, MutexGuard};

use grammers_session::types::{DcOption, PeerAuth, PeerId, PeerInfo, UpdateState, UpdatesState};
use grammers_session::{BoxFuture, Session};

use super::super::connection::dialer::{Dialer, Target};
use super::super::store::UpdateStore;
use super::contents::{Contents, DcAddresses, User};
use super::error::SessionError;
use super::file::SessionFile;
use crate::runtime::lock;

/// The account's session, in the form that grammers asks for.
pub(crate) struct AccountSession {
    file: SessionFile,
    contents: Mutex<Contents>,
    /// `None` during a login: there is no account yet whose updates could be followed.
    store: Option<UpdateStore>,
    /// Whether changes stay in memory and are not written to the file.
    read_only: bool,
    dialer: Dialer,
}

impl AccountSession {
    /// `dialer` leads grammers to the datacentres.
    pub fn new(file: SessionFile, contents: Contents, store: Option<UpdateStore>, dialer: Dialer) -> Self {
        Self { file, contents: Mutex::new(contents), store, read_only: false, dialer }
    }

    /// For a probe: the file, its contents and its owner stay as they are, whatever grammers
    /// learns.
    pub fn read_only(file: SessionFile, contents: Contents, dialer: Dialer) -> Self {
        Self { read_only: true, ..Self::new(file, contents, None, dialer) }
    }

    /// `option` as grammers may connect to it: at `target`, by the configured way. grammers uses
    /// the IPv4 address only.
    pub fn reachable_at(&self, target: Target, option: DcOption) -> Result<DcOption, SessionError> {
        let ipv4 = self.dialer.bridge_to(target).map_err(SessionError::Loopback)?;
        Ok(DcOption { ipv4, ..option })
    }

    pub fn home_dc(&self) -> i32 {
        self.contents().home_dc
    }

    /// The addresses of the home datacentre.
    pub fn home_addresses(&self) -> Option<DcAddresses> {
        self.contents().home_addresses()
    }

    /// The user who is logged in with this session, as far as it knows.
    pub fn user(&self) -> Option<User> {
        self.contents().user
    }

    /// Forgets the user. With `keys_too`, it also forgets the keys: Telegram no longer accepts a
    /// key that was used from two places.
    pub fn forget_login(&self, keys_too: bool) -> Result<(), SessionError> {
        self.change(|contents| contents.forget_login(keys_too))
    }

    /// Deletes what is stored of the account.
    pub fn remove(&self) -> Result<(), SessionError> {
        self.file.remove()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // It is replaced as a whole, so a panic elsewhere cannot have left it half changed.
        lock(&self.contents)
    }

    /// Changes memory only after the disk.
    fn change(&self, change: impl FnOnce(&mut Contents)) -> Result<(), SessionError> {
        let mut contents = self.contents();
        let mut changed = contents.clone();
        change(&mut changed);
        if !self.read_only {
            self.file.write(&changed)?;
        }
        *contents = changed;
        Ok(())
    }
}

impl Session for AccountSession {
    type Error = SessionError;

    fn home_dc_id(&self) -> Result<i32, SessionError> {
        Ok(self.home_dc())
    }

    fn set_home_dc_id(&self, dc_id: i32) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(async move { self.change(|contents| contents.home_dc = dc_id) })
    }

    fn dc_option(&self, dc_id: i32) -> Result<Option<DcOption>, SessionError> {
        let option = self.contents().dc(dc_id);
        let reachable = |option: DcOption| {
            let target = Target { dc: dc_id, address: option.ipv4, files_only: false };
            self.reachable_at(target, option)
        };
        option.map(reachable).transpose()
    }

    fn set_dc_option(&self, dc_option: &DcOption) -> BoxFuture<'_, Result<(), SessionError>> {
        let mut new = dc_option.clone();
        // grammers gives back with a new key what it was given as the address.
        new.ipv4 = self.dialer.behind_bridge(new.ipv4).unwrap_or(new.ipv4);
        Box::pin(async move {
            let (known, home, logged_in) = {
                let contents = self.contents();
                (contents.dc(new.id), contents.home_dc, contents.user.is_some())
            };
            if known.as_ref() == Some(&new) {
                return Ok(());
            }
            // Whoever has the key of the home datacentre has the account, so it is never replaced.
            // grammers makes a new key on a bare -404, which a proxy or a confused server can send
            // too.
            let key = known.and_then(|dc| dc.auth_key);
            if logged_in && new.id == home && key.is_some() && new.auth_key != key {
                return Err(SessionError::KeyRefused(new.id));
            }
            self.change(|contents| contents.set(&new))
        })
    }

    fn peer(&self, peer: PeerId) -> BoxFuture<'_, Result<Option<PeerInfo>, SessionError>> {
        Box::pin(async move {
            let user = self.contents().user;
            if let Some(user) = user
                && (peer == PeerId::self_user() || peer.bot_api_dialog_id() == Some(user.id))
            {
                let auth = Some(PeerAuth::from_hash(user.access_hash));
                return Ok(Some(PeerInfo::User { id: user.id, auth, bot: Some(false), is_self: Some(true) }));
            }
            match &self.store {
                Some(store) => store.peer(peer).await,
                None => Ok(None),
            }
        })
    }

    fn cache_peer(&self, peer: PeerInfo) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(async move {
            if let PeerInfo::User { id, auth: Some(auth), is_self: Some(true), .. } = peer {
                let user = User { id, access_hash: auth.hash() };
                if self.contents().user != Some(user) {
                    self.change(|contents| contents.user = Some(user))?;
                }
                return Ok(());
            }
            match &self.store {
                Some(store) => store.cache_peers(vec![peer.into()]).await,
                None => Ok(()),
            }
        })
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, SessionError>> {
        Box::pin(async move { Ok(self.store.as_ref().map(UpdateStore::position).unwrap_or_default()) })
    }

    /// Does nothing, because our update loop stores positions itself. grammers sets one only during
    /// a login, and the daemon asks for it again.
    fn set_update_state(&self, _: UpdateState) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(async { Ok(()) })
    }
}
