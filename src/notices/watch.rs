//! Looks at the daemon's health, and tells what is due.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::journal::{Journal, State};
use super::topic::{Notice, Present, Topic, is_healthy, present};
use super::webhook::WebHook;
use crate::domain::unix_time::now_seconds;
use crate::health::{HealthState, Survey, Trouble};

/// The minutes until a notice that did not arrive is tried again.
const RETRY: u32 = 5;
/// The minutes between two questions to the queue, which cost its store a write.
const ASK_QUEUE: u32 = 5;
/// The minutes for which a trouble has to be away until it is over.
const CALM: u32 = 2;

/// A way to tell the owner.
#[async_trait]
pub trait Channel: Send + Sync {
    /// In the journal and in log lines.
    fn name(&self) -> &'static str;

    /// Whether it could tell something now.
    fn is_open(&self) -> bool;

    /// Tells a notice. The same one again is harmless.
    async fn tell(&self, notice: &Notice) -> Result<(), String>;
}

/// NOTIFY_URL.
#[async_trait]
impl Channel for WebHook {
    fn name(&self) -> &'static str {
        "web"
    }

    fn is_open(&self) -> bool {
        true
    }

    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        let tag = if notice.is_over { "white_check_mark" } else { "warning" };
        self.post(notice.title.clone(), tag, notice.text.clone()).await
    }
}

/// What is told to the owner of one daemon.
pub struct Notices {
    channels: Vec<Arc<dyn Channel>>,
    heartbeat: Option<WebHook>,
    journal: Mutex<Journal>,
    minute: Duration,
}

/// What a watch has seen so far.
struct Seen {
    started: Instant,
    /// When the queue was asked last.
    asked_queue: Option<Instant>,
    /// Since when each trouble is there.
    since: BTreeMap<Topic, Instant>,
    /// When each trouble was there last.
    last: BTreeMap<Topic, Instant>,
    /// When a channel may try again to tell of a topic.
    retries: BTreeMap<(&'static str, Topic), Instant>,
    heartbeat: Option<Instant>,
    heartbeat_fails: bool,
}

impl Notices {
    /// The journal is kept at `path`.
    pub fn open(path: PathBuf, channels: Vec<Arc<dyn Channel>>, heartbeat: Option<WebHook>) -> Self {
        let journal = Mutex::new(Journal::open(path));
        Self { channels, heartbeat, journal, minute: Duration::from_secs(60) }
    }

    /// With minutes of this length, for tests.
    pub fn with_minute(self, minute: Duration) -> Self {
        Self { minute, ..self }
    }

    /// Watches the daemon for ever.
    pub async fn watch(&self, health: &HealthState) {
        if self.channels.is_empty() && self.heartbeat.is_none() {
            return;
        }
        let mut seen = Seen {
            started: Instant::now(),
            asked_queue: None,
            since: BTreeMap::new(),
            last: BTreeMap::new(),
            retries: BTreeMap::new(),
            heartbeat: None,
            heartbeat_fails: false,
        };
        loop {
            sleep(self.minute / 2).await;
            let ask_queue = seen.asked_queue.is_none_or(|last| last.elapsed() >= self.minute * ASK_QUEUE);
            if ask_queue {
                seen.asked_queue = Some(Instant::now());
            }
            let survey = health.survey(ask_queue).await;
            if survey.troubles.contains(&Trouble::Stopping) {
                continue;
            }
            self.beat(&survey, &mut seen).await;
            self.tell_what_is_due(&survey, &mut seen).await;
        }
    }

    /// Tells that Telegram has ended the session, before the daemon ends.
    pub async fn tell_logout(&self) {
        let state = State::There(Present::logged_out());
        for channel in self.channels.iter().filter(|channel| channel.is_open()) {
            self.tell(channel.as_ref(), Topic::LoggedOut, &state).await;
        }
    }

    /// Holds the dead man's switch down while all is well.
    async fn beat(&self, survey: &Survey, seen: &mut Seen) {
        let Some(url) = &self.heartbeat else { return };
        let is_due = seen.heartbeat.is_none_or(|last| last.elapsed() >= self.minute);
        if !is_due || !is_healthy(survey) {
            return;
        }
        seen.heartbeat = Some(Instant::now());
        match url.get().await {
            Ok(()) => seen.heartbeat_fails = false,
            Err(reason) if seen.heartbeat_fails => debug!(reason, "HEARTBEAT_URL still cannot be reached"),
            Err(reason) => {
                seen.heartbeat_fails = true;
                warn!(event = "heartbeat_failed", reason, "HEARTBEAT_URL cannot be reached, trying again");
            }
        }
    }

    async fn tell_what_is_due(&self, survey: &Survey, seen: &mut Seen) {
        let now = Instant::now();
        let present = present(survey);
        seen.since.retain(|topic, _| present.iter().any(|it| it.topic == *topic));
        let mut states = BTreeMap::new();
        for topic in self.journal.lock().await.open_topics() {
            let last = seen.last.get(&topic).copied().unwrap_or(seen.started);
            if topic.is_known(survey) && now - last >= self.minute * CALM {
                states.insert(topic, State::Over);
            }
        }
        for it in present {
            seen.last.insert(it.topic, now);
            let since = *seen.since.entry(it.topic).or_insert(now);
            states.remove(&it.topic);
            if now - since >= self.minute * it.topic.patience() {
                states.insert(it.topic, State::There(it));
            }
        }
        for (topic, state) in &states {
            for channel in &self.channels {
                let key = (channel.name(), *topic);
                if !channel.is_open() || seen.retries.get(&key).is_some_and(|at| *at > now) {
                    continue;
                }
                seen.retries.remove(&key);
                if !self.tell(channel.as_ref(), *topic, state).await {
                    seen.retries.insert(key, now + self.minute * RETRY);
                }
            }
        }
    }

    /// Tells what is due of a topic. `false` if that has failed.
    async fn tell(&self, channel: &dyn Channel, topic: Topic, state: &State) -> bool {
        let due = self.journal.lock().await.due(channel.name(), topic, state, now_seconds());
        let Some(notice) = due else { return true };
        match channel.tell(&notice).await {
            Ok(()) => {
                self.journal.lock().await.arrived(channel.name(), topic);
                info!(event = "owner_told", channel = channel.name(), "The owner was told: {}", notice.title);
                true
            }
            Err(reason) => {
                warn!(
                    event = "notice_failed",
                    channel = channel.name(),
                    reason,
                    "The owner could not be told: {}",
                    notice.title
                );
                false
            }
        }
    }
}
