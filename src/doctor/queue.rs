//! The queue: whether Redis keeps what it accepts, or whether the file is undamaged.

use super::{Finding, Observer, Outcome};
use crate::cli::Role;
use crate::config::{Config, Redis};
use crate::queue::embedded;
use crate::queue::problems::{JOB_GIVEN_UP, QUEUE_DAMAGED};
use crate::queue::redis::{DurabilityWarning, RedisQueue};
use crate::queue::{Entry, QueueError, State};
use crate::setup;
use crate::telegram::SessionFile;

const CHECK: &str = "queue";

pub(super) async fn check(config: &Config, role: Role, observer: &mut dyn Observer) {
    observer.begins(CHECK);
    match &config.redis {
        // That it is missing is said of the configuration.
        None if role != Role::Run => {}
        Some(redis) => in_redis(config, redis, observer).await,
        None => in_a_file(config, observer).await,
    }
}

async fn in_redis(config: &Config, redis: &Redis, observer: &mut dyn Observer) {
    // Without a session the account is not known, but the test may write under any account's key.
    let account = SessionFile::user_in(&config.data_dir).unwrap_or_default();
    match RedisQueue::probe(setup::redis_queue(config, redis, account)).await {
        Err(error) => observer.found(failed(&error)),
        Ok(warnings) => {
            observer
                .found(Finding::ok(CHECK, format!("Redis at {} answers and takes writes", redis.address)));
            warnings.iter().for_each(|setting| observer.found(durability(setting)));
            if warnings.is_empty() {
                observer.found(Finding::ok(CHECK, "it writes through, and evicts nothing"));
            }
        }
    }
}

fn failed(error: &QueueError) -> Finding {
    let diagnosis = error.diagnosis().cloned();
    Finding::fail(CHECK, diagnosis.unwrap_or_else(|| QUEUE_DAMAGED.with(error)))
}

fn durability(setting: &DurabilityWarning) -> Finding {
    let outcome = match setting.found.as_deref() {
        // At most a second of jobs is lost, and only in a power cut.
        Some("everysec") | None => Outcome::Warn,
        Some(_) => Outcome::Fail,
    };
    Finding::of(CHECK, outcome, setting.diagnosis())
}

async fn in_a_file(config: &Config, observer: &mut dyn Observer) {
    let (path, _) = setup::embedded_queue(config);
    let shown = path.display().to_string();
    if !path.exists() {
        let says = format!("{shown} is not there yet: the first start makes it");
        observer.found(Finding::ok(CHECK, says));
        return;
    }
    match embedded::entries(path).await {
        Ok(entries) => observer.found(jobs(&shown, &entries)),
        Err(error) => observer.found(failed(&error)),
    }
}

fn jobs(file: &str, entries: &[Entry]) -> Finding {
    let dead = entries.iter().filter(|entry| entry.state == State::Dead).count();
    match (entries.len(), dead) {
        (all, 0) => Finding::ok(CHECK, format!("{file} is whole, {all} jobs in it")),
        (all, dead) => {
            let what = format_args!("{file} is whole, {all} jobs in it, of which {dead} were given up");
            Finding::warn(CHECK, JOB_GIVEN_UP.with(what))
        }
    }
}
