//! An [`Account`] of the library against the loopback Telegram.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fake_telegram::{Telegram, write_session};
use stenogram::domain::pacing::SendLimits;
use stenogram::domain::{Answer, ChatInfo, ChatKind, Event, Incoming, Job, Part, Settings};
use stenogram::telegram::{
    Account, AccountOptions, Dialer, EventSink, LoggedOut, ReconnectDelays, SessionError, SessionFile,
    TrialPauses,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const API_ID: i32 = 12345;
/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Impatient, so that tests of timeouts are short.
pub fn options() -> AccountOptions {
    AccountOptions {
        dialer: Dialer::default(),
        reconnect: ReconnectDelays { first: Duration::from_millis(100), max: Duration::from_millis(400) },
        call_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(1),
        pace: Duration::from_millis(1),
        ping_every: Duration::from_millis(500),
        ping_timeout: Duration::from_secs(1),
        max_file_size: 4 << 20,
        memory: 16 << 20,
        spool: None,
        sends: SendLimits { minute: 100_000, day: 100_000 },
        trials: TrialPauses { first: Duration::from_millis(500), max: Duration::from_secs(6 * 3600) },
        names: false,
    }
}

/// An answer of these texts, one a part.
pub fn answer<const N: usize>(texts: [&str; N]) -> Answer {
    let parts = texts.map(|text| Part::message(text.into(), false));
    Answer { settings: Settings::default(), parts: parts.into(), origin: None }
}

/// A folder with a session for `telegram`.
pub fn session(telegram: &Telegram) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_session(&folder.path().join("account.session"), &telegram.session()).expect("write the session");
    folder
}

/// Locks the session, once the tasks of whoever had it before are gone.
pub async fn lock(folder: &TempDir) -> SessionFile {
    let locked = async {
        loop {
            match SessionFile::lock(folder.path()) {
                Err(SessionError::InUse(_)) => tokio::task::yield_now().await,
                locked => return locked.expect("lock the session"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, locked).await.expect("the session is free in time")
}

pub async fn open(folder: &TempDir, options: AccountOptions) -> Arc<Account> {
    let opened = async {
        loop {
            match Account::open(lock(folder).await, API_ID, options.clone()).await {
                Err(SessionError::State { .. }) => tokio::task::yield_now().await,
                opened => return opened.expect("open the account"),
            }
        }
    };
    Arc::new(tokio::time::timeout(DEADLINE, opened).await.expect("the state is free in time"))
}

/// What a [`Listener`] wants to hear of.
#[derive(Clone, Copy)]
pub struct Wants {
    pub groups: bool,
    pub max_age: Duration,
}

impl Default for Wants {
    fn default() -> Self {
        Self { groups: false, max_age: Duration::from_secs(86_400) }
    }
}

/// Takes batches while its door is open.
struct Ears {
    heard: watch::Sender<Vec<Incoming>>,
    open: watch::Sender<bool>,
    wants: Wants,
}

#[async_trait]
impl EventSink for Ears {
    async fn take(&self, events: Vec<Event>) -> bool {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the sender lives in self");
        let recordings = events.into_iter().filter_map(|event| match event {
            Event::Recording(incoming) => Some(incoming),
            Event::Command(_) | Event::Reaction(_) | Event::Deleted(_) => None,
        });
        self.heard.send_modify(|heard| heard.extend(recordings));
        true
    }

    fn covers(&self, chat: &ChatInfo) -> bool {
        match chat.kind {
            ChatKind::Private | ChatKind::SavedMessages => true,
            ChatKind::Group => self.wants.groups,
            ChatKind::Bot | ChatKind::Service | ChatKind::Channel => false,
        }
    }

    fn max_age(&self) -> Duration {
        self.wants.max_age
    }
}

/// A running account that remembers what it heard.
pub struct Listener {
    pub account: Arc<Account>,
    heard: watch::Receiver<Vec<Incoming>>,
    /// While false, batches are neither taken nor refused.
    pub open: watch::Sender<bool>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LoggedOut>>,
}

impl Listener {
    pub fn start(account: Arc<Account>) -> Self {
        Self::start_wanting(account, Wants::default())
    }

    pub fn start_wanting(account: Arc<Account>, wants: Wants) -> Self {
        let (sender, heard) = watch::channel(Vec::new());
        let open = watch::Sender::new(true);
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let (account, stop) = (account.clone(), stop.clone());
            let ears = Ears { heard: sender, open: open.clone(), wants };
            async move { account.run(&ears, stop).await }
        });
        Self { account, heard, open, stop, task }
    }

    /// The numbers of the messages heard, in order, once `holds` of them.
    pub async fn heard(&self, holds: impl Fn(&[i32]) -> bool) -> Vec<i32> {
        let mut heard = self.heard.clone();
        let numbers =
            |heard: &Vec<Incoming>| heard.iter().map(|incoming| incoming.id.message).collect::<Vec<_>>();
        let waited = tokio::time::timeout(DEADLINE, heard.wait_for(|heard| holds(&numbers(heard)))).await;
        match waited {
            Ok(heard) => numbers(&heard.expect("the account runs")),
            Err(_) => panic!("not heard in time; heard {:?}", numbers(&self.heard.borrow())),
        }
    }

    pub fn recordings(&self) -> Vec<Incoming> {
        self.heard.borrow().clone()
    }

    /// The recording in `message` of `chat`, a Bot API dialog id, once it is heard. Channels number their
    /// messages themselves.
    pub async fn recording_in(&self, chat: i64, message: i32) -> Incoming {
        let is_it = |incoming: &&Incoming| (incoming.id.chat, incoming.id.message) == (chat, message);
        let mut heard = self.heard.clone();
        let waited = heard.wait_for(|heard| heard.iter().any(|incoming| is_it(&incoming)));
        let heard = tokio::time::timeout(DEADLINE, waited).await.expect("in time").expect("the account runs");
        heard.iter().find(is_it).expect("heard").clone()
    }

    /// The job that the recording in `message` would become.
    pub async fn job(&self, message: i32) -> Job {
        self.heard(|heard| heard.contains(&message)).await;
        let heard = self.recordings();
        let is_it = |incoming: &Incoming| incoming.id.message == message;
        let Incoming { id, recording, .. } = heard.into_iter().find(is_it).expect("heard");
        Job { id, recording, settings: None, stranger: false, asked: None }
    }

    pub async fn connected(&self) {
        tokio::time::timeout(DEADLINE, self.account.connected()).await.expect("connected in time");
    }

    /// Stops as the daemon does, and frees the session.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("it stops in time");
        ended.expect("no panic").expect("not logged out");
    }

    /// Waits until the account says that it is logged out.
    pub async fn logged_out(self) -> LoggedOut {
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("it ends in time");
        ended.expect("no panic").expect_err("logged out")
    }
}
