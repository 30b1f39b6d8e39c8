//! Summaries of long texts: a server that does as each test tells it, one that nobody here wrote, and
//! the daemon as it ships.

mod independent;

use std::time::{Duration, Instant};

use fake_telegram::{Action, Chat, Draft, FRIEND, Fault, Post, Telegram};
use serde_json::{Value, json};
use stenogram::domain::ServerUrl;
use stenogram::summary::{SummaryOptions, SummaryServer, examine};
use support::daemon::Home;
use support::doctor::Report;
use support::http::{Reply, Request, Server};
use support::speech::say;

const DEADLINE: Duration = Duration::from_secs(180);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const TEXT: &str = "Anna said that the train is late. She comes at nine.";

fn options(base: &str) -> SummaryOptions {
    let url: ServerUrl = base.parse().expect("an address");
    let key = Some(stenogram::domain::Secret::new("sk-secret"));
    SummaryOptions { url, model: "small".into(), key, timeout: DEADLINE, proxy: Ok(None) }
}

/// What a server with OpenAI's interface answers.
fn says(text: &str) -> Reply {
    let message = json!({"role": "assistant", "content": text});
    let answer = json!({"id": "1", "object": "chat.completion", "created": 1, "model": "small",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    Reply::new(200, answer.to_string().as_bytes())
}

fn question(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

#[tokio::test]
async fn a_server_is_asked_as_openai_says() {
    let stub = Server::start(|_, _| says("- Anna is late.\n- She comes at **nine**."));
    let server = SummaryServer::new(options(&stub.base()));
    let summary = server.summarise(TEXT, Some("en".parse().unwrap())).await;
    assert_eq!(summary.as_deref(), Some("Anna is late.\nShe comes at nine."));
    let [request] = &stub.requests()[..] else { panic!("one request") };
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some("Bearer sk-secret"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let asked = question(request);
    assert_eq!((&asked["model"], &asked["stream"]), (&json!("small"), &json!(false)));
    assert_eq!(asked["messages"][0]["role"], "system");
    assert_eq!(
        asked["messages"][1],
        json!({"role": "user", "content": format!("<transcript>\n{TEXT}\n</transcript>")})
    );
    // No tool can be talked into anything.
    assert_eq!(asked.as_object().unwrap().len(), 3, "{asked}");
}

/// Whatever a server does, there is an end, and the next text does not wait for it.
#[tokio::test]
async fn a_server_that_fails_gives_no_summary_and_is_left_alone() {
    let huge = || says(&"word ".repeat(300_000));
    let redirect = Reply::new(302, b"").with("location", "http://127.0.0.1:1/v1/chat/completions");
    let answers = [
        ("500", Reply::new(500, b"no")),
        ("401", Reply::new(401, b"{}")),
        ("a redirect", redirect),
        ("no JSON", Reply::new(200, b"<html>")),
        ("other JSON", Reply::new(200, br#"{"choices": []}"#)),
        ("half an answer", says("One.").cut(10)),
    ];
    for (what, answer) in answers {
        let stub = Server::start(move |_, _| answer.clone());
        let server = SummaryServer::new(options(&stub.base()));
        assert_eq!(server.summarise(TEXT, None).await, None, "{what}");
        assert_eq!(server.summarise(TEXT, None).await, None, "{what}");
        assert_eq!(stub.requests().len(), 1, "{what}: it was left alone");
    }
    // A text that talks the model into such an answer ends nobody else's summaries.
    let silence = br#"{"choices": [{"message": {"content": null}}]}"#;
    for (what, useless) in [
        ("empty", says(" \n")),
        ("a link", says("Pay at https://evil.example now.")),
        ("no text", Reply::new(200, silence)),
        ("too long for the model", Reply::new(400, b"{}")),
    ] {
        let stub =
            Server::start(move |_, number| if number == 0 { useless.clone() } else { says("Anna is late.") });
        let server = SummaryServer::new(options(&stub.base()));
        assert_eq!(server.summarise(TEXT, None).await, None, "{what}");
        assert_eq!(server.summarise(TEXT, None).await.as_deref(), Some("Anna is late."), "{what}");
    }
    // More than a summary may be is cut, and more than any answer is, refused.
    let stub = Server::start(move |_, _| huge());
    assert_eq!(SummaryServer::new(options(&stub.base())).summarise(TEXT, None).await, None);
    let stub = Server::start(|_, _| says(&"word ".repeat(1000)));
    let cut = SummaryServer::new(options(&stub.base())).summarise(TEXT, None).await.expect("a summary");
    assert!(cut.ends_with(" …") && cut.len() <= 600, "{cut}");
}

#[tokio::test]
async fn an_answer_of_another_form_is_not_quoted_in_errors() {
    let stub = Server::start(|_, _| Reply::new(200, br#"{"choices": "Anna is ill"}"#));
    let error = examine(options(&stub.base())).await.unwrap_err().to_string();
    assert!(
        error.contains("makes no sense: Data error at line 1 column") && !error.contains("Anna"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_slow_or_away_costs_the_time_limit_at_most() {
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", silent.local_addr().unwrap());
    let limited = SummaryOptions { timeout: Duration::from_secs(1), ..options(&base) };
    let started = Instant::now();
    let error = examine(limited.clone()).await.unwrap_err().to_string();
    assert!(started.elapsed() >= Duration::from_secs(1), "it was waited for");
    assert!(error.contains("gave no answer within 1 s") && error.ends_with("[summary-failed]"), "{error}");
    assert_eq!(SummaryServer::new(limited).summarise(TEXT, None).await, None);
    drop(silent);
    let error = examine(options(&base)).await.unwrap_err().to_string();
    assert!(error.contains("cannot be asked"), "{error}");
}

/// A home whose long texts have a summary, and long is what has three words.
fn home(telegram: &Telegram, url: &str) -> Home {
    let mut home = Home::new(telegram);
    home.set("LANGUAGE", "en");
    home.set("FOLD_FROM", "10");
    home.set("SUMMARY_URL", url);
    home.set("SUMMARY_MODEL", "small");
    home.set("SUMMARY_KEY", "sk-secret");
    home.set("SUMMARY_FROM", "10");
    home
}

async fn reply(telegram: &Telegram, message: i32) -> Post {
    telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await.expect("a reply")
}

/// The quote in a reply, and what stands above it.
fn above_and_below(reply: &Post) -> (String, String) {
    let entities = reply.entities();
    let [quote] = &entities[..] else { panic!("one quote: {entities:?}") };
    assert!(quote.collapsed, "{quote:?}");
    let units: Vec<u16> = reply.text.encode_utf16().collect();
    let (above, below) = units.split_at(quote.offset as usize);
    assert_eq!(below.len(), quote.length as usize, "the quote goes to the end");
    let text = |units| String::from_utf16(units).expect("text");
    (text(above), text(below))
}

#[tokio::test]
async fn a_long_text_has_its_summary_above_it_and_a_restart_makes_no_second_one() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let stub = Server::start(|_, number| says(&format!("Summary number {number}.")));
    let home = home(&telegram, &stub.base());
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    // The answer is stored, and Telegram's is lost: the next process sends the same one.
    telegram.fault(Fault::on("messages.sendMessage", Action::DropBefore));
    let message = telegram.send(FRIENDS_CHAT, Draft::voice(say("one two three", "en-us"), 3));
    daemon.event("summarised", DEADLINE).await;
    telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.sendMessage") >= 1).await.unwrap();
    daemon.kill();
    telegram.clear_faults();
    let daemon = home.start();
    let sent = reply(&telegram, message).await;
    let (above, below) = above_and_below(&sent);
    assert_eq!((above.as_str(), below.as_str()), ("Summary number 0.\n\n", "one two three"));
    assert_eq!(stub.requests().len(), 1);
    let log = daemon.log();
    for secret in ["sk-secret", "Summary number", "one two"] {
        assert!(!log.contains(secret), "{secret}");
    }
    // A shorter text has none.
    let short = telegram.send(FRIENDS_CHAT, Draft::voice(say("two", "en-us"), 1));
    assert_eq!(reply(&telegram, short).await.text, "two");
    assert_eq!(stub.requests().len(), 1);
    assert!(daemon.stop().await.0.success());
}

#[tokio::test]
async fn without_a_summary_the_text_goes_alone() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut home = home(&telegram, &format!("http://{}/v1", silent.local_addr().unwrap()));
    home.set("SUMMARY_TIMEOUT", "1");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let message = telegram.send(FRIENDS_CHAT, Draft::voice(say("one two three", "en-us"), 3));
    let sent = reply(&telegram, message).await;
    assert_eq!(above_and_below(&sent), (String::new(), "one two three".to_owned()));
    daemon.event_with("summary_failed", "[summary-failed]", DEADLINE).await;
    assert!(daemon.stop().await.0.success());
}

#[test]
fn the_doctor_asks_for_a_summary_and_the_configuration_names_what_is_missing() {
    let stub = Server::start(|_, _| says("Anna is late."));
    let mut home = Home::empty();
    home.set("SUMMARY_URL", &stub.base());
    let output = home.command().arg("config").output().expect("run stenogram");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("of SUMMARY_URL and SUMMARY_MODEL only one is set"), "{said}");
    home.set("SUMMARY_MODEL", "small");
    Report::by(home.command()).has("summary", "ok", "writes summaries with small", "");
    drop(stub);
    Report::by(home.command()).has("summary", "warn", "cannot be asked", "SUMMARY_MODEL");
    home.set("SUMMARY_URL", "http://203.0.113.9:1/v1");
    home.set("SUMMARY_TIMEOUT", "1");
    Report::by(home.command()).has("summary", "warn", "sent to 203.0.113.9:1/v1 for summaries, without", "");
}
