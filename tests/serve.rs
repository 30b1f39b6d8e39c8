//! `stenogram serve`: the real binary, asked by a client that says what each test wants said, by our
//! own RECOGNISER, and by OpenAI's own client from PyPI.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use serde_json::{Value, json};
use stenogram::audio::Limits;
use stenogram::decoding::DecoderProgram;
use stenogram::serve::{self, ServeOptions, Service};
use stenogram::speech::{
    EngineOptions, RecogniseOptions, RecogniserOptions, Recognisers, RecognisersOptions,
};
use support::daemon::{Daemon, Home};
use support::doctor::Report;
use support::speech::{self, MODEL, fixtures, say};
use support::{python, skipped};

use crate::health::DEADLINE;
use crate::health::http::{Answer, free_address, send};
use crate::recognisers;

const KEY: &str = "a-key-of-ours";
/// OpenAI's client.
const OPENAI: &str = "openai==3.57.0";

struct Serving {
    home: Home,
    at: SocketAddr,
    daemon: Daemon,
}

impl Serving {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let (mut home, at) = (Home::with_voice_activity(), free_address());
        home.set("SERVE_ADDRESS", &at.to_string());
        for (name, value) in [("LANGUAGE", "en")].iter().chain(variables) {
            home.set(name, value);
        }
        let mut daemon = home.start_as(home.command().arg("serve"));
        daemon.event("serve_listening", DEADLINE).await;
        Self { home, at, daemon }
    }

    fn url(&self) -> String {
        format!("http://{}/v1", self.at)
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"").await
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.at,
            body.len()
        );
        send(self.at, &[head.as_bytes(), body].concat()).await.expect("an answer")
    }

    /// Sends a form with these fields, and with the file unless there is none.
    async fn transcribe(&self, fields: &[(&str, &str)], file: Option<&[u8]>) -> Answer {
        let (headers, body) = form(fields, file);
        self.send("POST", "/v1/audio/transcriptions", &headers, &body).await
    }
}

pub fn form(fields: &[(&str, &str)], file: Option<&[u8]>) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    if let Some(file) = file {
        let head = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.ogg\"\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    ("Content-Type: multipart/form-data; boundary=x\r\n".to_owned(), body)
}

#[tokio::test]
async fn each_format_has_the_words() {
    let serving = Serving::start(&[]).await;
    let (text, spoken) = ("one two three", say("one two three", "en-us"));
    for (fields, kind, expected) in [
        (&[][..], "application/json", json!({"text": text}).to_string()),
        (
            &[("response_format", "json"), ("model", "whisper-1")],
            "application/json",
            json!({"text": text}).to_string(),
        ),
        (
            &[("response_format", "text"), ("model", "micro-q8_0")],
            "text/plain; charset=utf-8",
            format!("{text}\n"),
        ),
    ] {
        let answer = serving.transcribe(fields, Some(&spoken)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{answer:?}");
        assert_eq!(answer.body, expected);
    }
    let srt = serving.transcribe(&[("response_format", "srt")], Some(&spoken)).await.body;
    assert!(srt.starts_with("1\n00:00:0") && srt.contains(&format!("\n{text}\n")), "{srt}");
    let vtt = serving.transcribe(&[("response_format", "vtt")], Some(&spoken)).await;
    assert!(vtt.body.starts_with("WEBVTT\n\n") && vtt.header("content-type").starts_with("text/vtt"));
    let fields = [
        ("response_format", "verbose_json"),
        ("language", "en"),
        ("prompt", "zero"),
        ("temperature", "0.2"),
        ("timestamp_granularities[]", "segment"),
        ("stream", "false"),
    ];
    let verbose = serving.transcribe(&fields, Some(&spoken)).await.json();
    let (duration, segment) = (verbose["duration"].as_f64().unwrap(), &verbose["segments"][0]);
    assert!(segment["end"].as_f64().unwrap() <= duration && duration < 5.0, "{verbose}");
    for (found, expected) in [
        (&verbose["task"], "transcribe"),
        (&verbose["language"], "english"),
        (&verbose["text"], text),
        (&segment["text"], text),
    ] {
        assert_eq!(found, expected, "{verbose}");
    }
    assert_eq!(serving.get("/health").await.json(), json!({"status": "ok"}));
    let models = serving.get("/v1/models").await.json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["micro-q8_0", "whisper-1"]);
    let log = serving.daemon.log();
    assert!(log.contains("event=\"served\"") && !log.contains(text), "{log}");
    let (status, took) = serving.daemon.stop().await;
    assert!(status.success() && took.as_secs() < 8, "{status} after {took:?}");
}

