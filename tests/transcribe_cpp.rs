//! Models that transcribe.cpp runs, and the choice of a model by the language. The daemon's side is
//! tried with a shell script in the program's place; `real` is the program itself, which only the
//! feature `transcribe-cpp` builds.

mod daemon;
#[cfg(feature = "transcribe-cpp")]
mod real;
mod routes;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stenogram::domain::{Fault, LanguageCode, Languages, Task, Vocabulary};
use stenogram::speech::{
    EngineOptions, LocalOptions, ModelState, OwnersLists, RecogniseOptions, Recognised, Recogniser as _,
    RecogniserOptions, Recognisers, RecognisersOptions, SpeechError,
};
use support::speech::{VAD, pcm};
use tempfile::TempDir;

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// What the script says when the model is loaded.
const GIGAAM: &str = r#"{"ready":{"arch":"gigaam","device":"CPU","languages":["ru"],"translates":false,"takes_language":false,"takes_prompt":false,"longest_ms":0}}"#;
const WHISPER: &str = r#"{"ready":{"arch":"whisper","device":"CPU","languages":["en","ru","de"],"translates":true,"takes_language":true,"takes_prompt":true,"longest_ms":0}}"#;

/// A program that does what the files beside it say: `ready` is its first line, `says` what it
/// answers, and each request is added to `asked`.
pub struct Stub {
    folder: TempDir,
}

impl Stub {
    pub fn new(ready: &str) -> Self {
        let stub = Self { folder: tempfile::tempdir().expect("a folder") };
        stub.put("ready", ready);
        stub.put("model.gguf", "GGUF");
        stub.says("да");
        let script = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo $$ >>started
cat ready
while IFS= read -r request; do
    samples=${request#*\"samples\":}
    head -c $((${samples%%,*} * 4)) >/dev/null
    printf '%s\n' "$request" >>asked
    . ./does
done
"#;
        stub.put("program", script);
        fs::set_permissions(stub.program(), fs::Permissions::from_mode(0o755)).expect("a program");
        stub
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), format!("{text}\n")).expect("write a file");
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// What it does with the next requests, in shell.
    fn does(&self, shell: &str) {
        self.put("does", shell);
    }

    /// It answers with a text in one segment.
    pub fn says(&self, text: &str) {
        let heard = serde_json::json!({"heard": {
            "text": text,
            "language": null,
            "segments": [{"start_ms": 0, "end_ms": 900, "text": text}],
            "words": [],
            "tokens": [],
        }});
        self.does(&format!("echo '{heard}'"));
    }

    /// It answers with words that are said one second after another, as tokens.
    pub fn says_tokens(&self, words: &[&str]) {
        let token = |(n, word): (usize, &&str)| serde_json::json!({"start_ms": n * 1000, "end_ms": n * 1000 + 40, "text": format!("\u{2581}{word}")});
        let tokens: Vec<_> = words.iter().enumerate().map(token).collect();
        let heard = serde_json::json!({"heard": {
            "text": words.join(" "),
            "language": null,
            "segments": [],
            "words": [],
            "tokens": tokens,
        }});
        self.does(&format!("echo '{heard}'"));
    }

    /// The requests that it was sent.
    pub fn asked(&self) -> Vec<serde_json::Value> {
        self.lines("asked").iter().map(|line| serde_json::from_str(line).expect("a request")).collect()
    }

    /// The numbers of its processes, in order.
    fn processes(&self) -> Vec<u32> {
        self.lines("started").iter().map(|line| line.parse().expect("a number")).collect()
    }

    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            model: self.folder.path().join("model.gguf"),
            transcribe_cpp: Some(self.program()),
            languages: Languages { listed: ["ru", "en"].map(language).to_vec(), others: true },
            vad: Some(VAD.into()),
            ..EngineOptions::default()
        }
    }
}

pub fn language(code: &str) -> LanguageCode {
    code.parse().expect("a language")
}

pub async fn start(local: impl Into<LocalOptions>) -> Result<Recognisers, SpeechError> {
    let list = vec![RecogniserOptions::Local(local.into())];
    Recognisers::start(RecognisersOptions { list, patience: LIMIT, vad: Some(VAD.into()) }).await
}

/// Has some seconds of speech recognised.
pub async fn hear(
    recognisers: &Recognisers,
    text: &'static str,
    voice: &'static str,
    options: RecogniseOptions,
) -> Result<Recognised, SpeechError> {
    let detector = recognisers.detector().clone();
    let detect = move || detector.detect(pcm(text, voice), &|| false);
    let speech = tokio::task::spawn_blocking(detect).await.unwrap()?;
    recognisers.recognise_stretch(speech, options).await
}

async fn hear_russian(recognisers: &Recognisers) -> Result<Recognised, SpeechError> {
    hear(recognisers, "раз два три", "ru", RecogniseOptions::default()).await
}

