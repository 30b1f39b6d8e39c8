//! The whole line over several processes: gateways with a loopback Telegram each, workers with the
//! real whisper.cpp, and one Redis.

use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, SECOND_FRIEND, Telegram, User};
use support::daemon::{Daemon, Home, events};
use support::doctor::Report;
use support::redis::{DURABLE, RedisServer};
use support::speech::{Random, say, silence};

use crate::health::http::{free_address, get_until};

const DEADLINE: Duration = Duration::from_secs(180);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const SECOND_CHAT: Chat = Chat::User(SECOND_FRIEND);
const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;

/// A Redis with one gateway, and what is needed to start workers.
struct Fleet {
    redis: RedisServer,
    telegram: Telegram,
    gateway: Home,
    random: Random,
}

impl Fleet {
    async fn new() -> Self {
        let redis = RedisServer::start(DURABLE);
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let gateway = gateway(&telegram, &redis);
        Self { redis, telegram, gateway, random: Random::seeded(7) }
    }

    /// A worker whose lease lasts for so many seconds.
    fn worker(&self, lease: u32) -> Home {
        let mut home = Home::with_voice_activity();
        home.unset("API_ID");
        home.unset("API_HASH");
        home.set("REDIS_URL", &self.redis.url());
        home.set("WORKER_LEASE", &lease.to_string());
        home
    }

    /// A text of so many digits and its voice message.
    fn spoken(&mut self, digits: usize) -> (String, Vec<u8>) {
        let text = self.random.digits("en", digits);
        let ogg = say(&text, "en-us");
        (text, ogg)
    }

    async fn answers(&self, chat: Chat, message: i32, text: &str) {
        answers(&self.telegram, &self.gateway, chat, message, text).await;
    }

    fn replies(&self, chat: Chat, message: i32) -> usize {
        self.telegram.look(|ledger| ledger.replies(chat, message).count())
    }

    fn fetched(&self) -> usize {
        self.telegram.look(|ledger| ledger.count("upload.getFile"))
    }

    /// The keys of all recordings and assignments in Redis.
    fn handed_over(&self) -> Vec<String> {
        let keys: Vec<String> = self.redis.command(&["KEYS", "*"]);
        let is_left =
            |key: &String| [":recording:", ":assignment:", ":stretches:"].iter().any(|it| key.contains(it));
        keys.into_iter().filter(is_left).collect()
    }
}

fn gateway(telegram: &Telegram, redis: &RedisServer) -> Home {
    let mut home = Home::new(telegram);
    home.unset("MODEL");
    home.set("REDIS_HOST", "127.0.0.1");
    home.set("REDIS_PORT", &redis.port().to_string());
    home
}

fn start(home: &Home, role: &str) -> Daemon {
    home.start_as(home.command().arg(role))
}

/// Starts a worker, and returns once it takes assignments.
async fn start_worker(home: &Home) -> Daemon {
    let mut worker = start(home, "worker");
    worker.event("worker_ready", DEADLINE).await;
    worker
}

async fn start_gateway(home: &Home) -> Daemon {
    let mut gateway = start(home, "gateway");
    gateway.event("connected", DEADLINE).await;
    gateway
}

async fn answers(telegram: &Telegram, gateway: &Home, chat: Chat, message: i32, text: &str) {
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await;
    let reply = reply.unwrap_or_else(|timed_out| panic!("{timed_out}\n{}", gateway.log()));
    // What the model hears is for other tests; rounding differs between processors.
    let (heard, said): (Vec<_>, Vec<_>) = (reply.text.split(' ').collect(), text.split(' ').collect());
    let alike = heard.iter().zip(&said).filter(|(a, b)| a == b).count();
    assert!(heard.len() == said.len() && alike + 1 >= said.len(), "{text:?} became {:?}", reply.text);
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await; // between two looks at it
    }
}

/// In megabytes.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("read its status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") >> 10
}

