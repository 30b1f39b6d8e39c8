//! OpenAI's weights in whisper.cpp's published files, where this machine has them: in the folder that MODEL_DIR
//! names, or in target/models, where `../shared/models/real/make.sh target/models` puts them.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stenogram::speech::checksum::{Verdict, verify};
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions};
use support::skipped;
use support::speech::{ALONE, VAD, decode};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// A file that this machine may lack.
fn found(path: PathBuf) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    skipped(format!("no {}", path.display()));
    None
}

fn model(file: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("MODEL_DIR").map_or_else(|| root.join("target/models"), PathBuf::from);
    found(folder.join(file))
}

fn shared(name: &str) -> Option<PathBuf> {
    found(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name))
}

async fn start(model: &Path, languages: &[&str], vad: bool) -> Engine {
    let languages = languages.iter().map(|&code| code.to_owned()).collect();
    let vad = vad.then(|| VAD.into());
    let options = EngineOptions { model: model.to_owned(), languages, vad, ..EngineOptions::default() };
    Engine::start(options).await.unwrap()
}

async fn text(engine: &Engine, recording: &Path) -> String {
    let pcm = decode(&fs::read(recording).unwrap());
    let answer = engine.recognise(pcm, RecogniseOptions::default());
    tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap().text()
}

async fn stop(engine: Engine) {
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn each_form_of_base_hears_a_president() {
    let _alone = ALONE.lock().await;
    let Some(recording) = shared("speech/jfk.wav") else { return };
    for (file, in_catalogue) in
        [("ggml-base.bin", true), ("ggml-base-q5_1.bin", true), ("ggml-base-q8_0.bin", false)]
    {
        let Some(model) = model(file) else { continue };
        let verdict = verify(&model, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(verdict == Verdict::Ok, in_catalogue, "{file}: {verdict:?}");

        let engine = start(&model, &[], true).await;
        let heard = text(&engine, &recording).await;
        stop(engine).await;
        println!("{file}: {heard}");
        let plain = heard.to_lowercase().replace([',', '.'], "").replace('\n', " ");
        assert_eq!(
            plain,
            "and so my fellow americans ask not what your country can do for you \
             ask what you can do for your country",
            "{file}"
        );
    }
}

#[tokio::test]
async fn noise_has_no_text() {
    let _alone = ALONE.lock().await;
    let (Some(model), Some(folder)) = (model("ggml-base.bin"), shared("no-speech")) else { return };
    for vad in [true, false] {
        let engine = start(&model, &["ru", "en"], vad).await;
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(text(&engine, &path).await, "", "{}, voice activity: {vad}", path.display());
        }
        stop(engine).await;
    }
}

/// Of so short a clip Whisper is not sure, and its glimpse at the language often says that nobody speaks.
#[tokio::test]
async fn a_single_word_gets_an_answer_in_any_language() {
    let _alone = ALONE.lock().await;
    let Some(model) = model("ggml-base.bin") else { return };
    let engine = start(&model, &[], true).await;
    for (file, word) in [
        ("speech/cmd_nevermind.wav", "never mind"),
        ("eval/mfa_common_voice_en_22058264.mp3", "no"),
        ("eval/mfa_common_voice_en_22058267.mp3", "6"),
        ("eval/stp_en_next.wav", "next"),
    ] {
        let Some(recording) = shared(file) else { continue };
        let heard = text(&engine, &recording).await.to_lowercase();
        assert!(heard.contains(word), "{file}: {heard:?}");
    }
    stop(engine).await;
}