/// Waits until a process is gone.
async fn gone(process: u32) {
    let started = Instant::now();
    let is_there = || {
        let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // A zombie has ended too.
        status.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    while is_there() {
        assert!(started.elapsed() < LIMIT, "the process {process} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_hears_speech_with_its_times_and_is_asked_what_it_takes() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    let recognised = hear_russian(&recognisers).await.unwrap();
    let transcript = recognised.transcript;
    assert_eq!((transcript.text().as_str(), transcript.language), ("да", Some(language("ru"))));
    assert_eq!(recognised.by.as_deref(), Some("local"));
    assert_eq!((transcript.segments[0].start_ms, transcript.segments[0].end_ms), (0, 900));
    let [request] = &stub.asked()[..] else { panic!("{:?}", stub.asked()) };
    assert_eq!(request["language"], serde_json::Value::Null, "GigaAM takes no hint");
    assert_eq!(request["prompt"], "", "and no prompt");
    assert!(request["samples"].as_u64().unwrap() >= 16_000, "{request}");
    assert_eq!(recognisers.longest_stretch(), Duration::from_secs(25));
    assert_eq!(recognisers.abilities(), (vec![language("ru")], false));
}

#[tokio::test]
async fn a_model_that_takes_hints_gets_the_language_and_the_text_before() {
    let stub = Stub::new(WHISPER);
    let vocabulary: Vocabulary = "Аксинья".parse().unwrap();
    let recognisers = start(EngineOptions { vocabulary, ..stub.options() }).await.unwrap();
    let options = RecogniseOptions {
        language: Some(language("ru")),
        previous_text: "Привет.".to_owned(),
        ..RecogniseOptions::default()
    };
    hear(&recognisers, "раз два три", "ru", options).await.unwrap();
    let request = &stub.asked()[0];
    assert_eq!((&request["language"], &request["translate"]), (&"ru".into(), &false.into()));
    assert_eq!(request["prompt"], "Аксинья. Привет.");
    let options = RecogniseOptions { task: Task::Translate, ..RecogniseOptions::default() };
    hear(&recognisers, "раз два три", "ru", options).await.unwrap();
    assert_eq!(stub.asked()[1]["translate"], true);
    assert_eq!(recognisers.longest_stretch(), Duration::from_secs(29));
}

#[tokio::test]
async fn it_is_told_what_the_owner_and_the_chat_of_a_recording_know() {
    let stub = Stub::new(WHISPER);
    let vocabulary: Vocabulary = "Аксинья".parse().unwrap();
    let recognisers = start(EngineOptions { vocabulary, ..stub.options() }).await.unwrap();
    let chats = RecogniseOptions {
        vocabulary: "Тверь".parse().unwrap(),
        people: "Анна".parse().unwrap(),
        ..RecogniseOptions::default()
    };
    hear(&recognisers, "раз два три", "ru", chats.clone()).await.unwrap();
    assert_eq!(stub.asked()[0]["prompt"], "Тверь, Аксинья, Анна.");
    assert_eq!(stub.asked()[0]["language"], serde_json::Value::Null, "one of two languages");
    // A worker of a fleet serves other owners.
    let languages = Languages { listed: vec![language("de")], others: false };
    let lists = OwnersLists { languages, vocabulary: "Клязьма".parse().unwrap() };
    let anothers = RecogniseOptions { lists: Some(Arc::new(lists)), ..chats };
    let recognised = hear(&recognisers, "раз два три", "ru", anothers).await.unwrap();
    assert_eq!(stub.asked()[1]["prompt"], "Тверь, Клязьма, Анна.");
    assert_eq!(stub.asked()[1]["language"], "de");
    assert_eq!(recognised.transcript.language, Some(language("de")));
}

#[tokio::test]
async fn silence_is_not_sent() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    let detector = recognisers.detector().clone();
    let silence = move || detector.detect(vec![0.0; 32_000], &|| false);
    let speech = tokio::task::spawn_blocking(silence).await.unwrap().unwrap();
    let recognised = recognisers.recognise_stretch(speech, RecogniseOptions::default()).await.unwrap();
    assert!(recognised.transcript.is_empty() && recognised.by.is_none());
    assert!(stub.asked().is_empty());
}

#[tokio::test]
async fn what_it_invents_is_dropped() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    stub.says("[музыка]");
    assert!(hear_russian(&recognisers).await.unwrap().transcript.is_empty());
}

#[tokio::test]
async fn one_that_dies_costs_an_attempt_and_the_next_stretch_has_another_process() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    stub.does("echo 'GGML_ASSERT(x) failed' >&2; kill -ABRT $$");
    let error = hear_russian(&recognisers).await.unwrap_err();
    assert!(error.to_string().contains("signal: 6") && error.to_string().contains("GGML_ASSERT"), "{error}");
    assert!(matches!(Fault::from(error), Fault::Retry { .. }), "the recording may be to blame");
    stub.says("снова");
    assert_eq!(hear_russian(&recognisers).await.unwrap().transcript.text(), "снова");
    assert_eq!(stub.processes().len(), 2);
}

