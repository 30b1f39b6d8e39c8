//! The real binary with MODELS.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::Home;
use support::doctor::Report;
use support::speech::{MODEL, say};

use super::{GIGAAM, Stub};
use crate::health::DEADLINE;
use crate::health::http::{free_address, get, get_until, send};
use crate::serve::form;

/// A copy of stenogram with this program beside it, as an installation has them.
fn installed(home: &Home, stub: Option<&Stub>) -> Command {
    let copy = home.path().join("stenogram");
    if !copy.exists() {
        fs::hard_link(support::stenogram(), &copy)
            .or_else(|_| fs::copy(support::stenogram(), &copy).map(drop))
            .expect("put stenogram there");
    }
    if let Some(stub) = stub {
        let beside = home.path().join("stenogram-transcribe-cpp");
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", stub.program().display());
        fs::write(&beside, script).expect("write the program");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).expect("make it a program");
    }
    let mut command = Command::new(copy);
    command.current_dir(home.path()).env_clear().stdin(Stdio::null());
    let usual = home.command();
    command.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

fn by_language(home: &mut Home, stub: &Stub) {
    home.unset("MODEL");
    let model = stub.options().model;
    home.set("MODELS", &format!("ru:{},*:{MODEL}", model.display()));
    home.set("LANGUAGES", "ru,en!");
}

#[tokio::test]
async fn the_daemon_says_which_model_heard_a_message() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let stub = Stub::new(GIGAAM);
    stub.says("Услышано.");
    let mut home = Home::new(&telegram);
    by_language(&mut home, &stub);
    let at = free_address();
    home.set("HEALTH_ADDRESS", &at.to_string());
    let mut daemon = home.start_as(installed(&home, Some(&stub)).arg("run"));
    get_until(at, "/readyz", |answer| answer.status == 200).await;

    let chat = Chat::User(FRIEND);
    let message = telegram.send(chat, Draft::voice(say("раз два три", "ru"), 3));
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
    assert_eq!(reply.text, "Услышано.");
    daemon.event_with("recognised", "recogniser=\"model\"", DEADLINE).await;
    let message = telegram.send(chat, Draft::voice(say("one two three", "en-us"), 3));
    let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.expect("a reply");
    assert!(reply.text.to_lowercase().contains("two"), "{}", reply.text);
    daemon.event_with("recognised", "recogniser=\"micro-q8_0\"", DEADLINE).await;

    let metrics = get(at, "/metrics").await.body;
    for name in ["model", "micro-q8_0"] {
        let line = format!("stenogram_stretches_total{{recogniser=\"{name}\"}} 1");
        assert!(metrics.lines().any(|known| known == line), "{line} in\n{metrics}");
    }
    let page = get_until(at, "/", |page| page.body.contains("recognised by")).await.body;
    assert!(page.contains("model micro-q8_0, model"), "{page}");
    assert!(page.contains("model\u{a0}(1)") && page.contains("micro-q8_0\u{a0}(1)"), "{page}");
    let process = stub.processes()[0];
    assert!(daemon.stop().await.0.success());
    super::gone(process).await;
}

#[tokio::test]
async fn serve_tells_the_times_of_words_or_refuses_to() {
    let stub = Stub::new(GIGAAM);
    let mut home = Home::with_voice_activity();
    by_language(&mut home, &stub);
    let at = free_address();
    home.set("SERVE_ADDRESS", &at.to_string());
    let mut daemon = home.start_as(installed(&home, Some(&stub)).arg("serve"));
    daemon.event("serve_listening", DEADLINE).await;
    let fields =
        [("language", "ru"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")];
    let (headers, body) = form(&fields, Some(&say("раз два три", "ru")));
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    stub.says_tokens(&["Раз,", "два."]);
    let answer = send(at, &request).await.expect("an answer");
    let words = answer.json()["words"].clone();
    assert_eq!((&words[0]["word"], &words[1]["word"]), (&"Раз".into(), &"два".into()), "{answer:?}");
    assert!(words[0]["end"].as_f64().unwrap() <= words[1]["start"].as_f64().unwrap(), "{words}");
    assert_eq!(words.as_array().unwrap().len(), 2);
    // This one knows when the segment was said, and no more.
    stub.says("Раз, два.");
    let answer = send(at, &request).await.expect("an answer");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["error"]["param"], "timestamp_granularities[]");
}

#[test]
fn without_the_program_it_says_how_to_build_it_and_ends_with_2() {
    let stub = Stub::new(GIGAAM);
    let mut home = Home::empty();
    by_language(&mut home, &stub);
    fs::write(home.path().join("voice.ogg"), say("раз два", "ru")).expect("write a recording");
    let output = installed(&home, None).args(["transcribe", "voice.ogg"]).output().expect("run stenogram");
    let Output { status, stderr, .. } = output;
    let errors = String::from_utf8(stderr).expect("UTF-8");
    assert!(errors.contains("[transcribe-cpp-missing]"), "{errors}");
    assert!(errors.contains("--features transcribe-cpp"), "{errors}");
    assert_eq!(status.code(), Some(2), "{errors}");
}

#[test]
fn the_doctor_has_every_model_loaded() {
    let stub = Stub::new(GIGAAM);
    let mut home = Home::empty();
    by_language(&mut home, &stub);
    let report = Report::by(installed(&home, Some(&stub)));
    let models: Vec<_> = report.findings.iter().filter(|finding| finding.check == "model").collect();
    assert_eq!(models.len(), 2, "{models:?}");
    assert!(models[1].says.contains("gigaam on CPU"), "{models:?}");
    let output = installed(&home, Some(&stub)).arg("config").output().expect("run stenogram");
    assert!(String::from_utf8_lossy(&output.stdout).contains("MODELS"));
}
