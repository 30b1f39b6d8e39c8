//! Recognisers elsewhere: servers with OpenAI's interface, the wrong things they do, and the list of
//! which the first that is well is asked.

mod daemon;
mod faults;
mod independent;
mod list;
mod tls;

use std::time::Duration;

use serde_json::json;
use stenogram::domain::{LanguageCode, Languages, Secret, Task, Transcript, Vocabulary};
use stenogram::speech::server::SpeechServerOptions;
use stenogram::speech::{
    LanguagePrior, RecogniseOptions, Recognised, Recogniser as _, RecogniserOptions, Recognisers,
    RecognisersOptions, SpeechError,
};
use support::http::{Reply, Request, Server};
use support::speech::{VAD, pcm};

const PATIENCE: Duration = Duration::from_secs(5);

pub fn server(url: &str) -> SpeechServerOptions {
    let russian = "ru".parse().unwrap();
    SpeechServerOptions {
        url: url.parse().expect("the address of a server"),
        model: "whisper-1".to_owned(),
        key: Some(Secret::new("sk-secret")),
        ca: None,
        timeout: Duration::from_secs(20),
        languages: Languages { listed: vec![russian, LanguageCode::ENGLISH], others: false },
        vocabulary: Vocabulary::default(),
    }
}

pub async fn recognisers(list: Vec<RecogniserOptions>) -> Recognisers {
    let options = RecognisersOptions { list, patience: PATIENCE, vad: Some(VAD.into()) };
    Recognisers::start(options).await.expect("start the recognisers")
}

async fn asking(servers: &[&Server]) -> Recognisers {
    let list = servers.iter().map(|stub| RecogniserOptions::Server(server(&stub.base())));
    recognisers(list.collect()).await
}

/// Has a spoken text of some seconds recognised.
pub async fn recognise(
    recognisers: &Recognisers,
    options: RecogniseOptions,
) -> Result<Recognised, SpeechError> {
    let detector = recognisers.detector().clone();
    let detect = move || detector.detect(pcm("one two three", "en-us"), &|| false);
    let speech = tokio::task::spawn_blocking(detect).await.unwrap()?;
    recognisers.recognise_stretch(speech, options).await
}

async fn transcript(recognisers: &Recognisers, options: RecogniseOptions) -> Transcript {
    recognise(recognisers, options).await.expect("a transcript").transcript
}

fn says(text: &str) -> Reply {
    let answer = json!({"text": text, "language": "english", "segments": [
        {"start": 0.0, "end": 1.5, "text": text, "avg_logprob": -0.2, "no_speech_prob": 0.01}
    ]});
    Reply::new(200, answer.to_string().as_bytes())
}

