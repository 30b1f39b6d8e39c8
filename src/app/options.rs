//! What of the configuration each part is given.

use std::path::PathBuf;
use std::time::Duration;

use super::RunError;
use crate::audio::Limits;
use crate::config::{self, Config, Language, Model, Redis};
use crate::domain::policy::Policy;
use crate::domain::{Form, Settings, Task};
use crate::queue::CrashRules;
use crate::queue::embedded::EmbeddedOptions;
use crate::queue::redis::RedisOptions;
use crate::speech::models::{self, ModelSpec, SILERO_VAD, UnknownModel};
use crate::speech::{AudioContext, EngineOptions};
use crate::telegram::{AccountOptions, ReconnectDelays};

/// How long a connection to Redis, or an answer from it, may take.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);

/// The embedded queue's file, and how it behaves.
pub fn embedded_queue(config: &Config) -> (PathBuf, EmbeddedOptions) {
    let (dedupe_ttl, result_ttl) = (config.dedupe_ttl, config.result_ttl);
    let options = EmbeddedOptions { dedupe_ttl, result_ttl, crashes: CrashRules::default() };
    (config.data_dir.join("queue.redb"), options)
}

/// The queue of `account` in Redis.
pub fn redis_queue(config: &Config, redis: &Redis, account: i64) -> RedisOptions {
    RedisOptions {
        url: redis.url.expose().to_owned(),
        account,
        dedupe_ttl: config.dedupe_ttl,
        result_ttl: config.result_ttl,
        crashes: CrashRules::default(),
        timeout: REDIS_TIMEOUT,
    }
}

/// Which recordings are answered, and how.
pub fn policy(config: &Config) -> Policy {
    Policy { max_age: config.catch_up_max_age, settings: settings(config.language, config.task) }
}

/// How recordings are recognised.
pub fn settings(language: Language, task: Task) -> Settings {
    let language = match language {
        Language::Auto => None,
        Language::Fixed(code) => Some(code.as_str().to_owned()),
    };
    Settings { language, task, form: Form::Replies }
}

/// How the account is kept connected.
pub fn account_options(config: &Config) -> AccountOptions {
    AccountOptions {
        reconnect: ReconnectDelays { first: config.reconnect_delay, max: config.max_reconnect_delay },
        max_file_size: config.max_file_size,
        ..AccountOptions::default()
    }
}

/// How much a recording may cost.
pub fn limits(config: &Config) -> Limits {
    Limits { bytes: config.max_file_size, length: config.max_duration, ..Limits::default() }
}

/// The file of a model.
pub fn model_path(config: &Config, model: &Model) -> Result<PathBuf, UnknownModel> {
    match model {
        Model::Path(path) => Ok(path.clone()),
        Model::Name(name) => match ModelSpec::resolve(name)? {
            models::Model::Catalogue(spec) => Ok(spec.path(&config.model_dir)),
            models::Model::File(path) => Ok(path),
        },
    }
}

/// How much of its window Whisper is given.
pub fn audio_context(configured: config::AudioContext) -> AudioContext {
    match configured {
        config::AudioContext::Full => AudioContext::Full,
        config::AudioContext::Auto => AudioContext::Auto,
    }
}

/// How `model` is run for recordings with these settings. A file of the catalogue's must have the
/// catalogue's size.
pub fn engine_options(
    config: &Config,
    model: PathBuf,
    settings: &Settings,
) -> Result<EngineOptions, RunError> {
    let expected = ModelSpec::of_file(&model).map(|spec| spec.bytes);
    if let (Some(expected), Ok(metadata)) = (expected, model.metadata())
        && metadata.len() != expected
    {
        return Err(RunError::ModelSize(models::wrong_size(&model, metadata.len(), expected)));
    }
    let languages = config.languages.listed.iter().map(|code| code.as_str().to_owned()).collect();
    let vad = Some(SILERO_VAD.path(&config.model_dir));
    let audio_context = audio_context(config.audio_context);
    let Config { threads, flash_attention, idle_unload, .. } = *config;
    Ok(EngineOptions {
        model,
        threads,
        languages,
        other_languages: !config.languages.only,
        only_language: settings.language.clone(),
        task: settings.task,
        audio_context,
        flash_attention,
        vad,
        idle_unload,
    })
}
