//! Turns the configuration into the options of each part, which knows nothing of the
//! configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::audio::Limits;
use crate::config::{Config, Redis, RedisTls, Sentinel};
use crate::domain::budget::GateLimits;
use crate::domain::policy::Policy;
use crate::domain::{
    ChatRules, LanguageChoice, LanguageCode, Languages, ModelName, RecogniserAddress, Secret, ServerUrl,
    Settings, Task,
};
use crate::notices::WebHook;
use crate::queue::CrashRules;
use crate::queue::embedded::EmbeddedOptions;
use crate::queue::redis::{RedisOptions, SentinelOptions, ServerOptions, TlsFiles};
use crate::speech::models::{ModelSpec, SILERO_VAD, UnknownModel, web_proxy};
use crate::speech::server::SpeechServerOptions;
use crate::speech::{EngineOptions, LocalOptions, RecogniserOptions, RecognisersOptions};
use crate::telegram::{AccountOptions, Dialer, ReconnectDelays, SpoolOptions};

/// How long a connection to Redis, or an answer from it, may take.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// The recordings in memory may take as much as the largest that is allowed, and no less than this,
/// in bytes.
const LEAST_MEMORY: u64 = 64 << 20;

/// The file of the embedded queue, and its options.
pub fn embedded_queue(config: &Config) -> (PathBuf, EmbeddedOptions) {
    let (dedupe_ttl, result_ttl) = (config.dedupe_ttl, config.result_ttl);
    let options = EmbeddedOptions { dedupe_ttl, result_ttl, crashes: CrashRules::default() };
    (config.data_dir.join("queue.redb"), options)
}

/// The queue of `account` in Redis.
pub fn redis_queue(config: &Config, redis: &Redis, account: i64) -> RedisOptions {
    RedisOptions {
        server: redis_server(redis),
        account,
        dedupe_ttl: config.dedupe_ttl,
        result_ttl: config.result_ttl,
        crashes: CrashRules::default(),
        timeout: REDIS_TIMEOUT,
    }
}

fn redis_server(redis: &Redis) -> ServerOptions {
    let sentinel = redis.sentinel.as_ref().map(|Sentinel { addresses, master }| SentinelOptions {
        addresses: addresses.clone(),
        master: master.clone(),
    });
    let tls = redis.tls.as_ref();
    ServerOptions {
        url: redis.url.expose().to_owned(),
        sentinel,
        tls: tls.map(|RedisTls { ca, client }| TlsFiles { ca: ca.clone(), client: client.clone() }),
        is_in_parts: redis.is_in_parts,
    }
}

/// Which recordings are answered, and how, as far as the configuration says it.
pub fn policy(config: &Config) -> Policy {
    Policy {
        max_age: config.catch_up_max_age,
        rules: config.rules.clone(),
        settings: Settings {
            fold_from: config.fold_from,
            documents: config.documents,
            ..settings(config.language, config.task)
        },
        chats: ChatRules::default(),
    }
}

/// How recordings are recognised and answered.
pub fn settings(language: LanguageChoice, task: Task) -> Settings {
    Settings { language: language.code(), task, ..Settings::default() }
}

/// The ways to Telegram.
pub fn dialer(config: &Config) -> Dialer {
    Dialer::new(&config.proxies)
}

/// How the account is kept connected.
pub fn account_options(config: &Config) -> AccountOptions {
    AccountOptions {
        dialer: dialer(config),
        reconnect: ReconnectDelays { first: config.reconnect_delay, max: config.max_reconnect_delay },
        max_file_size: config.max_file_size,
        memory: config.max_file_size.max(LEAST_MEMORY),
        spool: Some(SpoolOptions { folder: config.data_dir.join("spool"), limit: config.spool_limit }),
        sends: config.sends,
        ..AccountOptions::default()
    }
}

/// The file with what chats have used of their budgets, and the budgets.
pub fn gate(config: &Config) -> (PathBuf, GateLimits) {
    let (stranger, chat) = (config.stranger_budgets, config.chat_budgets);
    (
        config.data_dir.join("budgets.redb"),
        GateLimits { stranger, chat, jobs: config.queue_limit, loop_after: config.loop_after },
    )
}

/// Where the owner is told of troubles, besides Saved Messages.
pub fn notify_url(config: &Config) -> Option<WebHook> {
    config.notify.url.clone().map(web_hook)
}

/// What is asked for while all is well.
pub fn heartbeat_url(config: &Config) -> Option<WebHook> {
    config.notify.heartbeat.clone().map(web_hook)
}

fn web_hook(url: Secret) -> WebHook {
    let proxy = web_proxy(url.expose());
    WebHook::new(url, proxy)
}

/// How much a recording may cost.
pub fn limits(config: &Config) -> Limits {
    Limits { bytes: config.max_file_size, length: config.max_duration, ..Limits::default() }
}

/// The file of a model.
pub fn model_path(config: &Config, model: &ModelName) -> Result<PathBuf, UnknownModel> {
    match model {
        ModelName::Path(path) => Ok(path.clone()),
        ModelName::Catalogue(name) => Ok(ModelSpec::named(name)?.path(&config.model_dir)),
    }
}

/// Who recognises recordings with these settings.
pub fn recognisers(config: &Config, settings: &Settings) -> Result<RecognisersOptions, UnknownModel> {
    let options = |address: &RecogniserAddress| {
        Ok(match address {
            RecogniserAddress::Local => RecogniserOptions::Local(local_models(config, settings)?),
            RecogniserAddress::Server(url) => RecogniserOptions::Server(speech_server(config, url)),
        })
    };
    Ok(RecognisersOptions {
        list: config.recognisers.iter().map(options).collect::<Result<_, _>>()?,
        patience: config.recogniser_patience,
        vad: Some(SILERO_VAD.path(&config.model_dir)),
    })
}

/// The models on this machine.
pub fn local_models(config: &Config, settings: &Settings) -> Result<LocalOptions, UnknownModel> {
    let other = |(language, model): &(LanguageCode, ModelName)| {
        let options = engine_options(config, model_path(config, model)?, settings);
        let languages = Languages { listed: vec![*language], others: false };
        let only = EngineOptions { languages, only_language: None, task: Task::Transcribe, ..options };
        Ok((*language, only))
    };
    Ok(LocalOptions {
        engine: engine_options(config, model_path(config, &config.model)?, settings),
        others: config.models.iter().map(other).collect::<Result<_, _>>()?,
    })
}

/// How a server is asked to recognise.
pub fn speech_server(config: &Config, url: &ServerUrl) -> SpeechServerOptions {
    SpeechServerOptions {
        url: url.clone(),
        model: config.recogniser_model.clone(),
        key: config.recogniser_key.clone(),
        timeout: config.recogniser_timeout,
        languages: config.languages.clone(),
        vocabulary: config.vocabulary.clone(),
    }
}

/// How `model` is run for recordings with these settings.
pub fn engine_options(config: &Config, model: PathBuf, settings: &Settings) -> EngineOptions {
    let Config { threads, audio_context, flash_attention, idle_unload, .. } = *config;
    EngineOptions {
        model,
        transcribe_cpp: None,
        threads,
        languages: config.languages.clone(),
        vocabulary: config.vocabulary.clone(),
        only_language: settings.language,
        task: settings.task,
        audio_context,
        flash_attention,
        vad: Some(SILERO_VAD.path(&config.model_dir)),
        idle_unload,
    }
}
