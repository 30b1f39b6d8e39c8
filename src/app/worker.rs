//! `stenogram worker`: recognises for the gateways of a fleet, until stopped.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::recognition::{Recognition, start_recognisers};
use super::signals::handle_signals;
use super::{Decorator, GRACE, RECOGNISER_GRACE, RunError, listen, tell_health};
use crate::cli::Exit;
use crate::config::{Config, Needs};
use crate::domain::JobId;
use crate::fleet::worker::Ended;
use crate::fleet::{FleetWorker, InHand, WorkerObserver};
use crate::health::HealthState;
use crate::health::facts::{Outcome, Role};
use crate::health::service::Service;
use crate::jobs::retry::retry_until_available;
use crate::queue::QueueError;
use crate::queue::fleet::Leases;
use crate::runtime::ending;
use crate::runtime::logging::LogFilter;
use crate::runtime::pulse::Pulse;
use crate::setup;
use crate::speech::{DROP_REASONS, EngineOptions, LocalOptions, RecognisersOptions};
use crate::transcribe::knowledge::Knowledge;

/// Runs the worker until SIGTERM or SIGINT, or until an error that it cannot recover from.
pub async fn run(config: &Config, log: LogFilter, decorator: &dyn Decorator) -> Result<(), RunError> {
    ending::start_deadline_on_signals().map_err(RunError::Signals)?;
    info!(event = "starting", version = env!("CARGO_PKG_VERSION"), "Starting stenogram");
    let shutdown = CancellationToken::new();
    let health = Arc::new(HealthState::new(&DROP_REASONS));
    health.plays(Role::Worker);
    let service = Arc::new(Service::from_environment());
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(RunError::Signals)?;
    let policy = Arc::new(watch::Sender::new(setup::policy(config)));
    tokio::spawn(handle_signals(signals, shutdown.clone(), policy, log, Arc::clone(&service), Needs::Worker));

    let options = setup::worker_recognisers(config)?;
    options.local().map_or(Ok(()), LocalOptions::check_size)?;
    let redis = config.needed_redis().map_err(RunError::Config)?;
    let listener = listen(config).await?;
    let mut watchers = JoinSet::new();
    tell_health(&mut watchers, &health, &service, listener, &shutdown);

    let recognition = Pulse::default();
    health.watch("recognition", recognition.clone());
    let holds = holds(&options, config);
    let started = start_recognisers(options, &health, &recognition, &mut watchers, &shutdown).await?;
    let Some((recognisers, decoder)) = started else { return Ok(()) };
    let options = setup::worker(config, holds, recognisers.abilities());
    let id = format!("{}-{}-{:08x}", options.name, std::process::id(), random());
    let leases = Arc::new(Leases::new(&setup::leases(config, redis, &options), id)?);
    info!(at = redis.address, "Fleet: Redis");
    match retry_until_available("connect to Redis", &shutdown, || leases.check()).await {
        None => return Ok(()),
        Some(checked) => checked?,
    }
    for warning in leases.durability_warnings().await {
        warn!(event = "queue_not_durable", "{warning}");
    }
    health.redis_answered(None, None);
    let in_hand = Arc::new(InHand::default());
    let known = Arc::clone(&in_hand) as Arc<dyn Knowledge>;
    let recognition_here =
        Recognition::here(config, recognisers, decoder, known, &health, recognition.clone(), decorator);
    let (name, takes) = (options.name.clone(), options.takes.join(", "));
    let observer = Arc::new(Told(Arc::clone(&health)));
    let worker = FleetWorker::new(
        leases,
        recognition_here.observed(&health),
        in_hand,
        options,
        observer,
        recognition,
        shutdown.clone(),
    );
    service.ready();
    info!(event = "worker_ready", name, takes, "Recognising for the gateways");
    let working = worker.run();
    let grace_expired = async {
        shutdown.cancelled().await;
        ending::start_deadline();
        tokio::time::sleep(GRACE).await;
    };
    let ended = tokio::select! {
        ended = working => Some(ended),
        () = grace_expired => None,
    };
    if let Some(Err(_)) = &ended {
        ending::set_status(Exit::Failed as u8);
    }
    let stopped = recognition_here.shutdown(RECOGNISER_GRACE).await;
    if ended.is_none() || !stopped {
        warn!("Stopping with work unfinished; another worker takes it up when its lease is over");
    }
    ended.unwrap_or(Ok(())).map_err(RunError::Worker)?;
    info!(event = "stopped", "Stopped");
    Ok(())
}

/// The models that it holds: those on this machine, and that of the servers it asks.
fn holds(options: &RecognisersOptions, config: &Config) -> Vec<String> {
    let local = options.local().map(LocalOptions::models).unwrap_or_default();
    let has_server = options.list.len() > usize::from(options.local().is_some());
    let names = local.into_iter().map(EngineOptions::name);
    names.chain(has_server.then(|| config.recogniser_model.clone())).collect()
}

/// So that two processes of one name and number, in two containers, are told apart.
fn random() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}

/// Tells the health.
struct Told(Arc<HealthState>);

impl WorkerObserver for Told {
    fn taken(&self, job: JobId) {
        self.0.assignment_taken(job);
    }

    fn ended(&self, job: JobId, ended: Ended) {
        let outcome = match ended {
            Ended::Recognised => Some(Outcome::Answered),
            Ended::Rejected => Some(Outcome::Rejected),
            Ended::Failed => Some(Outcome::Retried),
            Ended::GivenBack => None,
            Ended::Lost => {
                self.0.lease_lost();
                None
            }
        };
        self.0.assignment_ended(job, outcome);
    }

    fn store_answered(&self, job: Option<JobId>, error: Option<&QueueError>) {
        self.0.redis_answered(job, error);
    }
}
