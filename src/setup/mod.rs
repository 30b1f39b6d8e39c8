//! Turns the configuration into the options of each part, which knows nothing of the
//! configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::audio::Limits;
use crate::config::{Config, Redis, RedisTls, Sentinel, Summary};
use crate::domain::budget::GateLimits;
use crate::domain::policy::Policy;
use crate::domain::{
    ChatRules, LanguageChoice, LanguageCode, Languages, ModelName, RecogniserAddress, Secret, ServerUrl,
    Settings, Task, Vocabulary,
};
use crate::fleet::{GatewayOptions, WorkerOptions};
use crate::notices::WebHook;
use crate::queue::CrashRules;
use crate::queue::embedded::EmbeddedOptions;
use crate::queue::fleet::{ANY_MODEL, ANY_TRANSLATING, LeasesOptions};
use crate::queue::redis::{RedisOptions, SentinelOptions, ServerOptions, TlsFiles};
use crate::runtime::process::host_name;
use crate::speech::models::{ModelSpec, SILERO_VAD, UnknownModel, web_proxy};
use crate::speech::server::SpeechServerOptions;
use crate::speech::{
    EngineOptions, LocalOptions, OwnersLists, RecogniserOptions, RecognisersOptions, model_name,
};
use crate::summary::SummaryOptions;
use crate::telegram::{AccountOptions, Dialer, ReconnectDelays, SpoolOptions};

/// How long a connection to Redis, or an answer from it, may take.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// Multilingual models know so many languages, or one more.
const MOST_LANGUAGES: usize = 99;

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

/// The model that a gateway asks for: the one that its owner has set.
fn wanted_model(config: &Config) -> Result<Option<String>, UnknownModel> {
    let path = config.model_is_set.then(|| model_path(config, &config.model)).transpose()?;
    Ok(path.map(|path| model_name(&path)))
}

/// What a gateway tells the workers of itself.
pub fn gateway(config: &Config) -> Result<GatewayOptions, UnknownModel> {
    Ok(GatewayOptions {
        model: wanted_model(config)?,
        task: config.task,
        lists: OwnersLists { languages: config.languages.clone(), vocabulary: config.vocabulary.clone() },
        budget: config.fleet_bytes,
    })
}

/// Who recognises for a worker. Languages, task and vocabulary are those of the gateways.
pub fn worker_recognisers(config: &Config) -> Result<RecognisersOptions, UnknownModel> {
    let mut config = config.clone();
    (config.languages, config.vocabulary) = Default::default();
    recognisers(&config, &Settings::default())
}

/// What a worker is that holds these models, which together have these `abilities`: the languages
/// that they know, and whether they translate.
pub fn worker(config: &Config, models: Vec<String>, abilities: (Vec<LanguageCode>, bool)) -> WorkerOptions {
    let (languages, translates) = &abilities;
    let mut takes = models.clone();
    // One that knows only some languages, as English, takes only what asks for it by name.
    if languages.len() >= MOST_LANGUAGES {
        takes.push(ANY_MODEL.to_owned());
        if *translates {
            takes.push(ANY_TRANSLATING.to_owned());
        }
    }
    let name = config.worker_name.clone().unwrap_or_else(host_name);
    WorkerOptions { name, lease: config.worker_lease, models, takes, abilities }
}

/// Which Redis a worker shares with its gateways, and how its leases behave.
pub fn leases(config: &Config, redis: &Redis, worker: &WorkerOptions) -> LeasesOptions {
    LeasesOptions {
        server: redis_server(redis),
        timeout: REDIS_TIMEOUT,
        lease: worker.lease,
        takes: worker.takes.clone(),
        dedupe_ttl: config.dedupe_ttl,
        crashes: CrashRules::default(),
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
            people: config.names.then(Vocabulary::default),
            summary_from: config.summary.as_ref().map_or(u32::MAX, |summary| summary.from),
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
        names: config.names,
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
        ca: config.recogniser_ca.clone(),
        timeout: config.recogniser_timeout,
        languages: config.languages.clone(),
        vocabulary: config.vocabulary.clone(),
    }
}

/// How a server is asked for summaries, if one is.
pub fn summary_server(config: &Config) -> Option<SummaryOptions> {
    let Summary { url, model, key, timeout, .. } = config.summary.clone()?;
    // What is on a private network is not reached through a proxy.
    let proxy = if url.is_private() { Ok(None) } else { web_proxy(url.as_str()) };
    Some(SummaryOptions { url, model, key, timeout, proxy })
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
