//! The server of SUMMARY_URL: whether it writes a summary.

use super::{Finding, Observer};
use crate::config::Config;
use crate::setup;
use crate::summary;

const CHECK: &str = "summary";

pub(super) async fn check(config: &Config, observer: &mut dyn Observer) {
    let Some(options) = setup::summary_server(config) else { return };
    observer.begins(CHECK);
    let (url, model) = (options.url.clone(), options.model.clone());
    observer.found(match summary::examine(options).await {
        Ok(()) => Finding::ok(CHECK, format!("{} writes summaries with {model}", url.name())),
        // The texts are sent without one.
        Err(error) => Finding::warn(CHECK, error.diagnosis()),
    });
    if !url.is_private() {
        observer.found(Finding::warn(CHECK, summary::public(&url)));
    }
}
