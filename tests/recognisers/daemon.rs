//! The real binary with RECOGNISER.

use std::fs;
use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fake_telegram::{Chat, Draft, FRIEND, GROUP, SECOND_FRIEND, Telegram};
use support::daemon::{Home, events};
use support::doctor::Report;
use support::http::{Reply, Server};
use support::speech::{MODEL, say, silence};

use super::{asked, says};
use crate::health::DEADLINE;
use crate::health::http::{free_address, get, get_until};

/// A home without a speech model, whose recogniser is this one.
fn without_model(mut home: Home, recogniser: &str) -> Home {
    home.unset("MODEL");
    home.set("RECOGNISER", recogniser);
    home
}

fn transcribe(home: &Home, file: &str, bytes: &[u8]) -> (Option<i32>, String, String) {
    fs::write(home.path().join(file), bytes).expect("write a recording");
    let mut command = home.command();
    let Output { status, stdout, stderr } =
        command.env("LOG_LEVEL", "info").args(["transcribe", file]).output().expect("run stenogram");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_server_alone_needs_no_model_and_a_job_waits_until_it_is_there() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let stub = Server::start(move |_, _| match up.load(Ordering::Relaxed) {
        true => says("Heard elsewhere."),
        false => Reply::new(502, b""),
    });
    let mut home = without_model(Home::new(&telegram), &stub.base());
    let at = free_address();
    home.set("HEALTH_ADDRESS", &at.to_string());
    home.set("RECOGNISER_KEY", "sk-secret");
    home.unset("LOG_LEVEL");
    home.set("LOG_LEVEL", "trace");
    let mut daemon = home.start();
    get_until(at, "/readyz", |answer| answer.status == 200).await;

    let chat = Chat::User(FRIEND);
    let message = telegram.send(chat, Draft::voice(say("one two three", "en-us"), 3));
    daemon.event("recogniser_away", DEADLINE).await;
    daemon.event_with("delayed", "[recogniser-away]", DEADLINE).await;
    let unready = get_until(at, "/readyz", |answer| answer.status == 503).await.json();
    assert_eq!(unready["reasons"][0]["part"], "model", "{unready}");
    is_up.store(true, Ordering::Relaxed);
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
    assert_eq!(reply.text, "Heard elsewhere.");
    let name = stub.base().strip_prefix("http://").unwrap().to_owned();
    daemon.event_with("recogniser_back", &name, DEADLINE).await;
    daemon.event_with("recognised", &format!("recogniser=\"{name}\""), DEADLINE).await;

    get_until(at, "/readyz", |answer| answer.status == 200).await;
    let metrics = get(at, "/metrics").await.body;
    let has = |line: &str| assert!(metrics.lines().any(|known| known == line), "{line} in\n{metrics}");
    has(&format!("stenogram_stretches_total{{recogniser=\"{name}\"}} 1"));
    has(&format!("stenogram_recogniser_well{{recogniser=\"{name}\"}} 1"));
    let column = format!("<td class=\"left\">{name}</td>");
    let page = get_until(at, "/", |page| page.body.contains(&column)).await.body;
    assert!(page.contains(&format!("recognised by {name}\u{a0}(1)")), "{page}");
    let log = daemon.log();
    for secret in ["sk-secret", "Heard elsewhere"] {
        assert!(!log.contains(secret), "{secret}");
    }
    assert!(daemon.stop().await.0.success());
}

/// What is said in a chat comes first, then VOCABULARY, then the chat's people.
#[tokio::test]
async fn a_recogniser_is_told_what_is_known_of_the_chat() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let stub = Server::start(|_, _| says("Heard elsewhere."));
    let mut home = without_model(Home::new(&telegram), &stub.base());
    home.set("VOCABULARY", "Kubernetes");
    home.set("NAMES", "on");
    home.set("ANSWER_GROUPS", "all");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let friends_chat = Chat::User(FRIEND);
    telegram.send(friends_chat, Draft::text(".vocabulary Карл, Новак").own());
    daemon.event("command", DEADLINE).await;
    daemon.kill();
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    for (number, (chat, user, prompt)) in [
        (friends_chat, FRIEND, "Карл, Новак, Kubernetes, Friend, Owner."),
        (GROUP, FRIEND, "Kubernetes, Friend, Owner."),
        (GROUP, SECOND_FRIEND, "Kubernetes, Second Friend, Owner, Friend."),
    ]
    .into_iter()
    .enumerate()
    {
        let draft = Draft::voice(say("one two three", "en-us"), 3);
        let message = telegram.send(chat, if chat == GROUP { draft.from(user) } else { draft });
        telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
        let requests = stub.requests();
        assert_eq!(requests[number].field("prompt").as_deref(), Some(prompt));
    }
    assert!(daemon.stop().await.0.success());
}

