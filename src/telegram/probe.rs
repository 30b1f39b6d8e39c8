//! Asks Telegram whether it accepts a session or credentials, and changes nothing of the session.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use grammers_client::tl;

use super::account::Account;
use super::connection::clock::{ClockAhead, ClockError, check_clock};
use super::connection::dialer::Dialer;
use super::connection::error::CallError;
use super::connection::logout::LoggedOut;
use super::connection::pool::Pool;
use super::connection::rpc_error::Meaning;
use super::problems::{
    CREDENTIALS_REFUSED, FLOOD_WAIT, KEY_EXCHANGE_FAILED, TELEGRAM_TROUBLE, TELEGRAM_UNREACHABLE,
};
use super::restrictions::app_config;
use super::restrictions::state::StoredRestriction;
use super::session::contents::Contents;
use super::session::error::SessionError;
use super::session::file::SessionFile;
use super::session::grammers::AccountSession;
use super::store::UpdateStore;
use crate::domain::{Credentials, Restricted};
use crate::runtime::problem::Diagnosis;

/// Why a session cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    LoggedOut(#[from] LoggedOut),
    /// Telegram gave no clear answer: it demands a pause, or has trouble of its own.
    #[error("{0}")]
    Unclear(Diagnosis),
    #[error("{0}")]
    Unreachable(Diagnosis),
    #[error(transparent)]
    Clock(ClockAhead),
    /// API_ID and API_HASH are not accepted.
    #[error("{0}")]
    Credentials(Diagnosis),
}

impl From<CallError> for ProbeError {
    fn from(error: CallError) -> Self {
        let meaning = error.meaning();
        match (error, meaning) {
            (CallError::Lost(why), _) => Self::unreachable(why),
            (error @ CallError::KeyExchange(_), _) => Self::Unreachable(KEY_EXCHANGE_FAILED.with(error)),
            (CallError::Rpc { name, .. }, Some(Meaning::LoggedOut | Meaning::Deactivated)) => {
                LoggedOut(name).into()
            }
            (CallError::Rpc { name, .. }, Some(Meaning::InvalidApplication)) => {
                let what = format!("Telegram refuses API_ID and API_HASH ({name})");
                Self::Credentials(CREDENTIALS_REFUSED.with(what))
            }
            (error, Some(Meaning::Wait { .. })) => Self::Unclear(FLOOD_WAIT.with(error)),
            (error, _) => Self::Unclear(TELEGRAM_TROUBLE.with(error)),
        }
    }
}

impl From<ClockError> for ProbeError {
    fn from(error: ClockError) -> Self {
        match error {
            ClockError::Ahead(ahead) => Self::Clock(ahead),
            ClockError::Unreachable(error) => Self::unreachable(error),
        }
    }
}

impl ProbeError {
    fn unreachable(why: impl Display) -> Self {
        Self::Unreachable(TELEGRAM_UNREACHABLE.with(format_args!("no connection to Telegram: {why}")))
    }
}

impl Account {
    /// Asks Telegram, within `limit`, whether it accepts the session and lets the account send.
    /// Nothing of the session is changed. The lock that `file` holds keeps the daemon away
    /// meanwhile, because Telegram ends a session that is used from two places.
    pub async fn probe(
        file: SessionFile,
        api_id: i32,
        limit: Duration,
        dialer: &Dialer,
    ) -> Result<Option<Restricted>, ProbeError> {
        let contents = file.read()?;
        let Some(user) = contents.user else {
            return Err(SessionError::NotLoggedIn(file.path().to_owned()).into());
        };
        let state = file.state_path();
        if state.exists() {
            UpdateStore::open(&state, user.id).await?;
        }
        let known = StoredRestriction::read(&file.restriction_path(), user.id);
        let session = Arc::new(AccountSession::read_only(file, contents, dialer.clone()));
        let home = session.home_dc();
        check_clock(session.home_addresses(), limit, dialer).await?;
        let (pool, _, _) = Pool::open(session, api_id, limit, dialer);
        pool.call(home, &tl::functions::updates::GetState {}).await?;
        Ok(known.updated_by(app_config::fetch(&pool, home, 0).await.ok().flatten()))
    }

    /// Asks Telegram, within `limit`, whether `credentials` belong together, when nobody is logged
    /// in. Telegram checks API_HASH only at a login. So this takes the first step of a login by QR
    /// code, which notifies nobody and needs no phone number.
    pub async fn probe_credentials(
        file: SessionFile,
        credentials: &Credentials,
        limit: Duration,
        dialer: &Dialer,
    ) -> Result<(), ProbeError> {
        let contents = file.read().unwrap_or_else(|_| Contents::fresh());
        let session = Arc::new(AccountSession::read_only(file, contents, dialer.clone()));
        let home = session.home_dc();
        check_clock(session.home_addresses(), limit, dialer).await?;
        let (pool, _, _) = Pool::open(session, credentials.api_id, limit, dialer);
        let request = tl::functions::auth::ExportLoginToken {
            api_id: credentials.api_id,
            api_hash: credentials.api_hash.expose().to_owned(),
            except_ids: Vec::new(),
        };
        pool.call(home, &request).await?;
        Ok(())
    }
}
