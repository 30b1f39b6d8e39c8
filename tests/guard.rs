//! Nothing invented and nothing lost: no text where nobody speaks, and every word where somebody does.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stenogram::domain::Transcript;
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions};
use support::noise::{KINDS, hiss, mixed, noise};
use support::skipped;
use support::speech::{ALONE, Fixture, MODEL, Random, VAD, decode, fixtures, pcm};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
const RATE: usize = 16_000;

async fn start(vad: bool) -> Engine {
    let languages = "ru,en!".parse().unwrap();
    let vad = vad.then(|| VAD.into());
    let options = EngineOptions { model: MODEL.into(), languages, vad, ..Default::default() };
    Engine::start(options).await.unwrap()
}

async fn recognise(engine: &Engine, pcm: Vec<f32>) -> Transcript {
    let answer = engine.recognise(pcm, RecogniseOptions::default());
    tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap()
}

#[tokio::test]
async fn noise_has_no_text() {
    let _alone = ALONE.lock().await;
    let engine = start(true).await;
    let mut random = Random::new();
    let mut invented = Vec::new();
    for n in 0..200 {
        let kind = KINDS[n % KINDS.len()];
        let seconds = 1 + random.below(8);
        let level = [0.003, 0.03, 0.3][random.below(3)];
        let transcript = recognise(&engine, noise(kind, seconds, level, &mut random)).await;
        if transcript != Transcript::default() {
            invented.push(format!("{n}: {kind:?}, {seconds} s, level {level}: {transcript:?}"));
        }
    }
    assert!(invented.is_empty(), "{invented:#?}");
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn recordings_without_speech_have_no_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/no-speech");
    let Ok(files) = fs::read_dir(&folder) else {
        skipped(format!("no {}", folder.display()));
        return;
    };
    let _alone = ALONE.lock().await;
    let engine = start(true).await;
    for file in files {
        let path = file.unwrap().path();
        let transcript = recognise(&engine, decode(&fs::read(&path).unwrap())).await;
        assert_eq!(transcript, Transcript::default(), "{}", path.display());
    }
    assert!(engine.shutdown(DEADLINE).await);
}

/// Texts that the model knows by heart, so that none is lost by the model itself.
fn texts() -> Vec<Fixture> {
    fixtures("en").into_iter().chain(fixtures("ru")).collect()
}

#[tokio::test]
async fn words_survive_silence_around_them() {
    let _alone = ALONE.lock().await;
    let engine = start(true).await;
    let mut random = Random::new();
    let texts = texts();
    let mut wrong = Vec::new();
    for n in 0..14 {
        let text = &texts[random.below(texts.len())];
        let (before, after) = (random.below(20 * RATE), random.below(20 * RATE));
        // Digital silence, or a quiet room.
        let level = if n % 2 == 0 { 0.0 } else { 0.0005 };
        let recording =
            [hiss(before, level, &mut random), pcm(text.text, text.voice), hiss(after, level, &mut random)]
                .concat();
        let transcript = recognise(&engine, recording).await;
        if transcript.text() != text.text {
            wrong.push(format!("{:?}, {before} before, {after} after: {transcript:?}", text.text));
        }
    }
    println!("{} of 14 wrong: {wrong:#?}", wrong.len());
    assert!(wrong.len() <= 1, "{wrong:#?}");
    assert!(engine.shutdown(DEADLINE).await);
}

/// What the model hears in noise must come through.
#[tokio::test]
async fn in_noise_what_the_model_hears_is_what_comes() {
    let _alone = ALONE.lock().await;
    let mut random = Random::new();
    let texts = texts();
    let (said, recordings): (Vec<&str>, Vec<Vec<f32>>) = (0..6)
        .map(|_| {
            let text = &texts[random.below(texts.len())];
            (text.text, mixed(&pcm(text.text, text.voice), 15.0, &mut random))
        })
        .unzip();
    let mut heard = Vec::new();
    for vad in [false, true] {
        let engine = start(vad).await;
        let mut texts = Vec::new();
        for recording in &recordings {
            texts.push(recognise(&engine, recording.clone()).await.text());
        }
        assert!(engine.shutdown(DEADLINE).await);
        heard.push(texts);
    }
    assert_eq!(heard[0], heard[1], "without and with voice activity");
    // The model was trained with noise, and misses one text in thirty there.
    let right = heard[1].iter().zip(&said).filter(|(heard, said)| heard == said).count();
    assert!(right + 2 >= said.len(), "{right} of {}: {heard:?} {said:?}", said.len());
}

#[tokio::test]
async fn words_of_the_lists_stay_when_they_are_said() {
    let _alone = ALONE.lock().await;
    let engine = start(true).await;
    for (text, voice) in [("thanks", "en-us"), ("спасибо", "ru"), ("no no no", "en-us")] {
        let transcript = recognise(&engine, pcm(text, voice)).await;
        assert_eq!(transcript.text(), text);
    }
    assert!(engine.shutdown(DEADLINE).await);
}