/// The samples of a WAV file at 16 kHz, mono, 16 bits.
fn samples(wav: &[u8]) -> usize {
    assert_eq!((&wav[..4], &wav[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!(u32::from_le_bytes(wav[24..28].try_into().unwrap()), 16_000);
    (wav.len() - 44) / 2
}

#[tokio::test]
async fn the_speech_alone_is_sent_and_what_comes_back_has_the_times_of_the_recording() {
    let stub = Server::start(|_, _| says(" One two three. "));
    let recognisers = asking(&[&stub]).await;
    // Ten seconds of silence before and after the words are not sent.
    let mut recording = vec![0.0; 160_000];
    recording.extend(pcm("one two three", "en-us"));
    recording.resize(recording.len() + 160_000, 0.0);
    let (length, detector) = (recording.len(), recognisers.detector().clone());
    let speech = detector.detect(recording, &|| false).expect("speech");
    let options = RecogniseOptions { previous_text: "The text before.".to_owned(), ..Default::default() };
    let Recognised { transcript, by } = recognisers.recognise_stretch(speech, options).await.unwrap();

    let [request] = &stub.requests()[..] else { panic!("{:?}", stub.requests().len()) };
    assert_eq!(request.path, "/v1/audio/transcriptions");
    assert_eq!(request.header("authorization"), Some("Bearer sk-secret"));
    for (name, value) in
        [("model", "whisper-1"), ("response_format", "verbose_json"), ("prompt", "The text before.")]
    {
        assert_eq!(request.field(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(request.field("language"), None, "it is detected");
    let sent = samples(&request.part("file").expect("a file"));
    assert!((16_000..length / 3).contains(&sent), "{sent} of {length} samples");

    assert_eq!(by.as_deref(), stub.base().strip_prefix("http://"));
    assert_eq!(
        (transcript.text().as_str(), transcript.language),
        ("One two three.", Some(LanguageCode::ENGLISH))
    );
    let [segment] = &transcript.segments[..] else { panic!("{transcript:?}") };
    assert!((9000..11_000).contains(&segment.start_ms), "{segment:?}");
    assert!((segment.start_ms + 500..13_000).contains(&segment.end_ms), "{segment:?}");
}

#[tokio::test]
async fn the_vocabulary_is_sent_before_the_text_and_an_echo_of_it_is_not_believed() {
    let stub = Server::start(|_, number| {
        says(if number == 0 { "Clara, Boris, Anna, Kubernetes." } else { "One two three." })
    });
    let vocabulary = "Anna,Boris,Kubernetes".parse().unwrap();
    let options = SpeechServerOptions { vocabulary, ..server(&stub.base()) };
    let recognisers = recognisers(vec![RecogniserOptions::Server(options)]).await;
    let options = RecogniseOptions {
        previous_text: "The text before.".to_owned(),
        vocabulary: "Clara, boris".parse().unwrap(),
        people: "Anna, Peter".parse().unwrap(),
        ..Default::default()
    };
    assert_eq!(transcript(&recognisers, options).await.text(), "One two three.");
    let prompts: Vec<_> = stub.requests().iter().map(|request| request.field("prompt")).collect();
    let expected = ["Clara, boris, Anna, Kubernetes, Peter. The text before.", "The text before."];
    assert_eq!(prompts, expected.map(|prompt| Some(prompt.to_owned())));
}

#[tokio::test]
async fn nothing_is_sent_of_a_recording_in_which_nobody_speaks() {
    let stub = Server::start(|_, _| says("Thank you."));
    let recognisers = asking(&[&stub]).await;
    let speech = recognisers.detector().detect(vec![0.0; 80_000], &|| false).unwrap();
    let Recognised { transcript, by } =
        recognisers.recognise_stretch(speech, RecogniseOptions::default()).await.unwrap();
    assert!(transcript.is_empty() && by.is_none() && stub.requests().is_empty());
}

#[tokio::test]
async fn a_translation_has_an_address_of_its_own_and_no_language() {
    let stub = Server::start(|_, _| says("One."));
    let recognisers = asking(&[&stub]).await;
    let russian = "ru".parse().ok();
    let options = RecogniseOptions { task: Task::Translate, language: russian, ..Default::default() };
    let transcript = transcript(&recognisers, options).await;
    assert_eq!((transcript.task, transcript.language), (Task::Translate, russian), "that of the speech");
    let [request] = &stub.requests()[..] else { panic!() };
    assert_eq!((request.path.as_str(), request.field("language")), ("/v1/audio/translations", None));
}

/// `LANGUAGES=ru,en!` allows no other, and what is said in the chat decides which one it is.
#[tokio::test]
async fn a_language_that_is_not_allowed_is_asked_for_again_in_the_likeliest_one() {
    let stub = Server::start(|request, _| match request.field("language") {
        None => Reply::new(200, br#"{"text":"Jeden dwa.","language":"polish"}"#),
        Some(_) => says("One two three."),
    });
    let recognisers = asking(&[&stub]).await;
    let prior = LanguagePrior(vec![(LanguageCode::ENGLISH, 60.0)]);
    let transcript = transcript(&recognisers, RecogniseOptions { prior, ..Default::default() }).await;
    assert_eq!(
        (transcript.text().as_str(), transcript.language),
        ("One two three.", Some(LanguageCode::ENGLISH))
    );
    let asked: Vec<_> = stub.requests().iter().map(|request| request.field("language")).collect();
    assert_eq!(asked, [None, Some("en".to_owned())]);
}

#[tokio::test]
async fn what_a_server_invents_is_dropped_by_the_same_guard() {
    let answer = json!({"text": "x", "language": "en", "segments": [
        {"start": 0.0, "end": 0.7, "text": " One two three.", "avg_logprob": -0.2, "no_speech_prob": 0.01},
        {"start": 0.7, "end": 1.5, "text": " Thank you.", "avg_logprob": -0.3, "no_speech_prob": 0.95},
        {"start": 1.5, "end": 1.6, "text": " [Music]"},
    ]});
    let stub = Server::start(move |_, _| Reply::new(200, answer.to_string().as_bytes()));
    let recognisers = asking(&[&stub]).await;
    assert_eq!(transcript(&recognisers, RecogniseOptions::default()).await.text(), "One two three.");
}

#[tokio::test]
async fn a_server_without_verbose_json_is_asked_for_the_text_alone_and_remembered() {
    let stub = Server::start(|request, _| match request.field("response_format").as_deref() {
        Some("json") => Reply::new(200, br#"{"text":"One two three."}"#),
        _ => Reply::new(400, br#"{"error":{"message":"response_format is not compatible"}}"#),
    });
    let recognisers = asking(&[&stub]).await;
    for _ in 0..2 {
        let transcript = transcript(&recognisers, RecogniseOptions::default()).await;
        assert_eq!((transcript.text().as_str(), transcript.language), ("One two three.", None));
    }
    let formats: Vec<_> =
        stub.requests().iter().filter_map(|request| request.field("response_format")).collect();
    assert_eq!(formats, ["verbose_json", "json", "json"]);
}

/// How often a stub was asked to recognise.
fn asked(stub: &Server) -> usize {
    stub.requests().iter().filter(|request| is_audio(request)).count()
}

fn is_audio(request: &Request) -> bool {
    request.path.starts_with("/v1/audio/")
}