/// Three texts, each said a minute after the one before.
fn minutes() -> (Vec<&'static str>, Vec<u8>) {
    let texts: Vec<_> = fixtures("en").iter().take(3).map(|fixture| (fixture.text, fixture.voice)).collect();
    (texts.iter().map(|(text, _)| *text).collect(), speech::say_now_and_then(&texts, 60))
}

#[tokio::test]
async fn a_stream_tells_the_text_piece_by_piece() {
    let serving = Serving::start(&[]).await;
    let (texts, recording) = minutes();
    let whole = serving.transcribe(&[], Some(&recording)).await.json();
    let answer = serving.transcribe(&[("stream", "true")], Some(&recording)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"), "{answer:?}");
    let data = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let (last, deltas) = events.split_last().expect("events");
    assert_eq!(deltas.len(), texts.len(), "one for each stretch in which somebody speaks");
    assert!(deltas.iter().all(|event| event["type"] == "transcript.text.delta"), "{events:?}");
    let joined: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!((&json!(joined), &whole["text"]), (&whole["text"], &last["text"]), "{events:?}");
    assert_eq!(last["type"], "transcript.text.done");
    assert_eq!(serving.daemon.count("served"), 2);
    // Nobody speaks.
    let answer = serving.transcribe(&[("stream", "true")], Some(&speech::silence(2.0))).await;
    assert!(
        answer.body.contains(r#""transcript.text.done""#) && !answer.body.contains("delta"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_gives_up_its_stream() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut serving = Serving::start(&[]).await;
    let recording = speech::say_now_and_then(&[("one two three", "en-us"); 40], 25);
    let (headers, body) = form(&[("stream", "true")], Some(&recording));
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    let mut client = tokio::net::TcpStream::connect(serving.at).await.unwrap();
    client.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("transcript.text.delta") {
        assert!(client.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
    }
    drop(client);
    let gone = "The client of a stream has gone away";
    serving.daemon.logs(gone, DEADLINE, |log| log.contains(gone)).await;
    assert_eq!(serving.daemon.count("served"), 0);
}

#[tokio::test]
async fn words_have_the_times_at_which_they_were_said() {
    let serving = Serving::start(&[]).await;
    let (texts, recording) = minutes();
    let verbose = |granularities: &'static [&'static str]| {
        let times = granularities.iter().map(|&it| ("timestamp_granularities[]", it));
        let fields: Vec<_> = times.chain([("response_format", "verbose_json")]).collect();
        let (serving, recording) = (&serving, &recording);
        async move { serving.transcribe(&fields, Some(recording)).await.json() }
    };
    let (both, alone, none) =
        tokio::join!(verbose(&["word", "segment"]), verbose(&["word"]), verbose(&["segment"]));
    assert!(alone.get("segments").is_none() && none.get("words").is_none(), "{alone} {none}");
    assert_eq!((&alone["words"], &none["segments"]), (&both["words"], &both["segments"]));
    let time = |value: &Value, name: &str| value[name].as_f64().unwrap();
    let words = both["words"].as_array().unwrap();
    let said: Vec<_> = words.iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert_eq!(said.join(" "), both["text"].as_str().unwrap());
    let mut before = 0.0;
    for word in words {
        let (start, end) = (time(word, "start"), time(word, "end"));
        assert!(before <= start && start <= end && end - start < 2.0, "{word} in {both}");
        let is_around = |segment: &&Value| time(segment, "start") <= start && end <= time(segment, "end");
        assert!(both["segments"].as_array().unwrap().iter().any(|it| is_around(&it)), "{word} in {both}");
        before = end;
    }
    // What was said in the last of the three places is told to have been said there.
    let last = words.last().unwrap();
    assert!((120.0..130.0).contains(&time(last, "end")) && texts.len() == 3, "{last}");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_in_the_form_of_that_interface() {
    let serving = Serving::start(&[("MAX_FILE_SIZE", "100K"), ("MAX_DURATION", "10")]).await;
    let spoken = say("one", "en-us");
    let long = speech::silence(20.0);
    let large = vec![0; 150 << 10];
    for (fields, file, status, says) in [
        (&[][..], None, 400, "there is no file in the form"),
        (&[("response_format", "xml")], Some(&spoken), 400, "response_format must be json, text"),
        (&[("temperature", "hot")], Some(&spoken), 400, "temperature must be from 0 to 1"),
        (&[("timestamp_granularities[]", "word")], Some(&spoken), 400, "only response_format=verbose_json"),
        (&[("timestamp_granularities[]", "letter")], Some(&spoken), 400, "must be segment or word"),
        (&[("stream", "maybe")], Some(&spoken), 400, "stream must be true or false"),
        (&[("stream", "true"), ("response_format", "text")], Some(&spoken), 400, "response_format=json"),
        (&[("stream", "true")], Some(&b"no recording".to_vec()), 400, "cannot be decoded"),
        (&[("diarize", "yes")], Some(&spoken), 400, "there is no parameter"),
        (&[("language", "klingon")], Some(&spoken), 400, "klingon"),
        (&[("model", "large-v9")], Some(&spoken), 404, "there is no model"),
        (&[], Some(&b"no recording".to_vec()), 400, "cannot be decoded"),
        (&[], Some(&large), 413, "the form cannot be read"),
        (&[], Some(&long), 413, "longer than the limit"),
    ] {
        let answer = serving.transcribe(fields, file.map(Vec::as_slice)).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"), "{says}");
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let (headers, body) = form(&[], Some(&spoken));
    let unfinished = body.strip_suffix(b"--x--\r\n").unwrap();
    for (method, path, headers, body, status) in [
        ("GET", "/v1/audio/transcriptions", "", &b""[..], 405),
        ("POST", "/v1/models", "", b"", 405),
        ("POST", "/v1/audio/speech", "", b"", 404),
        ("POST", "/v1/audio/transcriptions", "Content-Type: application/json\r\n", b"{}", 415),
        ("POST", "/v1/audio/transcriptions", &headers, unfinished, 400),
    ] {
        let answer = serving.send(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.json()["error"]["message"].is_string());
    }
    // An announced length over the limit is refused before anything is read.
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(send(serving.at, head.as_bytes()).await.unwrap().status, 413);
    assert_eq!(serving.transcribe(&[], Some(&spoken)).await.status, 200, "it goes on");
}

#[tokio::test]
async fn a_key_is_demanded_if_there_is_one_and_else_a_local_name() {
    let serving = Serving::start(&[("SERVE_KEY", KEY)]).await;
    for (headers, status) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: a-key-of-ours\r\n", 401),
        ("Authorization: Bearer a-key-of-ours\r\n", 200),
    ] {
        let answer = serving.send("GET", "/v1/models", headers, b"").await;
        assert_eq!(answer.status, status, "{headers}");
        if status == 401 {
            assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        }
    }
    let (headers, body) = form(&[], Some(b"x"));
    assert_eq!(serving.send("POST", "/v1/audio/transcriptions", &headers, &body).await.status, 401);
    assert_eq!(serving.get("/health").await.status, 200);
    let log = serving.daemon.log();
    assert!(!log.contains(KEY) && !log.contains("WARN"), "anybody could fill the log: {log}");
    // Who names no key gets no connection for long.
    for (request, status) in [("GET /health", 200), ("GET /v1/models", 401), ("GET /", 404)] {
        let request = format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = send(serving.at, request.as_bytes()).await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, "close"), "{request}");
    }

    let serving = Serving::start(&[]).await;
    for (host, status) in [("evil.example", 421), ("localhost:9465", 200), ("pc.lan", 200)] {
        let request = format!("GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(send(serving.at, request.as_bytes()).await.unwrap().status, status, "{host}");
    }
    let (headers, body) = form(&[], Some(b"no recording"));
    for (from, status) in [
        ("Origin: http://localhost:8000", 403),
        ("Origin: null", 403),
        ("Sec-Fetch-Site: cross-site", 403),
        ("Sec-Fetch-Site: same-site", 403),
        ("Sec-Fetch-Site: none", 400),
        ("Sec-Fetch-Site: same-origin", 400),
    ] {
        let headers = format!("{headers}{from}\r\n");
        let answer = serving.send("POST", "/v1/audio/transcriptions", &headers, &body).await;
        assert_eq!(answer.status, status, "{from}: {answer:?}");
    }

    let mut home = Home::empty();
    home.set("SERVE_ADDRESS", "0.0.0.0:9465");
    let output = home.command().arg("serve").output().expect("run stenogram");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && complaint.contains("set SERVE_KEY"), "{complaint}");
    let mut home = Home::empty();
    home.set("SERVE_ADDRESS", &serving.at.to_string());
    let output = home.command().arg("serve").output().expect("run stenogram");
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && complaint.contains("[serve-address-unusable]"), "{complaint}");
}

/// Our client, as many others, sends all of a request before it reads the answer. This one is
/// larger than what the kernel buffers.
#[tokio::test]
async fn a_wrong_key_is_called_so_however_much_comes_with_it() {
    let serving = Serving::start(&[("SERVE_KEY", KEY)]).await;
    let list = vec![RecogniserOptions::Server(recognisers::server(&serving.url()))];
    let recognisers = recognisers::recognisers(list).await;
    let options = RecogniseOptions { previous_text: "a".repeat(16 << 20), ..Default::default() };
    let error = recognisers::recognise(&recognisers, options).await.unwrap_err().to_string();
    assert!(error.contains("(401 ") && error.ends_with("[recogniser-refuses]"), "{error}");
}

#[tokio::test]
async fn a_strangers_words_are_not_repeated_at_length() {
    let serving = Serving::start(&[]).await;
    let long = "n".repeat(5000);
    for fields in [[(long.as_str(), "x")], [("model", &long)], [("language", &long)]] {
        let error = serving.transcribe(&fields, Some(b"x")).await;
        assert!(error.status == 400 || error.status == 404, "{error:?}");
        assert!(error.body.len() < 500 && error.body.contains(&long[..100]), "{error:?}");
    }
    assert!(!serving.daemon.log().contains(&long[..101]));
}

#[tokio::test]
async fn another_stenogram_recognises_with_it_as_by_itself() {
    let serving = Serving::start(&[("SERVE_KEY", KEY)]).await;
    let mut home = Home::with_voice_activity();
    home.set("LANGUAGE", "en");
    // Several stretches are sent.
    let (texts, recording) = minutes();
    fs::write(home.path().join("a.ogg"), recording).unwrap();
    let transcribe = |home: &Home| {
        let output = home.command().args(["transcribe", "--format", "json", "a.ogg"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let local = transcribe(&home);
    home.unset("MODEL");
    home.set("RECOGNISER", &serving.url());
    home.set("RECOGNISER_KEY", KEY);
    let remote = transcribe(&home);
    for field in ["text", "language", "duration"] {
        assert_eq!(remote[field], local[field], "{field}");
    }
    assert_eq!(serving.daemon.count("served"), texts.len(), "one for each stretch in which somebody speaks");
    for (there, here) in
        remote["segments"].as_array().unwrap().iter().zip(local["segments"].as_array().unwrap())
    {
        let start = |segment: &Value| segment["start_ms"].as_u64().unwrap();
        assert!(start(there).abs_diff(start(here)) < 1000, "{there} {here}");
    }
    Report::by(home.command()).has("recogniser", "ok", "answers and has whisper-1", "");
}

/// A PC that comes and goes, and a NAS.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_has_another_machine_recognise_and_does_it_itself_while_that_is_off() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let serving = Serving::start(&[("SERVE_KEY", KEY)]).await;
    let mut home = Home::new(&telegram);
    home.set("LANGUAGE", "en");
    home.set("RECOGNISER", &format!("{},local", serving.url()));
    home.set("RECOGNISER_KEY", KEY);
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let (text, spoken) = ("one two three", say("one two three", "en-us"));
    let answered = async || {
        let chat = Chat::User(FRIEND);
        let message = telegram.send(chat, Draft::voice(spoken.clone(), 2));
        let reply = telegram.wait_for_reply(chat, message, DEADLINE).await;
        assert_eq!(reply.unwrap_or_else(|late| panic!("{late}\n{}", home.log())).text, text);
    };
    answered().await;
    let Serving { home: pc, daemon: on, .. } = serving;
    assert_eq!(on.count("served"), 1);
    assert!(on.stop().await.0.success());
    answered().await;
    assert_eq!(pc.count("served"), 1);
    let mut on = pc.start_as(pc.command().arg("serve"));
    on.event("serve_listening", DEADLINE).await;
    // After a pause of some seconds it is asked again.
    let until_it_is_back = async {
        while home.count("recogniser_back") == 0 {
            answered().await;
        }
    };
    tokio::time::timeout(DEADLINE, until_it_is_back).await.expect("it is asked again");
    assert_eq!(on.count("served"), 1);
    assert!(daemon.stop().await.0.success());
}

#[tokio::test]
async fn the_official_client_of_openai_understands_it() {
    let python = match python::with_packages(env!("CARGO_TARGET_TMPDIR"), &[OPENAI]) {
        Ok(python) => python,
        Err(why) => return skipped(format!("OpenAI's client cannot be installed: {why}")),
    };
    let serving = Serving::start(&[("SERVE_KEY", KEY)]).await;
    let folder = serving.home.path();
    let (recording, noise) = (folder.join("a.ogg"), folder.join("noise.ogg"));
    fs::write(&recording, say("one two three", "en-us")).unwrap();
    fs::write(&noise, b"no recording").unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/serve.py");
    let mut command = Command::new(python);
    command.arg(script).args([&serving.url(), KEY]).args([recording, noise]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{}", serving.daemon.log());
    let got: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(got["models"], json!(["micro-q8_0", "whisper-1"]));
    let text = "one two three";
    assert_eq!((&got["json"], &got["text"]), (&json!(text), &json!(format!("{text}\n"))));
    for format in ["srt", "vtt"] {
        assert!(got[format].as_str().unwrap().contains(" --> "), "{got}");
    }
    let verbose = &got["verbose"];
    assert_eq!((&verbose[0], &verbose[1]), (&json!(text), &json!("english")));
    assert!(verbose[3].as_f64() <= verbose[2].as_f64(), "{verbose}");
    let words: Vec<_> = got["words"].as_array().unwrap().iter().map(|word| &word[0]).collect();
    assert_eq!(words, ["one", "two", "three"], "{got}");
    assert!(got["words"][0][1].as_f64() < got["words"][2][2].as_f64(), "{got}");
    assert_eq!(
        got["stream"],
        json!([["transcript.text.delta", text], ["transcript.text.done", text]]),
        "{got}"
    );
    for (name, class, status, code) in [
        ("noise", "BadRequestError", 400, Value::Null),
        ("key", "AuthenticationError", 401, json!("invalid_api_key")),
    ] {
        let error = &got[name];
        assert_eq!(
            (&error[0], &error[1], &error[2]),
            (&json!(class), &json!(status), &code),
            "{name}: {error}"
        );
    }
    assert_eq!(got["translation"], Value::Null, "the model can translate");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_request_that_is_being_sent() {
    let serving = Serving::start(&[]).await;
    let mut slow = tokio::net::TcpStream::connect(serving.at).await.unwrap();
    let head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\
                Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut slow, head.as_bytes()).await.unwrap();
    // Others are served meanwhile.
    assert_eq!(serving.transcribe(&[], Some(&say("one", "en-us"))).await.status, 200);
    let (status, took) = serving.daemon.stop().await;
    assert!(status.success() && took.as_secs() < 8, "{status} after {took:?}");
}

#[tokio::test]
async fn who_sends_too_slowly_or_while_too_much_is_received_is_refused() {
    let engine = EngineOptions { model: MODEL.into(), ..EngineOptions::default() };
    let list = vec![RecogniserOptions::Local(engine.into())];
    let options = RecognisersOptions { list, patience: DEADLINE, vad: None };
    let limits = Limits { bytes: 100 << 10, ..Limits::default() };
    let at = free_address();
    let service = Service::new(ServeOptions {
        key: None,
        model: "micro".to_owned(),
        language: None,
        largest_at_once: 2,
        limits,
        decoder: DecoderProgram::at(support::stenogram()),
        recognisers: Recognisers::start(options).await.unwrap(),
        body_limit: Duration::from_secs(5),
    });
    let service = Arc::new(service);
    tokio::spawn(serve::serve(serve::bind(at).await.unwrap(), Arc::clone(&service)));
    let request = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                   Transfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n\
                   5\r\n--x\r\n\r\n";
    // None is sent whole. While two of any length are being received, there is no room for another.
    let request = request.as_bytes();
    let (one, other, third) = tokio::join!(send(at, request), send(at, request), send(at, request));
    let mut answers = [one.unwrap(), other.unwrap(), third.unwrap()];
    answers.sort_by_key(|answer| answer.status);
    let [late, too, refused] = &answers;
    assert_eq!((late.status, too.status, refused.status), (408, 408, 503), "{answers:?}");
    assert_eq!(
        (refused.header("retry-after"), &refused.json()["error"]["type"]),
        ("5", &json!("server_error"))
    );
    assert!(service.shutdown(DEADLINE).await);
}
