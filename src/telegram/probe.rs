//! Looking at a session from outside: whether it is accepted, where its datacentre is.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;

use super::account::{Account, AccountSession, Credentials};
use super::clock::{ClockAhead, ClockError};
use super::connection::{CallError, Pool};
use super::restrictions::{Known, freeze_in_config};
use super::rpc_error::Meaning;
use super::session::{Contents, SessionError, SessionFile};
use super::state::UpdateStore;
use super::supervisor::LoggedOut;
use crate::domain::Restricted;

/// Why a session cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    LoggedOut(#[from] LoggedOut),
    /// Another answer than yes or logged out, such as FLOOD_WAIT.
    #[error("{0}")]
    Refused(String),
    /// Telegram could not answer for reasons of its own.
    #[error("{0}")]
    Trouble(String),
    #[error("no connection to Telegram: {0}")]
    Unreachable(String),
    #[error(transparent)]
    Clock(ClockAhead),
    /// API_ID and API_HASH are not accepted; holds the name of the error.
    #[error("Telegram refuses API_ID and API_HASH ({0}): they do not belong together, or are blocked")]
    Credentials(String),
}

impl From<CallError> for ProbeError {
    fn from(error: CallError) -> Self {
        let meaning = error.meaning();
        match (error, meaning) {
            (CallError::Lost(why), _) => Self::Unreachable(why),
            (CallError::Rpc { name, .. }, Some(Meaning::LoggedOut | Meaning::Deactivated)) => {
                LoggedOut(name).into()
            }
            (CallError::Rpc { name, .. }, Some(Meaning::InvalidApplication)) => Self::Credentials(name),
            (error, Some(Meaning::ServerTrouble)) => Self::Trouble(error.to_string()),
            (error, _) => Self::Refused(error.to_string()),
        }
    }
}

impl From<ClockError> for ProbeError {
    fn from(error: ClockError) -> Self {
        match error {
            ClockError::Ahead(ahead) => Self::Clock(ahead),
            ClockError::Unreachable(error) => Self::Unreachable(error.to_string()),
        }
    }
}

impl Account {
    /// Asks Telegram, within `limit`, whether it accepts the session, as the daemon does after
    /// connecting, and whether it lets the account send; nothing of the session is changed. The
    /// lock that `file` holds keeps the daemon away meanwhile: Telegram ends a session that is used
    /// from two places.
    pub async fn probe(
        file: SessionFile,
        api_id: i32,
        limit: Duration,
    ) -> Result<Option<Restricted>, ProbeError> {
        let contents = file.read()?;
        let Some(user) = contents.user else {
            return Err(SessionError::NotLoggedIn(file.path().to_owned()).into());
        };
        let state = file.state_path();
        if state.exists() {
            UpdateStore::open(&state, user.id).await?;
        }
        let known = Known::read(&file.restriction_path(), user.id);
        let session = Arc::new(AccountSession::read_only(file, contents));
        let home = session.home_dc();
        session.check_clock(limit).await?;
        let (pool, _, _) = Pool::open(session, api_id, limit);
        pool.call(home, &tl::functions::updates::GetState {}).await?;
        Ok(known.now(freeze_in_config(&pool, home, 0).await.ok().flatten()))
    }

    /// Asks Telegram, within `limit`, whether `credentials` belong together, where nobody is logged in: by the first
    /// step of a login by QR code, which tells nobody and asks for no phone number. A login is the only time at which
    /// Telegram looks at API_HASH.
    pub async fn probe_credentials(
        file: SessionFile,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<(), ProbeError> {
        let contents = file.read().unwrap_or_else(|_| Contents::fresh());
        let session = Arc::new(AccountSession::read_only(file, contents));
        let home = session.home_dc();
        session.check_clock(limit).await?;
        let (pool, _, _) = Pool::open(session, credentials.api_id, limit);
        let request = tl::functions::auth::ExportLoginToken {
            api_id: credentials.api_id,
            api_hash: credentials.api_hash.clone(),
            except_ids: Vec::new(),
        };
        pool.call(home, &request).await?;
        Ok(())
    }
}

impl SessionFile {
    /// Locks the session in `folder` for a probe. A lock that had to be made is given to whom the folder
    /// belongs: root may look at the session of a daemon that is to start as somebody else.
    pub fn lock_to_look(folder: &Path) -> Result<Self, SessionError> {
        let lock = folder.join("account.lock");
        let is_new = !lock.exists();
        let file = Self::lock(folder)?;
        if is_new && let Ok(owner) = fs::metadata(folder) {
            // Only root may, and only for root it makes a difference.
            let _ = chown(&lock, Some(owner.uid()), Some(owner.gid()));
        }
        Ok(file)
    }

    /// The address of the home datacentre of the session in `folder`; the one at which a login would
    /// begin where there is no session that can be read.
    pub fn home_address(folder: &Path) -> Option<SocketAddr> {
        let contents = Self::contents_in(folder).unwrap_or_else(|_| Contents::fresh());
        contents.home_address()
    }
}
