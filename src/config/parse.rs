//! The second stage: parses every value and checks the values against each other.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::error::{ConfigError, ConfigErrors};
use super::origin::Origin;
use super::raw::RawConfig;
use super::redis_address::{self, Parts, Redis, RedisTls};
use super::{Config, HealthAddress, Needs, Notify, Summary, values};
use crate::domain::budget::Budgets;
use crate::domain::pacing::SendLimits;
use crate::domain::rules::{AnswerIn, Rules};
use crate::domain::{Documents, LanguageChoice, Models, RecogniserAddress, Secret};

/// In seconds.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

pub(super) fn config(raw: &RawConfig, needs: Needs) -> Result<Config, ConfigErrors> {
    let mut parser = Parser { raw, errors: raw.errors().to_vec() };
    if matches!(needs, Needs::Telegram | Needs::Gateway) {
        parser.require("API_ID");
        parser.require("API_HASH");
    }
    let mut config = parser.parse();
    let is_redis_set = parser.is_set("REDIS_URL") || parser.is_set("REDIS_HOST");
    if matches!(needs, Needs::Gateway | Needs::Worker) && !is_redis_set {
        parser.errors.push(ConfigError::NoRedis);
    }
    parser.compare(&config);
    config.fleet_bytes = config.fleet_bytes.max(config.max_file_size);
    match parser.errors {
        errors if errors.is_empty() => Ok(config),
        errors => Err(ConfigErrors { errors, warnings: raw.warnings().to_vec() }),
    }
}

/// Goes on after an error with the default in place of the value, to find the other errors too.
struct Parser<'a> {
    raw: &'a RawConfig,
    errors: Vec<ConfigError>,
}

