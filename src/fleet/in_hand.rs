//! What a worker knows of the recordings in its hands: what their gateways have said, and what is
//! worth telling these.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::domain::{JobId, LanguageCode, Languages};
use crate::queue::fleet::{Order, Report};
use crate::runtime::lock;
use crate::speech::{LanguagePrior, Observer, OwnersLists};
use crate::transcribe::knowledge::Knowledge;

/// The recordings that the worker recognises.
#[derive(Default)]
pub struct InHand(Mutex<BTreeMap<JobId, Known>>);

struct Known {
    prior: LanguagePrior,
    lists: Arc<OwnersLists>,
    report: Report,
}

impl InHand {
    /// Returns what the entry is removed by.
    pub(super) fn add(&self, job: JobId, order: &Order) -> Arc<OwnersLists> {
        let (listed, others) = order.languages.clone();
        let lists = OwnersLists {
            languages: Languages { listed, others },
            // The gateway has checked it; of one that is not understood nothing is told.
            vocabulary: order.vocabulary.join(",").parse().unwrap_or_default(),
        };
        let prior = LanguagePrior(order.prior.clone());
        let lists = Arc::new(lists);
        let known = Known { prior, lists: Arc::clone(&lists), report: Report::default() };
        lock(&self.0).insert(job, known);
        lists
    }

    pub(super) fn jobs(&self) -> Vec<JobId> {
        lock(&self.0).keys().copied().collect()
    }

    /// What is to be told with the stretch that was just recognised.
    pub(super) fn take_report(&self, job: JobId) -> Report {
        lock(&self.0).get_mut(&job).map(|known| std::mem::take(&mut known.report)).unwrap_or_default()
    }

    /// The job may have come back meanwhile, under another lease: then it stays.
    pub(super) fn remove(&self, job: JobId, entry: &Arc<OwnersLists>) {
        let mut known = lock(&self.0);
        if known.get(&job).is_some_and(|known| Arc::ptr_eq(&known.lists, entry)) {
            known.remove(&job);
        }
    }
}

impl Knowledge for InHand {
    fn prior(&self, job: JobId) -> LanguagePrior {
        lock(&self.0).get(&job).map(|known| known.prior.clone()).unwrap_or_default()
    }

    fn lists(&self, job: JobId) -> Option<Arc<OwnersLists>> {
        lock(&self.0).get(&job).map(|known| Arc::clone(&known.lists))
    }

    fn observer(self: Arc<Self>, job: JobId) -> Arc<dyn Observer> {
        Arc::new(Reports { in_hand: self, job })
    }
}

/// Writes down what there is to tell of one recording.
struct Reports {
    in_hand: Arc<InHand>,
    job: JobId,
}

impl Reports {
    fn add(&self, add: impl FnOnce(&mut Report)) {
        if let Some(known) = lock(&self.in_hand.0).get_mut(&self.job) {
            add(&mut known.report);
        }
    }
}

impl Observer for Reports {
    fn on_finished(&self, time: Duration) {
        self.add(|report| report.took += time.as_millis() as u64);
    }

    fn on_dropped(&self, reason: &'static str) {
        self.add(|report| *report.dropped.entry(reason.to_owned()).or_default() += 1);
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        self.add(|report| report.languages.push((language, speech.as_millis() as u64)));
    }

    fn on_retry(&self) {
        self.add(|report| report.repeated += 1);
    }
}
