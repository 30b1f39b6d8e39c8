//! Voice activity before recognition, with Silero's real weights and the real whisper.cpp.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use stenogram::domain::{LanguageCode, Transcript};
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions};
use support::daemon::Home;
use support::speech::{self, ALONE, MODEL, Random, VAD, fixtures, pcm, silence};
use tokio::sync::watch;

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Samples per second.
const RATE: usize = 16_000;

async fn start(vad: PathBuf) -> Engine {
    let languages = "ru,en!".parse().unwrap();
    Engine::start(EngineOptions { model: MODEL.into(), languages, vad: Some(vad), ..Default::default() })
        .await
        .unwrap()
}

async fn recognise(engine: &Engine, pcm: Vec<f32>) -> Transcript {
    let answer = engine.recognise(pcm, RecogniseOptions::default());
    tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap()
}

/// What a quiet room sounds like: -66 dBFS, more than the engine's own silence.
fn room(random: &mut Random, seconds: f32) -> Vec<f32> {
    (0..(seconds * RATE as f32) as usize).map(|_| (random.below(2001) as f32 - 1000.0) * 2e-6).collect()
}

#[tokio::test]
async fn long_silences_change_no_word_and_times_are_those_of_the_recording() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let texts = fixtures("en");
    let mut random = Random::new();
    let (first, second) = (pcm(texts[0].text, texts[0].voice), pcm(texts[8].text, texts[8].voice));
    let mut recording = room(&mut random, 7.0);
    let mut said = Vec::new();
    for (clip, pause) in [(first, 15.0), (second, 20.0)] {
        let begin = recording.len();
        recording.extend(clip);
        said.push((begin * 1000 / RATE) as u64..=(recording.len() * 1000 / RATE) as u64);
        recording.extend(room(&mut random, pause));
    }
    let transcript = recognise(&engine, recording).await;
    assert_eq!(transcript.text(), format!("{} {}", texts[0].text, texts[8].text));
    for segment in &transcript.segments {
        let holds = |said: &&std::ops::RangeInclusive<u64>| {
            said.contains(&segment.start_ms) && said.contains(&segment.end_ms)
        };
        assert!(said.iter().any(|said| holds(&said)), "{segment:?} is not within {said:?}");
    }
    assert!(said.iter().all(|said| transcript.segments.iter().any(|s| said.contains(&s.start_ms))));
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn words_over_a_seam_are_heard_whole() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let text = &fixtures("ru")[0];
    let clip = pcm(text.text, text.voice);
    // The model listens to 96 s at a time.
    let mut recording = room(&mut Random::new(), 96.0 - clip.len() as f32 / RATE as f32 / 2.0);
    recording.extend(clip);
    let transcript = recognise(&engine, recording).await;
    assert_eq!(
        (transcript.text().as_str(), transcript.language.map(LanguageCode::as_str)),
        (text.text, Some("ru"))
    );
    assert!(transcript.segments.iter().all(|s| (90_000..102_000).contains(&s.start_ms)), "{transcript:?}");
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn speech_from_far_away_is_speech() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let mut random = Random::new();
    for text in fixtures("en").iter().chain(&fixtures("ru")).step_by(8) {
        // 40 dB down, in a quiet room.
        let far = pcm(text.text, text.voice).iter().map(|sample| sample * 0.01).collect::<Vec<_>>();
        let ground = room(&mut random, far.len() as f32 / RATE as f32);
        let recording = far.iter().zip(&ground).map(|(far, ground)| far + ground * 0.25).collect();
        let speech = engine.detector().detect(recording, &|| false).unwrap();
        assert!(!speech.is_empty(), "{}", text.text);
    }
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn quiet_speech_after_loud_speech_is_recognised() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let mut random = Random::seeded(1);
    for texts in [fixtures("en"), fixtures("ru")] {
        let (first, second) = (&texts[0], &texts[8]);
        // Somebody turns away from the phone: 40 dB down, in a very quiet room.
        let quiet: Vec<f32> = pcm(second.text, second.voice).iter().map(|sample| sample * 0.01).collect();
        let spoken = [pcm(first.text, first.voice), vec![0.0; RATE], quiet, vec![0.0; RATE]].concat();
        let ground = room(&mut random, spoken.len() as f32 / RATE as f32 + 1.0);
        let recording = spoken.iter().zip(ground).map(|(sample, noise)| sample + noise * 0.05).collect();
        let transcript = recognise(&engine, recording).await;
        assert_eq!(transcript.text(), format!("{} {}", first.text, second.text));
    }
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn a_pause_is_found_where_it_is_loud() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let text = &fixtures("en")[0];
    let clip = pcm(text.text, text.voice);
    let mut random = Random::new();
    // Ten times as loud as the room, and nothing to the quietest moments of speech.
    let noise = room(&mut random, 1.0).iter().map(|sample| sample * 10.0).collect::<Vec<_>>();
    let said = &clip[RATE / 2..clip.len() - RATE / 2];
    let recording = [said, &noise[..], said].concat();
    let pause = engine.detector().longest_pause(&recording, &|| false).expect("a pause");
    assert!((said.len()..said.len() + RATE).contains(&pause), "{pause} after {}", said.len());
    assert_eq!(pause % 16, 0, "whole milliseconds");
    assert_eq!(engine.detector().longest_pause(&recording, &|| true), None, "aborted");
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn where_nobody_speaks_whisper_is_not_asked() {
    let _alone = ALONE.lock().await;
    let engine = start(VAD.into()).await;
    let mut random = Random::new();
    for seconds in [0.05, 1.0, 65.0] {
        let noise = room(&mut random, seconds).iter().map(|sample| sample * 50.0).collect();
        let (progress, seen) = watch::channel(0);
        let given = RecogniseOptions { progress: Some(progress), ..Default::default() };
        assert_eq!(engine.recognise(noise, given).await.unwrap(), Transcript::default(), "{seconds} s");
        assert!(!seen.has_changed().unwrap_or(false), "Whisper has reported progress");
    }
    assert!(engine.shutdown(DEADLINE).await);
}

#[test]
fn without_a_good_model_it_says_so_once_and_goes_on() {
    let _alone = ALONE.blocking_lock();
    let mut home = Home::empty();
    home.set("LOG_LEVEL", "warn");
    let texts = fixtures("en");
    fs::write(home.path().join("one.ogg"), speech::say(texts[0].text, texts[0].voice)).unwrap();
    fs::write(home.path().join("none.ogg"), silence(1.0)).unwrap();
    let transcribe = || {
        let output = home.command().args(["transcribe", "one.ogg", "none.ogg"]).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(texts[0].text), "{text}\n{log}");
        log.lines().filter(|line| line.contains("voice activity")).map(str::to_owned).collect::<Vec<_>>()
    };
    let warnings = transcribe();
    assert!(
        matches!(&warnings[..], [one] if one.contains("ggml-silero-v5.1.2.bin is not there")),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("models pull silero-v5.1.2"), "{warnings:?}");

    let models = home.path().join("models");
    fs::create_dir_all(&models).unwrap();
    let mut weights = fs::read(VAD).unwrap();
    weights[4] ^= 0x80; // The length of a text that whisper.cpp would believe, and abort.
    fs::write(models.join("ggml-silero-v5.1.2.bin"), &weights).unwrap();
    let warnings = transcribe();
    assert!(matches!(&warnings[..], [one] if one.contains("is not silero-v5.1.2")), "{warnings:?}");

    fs::copy(VAD, models.join("ggml-silero-v5.1.2.bin")).unwrap();
    assert!(transcribe().is_empty());
}
