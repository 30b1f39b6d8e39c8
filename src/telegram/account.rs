//! One logged-in account, as the rest of the program sees it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grammers_session::types::{DcOption, PeerAuth, PeerId, PeerInfo, UpdateState, UpdatesState};
use grammers_session::{BoxFuture, Session};
use tokio::sync::watch;

use super::clock::{ClockAhead, ClockError, ServerClock, check_clock};
use super::connection::{FirstLogout, Link};
use super::downloads::Downloads;
use super::restrictions::{Known, Restrictions, TrialPauses};
use super::session::{Contents, RESTRICTION_FILE, SessionError, SessionFile, User};
use super::state::UpdateStore;
use super::supervisor::ReconnectDelays;
use crate::domain::Restricted;
use crate::pulse::Pulse;

/// What my.telegram.org gave the owner for this program.
#[derive(Clone)]
pub struct Credentials {
    pub api_id: i32,
    pub api_hash: String,
}

/// How patient an account is with its connection.
#[derive(Clone, Copy, Debug)]
pub struct AccountOptions {
    pub reconnect: ReconnectDelays,
    /// A request without an answer for this long has failed.
    pub call_timeout: Duration,
    /// The same for the first one on a new connection. Short, because a try that began while the
    /// network swallowed everything keeps the next one waiting; it doubles with every failure, up to
    /// `call_timeout`, for lines so slow that they need longer.
    pub connect_timeout: Duration,
    /// Between two requests when many chats are read, lest it brings a FLOOD_WAIT.
    pub pace: Duration,
    /// Pause between two requests for the server's state. A connection that died silently, a session
    /// that was ended and an update that was lost are noticed after this and `ping_timeout`.
    pub ping_every: Duration,
    pub ping_timeout: Duration,
    /// Largest recording fetched, in bytes.
    pub max_file_size: u64,
    /// How often a send is tried while Telegram does not let the account send.
    pub trials: TrialPauses,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self {
            reconnect: ReconnectDelays::default(),
            call_timeout: Duration::from_secs(30),
            // A lost first packet is repeated after 1 s and 3 s. With a pause of 5 s before the next try,
            // a link that came back is found within 6 s.
            connect_timeout: Duration::from_secs(4),
            pace: Duration::from_millis(500),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
            max_file_size: 200 << 20,
            trials: TrialPauses::default(),
        }
    }
}

/// By what one sees that an account's loops get on, for a watchdog.
#[derive(Clone, Debug, Default)]
pub struct Pulses {
    /// Of [`Account::run`]: the supervisor and the loop over the updates.
    pub updates: Pulse,
    /// Of the downloads in progress.
    pub files: Pulse,
}

/// A logged-in account; [`Account::run`] keeps it connected.
pub struct Account {
    pub(super) session: Arc<AccountSession>,
    pub(super) user: User,
    pub(super) store: UpdateStore,
    pub(super) restrictions: Arc<Restrictions>,
    pub(super) api_id: i32,
    pub(super) options: AccountOptions,
    pub(super) pulses: Pulses,
    pub(super) downloads: Downloads,
    pub(super) logout: FirstLogout,
    /// The connection there is now.
    pub(super) link: watch::Sender<Option<Arc<Link>>>,
    /// This machine's clock, where it is what keeps the account from connecting.
    pub(super) clock: watch::Sender<Option<ClockAhead>>,
}

impl Account {
    /// Opens the session of an account that is logged in.
    pub async fn open(file: SessionFile, api_id: i32, options: AccountOptions) -> Result<Self, SessionError> {
        let contents = file.read()?;
        let user = contents.user.ok_or_else(|| SessionError::NotLoggedIn(file.path().to_owned()))?;
        let store = UpdateStore::open(&file.state_path(), user.id).await?;
        let restrictions = Arc::new(Restrictions::open(file.restriction_path(), user.id, options.trials));
        let session = Arc::new(AccountSession::new(file, contents, Some(store.clone())));
        Ok(Self {
            session,
            user,
            store,
            restrictions,
            api_id,
            options,
            pulses: Pulses::default(),
            downloads: Downloads::new(options.max_file_size),
            logout: FirstLogout::default(),
            link: watch::Sender::new(None),
            clock: watch::Sender::new(None),
        })
    }

    /// Telegram's number of the logged-in user.
    pub fn id(&self) -> i64 {
        self.user.id
    }