#[tokio::test]
async fn a_gateway_without_a_model_answers_what_a_worker_without_a_session_recognises() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(5);
    let russian = fleet.random.digits("ru", 5);
    let mut home = fleet.worker(15);
    let (at, workers_at) = (free_address(), free_address());
    fleet.gateway.set("HEALTH_ADDRESS", &at.to_string());
    home.set("HEALTH_ADDRESS", &workers_at.to_string());
    home.set("WORKER_NAME", "кабинет");
    let mut gateway = start_gateway(&fleet.gateway).await;
    gateway.event("workers_gone", DEADLINE).await;
    let unready = get_until(at, "/readyz", |answer| answer.body.contains("No worker")).await;
    assert_eq!(unready.status, 503);
    let mut worker = start_worker(&home).await;
    gateway.event("workers_back", DEADLINE).await;
    get_until(at, "/readyz", |answer| answer.status == 200).await;
    get_until(workers_at, "/readyz", |answer| answer.status == 200).await;

    let first = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    let second = fleet.telegram.send(SECOND_CHAT, Draft::voice(say(&russian, "ru"), 3));
    let quiet = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(silence(2.0), 2));
    let broken = fleet.telegram.send(SECOND_CHAT, Draft::voice(b"this is no recording".to_vec(), 3));
    fleet.answers(FRIENDS_CHAT, first, &text).await;
    fleet.answers(SECOND_CHAT, second, &russian).await;
    gateway.event("silent", DEADLINE).await;
    gateway.event_with("rejected", "cannot be decoded", DEADLINE).await;
    worker.event("rejected", DEADLINE).await;
    until("nothing is left in Redis", || fleet.handed_over().is_empty()).await;
    assert_eq!((fleet.replies(FRIENDS_CHAT, quiet), fleet.replies(SECOND_CHAT, broken)), (0, 0));

    let metrics =
        get_until(at, "/metrics", |answer| answer.body.contains("stenogram_workers 1\n")).await.body;
    for sample in [
        "stenogram_worker_assignments{worker=\"кабинет\"} ",
        "stenogram_fleet_bytes 0\n",
        "stenogram_fleet_bytes_limit 268435456\n",
        "stenogram_audio_seconds_total ",
    ] {
        assert!(metrics.contains(sample), "{sample} in {metrics}");
    }
    let page = get_until(at, "/", |answer| answer.body.contains("кабинет")).await.body;
    assert!(
        page.contains("<h2 id=\"workers\">Workers</h2>") && page.contains("<td class=\"left\">micro"),
        "{page}"
    );
    let metrics = get_until(workers_at, "/metrics", |_| true).await.body;
    assert!(
        metrics.contains("stenogram_assignments_in_hand 0\n") && !metrics.contains("telegram"),
        "{metrics}"
    );
    // What a chat speaks is remembered where its account is.
    assert!(fleet.gateway.data().join("languages.json").exists());
    assert!(!home.data().exists(), "a worker keeps nothing");
    let recognised = events(&gateway.log(), "recognised").join("\n");
    assert!(recognised.contains("recogniser=\"кабинет\""), "{recognised}");
    assert!(gateway.count("decoder_walls") == 0 && gateway.count("model_loaded") == 0);
    let megabytes = resident(&gateway);
    println!("the gateway has {megabytes} MB");
    assert!(megabytes <= 40, "{megabytes} MB");

    for daemon in [gateway, worker] {
        let (status, took) = daemon.stop().await;
        assert!(status.success() && took < Duration::from_secs(8), "{status} after {took:?}");
    }
    assert_eq!(fleet.redis.command::<usize>(&["ZCARD", "{stenogram:fleet}:workers"]), 0, "it has left");
}

