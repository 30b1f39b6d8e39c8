//! The workers of a gateway's fleet: whether one is there that takes its recordings.

use std::time::Duration;

use super::problems::NO_WORKER;
use super::{Finding, Observer};
use crate::config::Config;
use crate::domain::Task;
use crate::fleet::GatewayOptions;
use crate::queue::fleet::{Assignments, Seen};
use crate::setup;
use crate::telegram::SessionFile;

const CHECK: &str = "workers";
/// A worker says that it is there every 5 s.
const AWAY: Duration = Duration::from_secs(30);

pub(super) async fn workers(config: &Config, observer: &mut dyn Observer) {
    let Some(redis) = &config.redis else { return };
    observer.begins(CHECK);
    let options = match setup::gateway(config) {
        Ok(options) => options,
        Err(error) => {
            observer.found(Finding::fail(CHECK, error.diagnosis()));
            return;
        }
    };
    let account = SessionFile::user_in(&config.data_dir).unwrap_or_default();
    let asked = match Assignments::new(&setup::redis_queue(config, redis, account)) {
        Ok(store) => store.workers().await,
        Err(error) => Err(error),
    };
    // That Redis is away is said of the queue.
    let Ok(workers) = asked else { return };
    observer.found(judge(&workers, &options));
}

fn judge(workers: &[Seen], options: &GatewayOptions) -> Finding {
    let there = || workers.iter().filter(|worker| worker.ago < AWAY);
    let names: Vec<String> =
        there().map(|Seen { card, .. }| format!("{} ({})", card.name, card.models.join(", "))).collect();
    let wants = options.wanted(options.task);
    if there().any(|worker| worker.card.takes.iter().any(|takes| takes == wants)) {
        return Finding::ok(CHECK, format!("there: {}", names.join("; ")));
    }
    let what = match (names.is_empty(), &options.model, options.task) {
        (true, ..) => "no worker of the fleet is there".to_owned(),
        (false, Some(model), _) => {
            format!("no worker has the model {model} (MODEL); there: {}", names.join("; "))
        }
        (false, None, Task::Translate) => {
            format!("no worker has a model that translates (TASK=translate); there: {}", names.join("; "))
        }
        (false, None, Task::Transcribe) => {
            format!("no worker has a model for all languages; there: {}", names.join("; "))
        }
    };
    // Messages wait for one.
    Finding::warn(CHECK, NO_WORKER.with(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::queue::fleet::Card;
    use crate::speech::OwnersLists;

    #[test]
    fn a_worker_must_be_there_and_take_what_the_gateway_hands_over() {
        let worker = |takes: &[&str], ago| {
            let takes: Vec<String> = takes.iter().map(|it| (*it).to_owned()).collect();
            let card = Card { name: "pc".into(), models: takes[..1].to_vec(), takes, ..Card::default() };
            Seen { card, ago: Duration::from_secs(ago) }
        };
        let any = worker(&["base", "*"], 3);
        let translating = worker(&["base", "*", "*translate"], 3);
        let (transcribe, translate) = (Task::Transcribe, Task::Translate);
        for (workers, wanted, task, outcome) in [
            (vec![], None, transcribe, Outcome::Warn),
            (vec![any.clone()], None, transcribe, Outcome::Ok),
            (vec![any.clone()], Some("base"), transcribe, Outcome::Ok),
            (vec![any.clone()], Some("small"), transcribe, Outcome::Warn),
            (vec![worker(&["base.en"], 3)], None, transcribe, Outcome::Warn),
            (vec![worker(&["base", "*"], 60)], None, transcribe, Outcome::Warn),
            (vec![any.clone()], None, translate, Outcome::Warn),
            (vec![translating], None, translate, Outcome::Ok),
            (vec![any], Some("base"), translate, Outcome::Ok),
        ] {
            let options = GatewayOptions {
                model: wanted.map(str::to_owned),
                task,
                lists: OwnersLists::default(),
                budget: 0,
            };
            let finding = judge(&workers, &options);
            assert_eq!(finding.outcome, outcome, "{}", finding.says);
        }
    }
}
