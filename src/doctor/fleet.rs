//! The workers of a gateway's fleet: whether one is there that takes its recordings.

use std::time::Duration;

use super::problems::NO_WORKER;
use super::{Finding, Observer};
use crate::config::Config;
use crate::queue::fleet::{ANY_MODEL, Assignments, Seen};
use crate::setup;
use crate::telegram::SessionFile;

const CHECK: &str = "workers";
/// A worker says that it is there every 5 s.
const AWAY: Duration = Duration::from_secs(30);

pub(super) async fn workers(config: &Config, observer: &mut dyn Observer) {
    let Some(redis) = &config.redis else { return };
    observer.begins(CHECK);
    let wanted = match setup::gateway(config) {
        Ok(options) => options.model,
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
    observer.found(judge(&workers, wanted.as_deref()));
}

fn judge(workers: &[Seen], wanted: Option<&str>) -> Finding {
    let there = || workers.iter().filter(|worker| worker.ago < AWAY);
    let names: Vec<String> =
        there().map(|Seen { card, .. }| format!("{} ({})", card.name, card.models.join(", "))).collect();
    let wants = wanted.unwrap_or(ANY_MODEL);
    if there().any(|worker| worker.card.takes.iter().any(|takes| takes == wants)) {
        return Finding::ok(CHECK, format!("there: {}", names.join("; ")));
    }
    let what = match (names.is_empty(), wanted) {
        (true, _) => "no worker of the fleet is there".to_owned(),
        (false, Some(model)) => {
            format!("no worker has the model {model} (MODEL); there: {}", names.join("; "))
        }
        (false, None) => {
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

    #[test]
    fn a_worker_must_be_there_and_take_what_the_gateway_hands_over() {
        let worker = |takes: &[&str], ago| {
            let takes: Vec<String> = takes.iter().map(|it| (*it).to_owned()).collect();
            let card = Card { name: "pc".into(), models: takes[..1].to_vec(), takes, ..Card::default() };
            Seen { card, ago: Duration::from_secs(ago) }
        };
        let any = worker(&["base", "*"], 3);
        for (workers, wanted, outcome) in [
            (vec![], None, Outcome::Warn),
            (vec![any.clone()], None, Outcome::Ok),
            (vec![any.clone()], Some("base"), Outcome::Ok),
            (vec![any.clone()], Some("small"), Outcome::Warn),
            (vec![worker(&["base.en"], 3)], None, Outcome::Warn),
            (vec![worker(&["base", "*"], 60)], None, Outcome::Warn),
        ] {
            let finding = judge(&workers, wanted);
            assert_eq!(finding.outcome, outcome, "{}", finding.says);
        }
    }
}
