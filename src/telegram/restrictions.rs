//! What Telegram holds against the account, and when a send is tried again.
//!
//! A restriction is a state of the account: it holds in every chat and outlives restarts. It lies in a small
//! JSON file beside the session, which `stenogram doctor` can read while the daemon runs. Meanwhile
//! nothing is sent. After a pause a single send is tried; where it succeeds, the restriction is over.
//! Whether an account is frozen Telegram also tells when asked (<https://core.telegram.org/api/config>).

use std::path::{Path, PathBuf};
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

/// Where a frozen account appeals, unless Telegram names another address, and where one that is taken for a
/// sender of spam can ask for how long.
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
    /// The longest, and the one for an account that is limited for spam: trying more often makes that worse.
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
        Self { path, account, pauses, stored: Mutex::new(stored), trial: Mutex::default(), now }
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
    pub fn configured(&self, freeze: Option<Restricted>) {
        let mut stored = self.lock();
        let Some(restricted) = freeze else {
            if stored.as_ref().is_some_and(|stored| stored.confirmed) {
                self.end(&mut stored);
            }
            return;
        };
        if stored.as_ref().is_some_and(|stored| stored.restricted == restricted) {
            return;
        }
        error!("{}", what_is_known(&restricted));
        let changed = match &*stored {
            Some(known) if known.restricted.why == Restriction::Frozen => {
                Stored { restricted, confirmed: true, ..known.clone() }
            }
            _ => self.begun(restricted, true),
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
            // So that the answers follow soon after the restriction is over, and in a long one the queue's
            // store is not written for nothing all the time.
            false => {
                let after = after.min((known.age() / 10).clamp(LOOK_EVERY.0, LOOK_EVERY.1));
                Err(Fault::Held { after, why: reason(known.restricted.why).into() })
            }
        }
    }

    /// The same for a send that is about to be made: while the account is restricted only one is tried.
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

    /// With what Telegram says now of being frozen, if it does.
    pub fn now(self, freeze: Option<Option<Restricted>>) -> Option<Restricted> {
        match freeze {
            Some(None) if self.0.as_ref().is_some_and(|stored| stored.confirmed) => None,
            Some(Some(frozen)) => Some(frozen),
            _ => self.restricted(),
        }
    }
}

/// Asks Telegram whether the account is frozen: its configuration for this account says since when.
pub(super) async fn freeze_in_config(pool: &Pool, home: i32) -> Result<Option<Restricted>, CallError> {
    // The whole of it: without the hash of an earlier one.
    let request = tl::functions::help::GetAppConfig { hash: 0 };
    match pool.call(home, &request).await? {
        tl::enums::help::AppConfig::Config(answer) => Ok(freeze(&answer.config)),
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
        Restriction::Frozen => format!(
            "Telegram has frozen this account: it can read, but not send. Appeal in the Telegram app or at {appeal}; \
             until then voice messages are recognised, and their answers kept"
        ),
        Restriction::SpamLimited => format!(
            "Telegram limits this account for spam (PEER_FLOOD): nothing is sent for some hours. Ask {appeal} for \
             how long; the answers are kept"
        ),
    }
}
