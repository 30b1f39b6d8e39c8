//! One logged-in account, as the rest of the program sees it.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::connection::clock::ClockAhead;
use super::connection::link::Link;
use super::connection::logout::FirstLogout;
use super::context::{AccountContext, Pulses};
use super::jobs::downloads::Downloads;
use super::jobs::preview_turns::PreviewTurns;
use super::jobs::refusing::RefusingChats;
use super::jobs::spool::Spool;
use super::options::AccountOptions;
use super::restrictions::pace::Pace;
use super::restrictions::state::{Restrictions, StoredRestriction};
use super::session::error::SessionError;
use super::session::file::{RESTRICTION_FILE, SessionFile};
use super::session::grammers::AccountSession;
use super::store::UpdateStore;
use crate::domain::Restricted;
use crate::domain::pacing::SendUsage;
use crate::runtime::memory_budget::MemoryBudget;

/// A logged-in account; [`Account::run`] keeps it connected.
pub struct Account {
    pub(super) context: Arc<AccountContext>,
    pub(super) downloads: Downloads,
    pub(super) refusing: RefusingChats,
    /// When previews are sent and edited.
    pub(super) preview_turns: PreviewTurns,
    /// The current connection; `None` while offline.
    pub(super) link: watch::Sender<Option<Arc<Link>>>,
    /// Set while this machine's clock is what keeps the account from connecting.
    pub(super) clock: watch::Sender<Option<ClockAhead>>,
}

impl Account {
    /// Opens the session of an account that is logged in.
    pub async fn open(file: SessionFile, api_id: i32, options: AccountOptions) -> Result<Self, SessionError> {
        let contents = file.read()?;
        let user = contents.user.ok_or_else(|| SessionError::NotLoggedIn(file.path().to_owned()))?;
        let store = UpdateStore::open(&file.state_path(), user.id).await?;
        if options.names {
            store.keep_names();
        }
        let pace = Pace::open(options.sends, store.clone()).await?;
        let restrictions = Restrictions::open(file.restriction_path(), user.id, options.trials);
        let session =
            Arc::new(AccountSession::new(file, contents, Some(store.clone()), options.dialer.clone()));
        let spool = options.spool.clone();
        let spool = tokio::task::spawn_blocking(move || Spool::open(spool, user.id)).await;
        let spool = spool.unwrap_or_else(|_| Spool::open(None, user.id));
        let downloads = Downloads::new(MemoryBudget::new(options.memory), spool);
        let context = AccountContext {
            user,
            api_id,
            options,
            session,
            store,
            restrictions,
            pace,
            pulses: Pulses::default(),
            logout: FirstLogout::default(),
        };
        Ok(Self {
            context: Arc::new(context),
            downloads,
            refusing: RefusingChats::default(),
            preview_turns: PreviewTurns::default(),
            link: watch::Sender::new(None),
            clock: watch::Sender::new(None),
        })
    }

    /// Telegram's number of the logged-in user.
    pub fn id(&self) -> i64 {
        self.context.user.id
    }

    /// The heartbeats of its loops.
    pub fn pulses(&self) -> &Pulses {
        &self.context.pulses
    }

    /// Whether this machine's clock is what keeps the account from connecting, and changes of that.
    pub fn clock(&self) -> watch::Receiver<Option<ClockAhead>> {
        self.clock.subscribe()
    }

    /// Why Telegram does not let the account send, and changes of that.
    pub fn restriction(&self) -> watch::Receiver<Option<Restricted>> {
        self.context.restrictions.subscribe()
    }

    /// The memory that recordings may take, of which those in work have to reserve theirs.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        self.downloads.memory()
    }

    /// How much of its budget of messages the account has used.
    pub fn send_usage(&self) -> SendUsage {
        self.context.pace.usage()
    }

    /// Why Telegram does not let the account in `folder` send, as far as the daemon there knows.
    pub fn restriction_in(folder: &Path) -> Option<Restricted> {
        let user = SessionFile::user_in(folder).ok()?;
        StoredRestriction::read(&folder.join(RESTRICTION_FILE), user).restricted()
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Identifies the current connection; `None` while offline. It changes with every reconnect.
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
