//! Several models on this machine: the language decides which of them hears a recording.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stenogram::domain::{LanguageCode, Languages, Task};
use stenogram::speech::{
    EngineOptions, LanguagePrior, LocalOptions, Observer, RecogniseOptions, Recogniser as _, Recognisers,
};
use support::speech::{MODEL, VAD};

use super::{GIGAAM, Stub, hear, language, start};

const ENGLISH: (&str, &str) = ("one two three", "en-us");
const RUSSIAN: (&str, &str) = ("раз два три", "ru");

/// Whisper for all languages but Russian.
fn options(stub: &Stub) -> LocalOptions {
    let languages = Languages { listed: vec![language("ru"), LanguageCode::ENGLISH], others: false };
    let engine =
        EngineOptions { model: MODEL.into(), languages, vad: Some(VAD.into()), ..EngineOptions::default() };
    let listed = Languages { listed: vec![language("ru")], others: false };
    LocalOptions {
        engine,
        others: vec![(language("ru"), EngineOptions { languages: listed, ..stub.options() })],
    }
}

#[derive(Default)]
struct Detected(Mutex<Vec<LanguageCode>>);

impl Observer for Detected {
    fn on_language(&self, language: LanguageCode, _: Duration) {
        self.0.lock().unwrap().push(language);
    }
}

/// Who heard it, and what.
async fn heard(
    recognisers: &Recognisers,
    (text, voice): (&'static str, &'static str),
    options: RecogniseOptions,
) -> (String, String) {
    let recognised = hear(recognisers, text, voice, options).await.expect("a transcript");
    (recognised.by.expect("somebody").to_string(), recognised.transcript.text())
}

#[tokio::test]
async fn the_language_decides_which_model_hears_a_recording() {
    let stub = Stub::new(GIGAAM);
    stub.says("по-русски");
    let recognisers = start(options(&stub)).await.unwrap();
    let names: Vec<_> = recognisers.names().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["micro-q8_0", "model"]);
    assert_eq!(recognisers.well().borrow().len(), names.len());

    let detected = Arc::new(Detected::default());
    let observed =
        RecogniseOptions { observer: Some(Arc::clone(&detected) as _), ..RecogniseOptions::default() };
    let russian = heard(&recognisers, RUSSIAN, observed.clone()).await;
    assert_eq!(russian, ("model".to_owned(), "по-русски".to_owned()));
    let (by, text) = heard(&recognisers, ENGLISH, observed).await;
    assert_eq!(by, "micro-q8_0");
    assert!(text.to_lowercase().contains("two"), "{text}");
    assert_eq!(*detected.0.lock().unwrap(), [language("ru"), LanguageCode::ENGLISH], "the chat learns both");
    assert_eq!(stub.asked().len(), 1);
}

#[tokio::test]
async fn a_language_that_is_known_is_not_detected() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(options(&stub)).await.unwrap();
    let detected = Arc::new(Detected::default());
    let known = |code: &str| RecogniseOptions {
        language: Some(language(code)),
        observer: Some(Arc::clone(&detected) as _),
        ..RecogniseOptions::default()
    };
    assert_eq!(heard(&recognisers, ENGLISH, known("ru")).await.0, "model", "as the owner says");
    assert_eq!(heard(&recognisers, RUSSIAN, known("en")).await.0, "micro-q8_0");
    assert!(detected.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_languages_of_the_chat_count_but_do_not_decide_alone() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(options(&stub)).await.unwrap();
    let prior = LanguagePrior(vec![(language("ru"), 90.0)]);
    let in_russian_chat = RecogniseOptions { prior, ..RecogniseOptions::default() };
    assert_eq!(heard(&recognisers, ENGLISH, in_russian_chat).await.0, "micro-q8_0");
}

#[tokio::test]
async fn translations_are_made_by_the_model_for_all() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(options(&stub)).await.unwrap();
    let translate = RecogniseOptions { task: Task::Translate, ..RecogniseOptions::default() };
    assert_eq!(heard(&recognisers, RUSSIAN, translate).await.0, "micro-q8_0");
}

#[tokio::test]
async fn both_models_count_for_what_is_possible() {
    let stub = Stub::new(GIGAAM);
    let recognisers = start(options(&stub)).await.unwrap();
    assert_eq!(recognisers.longest_stretch(), Duration::from_secs(25));
    assert_eq!(recognisers.models().len(), 2);
    let (languages, translates) = recognisers.abilities();
    assert!(languages.contains(&language("ru")) && languages.contains(&LanguageCode::ENGLISH) && translates);
}

#[tokio::test]
async fn one_model_for_several_languages_is_loaded_once() {
    let stub = Stub::new(GIGAAM);
    let mut local = options(&stub);
    local.others[0].1.languages = Languages::default();
    let twice = (language("uk"), local.others[0].1.clone());
    local.others.push(twice);
    let recognisers = start(local).await.unwrap();
    assert_eq!(recognisers.names().len(), 2);
    let ukrainian = RecogniseOptions { language: Some(language("ru")), ..RecogniseOptions::default() };
    assert_eq!(heard(&recognisers, RUSSIAN, ukrainian).await.0, "model");
}
