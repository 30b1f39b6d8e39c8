//! The daemon: the one place that picks the adapters, ties them together, and takes them down in order.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level;
use signal_hook_tokio::Signals;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::audio::{self, AudioError, Limits};
use crate::config::{Config, Credentials, Language, Model, Needs, RawConfig, Redis};
use crate::domain::policy::{Incoming, Policy};
use crate::domain::{Fault, Job, Part, Peer, Transcript};
use crate::intake::Intake;
use crate::ops::logging::LogFilter;
use crate::patience::insist;
use crate::pipeline::Stages;
use crate::queue::embedded::{Embedded, EmbeddedOptions};
use crate::queue::redis::{RedisOptions, RedisQueue};
use crate::queue::{Queue, QueueError};
use crate::speech::models::{self, ModelSpec, SILERO_VAD, UnknownModel};
use crate::speech::{Engine, EngineOptions, RecogniseOptions, SpeechError};
use crate::telegram::{
    Account, AccountOptions, LoggedOut, Recipient, ReconnectDelays, SessionError, SessionFile,
};
use crate::worker::Worker;

/// After the shutdown is asked for: how long intake and worker may take, and then the engine. Docker
/// kills after 10 s.
const GRACE: Duration = Duration::from_secs(5);
const ENGINE_GRACE: Duration = Duration::from_secs(2);
/// How long a connection to Redis, or an answer from it, may take.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// Conventional exit status of a program ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    LoggedOut(#[from] LoggedOut),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(
        "the daemon has the embedded queue open: stop it, run this again, and start it; nothing was changed"
    )]
    QueueInUse,
    #[error(transparent)]
    Model(#[from] UnknownModel),
    #[error(
        "the model {} has {found} bytes and should have {expected}: it is not whole; run `stenogram models pull`",
        path.display()
    )]
    ModelSize { path: PathBuf, found: u64, expected: u64 },
    #[error(transparent)]
    Speech(#[from] SpeechError),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("{0}")]
    Worker(String),
}

impl RunError {
    /// The owner has to change something; starting again does not help.
    pub fn needs_configuration(&self) -> bool {
        matches!(self, Self::Queue(QueueError::Configuration(_)) | Self::Model(_))
    }

    /// Only a login helps; starting again does not.
    pub fn needs_login(&self) -> bool {
        matches!(
            self,
            Self::LoggedOut(_)
                | Self::Session(
                    SessionError::Missing(_)
                        | SessionError::NotLoggedIn(_)
                        | SessionError::ReadableByOthers { .. }
                        | SessionError::Damaged { .. }
                )
        )
    }
}

/// Runs the daemon until SIGTERM or SIGINT, or until it cannot go on.
pub async fn run(config: &Config, credentials: &Credentials, log: LogFilter) -> Result<(), RunError> {
    info!(version = env!("CARGO_PKG_VERSION"), "stenogram starting");
    let shutdown = CancellationToken::new();
    let (policy, policy_in_force) = watch::channel(policy(config));
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(RunError::Signals)?;
    tokio::spawn(obey(signals, shutdown.clone(), policy, log));

    let session = SessionFile::lock(&config.data_dir)?;
    let account = Arc::new(Account::open(session, credentials.api_id, account_options(config))?);
    let model = model_path(config, &config.model)?;
    let engine_options = engine_options(config, model, config.language)?;
    engine_options.check()?;
    let Some(queue) = open_queue(config, account.id(), &shutdown).await? else { return Ok(()) };
    let engine = tokio::select! {
        engine = Engine::start(engine_options.clone()) => engine?,
        () = shutdown.cancelled() => return Ok(()),
    };
    info!(model = %engine_options.model.display(), "Model loaded");

    let stages = Arc::new(Adapters { account: Arc::clone(&account), engine, limits: limits(config) });
    let work = Arc::new(Notify::new());
    let intake =
        Intake::new(Arc::clone(&queue), policy_in_force.clone(), Arc::clone(&work), shutdown.clone());
    let ears = Ears { intake, policy: policy_in_force };
    let worker = Worker::new(queue, Arc::clone(&stages) as Arc<dyn Stages>, work, shutdown.clone());
    let both = async {
        tokio::join!(
            then_stop(account.run(&ears, shutdown.clone()), &shutdown),
            then_stop(worker.run(), &shutdown),
        )
    };
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ended = both => Some(ended),
        () = too_late => None,
    };
    let stopped = stages.engine.shutdown(ENGINE_GRACE).await;
    if ended.is_none() || !stopped {
        warn!("Stopping with work unfinished; it is taken up after the next start");
    }
    let outcome = match ended {
        Some((Err(logged_out), _)) => Err(logged_out.into()),
        Some((Ok(()), Err(why))) => Err(RunError::Worker(why)),
        Some((Ok(()), Ok(()))) | None => Ok(()),
    };
    if outcome.is_ok() {
        info!("Stopped");
        if !stopped {
            // whisper.cpp still computes on its thread; C++'s exit handlers would pull the rug from
            // under it.
            low_level::exit(0);
        }
    }
    outcome
}

