//! The restriction of the account, and when a send is tried again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::super::options::TrialPauses;
use super::super::problems::{ACCOUNT_FROZEN, ACCOUNT_LIMITED};
use super::app_config::{AppConfig, SPAM_BOT};
use crate::domain::unix_time;
use crate::domain::{Fault, Restricted, Restriction};
use crate::runtime::problem::{self, Diagnosis};
use crate::runtime::{atomic_file, lock};

/// Shortest and longest pause before a job that is held is checked again.
const RECHECK_PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1800));
/// How long a trial send keeps all others waiting.
const TRIAL: Duration = Duration::from_secs(60);

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    account: i64,
    #[serde(flatten)]
    restricted: Restricted,
    /// Whether Telegram's configuration has said so too; then it will also say when it is over.
    confirmed: bool,
    /// Trial sends that were refused.
    failures: u32,
    /// When the next trial send may be made, in milliseconds of Unix time.
    next_try: u64,
    /// Length of the pause in milliseconds. A clock that is turned back cannot make it longer.
    pause: u64,
}

impl Stored {
    /// For how long the account has been restricted.
    fn age(&self) -> Duration {
        let now = Duration::from_millis(unix_time::now_millis());
        now.saturating_sub(Duration::from_secs(u64::try_from(self.restricted.since).unwrap_or_default()))
    }

    /// Time until the next trial send.
    fn left(&self) -> Duration {
        Duration::from_millis(self.next_try.saturating_sub(unix_time::now_millis()).min(self.pause))
    }
}

/// The restriction of one account.
pub(crate) struct Restrictions {
    path: PathBuf,
    account: i64,
    pauses: TrialPauses,
    stored: Mutex<Option<Stored>>,
    /// Until when a trial send keeps all others waiting.
    trial: Mutex<Option<Instant>>,
    /// Hash of the configuration that Telegram has sent last. It sends no other with the same hash.
    config_hash: AtomicI32,
    /// Publishes every change.
    now: watch::Sender<Option<Restricted>>,
}

impl Restrictions {
    pub fn open(path: PathBuf, account: i64, pauses: TrialPauses) -> Self {
        let StoredRestriction(stored) = StoredRestriction::read(&path, account);
        if let Some(Stored { restricted, .. }) = &stored {
            warn!(event = "account_restricted", "{}", describe(restricted));
        }
        let now = watch::Sender::new(stored.as_ref().map(|stored| stored.restricted.clone()));
        let (stored, trial) = (Mutex::new(stored), Mutex::default());
        Self { path, account, pauses, stored, trial, config_hash: AtomicI32::default(), now }
    }

    pub fn config_hash(&self) -> i32 {
        self.config_hash.load(Ordering::Relaxed)
    }

    pub fn subscribe(&self) -> watch::Receiver<Option<Restricted>> {
        self.now.subscribe()
    }

    /// Telegram has refused a request for this reason.
    pub fn refused(&self, why: Restriction) {
        let mut stored = self.lock();
        *self.trial() = None;
        let changed = match &*stored {
            // This request was under way when the restriction began.
            Some(known) if known.restricted.why == why && !known.left().is_zero() => return,
            // A frozen account cannot send at all, so a limit for spam adds nothing.
            Some(known) if known.restricted.why == Restriction::Frozen && why != known.restricted.why => {
                return;
            }
            Some(known) if known.restricted.why == why => {
                let failures = known.failures.saturating_add(1);
                let pause = self.pauses.after(why, failures);
                info!("The account still may not send, next try in {} s", pause.as_secs());
                self.with_pause(Stored { failures, ..known.clone() }, pause)
            }
            _ => {
                let restricted = Restricted {
                    why,
                    since: unix_time::now_seconds(),
                    deletion: None,
                    appeal: SPAM_BOT.into(),
                };
                error!(event = "account_restricted", "{}", describe(&restricted));
                self.begun(restricted, false)
            }
        };
        self.keep(&mut stored, Some(changed));
    }

    /// Telegram's configuration says whether the account is frozen.
    pub fn configured(&self, config: AppConfig) {
        self.config_hash.store(config.hash, Ordering::Relaxed);
        let mut stored = self.lock();
        let Some(restricted) = config.freeze else {
            if stored.as_ref().is_some_and(|stored| stored.confirmed) {
                self.end(&mut stored);
            }
            return;
        };
        if stored.as_ref().is_some_and(|stored| stored.restricted == restricted) {
            return;
        }
        let changed = match &*stored {
            Some(known) if known.restricted.why == Restriction::Frozen => {
                info!(event = "account_restricted", "Now known: {}", describe(&restricted));
                Stored { restricted, confirmed: true, ..known.clone() }
            }
            _ => {
                error!(event = "account_restricted", "{}", describe(&restricted));
                self.begun(restricted, true)
            }
        };
        self.keep(&mut stored, Some(changed));
    }