#[tokio::test]
async fn two_accounts_share_two_workers() {
    let mut fleet = Fleet::new().await;
    let other = Telegram::start().await.expect("start another loopback Telegram");
    let other_home = gateway(&other, &fleet.redis);
    // It is the same user's session but for this number.
    let session = other_home.data().join("account.session");
    let stored = std::fs::read_to_string(&session).expect("read the session");
    std::fs::write(&session, stored.replacen("\"id\":1000", "\"id\":1001", 1)).expect("write it");
    let homes = [fleet.worker(15), fleet.worker(15)];
    let _workers = [start_worker(&homes[0]).await, start_worker(&homes[1]).await];
    let gateways = [start_gateway(&fleet.gateway).await, start_gateway(&other_home).await];
    let mut expected = Vec::new();
    for n in 0..6 {
        let (text, ogg) = fleet.spoken(4);
        let (telegram, chat) = (
            if n % 2 == 0 { &fleet.telegram } else { &other },
            if n < 3 { FRIENDS_CHAT } else { SECOND_CHAT },
        );
        expected.push((n, chat, telegram.send(chat, Draft::voice(ogg, 3)), text));
    }
    for (n, chat, message, text) in &expected {
        let (telegram, home) =
            if n % 2 == 0 { (&fleet.telegram, &fleet.gateway) } else { (&other, &other_home) };
        answers(telegram, home, *chat, *message, text).await;
    }
    for gateway in gateways {
        gateway.stop().await;
    }
    for (n, chat, message, _) in expected {
        let telegram = if n % 2 == 0 { &fleet.telegram } else { &other };
        assert_eq!(telegram.look(|ledger| ledger.replies(chat, message).count()), 1);
    }
    assert!(other_home.log().contains("id=1001:"), "{}", other_home.log());
}

#[tokio::test]
async fn what_a_killed_worker_had_is_answered_once_by_another() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(6);
    let homes = [fleet.worker(1), fleet.worker(1)];
    let gateway = start_gateway(&fleet.gateway).await;
    let mut first = start_worker(&homes[0]).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    first.event("recognising", DEADLINE).await;
    first.kill();
    let mut second = start_worker(&homes[1]).await;
    second.event_with("lease_taken_over", "deaths=1", DEADLINE).await;
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    gateway.stop().await;
    assert_eq!(fleet.replies(FRIENDS_CHAT, message), 1);
}

#[tokio::test]
async fn what_a_worker_says_after_it_was_asleep_changes_nothing() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(6);
    let homes = [fleet.worker(1), fleet.worker(1)];
    let mut gateway = start_gateway(&fleet.gateway).await;
    let mut first = start_worker(&homes[0]).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    first.event("recognising", DEADLINE).await;
    first.signal(SIGSTOP);
    let mut second = start_worker(&homes[1]).await;
    second.event("recognising", DEADLINE).await;
    first.signal(SIGCONT);
    first.event("lease_lost", DEADLINE).await;
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    second.event("assignment_done", DEADLINE).await;
    gateway.event("answered", DEADLINE).await;
    assert_eq!((first.count("assignment_done"), fleet.replies(FRIENDS_CHAT, message)), (0, 1));
    // It goes on as ever.
    second.stop().await;
    let (text, ogg) = fleet.spoken(3);
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    first.event("assignment_done", DEADLINE).await;
}

#[tokio::test]
async fn a_gateway_that_was_killed_takes_up_what_the_workers_have() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(6);
    let home = fleet.worker(60);
    let mut worker = start_worker(&home).await;
    let gateway = start_gateway(&fleet.gateway).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    worker.event("recognising", DEADLINE).await;
    worker.signal(SIGSTOP);
    let fetched = fleet.fetched();
    gateway.kill();
    let mut gateway = start_gateway(&fleet.gateway).await;
    gateway.event("assignment_resumed", DEADLINE).await;
    worker.signal(SIGCONT);
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    gateway.event("answered", DEADLINE).await;
    assert_eq!(
        (gateway.count("assigned"), fleet.fetched()),
        (0, fetched),
        "nothing was sent or fetched again"
    );
    assert!(
        gateway.log().contains("delivery=2 deaths=0"),
        "its death is not the recording's: {}",
        gateway.log()
    );
    assert_eq!((worker.count("assignment_taken"), fleet.replies(FRIENDS_CHAT, message)), (1, 1));
}

#[tokio::test]
async fn a_message_that_is_deleted_is_not_recognised_to_its_end() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(6);
    let home = fleet.worker(2);
    let mut worker = start_worker(&home).await;
    let mut gateway = start_gateway(&fleet.gateway).await;
    let deleted = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 5));
    worker.event("recognising", DEADLINE).await;
    worker.signal(SIGSTOP);
    fleet.telegram.delete(FRIENDS_CHAT, deleted);
    gateway.event_with("gone", "the message was deleted", DEADLINE).await;
    assert!(fleet.handed_over().is_empty(), "{:?}", fleet.handed_over());
    worker.signal(SIGCONT);
    worker.event("lease_lost", DEADLINE).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    gateway.stop().await;
    assert_eq!(fleet.replies(FRIENDS_CHAT, deleted), 0);
}

