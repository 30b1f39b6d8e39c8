//! What a gateway has in place of a model: the workers of its fleet.

use std::sync::{Arc, Weak};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::RunError;
use super::recognition::Recognition;
use crate::config::Config;
use crate::domain::JobId;
use crate::fleet::{FleetTranscriber, GatewayObserver};
use crate::health::HealthState;
use crate::health::facts::FleetUsage;
use crate::queue::fleet::{Assignments, Report, Seen};
use crate::runtime::pulse::Pulse;
use crate::setup;
use crate::transcribe::chat_languages::ChatLanguages;

/// Prepares the hand-over to the workers, and starts what follows their news.
pub(super) fn start(
    config: &Config,
    account: i64,
    languages: Arc<ChatLanguages>,
    health: &Arc<HealthState>,
    watchers: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Result<Recognition, RunError> {
    let redis = config.needed_redis().map_err(RunError::Config)?;
    let store = Assignments::new(&setup::redis_queue(config, redis, account))?;
    let observer = Arc::new(Told(Arc::downgrade(health)));
    let options = setup::gateway(config)?;
    if !config.models.is_empty() {
        warn!(
            "MODELS names models for single languages, which a gateway does not choose between: set MODELS on the \
             workers"
        );
    }
    let fleet = Arc::new(FleetTranscriber::new(store, options, languages, observer, shutdown.clone()));
    let pulse = Pulse::default();
    health.watch("news of the workers", pulse.clone());
    let following = Arc::clone(&fleet);
    watchers.spawn(async move { following.follow_news(pulse).await });
    let following = Arc::clone(&fleet);
    watchers.spawn(async move { following.follow_workers().await });
    Ok(Recognition::Fleet { fleet, jobs: config.fleet_jobs })
}

/// What is in Redis now.
pub(super) fn usage(fleet: &FleetTranscriber) -> FleetUsage {
    let (used, limit, assignments) = fleet.usage();
    FleetUsage { bytes: (used, limit), assignments }
}

/// Tells the health.
struct Told(Weak<HealthState>);

impl GatewayObserver for Told {
    fn workers(&self, workers: &[Seen], is_served: bool) {
        if let Some(health) = self.0.upgrade() {
            health.workers_seen(workers, is_served);
        }
    }

    fn recognised(&self, job: JobId, report: &Report) {
        if let Some(health) = self.0.upgrade() {
            health.recognised_elsewhere(job, report);
        }
    }
}
