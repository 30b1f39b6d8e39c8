//! Configuration, in two stages: [`RawConfig`] is what the environment and the `.env` file said,
//! [`Config`] what it means, checked one by one and together. All mistakes are found at once.

mod misspelt;
mod mistake;
mod raw;
mod redis_address;
mod secret;
mod values;
mod variables;

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use crate::domain::Task;

pub use mistake::{Mistake, Mistakes, PROBLEMS, VARIABLE_UNKNOWN};
pub use raw::{Entry, Origin, RawConfig};
pub use redis_address::Redis;
pub use secret::Secret;
pub use values::{
    AudioContext, HealthAddress, Language, LanguageCode, Languages, LogFormat, Model, ParseLanguageError,
    ParseModelError, WHISPER_LANGUAGES,
};
pub use variables::{VARIABLES, Variable};

/// What a command cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// The credentials of the application, with which one talks to Telegram.
    Telegram,
}

/// The application as which this program talks to Telegram, from <https://my.telegram.org>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub api_id: i32,
    pub api_hash: Secret,
}

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    api_id: Option<i32>,
    api_hash: Option<Secret>,
    /// Session, state of the updates, embedded queue, lock.
    pub data_dir: PathBuf,
    pub model_dir: PathBuf,
    pub model: Model,
    /// Where models are fetched from in place of the catalogue's own source.
    pub model_url: Option<String>,
    pub language: Language,
    /// What [`Language::Auto`] chooses from.
    pub languages: Languages,
    pub task: Task,
    pub audio_context: AudioContext,
    /// None: as suits what recognises.
    pub flash_attention: Option<bool>,
    /// None: as many as the machine has.
    pub threads: Option<NonZeroUsize>,
    /// None: the model stays in memory.
    pub idle_unload: Option<Duration>,
    /// None: the queue is the embedded one.
    pub redis: Option<Redis>,
    pub reconnect_delay: Duration,
    /// Not less than `reconnect_delay`.
    pub max_reconnect_delay: Duration,
    /// Not less than `catch_up_max_age`.
    pub dedupe_ttl: Duration,
    /// Zero: no transcript is kept.
    pub result_ttl: Duration,
    pub catch_up_max_age: Duration,
    /// Bytes.
    pub max_file_size: u64,
    pub max_duration: Duration,
    /// Where the daemon tells how it is; none: nowhere.
    pub health: Option<HealthAddress>,
    /// As the owner wrote it; the caps on other crates' talk are logging's own.
    pub log_filter: Targets,
    pub log_format: LogFormat,
    /// None: no files of log lines.
    pub log_dir: Option<PathBuf>,
    /// Files of earlier days.
    pub log_keep_days: usize,
}

impl Config {
    /// Checks what was said: each value whatever the command, and that what it `needs` is there.
    pub fn check(raw: &RawConfig, needs: Needs) -> Result<Self, Mistakes> {
        let mut check = Check { raw, mistakes: raw.mistakes().to_vec() };
        if needs == Needs::Telegram {
            check.is_set("API_ID");
            check.is_set("API_HASH");
        }
        match check.everything() {
            Ok(config) if check.mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes { mistakes: check.mistakes, warnings: raw.warnings().to_vec() }),
        }
    }

    /// The credentials; they are there after a check that [`Needs::Telegram`].
    pub fn telegram(&self) -> Result<Credentials, Mistakes> {
        let missing = |name| Mistake::Missing(variable(name));
        match (self.api_id, &self.api_hash) {
            (Some(api_id), Some(api_hash)) => Ok(Credentials { api_id, api_hash: api_hash.clone() }),
            (api_id, api_hash) => {
                let id = api_id.is_none().then(|| missing("API_ID"));
                let hash = api_hash.is_none().then(|| missing("API_HASH"));
                Err(Mistakes { mistakes: id.into_iter().chain(hash).collect(), warnings: Vec::new() })
            }
        }
    }
}

/// The variable of this name.
///
/// # Panics
/// If the table has no such variable.
fn variable(name: &str) -> &'static Variable {
    let variable = VARIABLES.iter().find(|variable| variable.name == name);
    variable.unwrap_or_else(|| panic!("{name} is missing from the table of variables"))
}

