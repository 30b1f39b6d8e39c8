//! Signals and their effects.

use std::sync::Arc;

use futures_util::StreamExt as _;
use signal_hook::consts::SIGHUP;
use signal_hook::low_level;
use signal_hook_tokio::Signals;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Config, Needs, RawConfig};
use crate::domain::policy::Policy;
use crate::health::service::Service;
use crate::runtime::logging::LogFilter;
use crate::setup;

/// The conventional exit status of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Reloads on SIGHUP and shuts down on SIGTERM or SIGINT. The second of these ends the process at
/// once.
pub async fn handle_signals(
    mut signals: Signals,
    shutdown: CancellationToken,
    policy_in_force: Arc<watch::Sender<Policy>>,
    log: LogFilter,
    service: Arc<Service>,
    needs: Needs,
) {
    while let Some(signal) = signals.next().await {
        match signal {
            SIGHUP => service.reloading(|| reload(&policy_in_force, &log, needs)),
            _ if shutdown.is_cancelled() => low_level::exit(INTERRUPTED),
            _ => {
                info!(event = "stopping", "Stopping. A second signal stops at once");
                shutdown.cancel();
            }
        }
    }
}

/// Reloads what may change while the daemon runs: which recordings are answered and
/// in which form, and LOG_LEVEL.
fn reload(policy_in_force: &watch::Sender<Policy>, log: &LogFilter, needs: Needs) {
    let raw = RawConfig::load();
    match Config::check(&raw, needs) {
        Ok(config) => {
            for warning in raw.warnings() {
                warn!("{warning}");
            }
            // LANGUAGE and TASK stay: the model was checked only for those of the start.
            // What was said in chats stays too: it is not in the configuration.
            let Policy { max_age, rules, settings, chats: _ } = setup::policy(&config);
            policy_in_force.send_modify(|policy| {
                (policy.max_age, policy.rules) = (max_age, rules);
                (policy.settings.fold_from, policy.settings.documents) =
                    (settings.fold_from, settings.documents);
            });
            match log.set(&config.log_filter) {
                Ok(()) => info!(
                    event = "reloaded",
                    "LOG_LEVEL and which messages are answered are read again; other settings need a restart"
                ),
                Err(error) => {
                    warn!(event = "reload_failed", %error, "LOG_LEVEL is not read again, what is answered is");
                }
            }
        }
        Err(errors) => warn!(
            event = "reload_failed",
            "The configuration is not reloaded, the old one stays in force: {errors}"
        ),
    }
}
