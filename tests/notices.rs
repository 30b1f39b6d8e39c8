//! The owner is told of troubles: once each, and when they are over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fake_telegram::{Action, Dedupe, Fault, Freeze, Post, Revocation, SAVED_MESSAGES, Telegram};
use stenogram::domain::{Restricted, Restriction, Secret};
use stenogram::health::HealthState;
use stenogram::health::observed::ObservedQueue;
use stenogram::notices::{Channel, Notice, Notices, WebHook};
use stenogram::queue::Queue;
use stenogram::runtime::pulse::Pulse;
use stenogram::telegram::Account;
use support::daemon::Home;
use support::http::{Reply, Request, Server};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::in_process::account::{DEADLINE, Listener, open, options, session};
use crate::line;

/// How long a minute is here.
const MINUTE: Duration = Duration::from_millis(40);
/// In the URLs, and in nothing else.
const KEY: &str = "hunter2";

/// A daemon's health without the daemon.
struct Patient {
    health: Arc<HealthState>,
    _queue: Arc<dyn Queue>,
    folder: TempDir,
}

impl Patient {
    /// All is well with it.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let health = Arc::new(HealthState::new(&[]));
        let queue = line::queue(&folder).await;
        let queue = Arc::new(ObservedQueue::new(queue, Arc::clone(&health), Pulse::default()));
        health.model_loaded("model".into());
        health.connected();
        Self { health, _queue: queue, folder }
    }

    /// Waits until the journal of notices has this.
    async fn stored(&self, text: &str) {
        let (path, start) = (self.folder.path().join("notices.json"), Instant::now());
        while !std::fs::read_to_string(&path).is_ok_and(|journal| journal.contains(text)) {
            assert!(start.elapsed() < DEADLINE, "no {text}");
            // A file tells nobody.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Watches it until the value is dropped.
    fn watch(&self, channels: Vec<Arc<dyn Channel>>, heartbeat: Option<WebHook>) -> JoinSet<()> {
        let path = self.folder.path().join("notices.json");
        let notices = Notices::open(path, channels, heartbeat).with_minute(MINUTE);
        let health = Arc::clone(&self.health);
        let mut watching = JoinSet::new();
        watching.spawn(async move { notices.watch(&health).await });
        watching
    }
}

fn hook(server: &Server) -> WebHook {
    WebHook::new(Secret::new(format!("{}{KEY}", server.url())), Ok(None))
}

fn frozen() -> Option<Restricted> {
    Some(Restricted { why: Restriction::Frozen, since: 1, deletion: None, appeal: "@SpamBot".into() })
}

/// Waits until the server was asked for so much.
async fn asked(server: &Server, count: usize) -> Vec<Request> {
    let start = Instant::now();
    while server.requests().len() < count {
        assert!(start.elapsed() < DEADLINE, "{:?}", server.requests());
        // The server is a thread that tells nobody.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.requests()
}

fn titles(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.header("title").expect("a title")).collect()
}

#[tokio::test]
async fn a_trouble_is_told_once_and_its_end_once_also_after_a_restart() {
    let server = Server::start(|_, _| Reply::new(200, b""));
    let patient = Patient::new().await;
    let mut watching = patient.watch(vec![Arc::new(hook(&server))], None);
    patient.health.account_restricted(frozen());
    let told = asked(&server, 1).await;
    assert_eq!(titles(&told), ["stenogram: the account is frozen"]);
    assert_eq!((told[0].header("tags"), told[0].path.as_str()), (Some("warning"), "/models/hunter2"));
    let text = String::from_utf8(told[0].body.clone()).expect("it is text");
    assert!(text.contains("Telegram has frozen the account") && text.contains("заморозил аккаунт"), "{text}");
    // The server has it before the daemon knows that; what a crash interrupts is told again.
    patient.stored(r#""arrived": true"#).await;
    watching.shutdown().await;
    watching = patient.watch(vec![Arc::new(hook(&server))], None);
    // Another trouble comes meanwhile, so the first one was looked at again.
    patient.health.model_missing();
    let told = asked(&server, 2).await;
    assert_eq!(titles(&told)[1..], ["stenogram: the model is gone"]);
    patient.health.account_restricted(None);
    let told = asked(&server, 3).await;
    assert_eq!(titles(&told)[2..], ["stenogram: well again (the account is frozen)"]);
    assert_eq!(told[2].header("tags"), Some("white_check_mark"));
    // Within the day it is not told again.
    patient.health.account_restricted(frozen());
    patient.health.model_reloaded();
    let told = asked(&server, 4).await;
    assert_eq!(titles(&told)[3..], ["stenogram: well again (the model is gone)"]);
    watching.shutdown().await;
}

#[tokio::test]
async fn what_the_server_does_not_take_is_tried_again() {
    let server = Server::start(|_, number| Reply::new(if number < 2 { 500 } else { 200 }, b""));
    let patient = Patient::new().await;
    patient.health.account_restricted(frozen());
    let _watching = patient.watch(vec![Arc::new(hook(&server))], None);
    asked(&server, 3).await;
    patient.health.model_missing();
    let told = asked(&server, 4).await;
    assert_eq!(titles(&told)[2..], ["stenogram: the account is frozen", "stenogram: the model is gone"]);
}

#[tokio::test]
async fn the_heartbeat_stops_while_something_is_wrong() {
    let server = Server::start(|_, _| Reply::new(200, b"OK"));
    let patient = Patient::new().await;
    let watching = patient.watch(Vec::new(), Some(hook(&server)));
    let beats = asked(&server, 3).await;
    assert!(beats.iter().all(|beat| beat.path == "/models/hunter2" && beat.body.is_empty()));
    patient.health.disconnected();
    // A beat may be on its way. Telling of the trouble shows that it was looked at since.
    let told = Server::start(|_, _| Reply::new(200, b""));
    let _telling = patient.watch(vec![Arc::new(hook(&told))], None);
    asked(&told, 1).await;
    let before = server.requests().len();
    assert!(before <= 5, "{before} beats");
    patient.health.account_restricted(frozen());
    asked(&told, 2).await;
    assert_eq!(server.requests().len(), before);
    patient.health.account_restricted(None);
    patient.health.connected();
    asked(&server, before + 2).await;
    drop(watching);
}

/// Saved Messages, as the daemon has them.
struct Saved(Arc<Account>);

#[async_trait]
impl Channel for Saved {
    fn name(&self) -> &'static str {
        "saved"
    }

    fn is_open(&self) -> bool {
        self.0.can_tell_owner()
    }

    async fn tell(&self, notice: &Notice) -> Result<(), String> {
        self.0.tell_owner(&notice.at.to_string(), notice.text.clone()).await
    }
}

#[tokio::test]
async fn a_notice_in_saved_messages_comes_once_and_only_where_the_account_can_send() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    telegram.configure(|settings| settings.dedupe = Dedupe::Refuse);
    let folder = session(&telegram);
    let account = open(&folder, options()).await;
    assert!(!account.can_tell_owner(), "it is not connected yet");
    let listener = Listener::start(Arc::clone(&account));
    listener.connected().await;
    let patient = Patient::new().await;
    // Telegram has it, but its answer is lost.
    telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
    patient.health.model_missing();
    let _watching = patient.watch(vec![Arc::new(Saved(Arc::clone(&account)))], None);
    let again = |ledger: fake_telegram::Ledger| ledger.suppressed() >= 1;
    telegram.wait_until(DEADLINE * 2, again).await.expect("it is sent again");
    let sent: Vec<Post> = telegram.look(|ledger| ledger.sent().cloned().collect());
    let [post] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(post.chat, SAVED_MESSAGES);
    assert!(post.text.contains("cannot be loaded again") && !post.silent, "{}", post.text);
    assert_eq!(account.send_usage().day.0, 2, "each attempt counts");
    let appeal = "https://t.me/spambot".to_owned();
    telegram.freeze(Freeze { since: 1, until: 2, appeal, in_config: true });
    telegram.cut();
    let mut restriction = account.restriction();
    let frozen = tokio::time::timeout(DEADLINE, restriction.wait_for(Option::is_some)).await;
    assert!(frozen.expect("in time").is_ok());
    listener.connected().await;
    assert!(!account.can_tell_owner());
}