#[tokio::test]
async fn this_machine_takes_over_and_says_so() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    home.set("RECOGNISER", &format!("http://{closed}/v1, local"));
    home.set("LANGUAGE", "en");
    let at = free_address();
    home.set("HEALTH_ADDRESS", &at.to_string());
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let chat = Chat::User(FRIEND);
    let message = telegram.send(chat, Draft::voice(say("one two three", "en-us"), 3));
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
    assert_eq!(reply.text, "one two three");
    daemon.event_with("recognised", "recogniser=\"local\"", DEADLINE).await;
    assert_eq!(daemon.count("recogniser_away"), 1);
    let page = get_until(at, "/", |page| page.body.contains("local\u{a0}(1)")).await.body;
    assert!(page.contains(&format!("because it failed: {closed}/v1.")), "{page}");
    assert_eq!(get(at, "/readyz").await.status, 200);
}

#[test]
fn transcribe_asks_the_server_unless_a_model_is_named() {
    let stub = Server::start(|_, _| says("Heard elsewhere."));
    let mut home = without_model(Home::with_voice_activity(), &stub.base());
    let spoken = say("one two three", "en-us");
    assert_eq!(transcribe(&home, "a.ogg", &spoken), (Some(0), "Heard elsewhere.\n".into(), String::new()));
    home.set("LANGUAGE", "en");
    let mut local = home.command();
    let output = local.args(["transcribe", "--model", MODEL, "a.ogg"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one two three\n");
    assert_eq!(asked(&stub), 1);

    let broken = Server::start(|_, _| Reply::new(500, b"no GPU"));
    let home = without_model(Home::with_voice_activity(), &broken.base());
    let (code, _, stderr) = transcribe(&home, "a.ogg", &spoken);
    assert!(code == Some(1) && stderr.contains("failed (500 Internal Server Error): no GPU"), "{stderr}");
}

/// 192.0.2.1 is nobody's address, and silence is not sent.
#[test]
fn a_server_that_is_not_on_a_private_network_is_warned_of() {
    let home = without_model(Home::with_voice_activity(), "http://192.0.2.1/v1");
    let (code, stdout, stderr) = transcribe(&home, "a.ogg", &silence(2.0));
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let [warning] = events(&stderr, "recogniser_public")[..] else { panic!("{stderr}") };
    assert!(warning.contains("without encryption") && warning.contains("[recogniser-public]"), "{warning}");
}

#[test]
fn only_the_model_for_voice_activity_is_fetched_where_servers_alone_recognise() {
    let mirror = Server::start(|_, _| Reply::new(404, b""));
    let mut home = without_model(Home::empty(), "http://127.0.0.1:9/v1");
    home.set("MODEL_URL", &mirror.url());
    let models = |arguments: &[&str]| home.command().arg("models").args(arguments).output().unwrap();
    assert!(!models(&["pull", "--missing"]).status.success(), "the mirror has none");
    let asked = mirror.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.path.contains("silero")), "{asked:?}");
    let list = String::from_utf8(models(&["list"]).stdout).unwrap();
    assert!(list.contains("RECOGNISER names servers alone") && !list.contains(" * "), "{list}");
}

#[tokio::test]
async fn the_doctor_asks_each_server() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let models = br#"{"object":"list","data":[{"id":"Systran/small"},{"id":"base"}]}"#;
    for (reply, outcome, says) in [
        (Reply::new(200, models), "ok", "answers and has base"),
        (Reply::new(404, b""), "ok", "it does not say which models it has"),
        (Reply::new(401, b""), "fail", "refuses the key"),
        (
            Reply::new(200, br#"{"data":[{"id":"tiny"}]}"#),
            "warn",
            "does not list the model base; it has: tiny",
        ),
    ] {
        let stub = Server::start(move |_, _| reply.clone());
        let mut home = without_model(Home::new(&telegram), &stub.base());
        home.set("RECOGNISER_MODEL", "base");
        home.set("RECOGNISER_KEY", "sk-secret");
        let report = Report::by(home.command());
        report.has("recogniser", outcome, says, "");
        assert!(!report.findings.iter().any(|finding| finding.check == "model"), "{report:#?}");
        let [request] = &stub.requests()[..] else { panic!() };
        assert_eq!(request.path, "/v1/models");
        assert_eq!(request.header("authorization"), Some("Bearer sk-secret"));
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut home = Home::new(&telegram);
    home.set("RECOGNISER", &format!("http://{closed}/v1,local"));
    let report = Report::by(home.command());
    report.has("recogniser", "warn", "cannot be reached", "start it, or correct RECOGNISER");
    report.has("model", "ok", "", "");
}