/// Whichever side ends first takes the other with it.
async fn then_stop<T>(side: impl Future<Output = T>, shutdown: &CancellationToken) -> T {
    let outcome = side.await;
    shutdown.cancel();
    outcome
}

/// Turns signals into what they ask for. A second SIGTERM or SIGINT ends the process at once.
async fn obey(
    mut signals: Signals,
    shutdown: CancellationToken,
    policy_in_force: watch::Sender<Policy>,
    log: LogFilter,
) {
    while let Some(signal) = signals.next().await {
        match signal {
            SIGHUP => reload(&policy_in_force, &log),
            _ if shutdown.is_cancelled() => low_level::exit(INTERRUPTED),
            _ => {
                info!("Stopping; once more to stop at once");
                shutdown.cancel();
            }
        }
    }
}

/// Reads again what may change while the daemon runs: the policy and the log level.
fn reload(policy_in_force: &watch::Sender<Policy>, log: &LogFilter) {
    match Config::check(&RawConfig::load(), Needs::Telegram) {
        Ok(config) => {
            policy_in_force.send_replace(policy(&config));
            match log.set(&config.log_filter) {
                Ok(()) => info!("Policy and log level read again"),
                Err(error) => warn!(%error, "Policy read again, the log level not"),
            }
        }
        Err(mistakes) => warn!("The configuration has mistakes, the old one stays in force: {mistakes}"),
    }
}

/// The queue that is configured; none if the shutdown comes while its server is awaited.
async fn open_queue(
    config: &Config,
    account: i64,
    shutdown: &CancellationToken,
) -> Result<Option<Arc<dyn Queue>>, QueueError> {
    let Some(redis) = &config.redis else {
        let (path, options) = embedded_queue(config);
        info!(file = %path.display(), "Queue: embedded");
        return Ok(Some(Arc::new(Embedded::open(path, options).await?)));
    };
    info!(at = redis.place, "Queue: Redis");
    let options = redis_queue(config, redis, account);
    match insist("connect to Redis", shutdown, || RedisQueue::connect(options.clone())).await {
        None => Ok(None),
        Some(queue) => {
            let queue = queue?;
            for warning in queue.durability_warnings().await {
                warn!("{warning}");
            }
            Ok(Some(Arc::new(queue)))
        }
    }
}

/// The embedded queue's file, and how it behaves.
pub fn embedded_queue(config: &Config) -> (PathBuf, EmbeddedOptions) {
    let options = EmbeddedOptions { dedupe_ttl: config.dedupe_ttl, result_ttl: config.result_ttl };
    (config.data_dir.join("queue.redb"), options)
}