#[tokio::test]
async fn one_that_died_while_idle_costs_no_attempt() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    let process = stub.processes()[0];
    let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status();
    assert!(killed.unwrap().success());
    gone(process).await;
    assert_eq!(hear_russian(&recognisers).await.unwrap().transcript.text(), "да");
}

#[tokio::test]
async fn what_makes_no_sense_or_is_refused_is_an_error_of_this_stretch() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    for (shell, why) in [
        ("echo nonsense", "makes no sense"),
        (r#"echo '{"failed":"out of memory: run"}'"#, "out of memory"),
        (r#"echo '{"ready":{}}'"#, "makes no sense"),
        ("cat ready", "that it is ready"),
        ("exit 0", "exit status: 0"),
    ] {
        stub.does(shell);
        let error = hear_russian(&recognisers).await.unwrap_err();
        assert!(error.to_string().contains(why), "{shell}: {error}");
    }
    stub.says("да");
    assert_eq!(hear_russian(&recognisers).await.unwrap().transcript.text(), "да");
}

/// The clock is paused once it has started: it goes on while nothing but a timer is waited for.
#[tokio::test]
async fn one_that_hangs_is_ended() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    stub.does("exec sleep 1000");
    let detector = recognisers.detector().clone();
    let speech = tokio::task::spawn_blocking(move || detector.detect(pcm("раз два три", "ru"), &|| false));
    let speech = speech.await.unwrap().unwrap();
    tokio::time::pause();
    let error = recognisers.recognise_stretch(speech, RecogniseOptions::default()).await.unwrap_err();
    tokio::time::resume();
    assert!(error.to_string().contains("no answer within 600 s"), "{error}");
    gone(stub.processes()[0]).await;
}

#[tokio::test]
async fn a_stretch_that_nobody_waits_for_ends_with_its_process() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(stub.options()).await.unwrap();
    stub.does("exec sleep 1000");
    {
        let heard = hear_russian(&recognisers);
        tokio::pin!(heard);
        while stub.asked().is_empty() {
            let pause = tokio::time::timeout(Duration::from_millis(5), &mut heard).await;
            assert!(pause.is_err(), "{pause:?}");
        }
    }
    gone(stub.processes()[0]).await;
    stub.says("да");
    assert_eq!(hear_russian(&recognisers).await.unwrap().transcript.text(), "да");
    let process = stub.processes()[1];
    assert!(recognisers.shutdown(LIMIT).await);
    gone(process).await;
}

#[tokio::test]
async fn an_idle_model_is_freed_with_its_process_and_loaded_again() {
    let stub = Stub::new(GIGAAM);
    let idle_unload = Some(Duration::from_millis(200));
    let recognisers = start(EngineOptions { idle_unload, ..stub.options() }).await.unwrap();
    let mut model = recognisers.models().remove(0);
    let freed = model.wait_for(|state| *state == ModelState::Freed);
    tokio::time::timeout(LIMIT, freed).await.expect("it is freed").unwrap();
    gone(stub.processes()[0]).await;
    recognisers.wake().await.unwrap();
    assert_eq!(*recognisers.models()[0].borrow(), ModelState::Loaded);
    assert_eq!(hear_russian(&recognisers).await.unwrap().transcript.text(), "да");

    let freed = model.wait_for(|state| *state == ModelState::Freed);
    tokio::time::timeout(LIMIT, freed).await.expect("it is freed again").unwrap();
    fs::remove_file(stub.folder.path().join("model.gguf")).unwrap();
    let error = recognisers.wake().await.unwrap_err();
    assert!(matches!(Fault::from(error), Fault::Later { .. }), "the owner may put the file back");
    assert_eq!(*recognisers.models()[0].borrow(), ModelState::Missing);
}

#[tokio::test]
async fn what_keeps_it_from_starting_is_said_with_a_remedy() {
    let stub = Stub::new(GIGAAM);
    let missing = EngineOptions { transcribe_cpp: Some("/nowhere/it".into()), ..stub.options() };
    let error = start(missing).await.err().unwrap().to_string();
    assert!(error.contains("/nowhere/it") && error.contains("--features transcribe-cpp"), "{error}");
    assert!(error.contains("[transcribe-cpp-missing]"), "{error}");

    let german = EngineOptions { only_language: Some(language("de")), ..stub.options() };
    let error = start(german).await.err().unwrap();
    assert!(matches!(error, SpeechError::LanguageNotInModel(_)), "{error}");
    let error = start(EngineOptions { task: Task::Translate, ..stub.options() }).await.err().unwrap();
    assert!(matches!(error, SpeechError::TranscribesOnly { .. }), "{error}");

    stub.put("ready", r#"{"failed":"model load failed: no tensor enc"}"#);
    let error = start(stub.options()).await.err().unwrap().to_string();
    assert!(error.contains("no tensor enc") && error.contains("[own-model-unusable]"), "{error}");

    fs::write(stub.folder.path().join("model.gguf"), "PK\x03\x04").unwrap();
    let error = start(stub.options()).await.err().unwrap().to_string();
    assert!(error.contains("no ggml file, nor a GGUF file"), "{error}");
}
