//! The end of a session: what the owner is told, and which of several errors counts.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use crate::runtime::deployment::typed;
use crate::runtime::lock;

/// Telegram does not accept the session any more. It holds the name of Telegram's error.
#[derive(Debug, thiserror::Error)]
#[error("{}", logged_out_message(.0))]
pub struct LoggedOut(pub String);

fn logged_out_message(error: &str) -> String {
    let what = match error {
        "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN" | "PHONE_NUMBER_BANNED" => return account_is_gone(error),
        "AUTH_KEY_DUPLICATED" => {
            "the session was used from two places at once, and Telegram has ended it. \
             Make sure that only one copy of it is in use"
        }
        "SESSION_PASSWORD_NEEDED" => {
            "the login was not finished: Telegram still wants the account's password"
        }
        "AUTH_KEY_PERM_EMPTY" => "Telegram does not accept the session's key as a permanent one",
        _ => "the account is logged out: the session was ended under Settings > Devices, or it expired",
    };
    format!("{what} ({error}). Then run `{}`; what was queued is kept", typed("login"))
}

/// What the owner can do whose account Telegram has deleted or banned.
pub(crate) fn account_is_gone(error: &str) -> String {
    let what = match error {
        "USER_DEACTIVATED" => "the account was deleted",
        _ => "Telegram has banned the account for breaking its rules",
    };
    format!(
        "{what} ({error}). If that is a mistake, write to recover@telegram.org with the phone number; afterwards, or \
         for another account, run `{}`",
        typed("login")
    )
}

/// The first error by which Telegram said that the session is over. Later errors, for example on
/// another connection, follow from it and say less.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstLogout(Arc<Mutex<Option<(Instant, String)>>>);

impl FirstLogout {
    pub fn note(&self, name: &str) {
        self.first().get_or_insert_with(|| (Instant::now(), name.to_owned()));
    }

    /// The name of the error.
    pub fn name(&self) -> Option<String> {
        self.first().as_ref().map(|(_, name)| name.clone())
    }

    /// Forgets an error from before `asked`: a request of that time was accepted with this session.
    pub fn refute(&self, asked: Instant) {
        self.first().take_if(|(noted, _)| *noted < asked);
    }

    fn first(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        // Nothing panics while holding it.
        lock(&self.0)
    }
}
