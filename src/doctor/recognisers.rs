//! The servers of RECOGNISER: whether they answer, take the key, and have the model.

use super::{Finding, Observer};
use crate::config::Config;
use crate::domain::{RecogniserAddress, ServerUrl};
use crate::setup;
use crate::speech::problems::{RECOGNISER_PUBLIC, RECOGNISER_REFUSES, RECOGNITION_FAILED};
use crate::speech::server::{self, ModelThere};

const CHECK: &str = "recogniser";
/// How many of a server's models are named.
const NAMED: usize = 5;

pub(super) async fn check(config: &Config, observer: &mut dyn Observer) {
    for address in &config.recognisers {
        let RecogniserAddress::Server(url) = address else { continue };
        observer.begins(CHECK);
        observer.found(answers(config, url).await);
        if !url.is_private() {
            let what = format_args!("what is said in your messages is sent to {}", url.name());
            observer.found(Finding::warn(CHECK, RECOGNISER_PUBLIC.with(what)));
        }
    }
}

async fn answers(config: &Config, url: &ServerUrl) -> Finding {
    let options = setup::speech_server(config, url);
    let (name, model) = (url.name(), &config.recogniser_model);
    let examined = tokio::task::spawn_blocking(move || server::examine(&options)).await;
    match examined {
        Ok(Ok(ModelThere::Yes)) => Finding::ok(CHECK, format!("{name} answers and has {model}")),
        Ok(Ok(ModelThere::Unknown)) => {
            Finding::ok(CHECK, format!("{name} answers; it does not say which models it has"))
        }
        // Some servers take any name.
        Ok(Ok(ModelThere::No(models))) => {
            let mut shown = models.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            if models.len() > NAMED {
                shown += ", …";
            }
            let what = format_args!("{name} answers, but does not list the model {model}; it has: {shown}");
            Finding::warn(CHECK, RECOGNISER_REFUSES.with(what))
        }
        Ok(Err(error)) => match error.diagnosis() {
            // Another recogniser may do the work meanwhile.
            Some(diagnosis) if config.recognisers.len() > 1 => Finding::warn(CHECK, diagnosis),
            Some(diagnosis) => Finding::fail(CHECK, diagnosis),
            None => Finding::fail(CHECK, RECOGNITION_FAILED.with(error)),
        },
        Err(error) => Finding::fail(CHECK, RECOGNITION_FAILED.with(error)),
    }
}