/// Says that there is no value, for a [`Mistake`] that is on the list already.
#[derive(Debug)]
struct Noted;

/// The second stage at work: it goes on after a mistake, to find the next one.
struct Check<'a> {
    raw: &'a RawConfig,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn everything(&mut self) -> Result<Config, Noted> {
        let api_id = self.optional("API_ID", |text| within(1..=i32::MAX, text.parse().ok()));
        let api_hash = self.optional("API_HASH", |text| {
            let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then(|| Secret::new(text))
        });
        let data_dir = self.required("DATA_DIR", values::path);
        let model_dir = self.required("MODEL_DIR", values::path);
        let model = self.required("MODEL", |text| text.parse().ok());
        let model_url = self.optional("MODEL_URL", values::web_url);
        let languages = self.languages();
        let task = self.required("TASK", |text| text.parse().ok());
        let audio_context = self.required("WHISPER_AUDIO_CTX", values::audio_context);
        let flash_attention = self.required("FLASH_ATTENTION", values::flash_attention);
        let threads = self.required("THREADS", |text| within(0..=256, text.parse::<usize>().ok()));
        let idle_unload = self.required("IDLE_UNLOAD", |text| {
            values::minutes_or_never(text).filter(|idle| idle.is_none_or(|idle| idle.as_secs() <= 30 * DAY))
        });
        let redis = self.redis();
        let reconnect_delay = self.time("RECONNECT_DELAY", 1..=HOUR);
        let max_reconnect_delay = self.time("MAX_RECONNECT_DELAY", 1..=DAY);
        self.not_less("MAX_RECONNECT_DELAY", &max_reconnect_delay, "RECONNECT_DELAY", &reconnect_delay);
        let dedupe_ttl = self.time("DEDUPE_TTL", 1..=3650 * DAY);
        let result_ttl = self.time("RESULT_TTL", 0..=365 * DAY);
        let catch_up_max_age = self.time("CATCH_UP_MAX_AGE", 1..=365 * DAY);
        // A message still young enough to be answered must not have been forgotten: it would be
        // twice.
        self.not_less("DEDUPE_TTL", &dedupe_ttl, "CATCH_UP_MAX_AGE", &catch_up_max_age);
        let max_file_size =
            self.required("MAX_FILE_SIZE", |text| within(1 << 10..=4 << 30, values::bytes(text)));
        let max_duration = self.time("MAX_DURATION", 1..=DAY);
        let health = self.required("HEALTH_ADDRESS", values::address_or_off);
        let chosen = self.raw.get("HEALTH_ADDRESS").is_set();
        let log_filter = self.required("LOG_LEVEL", values::log_filter);
        let log_format = self.required("LOG_FORMAT", values::log_format);
        let log_dir = self.optional("LOG_DIR", values::path);
        let log_keep_days = self.required("LOG_KEEP_DAYS", |text| within(1..=3650, text.parse().ok()));
        let (language, languages) = languages?;
        Ok(Config {
            api_id: api_id?,
            api_hash: api_hash?,
            data_dir: data_dir?,
            model_dir: model_dir?,
            model: model?,
            model_url: model_url?,
            language,
            languages,
            task: task?,
            audio_context: audio_context?,
            flash_attention: flash_attention?,
            threads: NonZeroUsize::new(threads?),
            idle_unload: idle_unload?,
            redis: redis?,
            reconnect_delay: reconnect_delay?,
            max_reconnect_delay: max_reconnect_delay?,
            dedupe_ttl: dedupe_ttl?,
            result_ttl: result_ttl?,
            catch_up_max_age: catch_up_max_age?,
            max_file_size: max_file_size?,
            max_duration: max_duration?,
            health: health?.map(|at| HealthAddress { at, chosen }),
            log_filter: log_filter?,
            log_format: log_format?,
            log_dir: log_dir?,
            log_keep_days: log_keep_days?,
        })
    }

    /// LANGUAGE and LANGUAGES together.
    fn languages(&mut self) -> Result<(Language, Languages), Noted> {
        let language = self.required("LANGUAGE", |text| text.parse().ok());
        let languages = self.required("LANGUAGES", values::languages);
        let (language, languages) = (language?, languages?);
        // The default list binds nobody who fixes the language.
        let meant = self.raw.get("LANGUAGES").is_set() && !languages.listed.is_empty();
        if let Language::Fixed(code) = language
            && meant
            && !languages.listed.contains(&code)
        {
            return Err(self.contradiction(format!(
                "LANGUAGE={code} is not among {}; add it there, or say LANGUAGE=auto",
                self.said("LANGUAGES")
            )));
        }
        Ok((language, languages))
    }

    /// REDIS_URL, or REDIS_HOST and the parts that go with it.
    fn redis(&mut self) -> Result<Option<Redis>, Noted> {
        const PARTS: [&str; 4] = ["REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"];
        let url = self.optional("REDIS_URL", redis_address::from_url);
        let host = self.optional("REDIS_HOST", redis_address::host);
        let port = self.required("REDIS_PORT", redis_address::port);
        let database = self.required("REDIS_DB", redis_address::database);
        let password = self.optional("REDIS_PASSWORD", |text| Some(text.to_owned()));

        let is_set = |name: &&str| self.raw.get(name).is_set();
        let parts: Vec<&str> = PARTS.into_iter().filter(is_set).collect();
        let parts = parts.join(", ");
        if is_set(&"REDIS_URL") && !parts.is_empty() {
            return Err(self.contradiction(format!(
                "REDIS_URL and {parts} are both set; keep the URL alone, which holds host, port, database \
                 and password, or the parts alone"
            )));
        }
        if !parts.is_empty() && !is_set(&"REDIS_HOST") {
            return Err(self.contradiction(format!(
                "{parts} set without REDIS_HOST; add it (REDIS_HOST=localhost, for one on this machine), or \
                 remove the others: without a host no Redis is used"
            )));
        }
        let parts = (host?, port?, database?, password?);
        Ok(match (url?, parts) {
            (Some(redis), _) => Some(redis),
            (None, (Some(host), port, database, password)) => {
                Some(redis_address::from_parts(&host, port, database, password.as_deref()))
            }
            (None, (None, ..)) => None,
        })
    }

    /// The value of a variable that has no default; none where it is not set.
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Noted> {
        let entry = self.raw.get(name);
        match entry.value().map(|text| (text, parse(text))) {
            None if entry.is_set() => Err(Noted),
            None => Ok(None),
            Some((_, Some(value))) => Ok(Some(value)),
            Some((text, None)) => {
                let (shown, origin) = (entry.variable.shown(text), entry.origin.clone());
                self.mistakes.push(Mistake::Value { variable: entry.variable, shown, origin });
                Err(Noted)
            }
        }
    }

    /// The value of a variable that has a default.
    fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Noted> {
        self.optional(name, parse)?.ok_or_else(|| panic!("{name} has no default in the table of variables"))
    }

    fn time(&mut self, name: &str, seconds: RangeInclusive<u64>) -> Result<Duration, Noted> {
        self.required(name, |text| {
            values::duration(text).filter(|duration| seconds.contains(&duration.as_secs()))
        })
    }

    fn is_set(&mut self, name: &str) {
        let entry = self.raw.get(name);
        if !entry.is_set() {
            self.mistakes.push(Mistake::Missing(entry.variable));
        }
    }

    fn not_less(
        &mut self,
        larger: &str,
        large: &Result<Duration, Noted>,
        smaller: &str,
        small: &Result<Duration, Noted>,
    ) {
        if let (Ok(large), Ok(small)) = (large, small)
            && large < small
        {
            let (large, small) = (self.said(larger), self.said(smaller));
            self.contradiction(format!("{large} is less than {small}; raise {larger}, or lower {smaller}"));
        }
    }

    fn contradiction(&mut self, text: String) -> Noted {
        self.mistakes.push(Mistake::Contradiction(text));
        Noted
    }

    /// `NAME="value" (origin)`.
    fn said(&self, name: &str) -> String {
        let entry = self.raw.get(name);
        format!("{name}={} ({})", entry.shown().unwrap_or_default(), entry.origin)
    }
}

/// Seconds.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn within<T: PartialOrd>(range: RangeInclusive<T>, value: Option<T>) -> Option<T> {
    value.filter(|value| range.contains(value))
}
