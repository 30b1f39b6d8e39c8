//! What Telegram holds against the account, and when a send is tried again.
//!
//! A restriction is a state of the account: it holds in every chat and outlives restarts. It lies
//! in a small JSON file beside the session, which `stenogram doctor` can read while the daemon
//! runs. Meanwhile nothing is sent. After a pause a single send is tried; where it succeeds, the
//! restriction is over. Whether an account is frozen Telegram also tells when asked
//! (<https://core.telegram.org/api/config>).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grammers_client::tl;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::connection::{CallError, Pool};
use super::session::replace_file;
use super::state::unix_millis;
use crate::domain::{Fault, Restricted, Restriction};

/// Where a frozen account appeals, unless Telegram names another address, and where one that is
/// taken for a sender of spam can ask for how long.
const SPAM_BOT: &str = "https://t.me/SpamBot";
/// How often, at the least and the most, a job that is held looks whether it still is.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1800));
/// Until then one send is under way, and no other is tried.
const TRIAL: Duration = Duration::from_secs(60);

/// Pauses before a send is tried again.
#[derive(Clone, Copy, Debug)]
pub struct TrialPauses {
    /// The first, for a frozen account; the next ones double.
    pub first: Duration,
    /// The longest, and the one for an account that is limited for spam: trying more often makes
    /// that worse.
    pub max: Duration,
}

impl Default for TrialPauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(3600), max: Duration::from_secs(6 * 3600) }
    }
}

impl TrialPauses {
    fn after(self, why: Restriction, failures: u32) -> Duration {
        match why {
            Restriction::Frozen => self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.max),
            Restriction::SpamLimited => self.max,
        }
    }
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    account: i64,
    #[serde(flatten)]
    restricted: Restricted,
    /// Telegram's configuration has said so too, and will say when it is over.
    confirmed: bool,
    /// Sends that were tried in vain after the first.
    failures: u32,
    /// When the next one may be tried, in milliseconds of Unix time.
    next_try: u64,
    /// Milliseconds. However the clock was turned back, the pause is not longer than this.
    pause: u64,
}

impl Stored {
    /// For how long the account has been restricted.
    fn age(&self) -> Duration {
        let now = Duration::from_millis(unix_millis());
        now.saturating_sub(Duration::from_secs(u64::try_from(self.restricted.since).unwrap_or_default()))
    }

    fn left(&self) -> Duration {
        Duration::from_millis(self.next_try.saturating_sub(unix_millis()).min(self.pause))
    }
}

/// The state of one account.
pub(super) struct Restrictions {
    path: PathBuf,
    account: i64,
    pauses: TrialPauses,
    stored: Mutex<Option<Stored>>,
    /// Until when a send that was let through has time to prove that the restriction is over.
    trial: Mutex<Option<Instant>>,
    /// Of the last configuration that Telegram has sent; while it is the same it sends none.
    config_hash: AtomicI32,
    /// Tells of every change.
    now: watch::Sender<Option<Restricted>>,
}