    /// What beats while its loops get on.
    pub fn pulses(&self) -> &Pulses {
        &self.pulses
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Whether it is this machine's clock that keeps the account from connecting.
    pub fn clock(&self) -> watch::Receiver<Option<ClockAhead>> {
        self.clock.subscribe()
    }

    /// Why Telegram does not let the account in `folder` send, as far as the daemon there knows.
    pub fn restriction_in(folder: &Path) -> Option<Restricted> {
        Known::read(&folder.join(RESTRICTION_FILE), SessionFile::user_in(folder).ok()?).restricted()
    }

    /// Why Telegram does not let the account send, and changes of that.
    pub fn restriction(&self) -> watch::Receiver<Option<Restricted>> {
        self.restrictions.subscribe()
    }

    /// What is known of a chat.
    pub(super) async fn peer(&self, chat: PeerId) -> Result<Option<PeerInfo>, SessionError> {
        self.session.peer(chat).await
    }

    /// The number of the connection that there is now.
    pub fn connection(&self) -> Option<u64> {
        self.link.borrow().as_ref().map(|link| link.number)
    }

    /// Waits until there is no connection.
    pub async fn disconnected(&self) {
        let _ = self.link.subscribe().wait_for(Option::is_none).await;
    }

    /// Waits until there is a connection.
    pub async fn connected(&self) {
        // The sender lives in self, so the channel cannot be closed meanwhile.
        let _ = self.link.subscribe().wait_for(Option::is_some).await;
    }
}

/// The session as grammers wants to have it.
pub(super) struct AccountSession {
    file: SessionFile,
    contents: Mutex<Contents>,
    /// None while logging in: there is no account yet whose updates could be followed.
    store: Option<UpdateStore>,
    /// Changes are not written to the file.
    read_only: bool,
}

impl AccountSession {
    pub fn new(file: SessionFile, contents: Contents, store: Option<UpdateStore>) -> Self {
        Self { file, contents: Mutex::new(contents), store, read_only: false }
    }

    /// For a look only: whatever grammers learns, the file stays as it is, and whose it is.
    pub fn read_only(file: SessionFile, contents: Contents) -> Self {
        Self { read_only: true, ..Self::new(file, contents, None) }
    }

    pub fn home_dc(&self) -> i32 {
        self.contents().home_dc
    }

    /// Whether Telegram would accept this machine's clock. To be asked before a connection is made.
    pub async fn check_clock(&self, limit: Duration) -> Result<Option<ServerClock>, ClockError> {
        let address = self.contents().home_address();
        match address {
            Some(address) => check_clock(address, limit).await,
            None => Ok(None),
        }
    }

    /// Who is logged in with this session, as far as it knows.
    pub fn user(&self) -> Option<User> {
        self.contents().user
    }

    /// Nobody is logged in any more. A key that was used from two places is of no use to anybody.
    pub fn forget_login(&self, keys_too: bool) -> Result<(), SessionError> {
        self.change(|contents| contents.forget_login(keys_too))
    }

    /// Deletes what is stored of the account.
    pub fn remove(&self) -> Result<(), SessionError> {
        self.file.remove()
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Replaced as a whole, so a panic elsewhere cannot have left it half changed.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory changes only after the disk has.
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
        Ok(self.contents().dc(dc_id))
    }

    fn set_dc_option(&self, dc_option: &DcOption) -> BoxFuture<'_, Result<(), SessionError>> {
        let new = dc_option.clone();
        Box::pin(async move {
            let (known, home, logged_in) = {
                let contents = self.contents();
                (contents.dc(new.id), contents.home_dc, contents.user.is_some())
            };
            if known.as_ref() == Some(&new) {
                return Ok(());
            }
            // The key of the home datacentre is the account. grammers makes a new one on a bare -404,
            // which a proxy or a confused server can send too.
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
                Some(store) => store.cache_peers(vec![peer]).await,
                None => Ok(()),
            }
        })
    }

    fn updates_state(&self) -> BoxFuture<'_, Result<UpdatesState, SessionError>> {
        Box::pin(async move { Ok(self.store.as_ref().map(UpdateStore::position).unwrap_or_default()) })
    }

    /// Our update loop stores positions itself; only a login sets one from inside grammers, and the
    /// daemon asks for it anew.
    fn set_update_state(&self, _: UpdateState) -> BoxFuture<'_, Result<(), SessionError>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_died_silently_is_noticed_within_a_minute() {
        let options = AccountOptions::default();
        assert!(options.ping_every + options.ping_timeout <= Duration::from_secs(60));
    }
}
