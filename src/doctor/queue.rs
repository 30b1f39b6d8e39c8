//! The queue: whether Redis keeps what it accepts, or whether the file is undamaged.

use super::{Finding, Observer};
use crate::config::{Config, Redis};
use crate::queue::embedded;
use crate::queue::redis::{DurabilityWarning, RedisQueue};
use crate::queue::{Entry, QueueError, State};
use crate::runtime::deployment::typed;
use crate::setup;
use crate::telegram::SessionFile;

const CHECK: &str = "queue";

pub(super) async fn check(config: &Config, observer: &mut dyn Observer) {
    observer.begins(CHECK);
    match &config.redis {
        Some(redis) => in_redis(config, redis, observer).await,
        None => in_a_file(config, observer).await,
    }
}

async fn in_redis(config: &Config, redis: &Redis, observer: &mut dyn Observer) {
    // Without a session the account is not known, but the test may write under any account's key.
    let account = SessionFile::user_in(&config.data_dir).unwrap_or_default();
    match RedisQueue::probe(setup::redis_queue(config, redis, account)).await {
        Err(error) => observer.found(Finding::fail(CHECK, error.to_string(), remedy(&error))),
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

fn remedy(error: &QueueError) -> &'static str {
    match error {
        QueueError::Unavailable(_) => {
            "start Redis, or correct REDIS_URL or REDIS_HOST; without them the queue is a file in DATA_DIR, \
             which is as safe"
        }
        QueueError::Configuration(_) => {
            "correct REDIS_URL, or REDIS_HOST and REDIS_PASSWORD: the password is what Redis has as requirepass"
        }
        _ => "use another database of Redis (REDIS_DB), or restore this one from a backup",
    }
}

fn durability(setting: &DurabilityWarning) -> Finding {
    let (danger, remedy) = (setting.danger(), setting.remedy());
    match &setting.found {
        // At most a second of jobs is lost, and only in a power cut.
        Some(found) if found == "everysec" => Finding::warn(CHECK, danger, remedy),
        Some(_) => Finding::fail(CHECK, danger, remedy),
        None => Finding::warn(CHECK, danger, remedy),
    }
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
        Err(error) => observer.found(Finding::fail(
            CHECK,
            error.to_string(),
            format!(
                "make room and see to it that {shown} is yours; if it is damaged, restore it from a backup or \
                 move it away to start with an empty queue"
            ),
        )),
    }
}

fn jobs(file: &str, entries: &[Entry]) -> Finding {
    let dead = entries.iter().filter(|entry| entry.state == State::Dead).count();
    match (entries.len(), dead) {
        (all, 0) => Finding::ok(CHECK, format!("{file} is whole, {all} jobs in it")),
        (all, dead) => Finding::warn(
            CHECK,
            format!("{file} is whole, {all} jobs in it, of which {dead} were given up"),
            format!("`{}` shows why, `{}` puts them back", typed("queue"), typed("queue retry --all-dead")),
        ),
    }
}