impl Parser<'_> {
    fn parse(&mut self) -> Config {
        let model = self.parsed("MODEL");
        let models: Models = self.optional("MODELS", |text| text.parse().ok()).unwrap_or_default();
        let is_default = models.of_others.is_none() && self.raw.get("MODEL").origin == Origin::Default;
        if models.of_others.is_some()
            && matches!(self.raw.get("MODEL").origin, Origin::Environment | Origin::EnvFile(_))
        {
            let (model, models) = (self.describe("MODEL"), self.describe("MODELS"));
            self.contradiction(format!("{model} and {models} both name the model for all other languages; leave out MODEL, or the * of MODELS"));
        }
        let model_is_set = models.of_others.is_some() || self.is_set("MODEL");
        Config {
            api_id: self.optional("API_ID", |text| within(1..=i32::MAX, text.parse().ok())),
            api_hash: self.optional("API_HASH", api_hash),
            data_dir: self.value("DATA_DIR", values::path),
            model_dir: self.value("MODEL_DIR", values::path),
            model: models.of_others.unwrap_or(model),
            models: models.of_languages,
            model_is_default: is_default,
            model_is_set,
            model_url: self.optional("MODEL_URL", values::web_url),
            language: self.parsed("LANGUAGE"),
            languages: self.parsed("LANGUAGES"),
            task: self.parsed("TASK"),
            vocabulary: self.optional("VOCABULARY", |text| text.parse().ok()).unwrap_or_default(),
            names: self.value("NAMES", values::on_or_off),
            audio_context: self.parsed("WHISPER_AUDIO_CTX"),
            flash_attention: self.value("FLASH_ATTENTION", values::flash_attention),
            threads: NonZeroUsize::new(self.value("THREADS", |text| within(0..=256, text.parse().ok()))),
            idle_unload: self.value("IDLE_UNLOAD", |text| {
                values::minutes_or_never(text)
                    .filter(|idle| idle.is_none_or(|idle| idle.as_secs() <= 30 * DAY))
            }),
            recognisers: self.value("RECOGNISER", values::recognisers),
            recogniser_model: self.value("RECOGNISER_MODEL", values::model_of_server),
            recogniser_key: self.optional("RECOGNISER_KEY", values::key),
            recogniser_ca: self.optional("RECOGNISER_CA", values::path),
            recogniser_timeout: self.duration("RECOGNISER_TIMEOUT", 1..=300),
            recogniser_patience: self.duration("RECOGNISER_PATIENCE", 1..=600),
            summary: self.summary(),
            redis: self.redis(),
            fleet_jobs: self.value("FLEET_JOBS", |text| within(1..=1000, text.parse().ok())),
            fleet_bytes: self.value("FLEET_BYTES", |text| within(1 << 10..=1 << 40, values::bytes(text))),
            worker_name: self.optional("WORKER_NAME", values::name),
            worker_lease: self.duration("WORKER_LEASE", 1..=300),
            proxies: self.optional("PROXY", values::proxies).unwrap_or_default(),
            reconnect_delay: self.duration("RECONNECT_DELAY", 1..=HOUR),
            max_reconnect_delay: self.duration("MAX_RECONNECT_DELAY", 1..=DAY),
            dedupe_ttl: self.duration("DEDUPE_TTL", 1..=3650 * DAY),
            result_ttl: self.duration("RESULT_TTL", 0..=365 * DAY),
            catch_up_max_age: self.duration("CATCH_UP_MAX_AGE", 1..=365 * DAY),
            rules: self.rules(),
            fold_from: self.value("FOLD_FROM", values::length_or_never),
            documents: Documents {
                from: self.value("DOCUMENT_FROM", values::messages_or_never),
                formats: self.parsed("DOCUMENT_FORM"),
            },
            preview_after: self.value("PREVIEW_AFTER", values::hour_or_off),
            command_prefix: self.value("COMMAND_PREFIX", values::prefix_or_off),
            reaction: self.value("REACTION", values::reaction_or_off),
            delete_answers: self.value("DELETE_ANSWERS", values::on_or_off),
            max_file_size: self.value("MAX_FILE_SIZE", |text| within(1 << 10..=4 << 30, values::bytes(text))),
            spool_limit: self.value("SPOOL_LIMIT", |text| within(0..=1 << 40, values::bytes(text))),
            max_duration: self.duration("MAX_DURATION", 1..=DAY),
            sends: SendLimits {
                minute: self.value("SENDS_PER_MINUTE", |text| within(1..=100_000, text.parse().ok())),
                day: self.value("SENDS_PER_DAY", |text| within(1..=100_000, text.parse().ok())),
            },
            stranger_budgets: self.budgets(["STRANGER_PER_HOUR", "STRANGER_PER_DAY"]),
            chat_budgets: self.budgets(["CHAT_PER_HOUR", "CHAT_PER_DAY"]),
            queue_limit: self.value("QUEUE_LIMIT", |text| within(1..=1_000_000, text.parse().ok())),
            loop_after: self
                .value("LOOP_AFTER", |text| text.parse().ok().filter(|n| matches!(n, 0 | 2..=1000))),
            health: self.health(),
            serve_address: self.value("SERVE_ADDRESS", values::address),
            serve_key: self.optional("SERVE_KEY", values::key),
            notify: Notify {
                saved: self.value("NOTIFY_SAVED", values::on_or_off),
                url: self.optional("NOTIFY_URL", values::secret_url),
                heartbeat: self.optional("HEARTBEAT_URL", values::secret_url),
            },
            log_filter: self.value("LOG_LEVEL", values::log_filter),
            log_format: self.value("LOG_FORMAT", values::log_format),
            log_dir: self.optional("LOG_DIR", values::path),
            log_keep_days: self.value("LOG_KEEP_DAYS", |text| within(1..=3650, text.parse().ok())),
        }
    }

    /// Checks the values that have to fit each other.
    fn compare(&mut self, config: &Config) {
        self.language_is_listed(config);
        let delays = [config.max_reconnect_delay, config.reconnect_delay];
        self.not_less(["MAX_RECONNECT_DELAY", "RECONNECT_DELAY"], delays);
        // A message that is recent enough to be answered must still be known if it was: else it
        // would be answered twice.
        let ages = [config.dedupe_ttl, config.catch_up_max_age];
        self.not_less(["DEDUPE_TTL", "CATCH_UP_MAX_AGE"], ages);
        if !config.serve_address.ip().is_loopback() && !self.is_set("SERVE_KEY") {
            let address = self.describe("SERVE_ADDRESS");
            self.contradiction(format!(
                "{address} can be reached from outside, and anybody could use it; set SERVE_KEY, or an address \
                 of this machine alone such as 127.0.0.1:9465"
            ));
        }
        if self.is_set("FLEET_BYTES") && config.fleet_bytes < config.max_file_size {
            let (bytes, size) = (self.describe("FLEET_BYTES"), self.describe("MAX_FILE_SIZE"));
            self.contradiction(format!(
                "{bytes} is less than {size}, so the largest recordings would never get to a worker; raise \
                 FLEET_BYTES, or lower MAX_FILE_SIZE"
            ));
        }
        let is_encrypted =
            |it: &RecogniserAddress| matches!(it, RecogniserAddress::Server(url) if url.is_encrypted());
        let has_encrypted = self.is_invalid("RECOGNISER") || config.recognisers.iter().any(is_encrypted);
        if self.is_set("RECOGNISER_CA") && !has_encrypted {
            let recogniser = self.describe("RECOGNISER");
            self.contradiction(format!(
                "RECOGNISER_CA is set, but {recogniser} has no server with https://; add one, or remove RECOGNISER_CA"
            ));
        }
        if config.rules.answer_in == AnswerIn::Nowhere && config.result_ttl.is_zero() {
            self.contradiction(
                "ANSWER_IN=nowhere with RESULT_TTL=0 would recognise everything and keep nothing; set RESULT_TTL \
                 to how long transcripts are kept, or ANSWER_IN to where they appear"
                    .to_owned(),
            );
        }
    }

    fn language_is_listed(&mut self, config: &Config) {
        let LanguageChoice::Fixed(code) = config.language else { return };
        let listed = &config.languages.listed;
        // The default list binds nobody who fixes the language.
        let is_binding = self.is_set("LANGUAGES") && !self.is_invalid("LANGUAGES") && !listed.is_empty();
        if is_binding && !listed.contains(&code) {
            let list = self.describe("LANGUAGES");
            self.contradiction(format!(
                "LANGUAGE={code} is not among {list}; add it there, or set LANGUAGE=auto"
            ));
        }
    }

    fn not_less(&mut self, [larger, smaller]: [&str; 2], [large, small]: [Duration; 2]) {
        if large < small && !self.is_invalid(larger) && !self.is_invalid(smaller) {
            let (large, small) = (self.describe(larger), self.describe(smaller));
            self.contradiction(format!("{large} is less than {small}; raise {larger}, or lower {smaller}"));
        }
    }

    fn rules(&mut self) -> Rules {
        Rules {
            mine: self.value("ANSWER_MINE", values::on_or_off),
            theirs: self.parsed("ANSWER_THEIRS"),
            groups: self.parsed("ANSWER_GROUPS"),
            allowed: self.optional("CHATS_ALLOW", |text| text.parse().ok()).unwrap_or_default(),
            denied: self.optional("CHATS_DENY", |text| text.parse().ok()).unwrap_or_default(),
            min_duration: self.duration("MIN_DURATION", 0..=HOUR),
            answer_in: self.parsed("ANSWER_IN"),
        }
    }

    fn budgets(&mut self, [hour, day]: [&str; 2]) -> Budgets {
        Budgets { hour: self.value(hour, values::budget), day: self.value(day, values::budget) }
    }

    fn health(&mut self) -> Option<HealthAddress> {
        let address = self.value("HEALTH_ADDRESS", values::address_or_off);
        address.map(|at| HealthAddress { at, explicit: self.is_set("HEALTH_ADDRESS") })
    }

    /// The server that SUMMARY_URL names, and what goes with it.
    fn summary(&mut self) -> Option<Summary> {
        let url = self.optional("SUMMARY_URL", |text| text.parse().ok());
        let model = self.optional("SUMMARY_MODEL", values::model_of_server);
        let key = self.optional("SUMMARY_KEY", values::key);
        let from = self.value("SUMMARY_FROM", |text| within(1..=100_000, text.parse().ok()));
        let timeout = self.duration("SUMMARY_TIMEOUT", 1..=120);
        if self.is_set("SUMMARY_URL") != self.is_set("SUMMARY_MODEL") {
            self.contradiction(
                "of SUMMARY_URL and SUMMARY_MODEL only one is set; a server is asked for a model by its name"
                    .to_owned(),
            );
        }
        Some(Summary { url: url?, model: model?, key, from, timeout })
    }

    /// REDIS_URL, or REDIS_HOST and the parts that go with it.
    fn redis(&mut self) -> Option<Redis> {
        const PARTS: [&str; 6] =
            ["REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_TLS"];
        let url = self.optional("REDIS_URL", redis_address::from_url);
        let host = self.optional("REDIS_HOST", redis_address::host);
        let port = self.value("REDIS_PORT", redis_address::port);
        let database = self.value("REDIS_DB", redis_address::database);
        let user = self.optional("REDIS_USERNAME", |text| Some(text.to_owned()));
        let password = self.optional("REDIS_PASSWORD", |text| Some(text.to_owned()));
        let has_tls = self.value("REDIS_TLS", values::on_or_off);

        let parts: Vec<&str> = PARTS.into_iter().filter(|name| self.is_set(name)).collect();
        let parts = parts.join(", ");
        if self.is_set("REDIS_URL") && !parts.is_empty() {
            self.contradiction(format!(
                "REDIS_URL and {parts} are both set; keep the URL alone, which holds host, port, database, \
                 user, password and TLS (rediss://), or the parts alone"
            ));
        } else if !parts.is_empty() && !self.is_set("REDIS_HOST") {
            self.contradiction(format!(
                "{parts} set without REDIS_HOST; add it (REDIS_HOST=localhost, for one on this machine), or \
                 remove the others: without a host no Redis is used"
            ));
        }
        if self.is_set("REDIS_USERNAME") && !self.is_set("REDIS_PASSWORD") {
            self.contradiction(
                "REDIS_USERNAME is set without REDIS_PASSWORD; add the password of that user".to_owned(),
            );
        }
        let from_parts =
            |host| redis_address::from_parts(&Parts { host, port, database, user, password, has_tls });
        let redis = url.or_else(|| host.map(from_parts));
        self.with_tls_files(redis)
    }

    /// Adds the files for TLS to the address of Redis.
    fn with_tls_files(&mut self, redis: Option<Redis>) -> Option<Redis> {
        const FILES: [&str; 3] = ["REDIS_CA", "REDIS_CERT", "REDIS_KEY"];
        let [ca, certificate, key] = FILES.map(|name| self.optional(name, values::path));
        if self.is_set("REDIS_CERT") != self.is_set("REDIS_KEY") {
            self.contradiction(
                "of REDIS_CERT and REDIS_KEY only one is set; a certificate needs its key".to_owned(),
            );
        }
        let files: Vec<&str> = FILES.into_iter().filter(|name| self.is_set(name)).collect();
        let is_address_known = !self.is_invalid("REDIS_URL") && !self.is_invalid("REDIS_HOST");
        let has_tls = redis.as_ref().is_some_and(|redis| redis.tls.is_some());
        if !files.is_empty() && is_address_known && !has_tls {
            let files = files.join(", ");
            self.contradiction(format!(
                "{files} set, but Redis is used without TLS; write rediss:// in REDIS_URL, or set REDIS_TLS=on \
                 with REDIS_HOST, or remove {files}"
            ));
        }
        let tls = has_tls.then(|| RedisTls { ca, client: certificate.zip(key) });
        redis.map(|redis| Redis { tls, ..redis })
    }

    /// The value of a variable without a default; `None` if it is not set or not valid.
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let entry = self.raw.get(name);
        let text = entry.value()?;
        let value = parse(text);
        if value.is_none() {
            let (variable, origin) = (entry.variable, entry.origin.clone());
            self.errors.push(ConfigError::Value { variable, shown: variable.shown(text), origin });
        }
        value
    }

    /// The value of a variable with a default, which also stands for a value that is not valid.
    fn value<T>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let default = self.raw.get(name).variable.default;
        let value = self.optional(name, &parse).or_else(|| parse(default));
        value.unwrap_or_else(|| panic!("{name} has no valid default in the table of variables"))
    }

    fn parsed<T: FromStr>(&mut self, name: &str) -> T {
        self.value(name, |text| text.parse().ok())
    }

    fn duration(&mut self, name: &str, seconds: RangeInclusive<u64>) -> Duration {
        self.value(name, |text| {
            values::duration(text).filter(|duration| seconds.contains(&duration.as_secs()))
        })
    }

    fn require(&mut self, name: &str) {
        if !self.is_set(name) {
            self.errors.push(ConfigError::Missing(self.raw.get(name).variable));
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.raw.get(name).is_set()
    }

    /// Whether an error about this variable is recorded, so that its value means nothing.
    fn is_invalid(&self, name: &str) -> bool {
        self.errors.iter().filter_map(ConfigError::variable).any(|variable| variable.name == name)
    }

    fn contradiction(&mut self, text: String) {
        self.errors.push(ConfigError::Contradiction(text));
    }

    /// `NAME="value" (origin)`.
    fn describe(&self, name: &str) -> String {
        let entry = self.raw.get(name);
        format!("{name}={} ({})", entry.shown().unwrap_or_default(), entry.origin)
    }
}

fn api_hash(text: &str) -> Option<Secret> {
    let is_hash = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| Secret::new(text))
}

fn within<T: PartialOrd>(range: RangeInclusive<T>, value: Option<T>) -> Option<T> {
    value.filter(|value| range.contains(value))
}
