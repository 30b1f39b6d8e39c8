//! The session, the daemon, the connection to Telegram, the clock, and the login.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::{Finding, Observer};
use crate::config::Config;
use crate::domain::{Restricted, Restriction};
use crate::health::readiness;
use crate::runtime::deployment::{self, typed};
use crate::telegram::{
    Account, ClockVerdict, ProbeError, ServerClock, SessionError, SessionFile, server_clock,
};

/// How long connecting and the first answer may take.
const ANSWER: Duration = Duration::from_secs(8);
/// How long connecting with the session and one request may take. grammers may ask for the time and
/// a salt first.
const LOGIN: Duration = Duration::from_secs(10);
const CREDENTIALS: &str = "credentials";
const SET_THE_CLOCK: &str = "set the clock, and keep it right: `timedatectl set-ntp true` or chrony; a container has the clock of its host";

fn log_in() -> String {
    format!("run `{}` at a terminal", typed("login"))
}

/// Returns whether a daemon runs with this session.
pub(super) async fn check(config: &Config, observer: &mut dyn Observer) -> bool {
    observer.begins("session");
    let (finding, usable) = session(&config.data_dir);
    observer.found(finding);
    observer.begins("Telegram");
    let answered = match SessionFile::home_address(&config.data_dir) {
        Some(address) => reach(address, observer).await,
        None => false,
    };
    // No daemon can start while the lock is held, so it is held only for the check of the login.
    let lock = config.data_dir.is_dir().then(|| SessionFile::lock_to_look(&config.data_dir));
    let runs = matches!(lock, Some(Err(SessionError::InUse(_))));
    observer.found(daemon(&lock));
    observer.begins("login");
    let mut restricted = Account::restriction_in(&config.data_dir);
    let login = match lock {
        Some(Ok(file)) if usable == Usable::NotLoggedIn && answered => {
            if let Some(finding) = credentials(file, config).await {
                observer.found(finding);
            }
            not_tried("nobody is logged in")
        }
        _ if usable != Usable::Yes => not_tried("there is no session that can be used"),
        Some(Err(SessionError::InUse(_))) => {
            Finding::ok("login", "the daemon is running with this session, so it is not tried")
        }
        _ if !answered => not_tried("Telegram does not answer"),
        Some(Ok(file)) => match config.credentials() {
            Ok(credentials) => {
                let answer = Account::probe(file, credentials.api_id, LOGIN).await;
                if let Ok(now) = &answer {
                    restricted.clone_from(now);
                }
                login(answer)
            }
            Err(_) => not_tried("API_ID is missing"),
        },
        Some(Err(error)) => not_tried(&error.to_string()),
        None => not_tried("there is no session"),
    };
    observer.found(login);
    if let Some(restricted) = restricted {
        observer.found(restriction(&restricted));
    }
    runs
}

/// Whether the session can be used.
#[derive(PartialEq, Eq)]
enum Usable {
    Yes,
    /// After a login it can be.
    NotLoggedIn,
    No,
}

fn session(folder: &Path) -> (Finding, Usable) {
    const CHECK: &str = "session";
    let file = folder.join("account.session");
    let error = match SessionFile::user_in(folder) {
        Ok(_) => {
            return (Finding::ok(CHECK, format!("{} is whole and yours alone", file.display())), Usable::Yes);
        }
        Err(error) => error,
    };
    let needs_login = matches!(error, SessionError::Missing(_) | SessionError::NotLoggedIn(_));
    let usable = if needs_login { Usable::NotLoggedIn } else { Usable::No };
    let remedy = match &error {
        SessionError::Missing(_) | SessionError::NotLoggedIn(_) => log_in(),
        SessionError::ReadableByOthers { path, .. } => format!("chmod 600 {}", path.display()),
        SessionError::Io { path, .. } => {
            let user = rustix::process::geteuid().as_raw();
            format!(
                "it has to be readable by the user that stenogram runs as: chown {user} {}",
                path.display()
            )
        }
        _ => format!("restore the file from a backup, or delete it and run `{}`", typed("login")),
    };
    (Finding::fail(CHECK, error.to_string(), remedy), usable)
}

fn daemon(lock: &Option<Result<SessionFile, SessionError>>) -> Finding {
    const CHECK: &str = "daemon";
    match lock {
        Some(Err(SessionError::InUse(_))) => Finding::ok(CHECK, "is running"),
        Some(Err(error)) => Finding::fail(
            CHECK,
            error.to_string(),
            "the folder and its account.lock have to belong to the user that stenogram runs as",
        ),
        Some(Ok(_)) | None => Finding::warn(
            CHECK,
            "is not running",
            format!("start it: {}; if it was started, its log says why it ended", deployment::here().start()),
        ),
    }
}

