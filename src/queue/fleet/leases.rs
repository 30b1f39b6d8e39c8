//! The worker's side: takes assignments, keeps them, and says what became of them.

use std::collections::HashMap;
use std::time::Duration;

use redis::Script;
use serde::de::DeserializeOwned;

use super::assignments::{ANNOUNCED, FLEET, run, workers};
use super::{BLOCK, CARD_LIFE, Card, Order, Outcome, Seen, Stretch, scripts};
use crate::domain::JobId;
use crate::queue::redis::connection::{Connection, DurabilityWarning};
use crate::queue::redis::replies::{damaged, log, parse};
use crate::queue::redis::{ServerOptions, keys, rules};
use crate::queue::{Candidates, CrashRules, QueueError, millis};

/// Which Redis, and how leases behave.
#[derive(Clone)]
pub struct LeasesOptions {
    pub server: ServerOptions,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
    /// How long a lease lasts that is not renewed: a second at least.
    pub lease: Duration,
    /// Which assignments are taken: models, [`super::ANY_MODEL`], [`super::ANY_TRANSLATING`].
    pub takes: Vec<String>,
    /// How long a poisonous recording is remembered.
    pub dedupe_ttl: Duration,
    pub crashes: CrashRules,
}

/// What a worker may do to the assignments of all accounts.
pub struct Leases {
    connection: Connection,
    /// For commands that block.
    waiting: Connection,
    /// By which the others know this process.
    id: String,
    lease: String,
    takes: String,
    rules: String,
}

/// The right to work on an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    pub job: JobId,
    pub order: Order,
    /// The bytes of its recording.
    pub size: usize,
    /// How many processes died of the recording.
    pub deaths: u32,
    /// Whether another worker had it before and was not heard of.
    pub is_taken_over: bool,
    /// What is recognised already, besides what the order has.
    pub stretches: Vec<Stretch>,
    number: String,
}

impl Leases {
    /// Checks the options; connects to nothing yet. `id` is this process's own.
    pub fn new(options: &LeasesOptions, id: String) -> Result<Self, QueueError> {
        let LeasesOptions { server, timeout, lease, takes, dedupe_ttl, crashes } = options;
        Ok(Self {
            connection: Connection::new(server, *timeout)?,
            waiting: Connection::new(server, *timeout + BLOCK)?,
            id,
            lease: millis(*lease).to_string(),
            takes: serde_json::to_string(takes).map_err(damaged)?,
            rules: rules(*crashes, *dedupe_ttl),
        })
    }

    /// Checks that the server is there and lets us in.
    pub async fn check(&self) -> Result<(), QueueError> {
        self.connection.ping().await?;
        self.connection.check(&format!("{FLEET}{}", keys::CHECK)).await
    }

    /// The settings of the server that endanger what was promised to keep.
    pub async fn durability_warnings(&self) -> Vec<DurabilityWarning> {
        self.connection.durability_warnings().await
    }

    /// The accounts that have assignments, or have had some just now.
    pub async fn accounts(&self) -> Result<Vec<i64>, QueueError> {
        run(&self.connection, &scripts::ACCOUNTS, FLEET, &[]).await
    }

    /// Takes an assignment of the account, if there is one for this worker: none that it has
    /// `in_hand`, even if Redis was away for longer than its lease.
    pub async fn take(
        &self,
        account: i64,
        candidates: Candidates,
        in_hand: &[JobId],
    ) -> Result<Option<Lease>, QueueError> {
        let in_hand: Vec<String> = in_hand.iter().map(JobId::to_string).collect();
        let in_hand = serde_json::to_string(&in_hand).map_err(damaged)?;
        let root = format!("{{stenogram:{account}}}");
        let lines = if candidates == Candidates::NoStrangers { "2" } else { "3" };
        let args = [self.rules.as_str(), &self.id, &self.lease, lines, &self.takes, &in_hand];
        let reply: HashMap<String, String> = run(&self.connection, &scripts::TAKE, &root, &args).await?;
        log(field(&reply, "log")?)?;
        let Some(id) = reply.get("id") else { return Ok(None) };
        Ok(Some(Lease {
            job: id.parse().map_err(damaged)?,
            order: parsed(&reply, "order")?,
            size: parsed(&reply, "size")?,
            deaths: parsed(&reply, "deaths")?,
            is_taken_over: field(&reply, "lost")? == "1",
            stretches: parsed(&reply, "stretches")?,
            number: field(&reply, "lease")?.to_owned(),
        }))
    }

