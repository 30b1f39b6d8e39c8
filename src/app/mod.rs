//! The daemon. It alone chooses the adapters, connects them to each other, and shuts them down in
//! order.

mod adapters;
pub mod decoder;
mod decorator;
mod folders;
mod gateway;
mod recognition;
mod signals;
mod stretch_transcriber;
pub mod worker;

use std::cell::OnceCell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::adapters::{IntakeSink, SavedMessages};
use self::recognition::{Recognition, start_recognisers};
use self::signals::handle_signals;
use crate::audio::AudioError;
use crate::cli::Exit;
use crate::config::{Config, ConfigErrors, Needs};
use crate::domain::{Credentials, Restricted};
use crate::fleet::FleetTranscriber;
use crate::health::HealthState;
use crate::health::facts::{Role, Volume};
use crate::health::observed::{ObservedMessenger, ObservedQueue};
use crate::health::server::{self, ListenError};
use crate::health::service::Service;
use crate::jobs::chat_rules_file::{self, ChatRulesFile};
use crate::jobs::commands::{self, Commands, ModelAbilities};
use crate::jobs::deletions::Deletions;
use crate::jobs::gate::Gate;
use crate::jobs::intake::Intake;
use crate::jobs::ports::{Conversation, Messenger, Summariser};
use crate::jobs::retry::retry_until_available;
use crate::jobs::worker::Worker;
use crate::notices::{Channel, Notices};
use crate::queue::embedded::Embedded;
use crate::queue::redis::RedisQueue;
use crate::queue::{Queue, QueueError};
use crate::runtime::ending;
use crate::runtime::logging::LogFilter;
use crate::runtime::problem::PROCESS_LIMIT;
use crate::runtime::pulse::Pulse;
use crate::serve;
use crate::setup;
use crate::speech::models::UnknownModel;
use crate::speech::{DROP_REASONS, LocalOptions, RecognisersOptions, SpeechError};
use crate::summary::SummaryServer;
use crate::telegram::{Account, LoggedOut, SessionError, SessionFile};
use crate::transcribe::chat_languages::ChatLanguages;

pub use self::decorator::{Decorator, Undecorated};
pub use self::folders::report_shared_folder;

