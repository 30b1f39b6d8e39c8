//! The end of a session: what the owner is told, and which of several errors counts.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

use super::super::problems::{ACCOUNT_GONE, LOGGED_OUT, SESSION_USED_TWICE};
use crate::runtime::lock;
use crate::runtime::problem::Diagnosis;

/// Telegram does not accept the session any more. It holds the name of Telegram's error.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.diagnosis())]
pub struct LoggedOut(pub String);

impl LoggedOut {
    /// What went wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        let error = &self.0;
        let (problem, what) = match error.as_str() {
            "USER_DEACTIVATED" => (&ACCOUNT_GONE, "the account was deleted"),
            "USER_DEACTIVATED_BAN" | "PHONE_NUMBER_BANNED" => {
                (&ACCOUNT_GONE, "Telegram has banned the account for breaking its rules")
            }
            "AUTH_KEY_DUPLICATED" => (
                &SESSION_USED_TWICE,
                "the session was used from two places at once, and Telegram has ended it",
            ),
            "SESSION_PASSWORD_NEEDED" => {
                (&LOGGED_OUT, "the login was not finished: Telegram still wants the account's password")
            }
            "AUTH_KEY_PERM_EMPTY" => {
                (&LOGGED_OUT, "Telegram does not accept the session's key as a permanent one")
            }
            _ => (
                &LOGGED_OUT,
                "the account is logged out: the session was ended under Settings > Devices, or it expired",
            ),
        };
        problem.with(format_args!("{what} ({error})"))
    }
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
