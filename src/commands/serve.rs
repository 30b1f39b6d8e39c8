//! `stenogram serve`: recognises for other programs and machines, until stopped.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tracing::{info, warn};

use super::CommandError;
use crate::app::{RunError, decoder};
use crate::config::Config;
use crate::domain::RecogniserAddress;
use crate::runtime::{ending, private};
use crate::serve::{self, ServeOptions, Service};
use crate::setup;
use crate::speech::Recognisers;

/// How long sending a request may take.
const BODY_LIMIT: Duration = Duration::from_secs(300);
/// See [`ServeOptions::largest_at_once`].
const LARGEST_AT_ONCE: u64 = 2;
/// How long the recognition may take to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT. This machine recognises, whatever RECOGNISER says: two that name
/// each other would ask in circles.
pub async fn run(config: &Config) -> Result<(), CommandError> {
    ending::start_deadline_on_signals().map_err(RunError::Signals)?;
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(RunError::Signals)?;
    private::set_mask();
    let listener = serve::bind(config.serve_address).await.map_err(RunError::from)?;
    let mut local = config.clone();
    local.recognisers = vec![RecogniserAddress::Local];
    let settings = setup::settings(config.language, config.task);
    let options = setup::recognisers(&local, &settings)?;
    let model = options.local().map(|options| options.engine.name()).unwrap_or_default();
    let decoder = decoder::find().await.map_err(RunError::Decoder)?;
    let recognisers = tokio::select! {
        recognisers = Recognisers::start(options) => recognisers.map_err(RunError::from)?,
        _ = signals.next() => return Ok(()),
    };
    let limits = setup::limits(config);
    let service = Arc::new(Service::new(ServeOptions {
        key: config.serve_key.clone(),
        model: model.clone(),
        language: settings.language,
        largest_at_once: LARGEST_AT_ONCE,
        limits,
        decoder,
        recognisers,
        body_limit: BODY_LIMIT,
    }));
    info!(event = "serve_listening", model, "Recognising for others at http://{}/v1", config.serve_address);
    tokio::select! {
        () = serve::serve(listener, Arc::clone(&service)) => {}
        _ = signals.next() => info!(event = "stopping", "Stopping"),
    }
    ending::start_deadline();
    if !service.shutdown(GRACE).await {
        warn!("Stopping in the middle of a recognition");
    }
    Ok(())
}
