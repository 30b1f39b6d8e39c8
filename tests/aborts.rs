//! Recognitions that are aborted at random moments. whisper.cpp calls back into our memory, which has
//! to live for as long as it may.
//!
//! A program of its own, because tests/valgrind/run.sh runs it under a memory checker.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use stenogram::speech::{Engine, EngineOptions, Observer, RecogniseOptions, SpeechError};
use support::speech::{MODEL, Random, pcm};
use tokio::sync::Notify;

const ABORTS: usize = 40;
const DEADLINE: Duration = Duration::from_secs(300);

/// Tells of one pass of the encoder or decoder.
#[derive(Default)]
struct Passes {
    seen: AtomicUsize,
    awaited: usize,
    reached: Notify,
}

impl Observer for Passes {
    fn on_pass(&self) {
        if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.awaited {
            self.reached.notify_one();
        }
    }
}

fn watched(passes: &Arc<Passes>) -> RecogniseOptions {
    RecogniseOptions {
        observer: Some(Arc::clone(passes) as Arc<dyn Observer>),
        ..RecogniseOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_abort_at_any_moment_leaves_the_engine_whole() {
    let mut random = Random::new();
    let clip = pcm(&random.digits("en", 6), "en-us");
    // Without a language given the state is used in more ways than one.
    let options = EngineOptions { model: MODEL.into(), ..EngineOptions::default() };
    let engine = Engine::start(options.clone()).await.expect("start");

    let passes = Arc::new(Passes::default());
    let begun = Instant::now();
    let whole = engine.recognise(clip.clone(), watched(&passes)).await.expect("recognise");
    let (took, all) = (begun.elapsed(), passes.seen.load(Ordering::Relaxed));
    assert!(all > 2, "it is asked {all} times whether to abort");

    let mut aborted = 0;
    for round in 0..ABORTS {
        // Under a memory checker each takes a minute.
        println!("{round} of {ABORTS}");
        let awaited = 1 + random.below(all);
        let passes = Arc::new(Passes { awaited, ..Passes::default() });
        // At a pass, or at whatever instant it happens to be.
        let instant = match round % 2 {
            0 => DEADLINE,
            _ => took.mul_f64(random.below(1000) as f64 / 1000.0),
        };
        tokio::select! {
            biased;
            () = passes.reached.notified() => aborted += 1,
            outcome = tokio::time::timeout(instant, engine.recognise(clip.clone(), watched(&passes))) => {
                match outcome {
                    Ok(transcript) => assert_eq!(transcript.expect("recognise").text(), whole.text()),
                    Err(_) => aborted += 1,
                }
            }
        }
    }
    println!("{aborted} of {ABORTS} were aborted");
    assert!(aborted > ABORTS / 4, "{aborted} of {ABORTS} were aborted");
    let again = engine.recognise(clip.clone(), RecogniseOptions::default()).await.expect("recognise");
    assert_eq!(again.text(), whole.text(), "it works as before");

    // The engine itself goes at a random moment.
    for _ in 0..3 {
        let engine = Engine::start(options.clone()).await.expect("start");
        let passes = Arc::new(Passes { awaited: 1 + random.below(all - 1), ..Passes::default() });
        let ends = async {
            passes.reached.notified().await;
            engine.shutdown(DEADLINE).await
        };
        let (outcome, joined) = tokio::join!(engine.recognise(clip.clone(), watched(&passes)), ends);
        assert!(joined);
        assert!(matches!(outcome, Err(SpeechError::Aborted)), "{outcome:?}");
    }
    assert!(engine.shutdown(DEADLINE).await);
}
