//! What a worker is, what it can recognise, and whom it tells.

use std::time::Duration;

use super::conclusion::Stop;
use super::worker::Ended;
use crate::domain::{JobId, LanguageCode, Task};
use crate::queue::QueueError;
use crate::queue::fleet::Order;

/// What a worker is.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    pub name: String,
    pub lease: Duration,
    /// The models that it holds.
    pub models: Vec<String>,
    pub takes: Vec<String>,
    /// The languages that the models know together, and whether they translate.
    pub abilities: (Vec<LanguageCode>, bool),
}

impl WorkerOptions {
    /// Why a recording of this language, where it is known, cannot be recognised here.
    pub(super) fn check(&self, language: Option<LanguageCode>, order: &Order) -> Result<(), Stop> {
        let (languages, translates) = &self.abilities;
        let (listed, others) = &order.languages;
        let possible = language.as_ref().map_or(&listed[..], std::slice::from_ref);
        let is_open = language.is_none() && (*others || listed.is_empty());
        if !is_open && !possible.iter().any(|language| languages.contains(language)) {
            let names: Vec<&str> = possible.iter().map(|language| language.as_str()).collect();
            return Err(Stop::Unable(format!("no model here knows the language {}", names.join(", "))));
        }
        if order.task == Task::Translate && !translates {
            return Err(Stop::Unable("no model here translates".to_owned()));
        }
        Ok(())
    }
}

/// Is told what a worker does.
pub trait WorkerObserver: Send + Sync {
    fn taken(&self, job: JobId);
    fn ended(&self, job: JobId, ended: Ended);
    /// Redis has answered, or failed to: to what the loop asked that works on this job, if it was
    /// one.
    fn store_answered(&self, job: Option<JobId>, error: Option<&QueueError>);
}