impl Restrictions {
    pub fn open(path: PathBuf, account: i64, pauses: TrialPauses) -> Self {
        let Known(stored) = Known::read(&path, account);
        if let Some(Stored { restricted, .. }) = &stored {
            warn!("{}", what_is_known(restricted));
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

    /// Telegram has refused something for this reason.
    pub fn refused(&self, why: Restriction) {
        let mut stored = self.lock();
        *self.trial() = None;
        let changed = match &*stored {
            // Others were under way when it began.
            Some(known) if known.restricted.why == why && !known.left().is_zero() => return,
            // Frozen is more than limited.
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
                    since: i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX),
                    deletion: None,
                    appeal: SPAM_BOT.into(),
                };
                error!("{}", what_is_known(&restricted));
                self.begun(restricted, false)
            }
        };
        self.keep(&mut stored, Some(changed));
    }

    /// Telegram has said whether the account is frozen.
    pub fn configured(&self, config: Config) {
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
                info!("Now known: {}", what_is_known(&restricted));
                Stored { restricted, confirmed: true, ..known.clone() }
            }
            _ => {
                error!("{}", what_is_known(&restricted));
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

    /// Refuses while nothing may be sent.
    pub fn check(&self) -> Result<(), Fault> {
        let stored = self.lock();
        let Some(known) = &*stored else { return Ok(()) };
        let trial = self.trial().map(|until| until.saturating_duration_since(Instant::now()));
        let after = known.left().max(trial.unwrap_or_default());
        match after.is_zero() {
            true => Ok(()),
            // So that the answers follow soon after the restriction is over, and in a long one the
            // queue's store is not written for nothing all the time.
            false => {
                let after = after.min((known.age() / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
                Err(Fault::Held { after, why: reason(known.restricted.why).into() })
            }
        }
    }

    /// The same for a send that is about to be made: while the account is restricted only one is
    /// tried.
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
        Stored { next_try: unix_millis().saturating_add(pause), pause, ..stored }
    }

    fn end(&self, stored: &mut Option<Stored>) {
        info!("Telegram lets the account send again, the answers that waited follow");
        *self.trial() = None;
        self.keep(stored, None);
    }

    /// In force at once, also where it cannot be stored.
    fn keep(&self, stored: &mut Option<Stored>, changed: Option<Stored>) {
        let kept = match &changed {
            Some(changed) => serde_json::to_vec_pretty(changed)
                .map_err(std::io::Error::from)
                .and_then(|text| replace_file(&self.path, &text)),
            None => match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = kept {
            warn!(%error, file = %self.path.display(), "The state of the account is forgotten by a restart");
        }
        self.now.send_replace(changed.as_ref().map(|stored| stored.restricted.clone()));
        *stored = changed;
    }

    fn trial(&self) -> MutexGuard<'_, Option<Instant>> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stored>> {
        // Replaced as a whole, so a panic elsewhere cannot have left it half changed.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is stored of an account, for a look.
pub(super) struct Known(Option<Stored>);

impl Known {
    /// Nothing where there is no file, or one that cannot be understood: the next send finds out.
    pub fn read(path: &Path, account: i64) -> Self {
        let text = std::fs::read(path).ok();
        let stored = text.and_then(|text| serde_json::from_slice::<Stored>(&text).ok());
        Self(stored.filter(|stored| stored.account == account))
    }

    pub fn restricted(self) -> Option<Restricted> {
        self.0.map(|stored| stored.restricted)
    }

    /// With what Telegram's configuration says now, if it does.
    pub fn now(self, config: Option<Config>) -> Option<Restricted> {
        match config {
            Some(Config { freeze: Some(frozen), .. }) => Some(frozen),
            Some(_) if self.0.as_ref().is_some_and(|stored| stored.confirmed) => None,
            _ => self.restricted(),
        }
    }
}

/// What Telegram's configuration for the account says of being frozen.
pub(super) struct Config {
    pub hash: i32,
    pub freeze: Option<Restricted>,
}

/// Asks Telegram whether the account is frozen. Nothing where its configuration is still that of
/// `hash`.
pub(super) async fn freeze_in_config(pool: &Pool, home: i32, hash: i32) -> Result<Option<Config>, CallError> {
    let request = tl::functions::help::GetAppConfig { hash };
    match pool.call(home, &request).await? {
        tl::enums::help::AppConfig::Config(answer) => {
            Ok(Some(Config { hash: answer.hash, freeze: freeze(&answer.config) }))
        }
        tl::enums::help::AppConfig::NotModified => Ok(None),
    }
}

fn freeze(config: &tl::enums::Jsonvalue) -> Option<Restricted> {
    let number = |key| match field(config, key) {
        Some(tl::enums::Jsonvalue::JsonNumber(number)) if number.value > 0.0 => Some(number.value as i64),
        _ => None,
    };
    let appeal = match field(config, "freeze_appeal_url") {
        Some(tl::enums::Jsonvalue::JsonString(url)) if url.value.starts_with("https://") => url.value.clone(),
        _ => SPAM_BOT.into(),
    };
    let since = number("freeze_since_date")?;
    let deletion = number("freeze_until_date");
    Some(Restricted { why: Restriction::Frozen, since, deletion, appeal })
}

fn field<'a>(config: &'a tl::enums::Jsonvalue, key: &str) -> Option<&'a tl::enums::Jsonvalue> {
    let tl::enums::Jsonvalue::JsonObject(object) = config else { return None };
    object.value.iter().find_map(|tl::enums::JsonobjectValue::JsonObjectValue(field)| {
        (field.key == key).then_some(&field.value)
    })
}

fn reason(why: Restriction) -> &'static str {
    match why {
        Restriction::Frozen => "Telegram has frozen the account",
        Restriction::SpamLimited => "Telegram limits the account for spam",
    }
}

/// For the log: what it is, and what to do.
fn what_is_known(restricted: &Restricted) -> String {
    let appeal = &restricted.appeal;
    match restricted.why {
        Restriction::Frozen => {
            let now = i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX);
            let days = restricted.deletion.map(|at| at.saturating_sub(now).max(0) / 86_400);
            let deletion =
                days.map(|days| format!(", and will be deleted in {days} days")).unwrap_or_default();
            format!(
                "Telegram has frozen this account: it can read, but not send{deletion}. Appeal in the Telegram app or \
                 at {appeal}; until then voice messages are recognised, and their answers kept"
            )
        }
        Restriction::SpamLimited => format!(
            "Telegram limits this account for spam (PEER_FLOOD): nothing is sent for some hours. Ask {appeal} for \
             how long; the answers are kept"
        ),
    }
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

    fn says_frozen(hash: i32) -> Config {
        let restricted =
            Restricted { why: Restriction::Frozen, since: 1, deletion: Some(2), appeal: SPAM_BOT.into() };
        Config { hash, freeze: Some(restricted) }
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
        restrictions.configured(Config { hash: 1, freeze: None });
        assert_eq!(why(&restrictions), Some(Restriction::Frozen), "Telegram has refused for that reason");
        restrictions.configured(says_frozen(2));
        assert_eq!(restrictions.config_hash(), 2);
        restrictions.configured(Config { hash: 3, freeze: None });
        assert_eq!(why(&restrictions), None);
        assert_eq!(restrictions.check_to_send(), Ok(()));
    }

    #[test]
    fn only_an_address_of_the_web_is_shown_as_the_place_to_appeal() {
        let text = |key: &str, value: &str| {
            let value = tl::types::JsonString { value: value.into() }.into();
            tl::types::JsonObjectValue { key: key.into(), value }.into()
        };
        let since = tl::types::JsonNumber { value: 1_764_201_600.0 }.into();
        let since: tl::enums::JsonobjectValue =
            tl::types::JsonObjectValue { key: "freeze_since_date".into(), value: since }.into();
        for (url, shown) in [("https://t.me/SpamBot?x", "https://t.me/SpamBot?x"), ("javascript:x", SPAM_BOT)]
        {
            let object = tl::types::JsonObject { value: vec![text("freeze_appeal_url", url), since.clone()] };
            assert_eq!(freeze(&object.into()).map(|frozen| frozen.appeal).as_deref(), Some(shown));
        }
    }
}
