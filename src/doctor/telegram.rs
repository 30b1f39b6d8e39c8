//! The session, the daemon, the connection to Telegram, the clock, and the login.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::problems::DAEMON_STOPPED;
use super::{Finding, Observer};
use crate::config::Config;
use crate::domain::{Proxy, Restricted};
use crate::setup;
use crate::telegram::{
    self, Account, Answered, ClockVerdict, DcAddresses, Dialer, ProbeError, ServerClock, SessionError,
    SessionFile, server_clock,
};

/// How long connecting and the first answer may take.
const ANSWER: Duration = Duration::from_secs(8);
/// How long connecting with the session and one request may take. grammers may ask for the time and
/// a salt first.
const LOGIN: Duration = Duration::from_secs(10);
const CREDENTIALS: &str = "credentials";

/// Returns whether a daemon runs with this session.
pub(super) async fn check(config: &Config, observer: &mut dyn Observer) -> bool {
    let dialer = setup::dialer(config);
    observer.begins("session");
    let (finding, usable) = session(&config.data_dir);
    observer.found(finding);
    observer.begins("Telegram");
    let answered = match SessionFile::home_addresses(&config.data_dir) {
        Some(addresses) => reach(addresses, &dialer, observer).await,
        None => false,
    };
    // No daemon can start while the lock is held, so it is held only for the check of the login.
    let lock = config.data_dir.is_dir().then(|| SessionFile::lock_for_probe(&config.data_dir));
    let runs = matches!(lock, Some(Err(SessionError::InUse(_))));
    observer.found(daemon(&lock));
    observer.begins("login");
    let mut restricted = Account::restriction_in(&config.data_dir);
    let login = match lock {
        Some(Ok(file)) if usable == Usable::NotLoggedIn && answered => {
            if let Some(finding) = credentials(file, config, &dialer).await {
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
                let answer = Account::probe(file, credentials.api_id, LOGIN, &dialer).await;
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
        observer.found(Finding::fail("account", telegram::restriction(&restricted)));
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
    (Finding::fail(CHECK, error.diagnosis()), usable)
}

fn daemon(lock: &Option<Result<SessionFile, SessionError>>) -> Finding {
    const CHECK: &str = "daemon";
    match lock {
        Some(Err(SessionError::InUse(_))) => Finding::ok(CHECK, "is running"),
        Some(Err(error)) => Finding::fail(CHECK, error.diagnosis()),
        Some(Ok(_)) | None => Finding::warn(CHECK, DAEMON_STOPPED.with("is not running")),
    }
}

/// Whether Telegram answers, and whether its clock and ours agree.
async fn reach(addresses: DcAddresses, dialer: &Dialer, observer: &mut dyn Observer) -> bool {
    const CHECK: &str = "Telegram";
    let answer = server_clock(addresses, ANSWER, dialer).await;
    let address = addresses.ipv6.filter(|_| dialer.uses_ipv6()).unwrap_or(addresses.ipv4.into());
    observer.found(match &answer {
        Ok(answered) => reached(address, answered),
        Err(error) => {
            let what = format_args!("{address} cannot be reached: {error}");
            Finding::fail(CHECK, telegram::problems::TELEGRAM_UNREACHABLE.with(what))
        }
    });
    observer.found(match &answer {
        Ok(answered) => skew(answered.clock),
        Err(_) => Finding::unclear(
            "clock",
            "was not compared: Telegram does not answer",
            "first the network, then run this again",
        ),
    });
    answer.is_ok()
}

/// Telegram answers, though perhaps not by the way that is to be tried first.
fn reached(address: SocketAddr, Answered { clock, by, failures }: &Answered) -> Finding {
    const CHECK: &str = "Telegram";
    let answers = format!("answers in {} ms", clock.took.as_millis());
    let answers = match by {
        // An MTProxy chooses the address itself.
        Some(proxy @ Proxy::MtProxy(_)) => format!("{answers} through {proxy}"),
        Some(Proxy::Direct) => format!("{address} {answers} directly"),
        Some(proxy) => format!("{address} {answers} through {proxy}"),
        None => format!("{address} {answers}"),
    };
    if failures.is_empty() {
        return Finding::ok(CHECK, answers);
    }
    let what = format_args!("{answers}, but another way fails: {}", failures.join("; "));
    Finding::warn(CHECK, telegram::problems::TELEGRAM_UNREACHABLE.with(what))
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
        ClockVerdict::Tolerated => Finding::warn(CHECK, telegram::problems::CLOCK_WRONG.with(says)),
        ClockVerdict::Refused => {
            let says = format!("{says}: Telegram refuses messages from such a time");
            Finding::fail(CHECK, telegram::problems::CLOCK_WRONG.with(says))
        }
    }
}

fn login(answer: Result<Option<Restricted>, ProbeError>) -> Finding {
    const CHECK: &str = "login";
    match answer {
        Ok(_) => Finding::ok(CHECK, "Telegram accepts the session"),
        Err(ProbeError::LoggedOut(error)) => Finding::fail(CHECK, error.diagnosis()),
        Err(ProbeError::Unclear(diagnosis)) => Finding::warn(CHECK, diagnosis.within("is not clear")),
        Err(ProbeError::Clock(_)) => not_tried("Telegram would not accept this machine's clock"),
        Err(ProbeError::Unreachable(diagnosis)) => Finding::fail(CHECK, diagnosis),
        Err(ProbeError::Credentials(diagnosis)) => Finding::fail(CREDENTIALS, diagnosis),
        Err(ProbeError::Session(error)) => Finding::fail(CHECK, error.diagnosis()),
    }
}

/// Whether Telegram accepts API_ID and API_HASH. `None` if they are missing or Telegram does not
/// say.
async fn credentials(file: SessionFile, config: &Config, dialer: &Dialer) -> Option<Finding> {
    let credentials = config.credentials().ok()?;
    match Account::probe_credentials(file, &credentials, LOGIN, dialer).await {
        Ok(()) => Some(Finding::ok(CREDENTIALS, "Telegram accepts API_ID and API_HASH")),
        Err(ProbeError::Credentials(diagnosis)) => Some(Finding::fail(CREDENTIALS, diagnosis)),
        Err(_) => None,
    }
}

fn not_tried(why: &str) -> Finding {
    Finding::unclear("login", format!("was not tried: {why}"), "first the above, then run this again")
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
