//! A quick pass with a shortened audio context, and a careful one if its text is rejected, on the
//! real whisper.cpp with the micro model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stenogram::domain::{AudioContext, LanguageCode, Transcript};
use stenogram::speech::{Engine, EngineOptions, LanguagePrior, Observer, RecogniseOptions};
use support::speech::{ALONE, MODEL, Random, fixtures, pcm};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

async fn start(audio_context: AudioContext) -> Engine {
    let languages = "ru,en!".parse().unwrap();
    let options = EngineOptions { model: MODEL.into(), languages, audio_context, ..Default::default() };
    Engine::start(options).await.unwrap()
}

/// Counts what was recognised twice.
#[derive(Default)]
struct Repeated(AtomicU32);

impl Observer for Repeated {
    fn on_retry(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The transcript, and how often it was recognised again with care.
async fn recognise(engine: &Engine, pcm: Vec<f32>, prior: LanguagePrior) -> (Transcript, u32) {
    let repeated = Arc::new(Repeated::default());
    let observer = Some(Arc::clone(&repeated) as Arc<dyn Observer>);
    let answer = engine.recognise(pcm, RecogniseOptions { prior, observer, ..Default::default() });
    let transcript = tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap();
    (transcript, repeated.0.load(Ordering::Relaxed))
}

#[tokio::test]
async fn short_recordings_are_right_with_a_shortened_window() {
    let _alone = ALONE.lock().await;
    let engine = start(AudioContext::Auto).await;
    let (mut count, mut repeated) = (0, 0);
    for language in ["en", "ru"] {
        for fixture in fixtures(language).iter().step_by(5) {
            // Known for the other language: the first guess is wrong.
            let other = if language == "en" { "ru" } else { "en" };
            let prior = if count % 2 == 0 {
                LanguagePrior::default()
            } else {
                LanguagePrior(vec![(other.parse().unwrap(), 20.0)])
            };
            let (transcript, times) = recognise(&engine, pcm(fixture.text, fixture.voice), prior).await;
            assert_eq!(transcript.text(), fixture.text, "{}", fixture.voice);
            assert_eq!(transcript.language.map(LanguageCode::as_str), Some(language));
            count += 1;
            repeated += times;
        }
    }
    println!("{repeated} of {count} were repeated with the whole window");
    assert!(2 * repeated < count, "{repeated} of {count} were repeated: nothing is won");
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn a_doubtful_text_is_recognised_again_with_the_whole_window() {
    let _alone = ALONE.lock().await;
    // A word three times in a row may be said, and is what a shortened window is known to make.
    let clips = [pcm("seven seven seven", "en-us"), pcm("пять пять пять", "ru")];
    let mut texts = Vec::new();
    for (audio_context, times) in
        [(AudioContext::Full, 0), (AudioContext::Careful, 0), (AudioContext::Auto, 1)]
    {
        let engine = start(audio_context).await;
        for clip in &clips {
            let (transcript, repeated) = recognise(&engine, clip.clone(), LanguagePrior::default()).await;
            assert_eq!(repeated, times, "{audio_context:?}: {:?}", transcript.text());
            texts.push(transcript.text());
        }
        assert!(engine.shutdown(DEADLINE).await);
    }
    assert_eq!(texts[2..4], texts[4..], "a doubtful recording gets the text of the careful pass");
    assert_eq!(texts[..2], texts[2..4], "which finds the same here as the whole window");
    assert!(texts[0].starts_with("seven seven") && texts[1].starts_with("пять пять"), "{texts:?}");
}

#[tokio::test]
async fn noise_has_no_text_with_either_window() {
    let _alone = ALONE.lock().await;
    let mut random = Random::seeded(1);
    let noise: Vec<f32> =
        (0..3 * 16_000).map(|_| (random.below(2001) as f32 / 1000.0 - 1.0) * 0.02).collect();
    // Text that is missing is looked for more carefully.
    for (audio_context, retries) in
        [(AudioContext::Full, 0), (AudioContext::Careful, 0), (AudioContext::Auto, 1)]
    {
        let engine = start(audio_context).await;
        let heard = recognise(&engine, noise.clone(), LanguagePrior::default()).await;
        assert_eq!(heard, (Transcript::default(), retries), "{audio_context:?}");
        assert!(engine.shutdown(DEADLINE).await);
    }
}