#[tokio::test]
async fn a_recording_that_kills_workers_is_given_up_and_the_others_are_answered() {
    let mut fleet = Fleet::new().await;
    let (_, ogg) = fleet.spoken(6);
    let (text, other) = fleet.spoken(3);
    let home = fleet.worker(1);
    let mut gateway = start_gateway(&fleet.gateway).await;
    let mut worker = start_worker(&home).await;
    let poison = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    let id = format!("1000:{FRIEND}:{poison}");
    let [later, job] =
        [":later".to_owned(), format!(":job:{id}")].map(|key| format!("{{stenogram:1000}}{key}"));
    let mut innocent = Vec::new();
    for death in 1..=3 {
        worker.event("recognising", DEADLINE).await;
        // As if an hour passed between two deaths.
        fleet.redis.command::<()>(&["HSET", &job, "died", "1"]);
        worker.kill();
        worker = start_worker(&home).await;
        if death == 2 {
            worker.event_with("delayed", "Put off for 600 s", DEADLINE).await;
            let message = fleet.telegram.send(SECOND_CHAT, Draft::voice(other.clone(), 3));
            fleet.answers(SECOND_CHAT, message, &text).await;
            innocent.push(message);
            worker.event("assignment_done", DEADLINE).await;
            worker.stop().await;
            fleet.redis.command::<()>(&["ZADD", &later, "1", &id]);
            worker = start_worker(&home).await;
        }
    }
    worker.event("dead_letter", DEADLINE).await;
    gateway.event_with("dead_letter", "died 3 times", DEADLINE).await;
    let behind = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(other, 3));
    fleet.answers(FRIENDS_CHAT, behind, &text).await;
    gateway.event("answered", DEADLINE).await;
    let output = fleet.gateway.command().arg("queue").output().expect("run stenogram queue");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.lines().any(|line| line.starts_with(&id) && line.contains("dead")), "{table}");
    assert_eq!(fleet.replies(FRIENDS_CHAT, poison), 0);
    assert!(innocent.iter().all(|message| fleet.replies(SECOND_CHAT, *message) == 1));
}

#[tokio::test]
async fn with_the_budget_used_up_nothing_more_is_fetched() {
    let mut fleet = Fleet::new().await;
    // A few recordings of 4 s.
    fleet.gateway.set("MAX_FILE_SIZE", "24K");
    fleet.gateway.set("FLEET_BYTES", "24K");
    let mut gateway = start_gateway(&fleet.gateway).await;
    let (text, ogg) = fleet.spoken(5);
    let size = ogg.len();
    let total = 12;
    let mut sent = Vec::new();
    for n in 0..total {
        let chat = fleet.telegram.add_user(User { id: 5000 + n, name: "Friend".into(), bot: false });
        // One byte more or less, so that none is a copy of another.
        let mut ogg = ogg.clone();
        ogg.extend(vec![0; n as usize]);
        sent.push((chat, fleet.telegram.send(chat, Draft::voice(ogg, 4))));
    }
    gateway.event("fleet_full", DEADLINE).await;
    let most = (24 << 10) / size;
    assert!(most < total as usize / 2, "{size} bytes each");
    gateway.events("assigned", most, DEADLINE).await;
    let bytes = || fleet.handed_over().iter().filter(|key| key.contains(":recording:")).count() * size;
    assert!(bytes() <= 24 << 10, "{} bytes", bytes());
    // Two requests for each, of which the second finds its end.
    assert!(fleet.fetched() <= 2 * most, "{} fetched", fleet.fetched());
    let home = fleet.worker(15);
    let _worker = start_worker(&home).await;
    for (chat, message) in sent {
        fleet.answers(chat, message, &text).await;
    }
    gateway.event("fleet_has_room", DEADLINE).await;
}