    /// A message was sent.
    pub fn sent(&self) {
        let mut stored = self.lock();
        if stored.is_some() {
            self.end(&mut stored);
        }
    }

    /// Fails while nothing may be sent.
    pub fn check(&self) -> Result<(), Fault> {
        let stored = self.lock();
        let Some(known) = &*stored else { return Ok(()) };
        let trial = self.trial().map(|until| until.saturating_duration_since(Instant::now()));
        let after = known.left().max(trial.unwrap_or_default());
        match after.is_zero() {
            true => Ok(()),
            // The pause grows with the restriction. So the answers follow soon after a short one,
            // and during a long one the queue's store is not written all the time.
            false => {
                let after = after.min((known.age() / 10).clamp(RECHECK_PAUSE.0, RECHECK_PAUSE.1));
                Err(Fault::Held { after, why: reason(known.restricted.why).into() })
            }
        }
    }

    /// Like [`Restrictions::check`], for a send that follows at once. While the account is
    /// restricted, this admits one send at a time.
    pub fn check_to_send(&self) -> Result<(), Fault> {
        self.check()?;
        if self.lock().is_some() {
            *self.trial() = Some(Instant::now() + TRIAL);
        }
        Ok(())
    }

    fn begun(&self, restricted: Restricted, confirmed: bool) -> Stored {
        let pause = self.pauses.after(restricted.why, 0);
        let account = self.account;
        self.with_pause(Stored { account, restricted, confirmed, failures: 0, next_try: 0, pause: 0 }, pause)
    }

    fn with_pause(&self, stored: Stored, pause: Duration) -> Stored {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Stored { next_try: unix_time::now_millis().saturating_add(pause), pause, ..stored }
    }

    fn end(&self, stored: &mut Option<Stored>) {
        info!(
            event = "account_unrestricted",
            "Telegram lets the account send again, the answers that waited follow"
        );
        *self.trial() = None;
        self.keep(stored, None);
    }

    /// Changes the state, even if the file cannot be written.
    fn keep(&self, stored: &mut Option<Stored>, changed: Option<Stored>) {
        let kept = match &changed {
            Some(changed) => serde_json::to_vec_pretty(changed)
                .map_err(std::io::Error::from)
                .and_then(|text| atomic_file::replace(&self.path, &text)),
            None => match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = kept {
            let what = "A restart will forget the restriction of the account, it cannot be stored in";
            warn!("{}", problem::of_file(what, &self.path, &error));
        }
        self.now.send_replace(changed.as_ref().map(|stored| stored.restricted.clone()));
        *stored = changed;
    }

    fn trial(&self) -> MutexGuard<'_, Option<Instant>> {
        lock(&self.trial)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stored>> {
        // It is replaced as a whole, so a panic elsewhere cannot have left it half changed.
        lock(&self.stored)
    }
}

/// The restriction of an account as stored, for readers beside the daemon.
pub(crate) struct StoredRestriction(Option<Stored>);

impl StoredRestriction {
    /// Reads the file. A missing or damaged one counts as no restriction: the next send will show
    /// it.
    pub fn read(path: &Path, account: i64) -> Self {
        let text = std::fs::read(path).ok();
        let stored = text.and_then(|text| serde_json::from_slice::<Stored>(&text).ok());
        Self(stored.filter(|stored| stored.account == account))
    }

    pub fn restricted(self) -> Option<Restricted> {
        self.0.map(|stored| stored.restricted)
    }

    /// The restriction, after what Telegram's configuration says now, if it answered.
    pub fn updated_by(self, config: Option<AppConfig>) -> Option<Restricted> {
        match config {
            Some(AppConfig { freeze: Some(frozen), .. }) => Some(frozen),
            Some(_) if self.0.as_ref().is_some_and(|stored| stored.confirmed) => None,
            _ => self.restricted(),
        }
    }
}

/// For the queue: why a job waits.
fn reason(why: Restriction) -> &'static str {
    match why {
        Restriction::Frozen => "Telegram has frozen the account",
        Restriction::SpamLimited => "Telegram limits the account for spam",
    }
}