/// The queue of `account` in Redis.
pub fn redis_queue(config: &Config, redis: &Redis, account: i64) -> RedisOptions {
    RedisOptions {
        url: redis.url.expose().to_owned(),
        account,
        dedupe_ttl: config.dedupe_ttl,
        result_ttl: config.result_ttl,
        timeout: REDIS_TIMEOUT,
    }
}

fn policy(config: &Config) -> Policy {
    Policy { max_age: config.catch_up_max_age }
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

/// How `model` is run for `language`. A file of the catalogue's must have the catalogue's size.
pub fn engine_options(
    config: &Config,
    model: PathBuf,
    language: Language,
) -> Result<EngineOptions, RunError> {
    let expected = ModelSpec::of_file(&model).map(|spec| spec.bytes);
    if let (Some(expected), Ok(metadata)) = (expected, model.metadata())
        && metadata.len() != expected
    {
        return Err(RunError::ModelSize { path: model, found: metadata.len(), expected });
    }
    let languages = config.spoken(language).iter().map(|code| code.as_str().to_owned()).collect();
    let vad = Some(SILERO_VAD.path(&config.model_dir));
    Ok(EngineOptions { model, threads: config.threads, languages, vad })
}

/// What the account hears goes to the intake, as far as the policy in force wants it.
struct Ears {
    intake: Intake,
    policy: watch::Receiver<Policy>,
}

#[async_trait]
impl Recipient for Ears {
    async fn take(&self, recordings: Vec<Incoming>) -> bool {
        self.intake.take(recordings).await
    }

    fn covers(&self, peer: &Peer, bot: bool) -> bool {
        self.policy.borrow().covers(peer, bot)
    }

    fn max_age(&self) -> Duration {
        self.policy.borrow().max_age
    }
}

/// The pipeline's stages, done by the adapters.
struct Adapters {
    account: Arc<Account>,
    engine: Engine,
    limits: Limits,
}

#[async_trait]
impl Stages for Adapters {
    async fn ready(&self) {
        self.account.connected().await;
    }

    fn connection(&self) -> Option<u64> {
        self.account.connection()
    }

    async fn fetch(&self, job: &Job) -> Result<Vec<u8>, Fault> {
        self.account.fetch(job).await
    }

    async fn decode(&self, bytes: Vec<u8>) -> Result<Vec<f32>, Fault> {
        let pcm = decode(bytes, self.limits.clone()).await.map_err(|error| match error {
            AudioError::Aborted => Fault::Aborted,
            error => Fault::Reject(format!("the recording cannot be decoded: {error}")),
        })?;
        if let Some(what) = &pcm.damaged {
            warn!(what, "The recording is damaged, going on with the rest");
        }
        Ok(pcm.samples)
    }

    async fn recognise(&self, samples: Vec<f32>) -> Result<Transcript, Fault> {
        #[cfg(feature = "chaos")]
        if let Some(transcript) = crate::chaos::transcript(&samples) {
            return Ok(transcript);
        }
        Ok(self.engine.recognise(samples, RecogniseOptions::default()).await?)
    }

    async fn sent(&self, job: &Job, parts: &[Part]) -> Result<Vec<Option<i32>>, Fault> {
        self.account.sent(job, parts).await
    }

    async fn deliver(&self, job: &Job, index: usize, part: &Part) -> Result<Option<i32>, Fault> {
        self.account.deliver(job, index, part).await
    }
}

/// Decodes on a blocking thread, which ends soon after the future was dropped.
pub async fn decode(bytes: Vec<u8>, limits: Limits) -> Result<audio::Pcm, AudioError> {
    struct AbortOnDrop(Arc<AtomicBool>);
    impl Drop for AbortOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let abort = AbortOnDrop(Arc::default());
    let flag = Arc::clone(&abort.0);
    let task = tokio::task::spawn_blocking(move || audio::decode(&bytes, &limits, &flag));
    // A task that cannot be joined was cancelled by the runtime's own end.
    task.await.unwrap_or(Err(AudioError::Aborted))
}