/// Whether Telegram answers, and whether its clock and ours agree.
async fn reach(address: SocketAddr, observer: &mut dyn Observer) -> bool {
    const CHECK: &str = "Telegram";
    let answer = server_clock(address, ANSWER).await;
    observer.found(match &answer {
        Ok(clock) => Finding::ok(CHECK, format!("{address} answers in {} ms", clock.took.as_millis())),
        Err(error) => Finding::fail(
            CHECK,
            format!("{address} cannot be reached: {error}"),
            "look at the network: is there a route, a firewall, a provider that blocks Telegram? From the host, \
             `curl -v --connect-timeout 5 telnet://149.154.167.50:443` must connect",
        ),
    });
    observer.found(match &answer {
        Ok(clock) => skew(*clock),
        Err(_) => Finding::warn(
            "clock",
            "was not compared: Telegram does not answer",
            "first the network, then run this again",
        ),
    });
    answer.is_ok()
}

fn skew(clock: ServerClock) -> Finding {
    const CHECK: &str = "clock";
    let seconds = clock.behind.abs();
    let says = match clock.behind {
        0 => "agrees with Telegram's".to_owned(),
        1.. => format!("is {seconds} s behind Telegram's"),
        _ => format!("is {seconds} s ahead of Telegram's"),
    };
    match clock.verdict() {
        ClockVerdict::Right => Finding::ok(CHECK, says),
        ClockVerdict::Tolerated => Finding::warn(CHECK, says, SET_THE_CLOCK),
        ClockVerdict::Refused => {
            let says = format!("{says}: Telegram refuses messages from such a time");
            Finding::fail(CHECK, says, SET_THE_CLOCK)
        }
    }
}

fn login(answer: Result<Option<Restricted>, ProbeError>) -> Finding {
    const CHECK: &str = "login";
    match answer {
        Ok(_) => Finding::ok(CHECK, "Telegram accepts the session"),
        Err(ProbeError::LoggedOut(error)) => Finding::fail(CHECK, error.to_string(), log_in()),
        Err(ProbeError::Refused(why)) => Finding::warn(
            CHECK,
            format!("is not clear: {why}"),
            "wait as long as Telegram says, then try again",
        ),
        Err(ProbeError::Clock(_)) => not_tried("Telegram would not accept this machine's clock"),
        Err(ProbeError::Trouble(why)) => Finding::warn(
            CHECK,
            format!("is not clear: Telegram has trouble of its own ({why})"),
            "run this again in a few minutes",
        ),
        Err(error @ ProbeError::Unreachable(_)) => {
            Finding::fail(CHECK, error.to_string(), "look at the network, and try again")
        }
        Err(error @ ProbeError::Credentials(_)) => refused(&error),
        Err(ProbeError::Session(error)) => Finding::fail(
            CHECK,
            error.to_string(),
            "restore the named file from a backup; without updates.redb what came meanwhile is not answered, \
             without the session a login is needed",
        ),
    }
}

/// Why Telegram restricts the account.
fn restriction(restricted: &Restricted) -> Finding {
    let appeal = &restricted.appeal;
    let remedy = match restricted.why {
        Restriction::Frozen => format!("appeal in the Telegram app or at {appeal}"),
        Restriction::SpamLimited => format!("ask {appeal} how long it lasts, and wait"),
    };
    Finding::fail("account", readiness::restriction(restricted), remedy)
}

/// Whether Telegram accepts API_ID and API_HASH. `None` if they are missing or Telegram does not
/// say.
async fn credentials(file: SessionFile, config: &Config) -> Option<Finding> {
    let credentials = config.credentials().ok()?;
    match Account::probe_credentials(file, &credentials, LOGIN).await {
        Ok(()) => Some(Finding::ok(CREDENTIALS, "Telegram accepts API_ID and API_HASH")),
        Err(error @ ProbeError::Credentials(_)) => Some(refused(&error)),
        Err(_) => None,
    }
}

fn refused(error: &ProbeError) -> Finding {
    let file = deployment::here().configuration();
    Finding::fail(
        CREDENTIALS,
        error.to_string(),
        format!("copy both anew from https://my.telegram.org into {file}"),
    )
}

fn not_tried(why: &str) -> Finding {
    Finding::warn("login", format!("was not tried: {why}"), "first the above, then run this again")
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_telegram_takes() {
        let at = |behind| ServerClock { behind, took: Duration::ZERO };
        for (behind, outcome) in [
            (0, Outcome::Ok),
            (-5, Outcome::Ok),
            (6, Outcome::Warn),
            (-29, Outcome::Warn),
            (-30, Outcome::Fail),
            (31, Outcome::Warn),
            (300, Outcome::Warn),
            (301, Outcome::Fail),
            (-86_400, Outcome::Fail),
        ] {
            assert_eq!(skew(at(behind)).outcome, outcome, "{behind}");
        }
        assert!(skew(at(40)).says.contains("behind") && skew(at(-40)).says.contains("ahead"));
    }
}