/// The file in DATA_DIR with the languages that are spoken in each chat.
const LANGUAGES_FILE: &str = "languages.json";
/// The file in DATA_DIR with what the owner was told.
const NOTICES_FILE: &str = "notices.json";
/// How long it may take to tell the owner that Telegram has ended the session.
const LOGOUT_NOTICE_LIMIT: Duration = Duration::from_secs(4);
/// How long intake and worker may take after a shutdown is requested, and then the recognisers.
/// Docker kills the process after 10 s.
const GRACE: Duration = Duration::from_secs(5);
const RECOGNISER_GRACE: Duration = Duration::from_secs(2);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    LoggedOut(#[from] LoggedOut),
    #[error(transparent)]
    Config(ConfigErrors),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Model(#[from] UnknownModel),
    #[error(transparent)]
    Speech(#[from] SpeechError),
    #[error("{}", PROCESS_LIMIT.with(format_args!("cannot listen for signals: {}", .0)))]
    Signals(std::io::Error),
    #[error("{}", PROCESS_LIMIT.with(.0))]
    Decoder(AudioError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Serve(#[from] serve::ListenError),
    #[error("{0}")]
    Worker(String),
}

impl RunError {
    /// The status to end with.
    pub fn exit(&self) -> Exit {
        if self.needs_configuration() {
            Exit::Usage
        } else if self.needs_login() {
            Exit::LoggedOut
        } else {
            Exit::Failed
        }
    }

    /// Whether the owner has to change the configuration: a restart does not help.
    fn needs_configuration(&self) -> bool {
        matches!(
            self,
            Self::Queue(QueueError::Configuration(_))
                | Self::Config(_)
                | Self::Model(_)
                | Self::Listen(_)
                | Self::Serve(_)
                | Self::Speech(
                    SpeechError::Cpu(_)
                        | SpeechError::LanguageNotInModel(_)
                        | SpeechError::Proxy(_)
                        | SpeechError::NoTranscribeCpp { .. }
                        | SpeechError::Authority(_)
                        | SpeechError::EnglishOnly { .. }
                        | SpeechError::TranscribesOnly { .. }
                )
        )
    }

    /// Whether only a login helps: a restart does not.
    fn needs_login(&self) -> bool {
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

/// Runs the daemon until SIGTERM or SIGINT, or until an error that it cannot recover from: the
/// whole of it, or as a gateway.
pub async fn run(
    role: Role,
    config: &Config,
    credentials: &Credentials,
    log: LogFilter,
    decorator: &dyn Decorator,
) -> Result<(), RunError> {
    ending::start_deadline_on_signals().map_err(RunError::Signals)?;
    info!(event = "starting", version = env!("CARGO_PKG_VERSION"), "Starting stenogram");
    let shutdown = CancellationToken::new();
    let configured = setup::policy(config);
    let settings = configured.settings.clone();
    let (policy, policy_in_force) = watch::channel(configured);
    let policy = Arc::new(policy);
    let health = Arc::new(HealthState::new(&DROP_REASONS));
    health.plays(role);
    let service = Arc::new(Service::from_environment());
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(RunError::Signals)?;
    let reloaded = Arc::clone(&policy);
    let needs = if role == Role::Gateway { Needs::Gateway } else { Needs::Telegram };
    tokio::spawn(handle_signals(signals, shutdown.clone(), reloaded, log, Arc::clone(&service), needs));

    let io_error = |source| SessionError::Io { path: config.data_dir.clone(), source };
    folders::close_data_dir(&config.data_dir).map_err(io_error)?;
    let session = SessionFile::lock(&config.data_dir)?;
    let chat_rules_path = config.data_dir.join(chat_rules_file::FILE_NAME);
    let chat_rules = ChatRulesFile::open(chat_rules_path.clone(), policy)
        .map_err(|source| SessionError::Io { path: chat_rules_path, source })?;
    let account = Arc::new(Account::open(session, credentials.api_id, setup::account_options(config)).await?);
    let recognisers = match role {
        Role::Gateway => None,
        _ => Some(setup::recognisers(config, &settings)?),
    };
    let local = recognisers.as_ref().and_then(RecognisersOptions::local);
    local.map_or(Ok(()), LocalOptions::check_size)?;
    let listener = listen(config).await?;
    let mut watchers = watch_over(&account, &health, &service, listener, &shutdown);
    let notices = Arc::new(notices(config, &account));
    let (told, state) = (Arc::clone(&notices), Arc::clone(&health));
    watchers.spawn(async move { told.watch(&state).await });

    let Some(queue) = open_queue(config, account.id(), &shutdown).await? else { return Ok(()) };
    let intake_pulse = account.pulses().updates.clone();
    let queue = decorator.queue(queue);
    let queue: Arc<dyn Queue> = Arc::new(ObservedQueue::new(queue, Arc::clone(&health), intake_pulse));
    let recognition = Pulse::default();
    health.watch("recognition", recognition.clone());
    let languages = || Arc::new(ChatLanguages::open(config.data_dir.join(LANGUAGES_FILE)));
    let recognition = match recognisers {
        Some(options) => {
            let started = start_recognisers(options, &health, &recognition, &mut watchers, &shutdown).await?;
            let Some((recognisers, decoder)) = started else { return Ok(()) };
            Recognition::here(config, recognisers, decoder, languages(), &health, recognition, decorator)
        }
        None => gateway::start(config, account.id(), languages(), &health, &mut watchers, &shutdown)?,
    };

    let (budgets_file, limits) = setup::gate(config);
    let gate = Arc::new(Gate::open(limits, budgets_file).await.with_memory(account.memory()));
    health.observe_volume(volume(&account, &gate, recognition.fleet()));
    let work = Arc::new(Notify::new());
    let mut intake = Intake::new(queue.clone(), policy_in_force.clone(), Arc::clone(&work), shutdown.clone())
        .with_gate(Arc::clone(&gate));
    let conversation = Arc::clone(&account) as Arc<dyn Conversation>;
    intake = intake.with_deletions(Deletions {
        queue: Arc::clone(&queue),
        conversation: Arc::clone(&conversation),
        delete_answers: config.delete_answers,
        shutdown: shutdown.clone(),
        transcriber: Some(recognition.transcriber()),
    });
    if config.command_prefix.is_some() || config.reaction.is_some() {
        let (languages, translates) = recognition.abilities();
        intake = intake.with_commands(Arc::new(Commands {
            queue: Arc::clone(&queue),
            rules: chat_rules,
            conversation: Arc::clone(&conversation),
            prefix: config.command_prefix.clone(),
            model: ModelAbilities { languages, translates },
            keeps_results: !config.result_ttl.is_zero(),
            work: Arc::clone(&work),
            shutdown: shutdown.clone(),
            started: Instant::now(),
            shown: commands::SHOWN,
        }));
    }
    let (prefix, reaction) = (config.command_prefix.clone(), config.reaction.clone());
    let sink = IntakeSink { intake, policy: policy_in_force.clone(), prefix, reaction };
    let messenger = decorator.messenger(Arc::clone(&account) as Arc<dyn Messenger>);
    let messenger = Arc::new(ObservedMessenger::new(messenger, Arc::clone(&health)));
    let summariser = setup::summary_server(config).map(SummaryServer::new);
    let worker =
        Worker::new(queue, messenger, recognition.observed(&health), policy_in_force, work, shutdown.clone())
            .with_gate(gate)
            .with_summariser(summariser.map(|server| Arc::new(server) as Arc<dyn Summariser>))
            .with_previews(config.preview_after)
            .with_conversation(conversation);
    let worker = match recognition.concurrency() {
        Some(jobs) => worker.with_concurrency(jobs),
        None => worker,
    };
    service.ready();
    let (logged_out, broken) = (OnceCell::new(), OnceCell::new());
    let cancel_when_done = |outcome: Result<(), RunError>, reason: &OnceCell<RunError>| {
        if let Err(error) = outcome {
            ending::set_status(error.exit() as u8);
            let _ = reason.set(error);
        }
        // Whichever side ends first ends the other one too.
        shutdown.cancel();
    };
    let account_side = async {
        let outcome = account.run(&sink, shutdown.clone()).await;
        let is_logged_out = outcome.is_err();
        cancel_when_done(outcome.map_err(RunError::from), &logged_out);
        if is_logged_out {
            let _ = tokio::time::timeout(LOGOUT_NOTICE_LIMIT, notices.tell_logout()).await;
        }
    };
    let worker_side = async { cancel_when_done(worker.run().await.map_err(RunError::Worker), &broken) };
    let both = async { tokio::join!(account_side, worker_side) };
    let grace_expired = async {
        shutdown.cancelled().await;
        ending::start_deadline();
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ((), ()) = both => true,
        () = grace_expired => false,
    };
    let stopped = recognition.shutdown(RECOGNISER_GRACE).await;
    if !ended || !stopped {
        warn!("Stopping with work unfinished; it is taken up after the next start");
    }
    // A logout makes the worker fail too. The logout is the reason to report.
    match logged_out.into_inner().or(broken.into_inner()) {
        Some(error) => Err(error),
        None => {
            info!(event = "stopped", "Stopped");
            Ok(())
        }
    }
}

/// Listens on the configured address. The daemon runs without it if only the default address cannot
/// be used.
async fn listen(config: &Config) -> Result<Option<TcpListener>, ListenError> {
    let Some(health) = &config.health else { return Ok(None) };
    match server::bind(health.at).await {
        Ok(listener) => {
            info!(event = "health_listening", "Health and metrics at http://{}/", health.at);
            Ok(Some(listener))
        }
        Err(error) if health.explicit => Err(error),
        Err(error) => {
            warn!(event = "health_unavailable", "Going on without health and metrics: {error}");
            Ok(None)
        }
    }
}

/// How the owner is told of troubles.
fn notices(config: &Config, account: &Arc<Account>) -> Notices {
    let saved = config.notify.saved.then(|| Arc::new(SavedMessages(Arc::clone(account))) as Arc<dyn Channel>);
    let web = setup::notify_url(config).map(|url| Arc::new(url) as Arc<dyn Channel>);
    let channels = saved.into_iter().chain(web).collect();
    Notices::open(config.data_dir.join(NOTICES_FILE), channels, setup::heartbeat_url(config))
}

/// Starts the tasks that watch the daemon and report its health. They end when the value is
/// dropped.
fn watch_over(
    account: &Arc<Account>,
    health: &Arc<HealthState>,
    service: &Arc<Service>,
    listener: Option<TcpListener>,
    shutdown: &CancellationToken,
) -> JoinSet<()> {
    let mut watchers = JoinSet::new();
    tell_health(&mut watchers, health, service, listener, shutdown);
    watchers.spawn(follow_account(account.restriction(), Arc::clone(health)));
    health.watch("update loop", account.pulses().updates.clone());
    health.watch("download", account.pulses().files.clone());
    let (mut clock, state) = (account.clock(), Arc::clone(health));
    watchers.spawn(async move {
        while clock.changed().await.is_ok() {
            let ahead = *clock.borrow_and_update();
            state.clock_ahead(ahead.map(|ahead| ahead.seconds));
        }
    });
    let (account, health) = (Arc::clone(account), Arc::clone(health));
    watchers.spawn(async move {
        loop {
            account.connected().await;
            health.connected();
            account.disconnected().await;
            health.disconnected();
        }
    });
    watchers
}

/// Starts the tasks that tell others of the health: by HTTP, and systemd.
fn tell_health(
    watchers: &mut JoinSet<()>,
    health: &Arc<HealthState>,
    service: &Arc<Service>,
    listener: Option<TcpListener>,
    shutdown: &CancellationToken,
) {
    if let Some(listener) = listener {
        watchers.spawn(server::serve(listener, Arc::clone(health)));
    }
    let (service, state) = (Arc::clone(service), Arc::clone(health));
    let stop = shutdown.clone();
    watchers.spawn(async move {
        tokio::select! {
            () = service.follow(&state) => {}
            () = stop.cancelled() => {}
        }
        stop.cancelled().await;
        state.stopping();
        service.stopping();
    });
}

/// Reports whether Telegram lets the account send, as long as the account exists.
async fn follow_account(mut restriction: watch::Receiver<Option<Restricted>>, health: Arc<HealthState>) {
    loop {
        let restricted = restriction.borrow_and_update().clone();
        health.account_restricted(restricted);
        if restriction.changed().await.is_err() {
            return;
        }
    }
}

/// Tells how much is sent and what waits for it, as long as the account exists.
fn volume(
    account: &Arc<Account>,
    gate: &Arc<Gate>,
    fleet: Option<&Arc<FleetTranscriber>>,
) -> impl Fn() -> Volume + Send + Sync + use<> {
    let (account, gate) = (Arc::downgrade(account), Arc::downgrade(gate));
    let fleet = fleet.map_or_else(Weak::new, Arc::downgrade);
    move || Volume {
        sends: account.upgrade().map(|account| account.send_usage()).unwrap_or_default(),
        gate: gate.upgrade().map(|gate| gate.usage()).unwrap_or_default(),
        fleet: fleet.upgrade().map(|fleet| gateway::usage(&fleet)).unwrap_or_default(),
    }
}

/// Opens the configured queue. `None` if a shutdown is requested while its server is unavailable.
async fn open_queue(
    config: &Config,
    account: i64,
    shutdown: &CancellationToken,
) -> Result<Option<Arc<dyn Queue>>, QueueError> {
    let Some(redis) = &config.redis else {
        let (path, options) = setup::embedded_queue(config);
        info!(file = %path.display(), "Queue: embedded");
        return Ok(Some(Arc::new(Embedded::open(path, options).await?)));
    };
    info!(at = redis.address, "Queue: Redis");
    let options = setup::redis_queue(config, redis, account);
    match retry_until_available("connect to Redis", shutdown, || RedisQueue::connect(options.clone())).await {
        None => Ok(None),
        Some(queue) => {
            let queue = queue?;
            for warning in queue.durability_warnings().await {
                warn!(event = "queue_not_durable", "{warning}");
            }
            Ok(Some(Arc::new(queue)))
        }
    }
}
