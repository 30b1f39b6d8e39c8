//! The real daemon, asked how it is.

use std::net::SocketAddr;
use std::process::Output;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::Home;
use support::redis::{DURABLE, RedisServer};
use support::speech::{say, silence};

use super::DEADLINE;
use super::exposition::{parse, promtool};
use super::http::{free_address, get, get_until};

fn home(telegram: &Telegram) -> (Home, SocketAddr) {
    let (mut home, at) = (Home::new(telegram), free_address());
    home.set("HEALTH_ADDRESS", &at.to_string());
    (home, at)
}

fn health(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        home.command().arg("health").args(arguments).output().expect("run stenogram health");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_daemon_at_work_says_what_it_did_and_nothing_of_whom() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let (home, at) = home(&telegram);
    let mut daemon = home.start();
    let ready = get_until(at, "/readyz", |answer| answer.status == 200).await;
    assert_eq!(ready.json(), serde_json::json!({ "ok": true, "reasons": [] }));
    assert_eq!(health(&home, &[]), (Some(0), "ready\n".into(), String::new()));
    assert_eq!(health(&home, &["--live"]), (Some(0), "alive\n".into(), String::new()));

    let chat = Chat::User(FRIEND);
    let message = telegram.send(chat, Draft::voice(say("one two three", "en-us"), 3));
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
    telegram.send(chat, Draft::voice(silence(2.0), 2));
    daemon.event("silent", DEADLINE).await;

    let done = "stenogram_jobs_total{outcome=\"silent\"} 1\n";
    let answer = get_until(at, "/metrics", |answer| answer.body.contains(done)).await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    promtool(&["check", "metrics"], &answer.body);
    let metrics = parse(&answer.body);
    for (sample, value) in [
        ("stenogram_jobs_total{outcome=\"answered\"}", 1.0),
        ("stenogram_messages_heard_total", 2.0),
        // Whisper is not asked about silence.
        ("stenogram_stage_duration_seconds_count{stage=\"recognise\"}", 1.0),
        ("stenogram_stage_duration_seconds_count{stage=\"deliver\"}", 1.0),
        ("stenogram_queue_jobs{state=\"waiting\"}", 0.0),
        ("stenogram_telegram_connected", 1.0),
        ("stenogram_telegram_reconnects_total", 0.0),
        ("stenogram_ready{part=\"queue\"}", 1.0),
        ("stenogram_live", 1.0),
    ] {
        assert_eq!(metrics.value(sample), value, "{sample}");
    }
    assert!(metrics.value("stenogram_audio_seconds_total") > 2.0);
    assert!(metrics.value("process_resident_memory_bytes") > 1e6);

    let page = get(at, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("nothing said") && page.body.contains("answered"), "{}", page.body);
    let (_, main) = page.body.split_once("<main>").expect("a main part");
    for text in [&answer.body, main, &ready.body] {
        assert!(!text.contains(&reply.text), "{text}");
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        assert!(!numbers.any(|number| number == "1000" || number == FRIEND.to_string()), "{text}");
    }
    let (status, _) = daemon.stop().await;
    assert!(status.success(), "{status}");
    let (code, said, complaint) = health(&home, &[]);
    assert!(code == Some(1) && said.is_empty() && complaint.contains("start it: "), "{complaint}");
}

#[tokio::test]
async fn what_is_away_makes_it_unready_and_leaves_it_alive() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut redis = RedisServer::start(DURABLE);
    let (mut home, at) = home(&telegram);
    home.set("REDIS_URL", &redis.url());
    let daemon = home.start();
    get_until(at, "/readyz", |answer| answer.status == 200).await;

    telegram.go_down().await;
    let unready = get_until(at, "/readyz", |answer| answer.status == 503).await.json();
    assert_eq!(unready["ok"], false);
    assert_eq!(unready["reasons"][0]["part"], "telegram");
    let (code, said, _) = health(&home, &[]);
    assert!(code == Some(1) && said.starts_with("telegram: Not connected to Telegram for "), "{said}");
    assert_eq!(health(&home, &["--live"]).0, Some(0));
    telegram.come_back().await.expect("come back");
    get_until(at, "/readyz", |answer| answer.status == 200).await;

    redis.kill();
    let unready = get_until(at, "/readyz", |answer| answer.status == 503).await.json();
    assert_eq!(unready["reasons"][0]["part"], "queue");
    assert_eq!(get(at, "/livez").await.status, 200);
    redis.restart();
    get_until(at, "/readyz", |answer| answer.status == 200).await;
    let metrics = parse(&get(at, "/metrics").await.body);
    assert_eq!(metrics.value("stenogram_telegram_reconnects_total"), 1.0);
    assert!(metrics.value("stenogram_queue_errors_total") > 0.0);
    daemon.stop().await;
}

#[tokio::test]
async fn while_the_queue_cannot_be_opened_it_says_so() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let (mut home, at) = home(&telegram);
    home.set("REDIS_URL", &format!("redis://{}", free_address()));
    let daemon = home.start();
    let unready = get_until(at, "/readyz", |answer| answer.status == 503).await.json();
    let parts: Vec<&str> = unready["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["queue", "model", "telegram"]);
    parse(&get(at, "/metrics").await.body);
    daemon.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_mistake_only_where_it_was_chosen() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut home = Home::new(&telegram);
    let at = taken.local_addr().expect("it is bound");
    home.set("HEALTH_ADDRESS", &at.to_string());
    let mut daemon = home.start();
    assert_eq!(daemon.ends(DEADLINE).await.code(), Some(2));
    let log = daemon.log();
    assert!(log.contains(&format!("cannot listen at {at}")) && log.contains("set HEALTH_ADDRESS"), "{log}");
    drop(taken);

    // Whether it is this test that has the default one, or somebody else.
    let _taken = std::net::TcpListener::bind("127.0.0.1:9464");
    home.unset("HEALTH_ADDRESS");
    let mut daemon = home.start();
    daemon.event("health_unavailable", DEADLINE).await;
    daemon.event("connected", DEADLINE).await;
    daemon.stop().await;

    home.set("HEALTH_ADDRESS", "off");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    assert_eq!((daemon.count("health_listening"), daemon.count("health_unavailable")), (0, 0));
    let (code, _, complaint) = health(&home, &[]);
    assert!(code == Some(1) && complaint.contains("HEALTH_ADDRESS is off"), "{complaint}");
    daemon.stop().await;
}