#[tokio::test]
async fn messages_of_a_chat_are_answered_in_order_by_however_many_workers() {
    let mut fleet = Fleet::new().await;
    let homes = [fleet.worker(15), fleet.worker(15)];
    let gateway = start_gateway(&fleet.gateway).await;
    let mut messages = Vec::new();
    for digits in [6, 3, 4, 2] {
        let (_, ogg) = fleet.spoken(digits);
        messages.push(fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3)));
    }
    let _workers = [start_worker(&homes[0]).await, start_worker(&homes[1]).await];
    for message in &messages {
        fleet.telegram.wait_for_reply(FRIENDS_CHAT, *message, DEADLINE).await.expect("a reply");
    }
    gateway.stop().await;
    let order: Vec<_> =
        fleet.telegram.look(|ledger| ledger.sent().filter_map(|post| post.reply_to).collect());
    assert_eq!(order, messages);
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_given_the_recording_again() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(4);
    let mut gateway = start_gateway(&fleet.gateway).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    gateway.event("assigned", DEADLINE).await;
    fleet.redis.restart();
    let home = fleet.worker(15);
    let mut worker = start_worker(&home).await;
    worker.event_with("assignment_given_back", "Redis has lost its recording", DEADLINE).await;
    gateway.events("assigned", 2, DEADLINE).await;
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    // And one that goes away in the middle is waited for, by both.
    let (text, ogg) = fleet.spoken(6);
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    worker.events("recognising", 2, DEADLINE).await;
    fleet.redis.restart();
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    gateway.events("answered", 2, DEADLINE).await;
    assert_eq!(fleet.replies(FRIENDS_CHAT, message), 1);
}

#[tokio::test]
async fn a_worker_that_is_stopped_gives_back_what_it_has() {
    let mut fleet = Fleet::new().await;
    let (text, ogg) = fleet.spoken(6);
    let home = fleet.worker(300);
    let _gateway = start_gateway(&fleet.gateway).await;
    let mut first = start_worker(&home).await;
    let message = fleet.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    first.event("recognising", DEADLINE).await;
    first.signal(SIGSTOP);
    let second_home = fleet.worker(300);
    let mut second = start_worker(&second_home).await;
    first.signal(15);
    first.signal(SIGCONT);
    let start = Instant::now();
    let (status, took) = (first.ends(Duration::from_secs(10)).await, start.elapsed());
    assert!(status.success() && took < Duration::from_secs(8), "{status} after {took:?}");
    assert_eq!(events(&home.log(), "assignment_given_back").len(), 1, "{}", home.log());
    // Long before the lease would have been over.
    fleet.answers(FRIENDS_CHAT, message, &text).await;
    second.event("assignment_done", DEADLINE).await;
    assert_eq!(second.count("lease_taken_over"), 0);
}

#[tokio::test]
async fn without_a_redis_there_is_no_fleet() {
    let home = Home::empty();
    for role in ["gateway", "worker"] {
        let output = home.command().arg(role).output().expect("run it");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("[fleet-without-redis]") && error.contains("set REDIS_URL"), "{error}");
    }
}

#[tokio::test]
async fn the_doctor_judges_what_each_role_needs() {
    let fleet = Fleet::new().await;
    let doctor = |home: &Home, role: &str| -> Report { Report::by_with(home.command(), &["--role", role]) };
    let home = fleet.worker(15);
    let report = doctor(&home, "worker");
    assert!(
        report.findings.iter().all(|it| !matches!(it.check.as_str(), "session" | "telegram")),
        "{report:?}"
    );
    report.has("queue", "ok", "answers and takes writes", "");
    assert!(report.findings.iter().any(|it| it.check == "model"), "{report:?}");
    let report = doctor(&fleet.gateway, "gateway");
    report.has("workers", "warn", "no worker of the fleet is there", "start `stenogram worker`");
    assert!(report.findings.iter().all(|it| it.check != "model"), "a gateway needs none: {report:?}");
    let mut worker = start_worker(&home).await;
    worker.event("worker_ready", DEADLINE).await;
    until("the worker is seen", || {
        fleet.redis.command::<usize>(&["ZCARD", "{stenogram:fleet}:workers"]) == 1
    })
    .await;
    doctor(&fleet.gateway, "gateway").has("workers", "ok", "micro", "");
    let report = doctor(&Home::empty(), "worker");
    report.has("configuration", "fail", "REDIS_URL", "set REDIS_URL");
}
