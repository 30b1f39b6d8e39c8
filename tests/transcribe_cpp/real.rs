//! The program itself, with transcribe.cpp in it: Whisper's own file, and files in the shape of
//! GigaAM v3 with random weights, as nobody here has the real ones.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use stenogram::domain::{LanguageCode, Languages};
use stenogram::speech::{EngineOptions, LocalOptions, RecogniseOptions};
use support::gguf;
use support::speech::{MODEL, VAD, fixtures, pcm};

use super::{gone, hear, hear_russian, language, start};

fn program() -> PathBuf {
    support::stenogram().with_file_name("stenogram-transcribe-cpp")
}

/// The program, asked without the daemon.
struct Asked {
    child: Child,
    /// None once its input has ended.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Asked {
    /// Starts it with a model, and returns its first line.
    fn start(model: &Path) -> (Self, Value) {
        let mut child = Command::new(program())
            .args([model.as_os_str(), "2".as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the program");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut asked = Self { child, input, output };
        let first = asked.line();
        (asked, first)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn send(&mut self, samples: &[f32], code: Option<&str>) {
        let request = json!({"samples": samples.len(), "language": code, "translate": false, "prompt": ""});
        let mut bytes = format!("{request}\n").into_bytes();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.input.as_mut().unwrap().write_all(&bytes).expect("send a request");
    }

    fn hear(&mut self, samples: &[f32], code: Option<&str>) -> Value {
        self.send(samples, code);
        self.line()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_reads_whispers_own_files() {
    let (mut asked, first) = Asked::start(Path::new(MODEL));
    assert_eq!(first["ready"]["arch"], "whisper", "{first}");
    for code in ["en", "ru"] {
        let fixture = fixtures(code).into_iter().next().expect("a text that the model knows");
        let heard = asked.hear(&pcm(fixture.text, fixture.voice), Some(code));
        let letters = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
        let text = heard["heard"]["text"].as_str().unwrap_or_else(|| panic!("{heard}"));
        assert_eq!(letters(text), letters(fixture.text));
        assert!(!heard["heard"]["segments"].as_array().unwrap().is_empty(), "{heard}");
    }
}

#[test]
fn a_file_in_the_shape_of_the_catalogues_gigaam_is_computed() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("rnnt.gguf");
    gguf::gigaam_rnnt(&model);
    let (mut asked, first) = Asked::start(&model);
    let ready = &first["ready"];
    assert_eq!((&ready["arch"], &ready["languages"]), (&"gigaam".into(), &json!(["ru"])));
    assert_eq!((&ready["takes_language"], &ready["takes_prompt"]), (&false.into(), &false.into()));
    // Longer than GigaAM was trained on: it is computed in windows.
    for seconds in [1, 25, 40] {
        let heard = asked.hear(&vec![0.01; seconds * 16_000], None);
        let tokens = heard["heard"]["tokens"].as_array().unwrap_or_else(|| panic!("{heard}"));
        let times: Vec<_> = tokens.iter().map(|token| token["start_ms"].as_u64().unwrap()).collect();
        assert!(times.is_sorted() && times.iter().all(|&at| at <= seconds as u64 * 1000), "{times:?}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_refused_and_not_crashed_over() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("rnnt.gguf");
    gguf::gigaam_rnnt(&model);
    let whole = fs::read(&model).unwrap();
    for length in [8, 100, whole.len() / 2, whole.len() - 4] {
        fs::write(&model, &whole[..length]).unwrap();
        let (mut asked, first) = Asked::start(&model);
        assert!(first["failed"].is_string(), "{length} of {}: {first}", whole.len());
        assert!(asked.child.wait().unwrap().success(), "it ends by itself");
    }
}

#[tokio::test]
async fn it_ends_with_the_daemon_even_while_it_computes() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("rnnt.gguf");
    gguf::gigaam_rnnt(&model);
    let (mut asked, _) = Asked::start(&model);
    for _ in 0..50 {
        asked.send(&vec![0.01; 30 * 16_000], None);
    }
    let process = asked.child.id();
    asked.input = None;
    gone(process).await;
}

#[tokio::test]
async fn gigaam_and_whisper_hear_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("gigaam.gguf");
    gguf::gigaam_that_says("Привет.", &model);
    let listed = Languages { listed: vec![language("ru"), LanguageCode::ENGLISH], others: false };
    let whisper = EngineOptions {
        model: MODEL.into(),
        languages: listed,
        vad: Some(VAD.into()),
        ..EngineOptions::default()
    };
    let gigaam = EngineOptions {
        model,
        transcribe_cpp: Some(program()),
        languages: Languages { listed: vec![language("ru")], others: false },
        ..EngineOptions::default()
    };
    let local = LocalOptions { engine: whisper, others: vec![(language("ru"), gigaam)] };
    let recognisers = start(local).await.unwrap();
    for _ in 0..3 {
        let russian = hear_russian(&recognisers).await.unwrap();
        assert_eq!((russian.transcript.text().as_str(), russian.by.as_deref()), ("Привет.", Some("gigaam")));
        let english =
            hear(&recognisers, "one two three", "en-us", RecogniseOptions::default()).await.unwrap();
        assert!(english.transcript.text().to_lowercase().contains("two"), "{english:?}");
    }
}

/// Two versions of ggml in one program would call each other's functions.
#[test]
fn each_of_the_two_programs_has_one_library_with_a_ggml() {
    let names = |program: &Path| {
        let file = fs::read(program).unwrap();
        let has = |text: &str| file.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        (has("whisper_full_with_state"), has("transcribe_model_load_file"))
    };
    assert_eq!(names(&support::stenogram()), (true, false));
    assert_eq!(names(&program()), (false, true));
}