    /// The recording; `None` if Redis has lost it.
    pub async fn recording(&self, lease: &Lease) -> Result<Option<Vec<u8>>, QueueError> {
        let key = format!("{{stenogram:{}}}{}{}", lease.job.account, keys::RECORDING, lease.job);
        let mut bytes = Vec::with_capacity(lease.size);
        for chunk in 0.. {
            if bytes.len() >= lease.size {
                break;
            }
            match self.connection.element(&key, chunk).await? {
                Some(chunk) => bytes.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        Ok((bytes.len() == lease.size).then_some(bytes))
    }

    /// From here on this process may die of the recording. Like all that follows: false if the
    /// lease is over.
    pub async fn begin(&self, lease: &Lease) -> Result<bool, QueueError> {
        self.change(&scripts::BEGIN, lease, &[]).await
    }

    /// False also if nobody waits for the answer any more.
    pub async fn renew(&self, lease: &Lease) -> Result<bool, QueueError> {
        self.change(&scripts::RENEW, lease, &[]).await
    }

    /// Adds a stretch. With the last one the assignment has ended.
    pub async fn publish(&self, lease: &Lease, stretch: &Stretch, is_last: bool) -> Result<bool, QueueError> {
        let outcome = is_last.then_some(Outcome::Recognised { length: stretch.length });
        let outcome = outcome.map_or(Ok(String::new()), |it| serde_json::to_string(&it)).map_err(damaged)?;
        let stretch = serde_json::to_string(stretch).map_err(damaged)?;
        self.change(&scripts::PUBLISH, lease, &[&stretch, &outcome]).await
    }

    /// Ends the assignment without another stretch.
    pub async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<bool, QueueError> {
        let outcome = serde_json::to_string(outcome).map_err(damaged)?;
        self.change(&scripts::FINISH, lease, &[&outcome]).await
    }

    /// Gives the assignment back, to be taken by whoever comes first after this time.
    pub async fn give_back(&self, lease: &Lease, after: Duration) -> Result<bool, QueueError> {
        self.change(&scripts::GIVE_BACK, lease, &[&millis(after).to_string()]).await
    }

    /// Gives the assignment back to others; this worker does not take it for so long.
    pub async fn refuse(&self, lease: &Lease, time: Duration) -> Result<bool, QueueError> {
        self.change(&scripts::GIVE_BACK, lease, &["0", &self.id, &millis(time).to_string()]).await
    }

    /// Gives it back because Redis has lost the recording.
    pub async fn miss(&self, lease: &Lease) -> Result<bool, QueueError> {
        self.change(&scripts::GIVE_BACK, lease, &["-1"]).await
    }

    async fn change(&self, script: &Script, lease: &Lease, args: &[&str]) -> Result<bool, QueueError> {
        let root = format!("{{stenogram:{}}}", lease.job.account);
        let id = lease.job.to_string();
        let args: Vec<&str> = [id.as_str(), &lease.number].into_iter().chain(args.iter().copied()).collect();
        run(&self.connection, script, &root, &args).await
    }

    /// Waits until there is something new to take, but not for longer than this, nor than some
    /// seconds.
    pub async fn wait(&self, most: Duration) -> Result<(), QueueError> {
        self.waiting.pop(&format!("{FLEET}{}", keys::WAKE), most.min(BLOCK), 1).await?;
        Ok(())
    }

    /// Wakes another worker, for what was given back.
    pub async fn wake(&self, account: i64) -> Result<(), QueueError> {
        let args = [account.to_string(), millis(ANNOUNCED).to_string()];
        run(&self.connection, &scripts::ANNOUNCE, FLEET, &[&args[0], &args[1], "1"]).await
    }

    /// Says what this worker is and does.
    pub async fn beat(&self, card: &Card) -> Result<(), QueueError> {
        let card = serde_json::to_string(card).map_err(damaged)?;
        run(&self.connection, &scripts::BEAT, FLEET, &[&self.id, &card, &millis(CARD_LIFE).to_string()]).await
    }

    /// Says that it leaves.
    pub async fn leave(&self) -> Result<(), QueueError> {
        run(&self.connection, &scripts::BEAT, FLEET, &[&self.id, "", &millis(CARD_LIFE).to_string()]).await
    }

    /// The workers that were seen in the last ten minutes.
    pub async fn workers(&self) -> Result<Vec<Seen>, QueueError> {
        workers(&self.connection).await
    }
}

fn field<'a>(reply: &'a HashMap<String, String>, name: &str) -> Result<&'a str, QueueError> {
    reply.get(name).map(String::as_str).ok_or_else(|| damaged(format!("an assignment has no {name}")))
}

fn parsed<T: DeserializeOwned>(reply: &HashMap<String, String>, name: &str) -> Result<T, QueueError> {
    parse(field(reply, name)?)
}