#[tokio::test]
async fn a_wait_that_telegram_demands_of_a_notice_is_one_of_all_messages() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let folder = session(&telegram);
    let account = open(&folder, options()).await;
    let listener = Listener::start(Arc::clone(&account));
    listener.connected().await;
    telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(60)).once());
    assert!(account.tell_owner("1", "a trouble".to_owned()).await.is_err());
    assert!(!account.can_tell_owner(), "nothing is sent before it is over");
}

/// The daemon itself, as it ends.
#[tokio::test]
async fn a_logout_is_told_before_the_daemon_ends_and_no_log_has_the_url() {
    for is_reachable in [true, false] {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let server = Server::start(|_, _| Reply::new(200, b""));
        let url = if is_reachable { server.url() } else { "http://127.0.0.1:9/".to_owned() };
        let mut home = Home::new(&telegram);
        home.set("NOTIFY_URL", &format!("{url}{KEY}"));
        let mut daemon = home.start();
        daemon.event("connected", DEADLINE).await;
        telegram.revoke(Revocation::SessionRevoked);
        telegram.cut();
        assert_eq!(daemon.ends(DEADLINE * 2).await.code(), Some(3));
        let event = if is_reachable { "owner_told" } else { "notice_failed" };
        assert_eq!(home.count(event), 1, "{}", home.log());
        assert!(!home.log().contains(KEY), "{}", home.log());
        let told = server.requests();
        assert_eq!(titles(&told), vec!["stenogram: logged out of Telegram"; usize::from(is_reachable)]);
    }
}
