//! The model is freed when there is nothing to do, and loaded again when there is: the real
//! whisper.cpp with the micro model.
//!
//! A program of its own, because the memory of the process is measured.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use stenogram::domain::Fault;
use stenogram::speech::{Engine, EngineOptions, ModelState, RecogniseOptions, SpeechError};
use support::speech::{MODEL, VAD, fixtures, pcm};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Long enough to be at work in between, and short enough to wait for.
const IDLE: Duration = Duration::from_millis(500);

/// One engine at a time: their memory is measured.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn options(model: impl Into<PathBuf>, idle_unload: Option<Duration>) -> EngineOptions {
    let languages = "ru,en!".parse().unwrap();
    EngineOptions { model: model.into(), languages, idle_unload, vad: Some(VAD.into()), ..Default::default() }
}

/// A copy of the model that may be taken away.
fn model(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("idle");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::copy(MODEL, &path).unwrap();
    path
}

async fn becomes(engine: &Engine, state: ModelState) {
    let mut model = engine.model();
    let waited = tokio::time::timeout(DEADLINE, model.wait_for(|is| *is == state)).await;
    waited.expect("in time").expect("the engine lives");
}

async fn is_right(engine: &Engine) {
    let fixture = fixtures("ru").swap_remove(0);
    let answer = engine.recognise(pcm(fixture.text, fixture.voice), RecogniseOptions::default());
    let transcript = tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap();
    assert_eq!(transcript.text(), fixture.text);
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_idle_model_is_freed_and_loaded_for_the_next_recording() {
    let _alone = ALONE.lock().await;
    let engine = Engine::start(options(MODEL, Some(IDLE))).await.unwrap();
    for _ in 0..3 {
        is_right(&engine).await;
        let used = resident();
        becomes(&engine, ModelState::Freed).await;
        let idle = resident();
        println!("{used} KiB with the model, {idle} KiB without");
        // The weights alone are 5 MB, the buffers some tens.
        assert!(idle + 20_000 < used, "{used} KiB with the model, {idle} KiB without");
    }
    // It may be waited for while something else is done.
    engine.wake().await.unwrap();
    assert_eq!(*engine.model().borrow(), ModelState::Loaded);
    engine.wake().await.unwrap();
    becomes(&engine, ModelState::Freed).await;
    assert!(engine.shutdown(DEADLINE).await, "also without a model");
}

#[tokio::test]
async fn without_an_idle_time_the_model_stays() {
    let _alone = ALONE.lock().await;
    let engine = Engine::start(options(MODEL, None)).await.unwrap();
    is_right(&engine).await;
    let waited = tokio::time::timeout(IDLE * 4, engine.model().changed()).await;
    assert!(waited.is_err(), "nothing comes to pass");
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn a_model_that_is_gone_makes_recordings_wait_until_it_is_back() {
    let _alone = ALONE.lock().await;
    let path = model("gone.bin");
    let engine = Engine::start(options(&path, Some(IDLE))).await.unwrap();
    is_right(&engine).await;
    becomes(&engine, ModelState::Freed).await;

    fs::remove_file(&path).unwrap();
    let speech = pcm("one two three", "en-us");
    for error in [
        engine.wake().await.unwrap_err(),
        engine.recognise(speech, RecogniseOptions::default()).await.unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains("cannot be loaded again") && message.contains("gone.bin"), "{message}");
        // Put off, and not counted as a failed attempt.
        assert!(matches!(Fault::from(error), Fault::Later { .. }), "{message}");
    }
    assert_eq!(*engine.model().borrow(), ModelState::Missing);

    model("gone.bin");
    is_right(&engine).await;
    assert_eq!(*engine.model().borrow(), ModelState::Loaded);
    becomes(&engine, ModelState::Freed).await;

    // Another model in its place is not what the engine was started with.
    let other = fs::read(MODEL).unwrap()[..1000].to_vec();
    fs::write(&path, other).unwrap();
    let error = engine.wake().await.unwrap_err();
    assert!(matches!(error, SpeechError::NotLoadedAgain(_)), "{error}");
    assert!(engine.shutdown(DEADLINE).await);
}