/// What the restriction is, and what to do.
pub fn describe(restricted: &Restricted) -> Diagnosis {
    let diagnosis = match restricted.why {
        Restriction::Frozen => {
            let now = unix_time::now_seconds();
            let days = restricted.deletion.map(|at| at.saturating_sub(now).max(0) / 86_400);
            let deletion =
                days.map(|days| format!(", and will be deleted in {days} days")).unwrap_or_default();
            ACCOUNT_FROZEN.with(format_args!(
                "Telegram has frozen this account: it can read, but not send{deletion}. Until it is released, the \
                 answers are kept"
            ))
        }
        Restriction::SpamLimited => ACCOUNT_LIMITED.with(
            "Telegram limits this account for spam (PEER_FLOOD): nothing is sent for some hours, and the answers \
             are kept",
        ),
    };
    diagnosis.fill("address in the message", &restricted.appeal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn opened(folder: &tempfile::TempDir, account: i64) -> Restrictions {
        Restrictions::open(folder.path().join("account.restriction"), account, TrialPauses::default())
    }

    fn why(restrictions: &Restrictions) -> Option<Restriction> {
        restrictions.subscribe().borrow().as_ref().map(|restricted| restricted.why)
    }

    fn says_frozen(hash: i32) -> AppConfig {
        let restricted =
            Restricted { why: Restriction::Frozen, since: 1, deletion: Some(2), appeal: SPAM_BOT.into() };
        AppConfig { hash, freeze: Some(restricted) }
    }

    #[test]
    fn the_state_survives_a_restart_and_is_its_accounts_alone() {
        let folder = tempfile::tempdir().unwrap();
        opened(&folder, 1000).refused(Restriction::Frozen);
        let restrictions = opened(&folder, 1000);
        assert_eq!(why(&restrictions), Some(Restriction::Frozen));
        assert!(matches!(restrictions.check_to_send(), Err(Fault::Held { .. })));
        assert_eq!(why(&opened(&folder, 1001)), None);
        restrictions.sent();
        assert_eq!(why(&opened(&folder, 1000)), None);
        std::fs::write(folder.path().join("account.restriction"), "{").unwrap();
        assert_eq!(why(&opened(&folder, 1000)), None);
    }

    #[test]
    fn the_pauses_double_for_a_frozen_account_and_are_the_longest_for_spam() {
        let pauses = TrialPauses::default();
        let hours =
            [0, 1, 2, 3, 1000].map(|failures| pauses.after(Restriction::Frozen, failures).as_secs() / 3600);
        assert_eq!(hours, [1, 2, 4, 6, 6]);
        assert_eq!(pauses.after(Restriction::SpamLimited, 0), pauses.max);
    }

    #[test]
    fn refusals_of_what_was_under_way_lengthen_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let restrictions = opened(&folder, 1000);
        for _ in 0..4 {
            restrictions.refused(Restriction::Frozen);
        }
        let stored = restrictions.lock().clone().unwrap();
        assert_eq!(stored.failures, 0);
        assert!(stored.left() <= HOUR);
    }

    #[test]
    fn a_clock_turned_back_does_not_lengthen_a_pause() {
        let folder = tempfile::tempdir().unwrap();
        let restrictions = opened(&folder, 1000);
        restrictions.refused(Restriction::Frozen);
        restrictions.lock().as_mut().unwrap().next_try += 86_400_000;
        assert!(restrictions.lock().as_ref().unwrap().left() <= HOUR);
    }

    #[test]
    fn frozen_is_more_than_limited() {
        let folder = tempfile::tempdir().unwrap();
        let restrictions = opened(&folder, 1000);
        for (refused, expected) in [
            (Restriction::SpamLimited, Restriction::SpamLimited),
            (Restriction::Frozen, Restriction::Frozen),
            (Restriction::SpamLimited, Restriction::Frozen),
        ] {
            restrictions.refused(refused);
            assert_eq!(why(&restrictions), Some(expected));
        }
    }

    #[test]
    fn the_configuration_ends_only_what_it_has_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let restrictions = opened(&folder, 1000);
        restrictions.refused(Restriction::Frozen);
        restrictions.configured(AppConfig { hash: 1, freeze: None });
        assert_eq!(why(&restrictions), Some(Restriction::Frozen), "Telegram has refused for that reason");
        restrictions.configured(says_frozen(2));
        assert_eq!(restrictions.config_hash(), 2);
        restrictions.configured(AppConfig { hash: 3, freeze: None });
        assert_eq!(why(&restrictions), None);
        assert_eq!(restrictions.check_to_send(), Ok(()));
    }
}
