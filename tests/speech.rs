//! Recognition by the real whisper.cpp with the micro model, of speech made for each run.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stenogram::domain::{LanguageCode, Languages, Transcript};
use stenogram::speech::models::file_check::{self, ModelFileError};
use stenogram::speech::{Engine, EngineOptions, LanguagePrior, Observer, RecogniseOptions, SpeechError};
use support::model_file::ModelFile;
use support::skipped;
use support::speech::{ALONE, MODEL, Random, decode, fixtures, pcm, silence};
use tokio::sync::watch;

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn code(text: &str) -> LanguageCode {
    text.parse().unwrap()
}

/// These languages and no others.
fn listed(codes: &[&str]) -> Languages {
    Languages { listed: codes.iter().map(|text| code(text)).collect(), others: false }
}

fn options(languages: &[&str]) -> EngineOptions {
    EngineOptions { model: MODEL.into(), languages: listed(languages), ..EngineOptions::default() }
}

async fn start(languages: &[&str]) -> Engine {
    Engine::start(options(languages)).await.unwrap()
}

async fn recognise(engine: &Engine, pcm: Vec<f32>) -> Result<Transcript, SpeechError> {
    let answer = engine.recognise(pcm, RecogniseOptions::default());
    tokio::time::timeout(DEADLINE, answer).await.expect("in time")
}

async fn stop(engine: Engine) {
    assert!(engine.shutdown(DEADLINE).await);
}

/// A minute and more of digits in groups: several windows of 30 s.
fn long_clip(random: &mut Random) -> Vec<f32> {
    let mut clip = Vec::new();
    while clip.len() < 65 * 16_000 {
        clip.extend(pcm(&random.digits("en", 5), "en-us"));
    }
    clip
}

/// whisper.cpp's probability for no speech is that of the glimpse at the language, where there was one
/// (whisper.cpp#3945). Of a text that was guessed it must decide nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_text_is_not_lost_because_its_language_had_to_be_found() {
    let _alone = ALONE.lock().await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speech");
    fs::create_dir_all(&folder).unwrap();
    // Its average log probability is below -1 at temperature 0, where whisper.cpp asks for the other one.
    let model = ModelFile::read(MODEL).unsure(0.25).deaf_to_english().write(folder.join("deaf.bin"));
    let known = fixtures("en");
    let mut heard = Vec::new();
    for languages in [&["en"][..], &["en", "ru"]] {
        let engine =
            Engine::start(EngineOptions { model: model.clone(), ..options(languages) }).await.unwrap();
        let mut texts = Vec::new();
        for fixture in &known[..4] {
            texts.push(recognise(&engine, pcm(fixture.text, fixture.voice)).await.unwrap().text());
        }
        stop(engine).await;
        heard.push(texts);
    }
    assert!(heard[0].iter().all(|text| !text.is_empty()), "{heard:?}");
    assert_eq!(heard[0], heard[1], "the language given, and found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn english_and_russian_are_told_apart_and_recognised() {
    let _alone = ALONE.lock().await;
    let engine = start(&["ru", "en"]).await;
    for language in ["en", "ru"] {
        for fixture in fixtures(language).iter().step_by(9) {
            let transcript = recognise(&engine, pcm(fixture.text, fixture.voice)).await.unwrap();
            assert_eq!(transcript.text(), fixture.text, "{}", fixture.voice);
            assert_eq!(transcript.language, Some(code(fixture.language)));
        }
    }
    stop(engine).await;
}

#[tokio::test]
async fn texts_never_used_before_are_recognised() {
    let _alone = ALONE.lock().await;
    let engine = start(&["ru", "en"]).await;
    let mut random = Random::new();
    // Of 192 such clips all were right when this was written; a rare one is not, on other processors too.
    let mut wrong = Vec::new();
    for (language, voice) in
        [("en", "en-us"), ("ru", "ru"), ("en", "en-gb"), ("ru", "ru"), ("en", "en-us"), ("ru", "ru")]
    {
        let text = random.digits(language, 5);
        let transcript = recognise(&engine, pcm(&text, voice)).await.unwrap();
        assert_eq!(transcript.language, Some(code(language)));
        if transcript.text() != text {
            wrong.push(format!("{text:?} was heard as {:?}", transcript.text()));
        }
    }
    assert!(wrong.len() <= 1, "{wrong:#?}");
    stop(engine).await;
}

#[tokio::test]
async fn the_language_is_the_one_given_for_a_recording() {
    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    let russian = fixtures("ru").swap_remove(0);
    let given = RecogniseOptions { language: Some(code("ru")), ..Default::default() };
    let transcript = engine.recognise(pcm(russian.text, russian.voice), given).await.unwrap();
    assert_eq!((transcript.text().as_str(), transcript.language), (russian.text, Some(code("ru"))));
    // One candidate: taken for granted.
    let transcript = recognise(&engine, pcm(russian.text, russian.voice)).await.unwrap();
    assert!(transcript.language.is_none_or(|language| language == code("en")));
    // None at all: any that the model knows.
    stop(engine).await;
    let engine = start(&[]).await;
    let transcript = recognise(&engine, pcm(russian.text, russian.voice)).await.unwrap();
    assert_eq!(transcript.language, Some(code("ru")));
    stop(engine).await;
}

/// Remembers which language was told, and counts the passes and the repetitions.
#[derive(Default)]
struct Told {
    spoken: Mutex<Option<LanguageCode>>,
    repeated: AtomicU32,
    passes: AtomicU32,
}

impl Observer for Told {
    fn on_pass(&self) {
        self.passes.fetch_add(1, Ordering::Relaxed);
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        assert!(!speech.is_zero());
        *self.spoken.lock().unwrap() = Some(language);
    }

    fn on_retry(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_chats_language_is_guessed_and_a_wrong_guess_is_noticed() {
    let _alone = ALONE.lock().await;
    let engine = start(&["ru", "en"]).await;
    let heard = |language: &str| LanguagePrior(vec![(code(language), 20.0)]);
    let mut passes = HashMap::new();
    for spoken in ["ru", "en"] {
        for (known, prior) in
            [("ru", heard("ru")), ("en", heard("en")), ("nothing", LanguagePrior::default())]
        {
            let fixture = fixtures(spoken).swap_remove(0);
            let told = Arc::new(Told::default());
            let observer = Some(Arc::clone(&told) as Arc<dyn Observer>);
            let options = RecogniseOptions { prior, observer, ..Default::default() };
            let transcript = engine.recognise(pcm(fixture.text, fixture.voice), options).await.unwrap();
            assert_eq!(transcript.text(), fixture.text, "{spoken} where {known} is known");
            assert_eq!(*told.spoken.lock().unwrap(), Some(code(spoken)), "{spoken} where {known} is known");
            passes.insert((spoken, known), told.passes.load(Ordering::Relaxed));
        }
        // Who is known for the language is not kept waiting for it to be detected.
        let other = if spoken == "ru" { "en" } else { "ru" };
        assert!(passes[&(spoken, spoken)] < passes[&(spoken, other)], "{passes:?}");
    }
    // A given language is not reported as detected.
    let told = Arc::new(Told::default());
    let observer = Some(Arc::clone(&told) as Arc<dyn Observer>);
    let options = RecogniseOptions { language: Some(code("en")), observer, ..Default::default() };
    let fixture = fixtures("en").swap_remove(0);
    engine.recognise(pcm(fixture.text, fixture.voice), options).await.unwrap();
    assert_eq!(*told.spoken.lock().unwrap(), None);
    stop(engine).await;
}

/// Which languages are spoken where is a guess of the owner's: one that is clear counts.
#[tokio::test]
async fn a_clear_language_that_is_not_listed_is_recognised_unless_there_are_no_others() {
    let _alone = ALONE.lock().await;
    let russian = fixtures("ru").swap_remove(0);
    let spoken = pcm(russian.text, russian.voice);
    for (others, language) in [(true, "ru"), (false, "en")] {
        // German is listed so that there is something to choose from.
        let languages = Languages { others, ..listed(&["en", "de"]) };
        let options = EngineOptions { languages, ..options(&[]) };
        let engine = Engine::start(options).await.unwrap();
        let transcript = recognise(&engine, spoken.clone()).await.unwrap();
        assert_eq!(transcript.language, Some(code(language)), "{transcript:?}");
        stop(engine).await;
    }
}

#[tokio::test]
async fn a_language_that_the_model_does_not_know_is_refused() {
    // Cantonese came with large-v3.
    let error = Engine::start(options(&["yue"])).await.err().expect("an error");
    assert!(matches!(error, SpeechError::LanguageNotInModel(language) if language == code("yue")), "{error}");

    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    let given = RecogniseOptions { language: Some(code("yue")), ..Default::default() };
    assert!(engine.recognise(vec![0.5; 16_000], given).await.is_err());
    stop(engine).await;
}

#[tokio::test]
async fn silence_and_noise_have_no_text() {
    let _alone = ALONE.lock().await;
    let engine = start(&["ru", "en"]).await;
    // Always the same noise: the model was found to keep quiet at it, not proven to at all noise.
    let mut random = Random::seeded(1);
    let mut noise = |amplitude: f32| -> Vec<f32> {
        (0..5 * 16_000).map(|_| (random.below(2001) as f32 / 1000.0 - 1.0) * amplitude).collect()
    };
    let clips = [
        ("silence", decode(&silence(3.0))),
        ("nothing", Vec::new()),
        ("one sample", vec![0.5]),
        ("50 ms", vec![0.01; 800]),
        ("faint noise", noise(0.0005)),
        ("noise", noise(0.02)),
        ("loud noise", noise(0.3)),
    ];
    for (name, clip) in clips {
        assert_eq!(recognise(&engine, clip).await.unwrap(), Transcript::default(), "{name}");
    }
    stop(engine).await;
}

#[tokio::test]
async fn what_is_no_sound_is_refused_and_the_engine_goes_on() {
    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e3] {
        let mut clip = vec![0.1; 16_000];
        clip[8000] = bad;
        let error = recognise(&engine, clip).await.unwrap_err();
        assert!(matches!(error, SpeechError::Samples), "{bad}: {error}");
    }
    let fixture = fixtures("en").swap_remove(0);
    let transcript = recognise(&engine, pcm(fixture.text, fixture.voice)).await.unwrap();
    assert_eq!(transcript.text(), fixture.text);
    stop(engine).await;
}

#[tokio::test]
async fn a_long_recording_has_ordered_segments_within_its_length_and_tells_progress() {
    let _alone = ALONE.lock().await;
    let engine = start(&["ru", "en"]).await;
    // Always the same clip: of one in some hundred others the test model takes the end for "thanks",
    // which the guard then drops.
    let clip = long_clip(&mut Random::seeded(1));
    let length_ms = (clip.len() / 16) as u64;
    let (progress, mut seen) = watch::channel(0);
    let watcher = tokio::spawn(async move {
        let mut all = Vec::new();
        while seen.changed().await.is_ok() {
            all.push(*seen.borrow_and_update());
        }
        all
    });
    let passes = Arc::new(Passes::default());
    let observer = Some(Arc::clone(&passes) as Arc<dyn Observer>);
    let given = RecogniseOptions { progress: Some(progress), observer, ..Default::default() };
    let answer = engine.recognise(clip, given);
    let transcript = tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap();
    assert_eq!(transcript.language, Some(code("en")));
    assert!(transcript.segments.len() >= 3, "{transcript:?}");
    let times: Vec<u64> =
        transcript.segments.iter().flat_map(|segment| [segment.start_ms, segment.end_ms]).collect();
    assert!(times.is_sorted() && times.iter().all(|&time| time <= length_ms), "{times:?}");
    assert!(*times.last().unwrap() > 30_000);
    assert!(transcript.segments.iter().all(|segment| segment.text == segment.text.trim()));
    let seen = watcher.await.unwrap();
    assert!(seen.is_sorted() && seen.iter().any(|&percent| percent > 0 && percent <= 100), "{seen:?}");
    // Three windows at least, each encoded, and decoded word by word: a watchdog sees that it gets on.
    let passes = passes.0.load(Ordering::Relaxed);
    assert!(passes > 20, "{passes}");
    stop(engine).await;
}

/// Counts the passes of encoder and decoder.
#[derive(Default)]
struct Passes(AtomicU32);

impl Observer for Passes {
    fn on_pass(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_finished(&self, time: Duration) {
        assert!(!time.is_zero());
    }

    fn on_dropped(&self, why: &'static str) {
        panic!("what was said is no invention: {why}");
    }

    fn on_language(&self, language: LanguageCode, speech: Duration) {
        assert!(language == code("en") && speech > Duration::from_secs(20), "{language} {speech:?}");
    }

    fn on_retry(&self) {
        panic!("all of the window was given from the first");
    }
}

/// Starts a recognition and comes back once it has reported progress, so while it runs. With it,
/// where its progress is seen.
async fn underway(
    engine: &Engine,
    clip: Vec<f32>,
) -> (impl Future<Output = Result<Transcript, SpeechError>>, watch::Receiver<u8>) {
    let (progress, mut seen) = watch::channel(0);
    let given = RecogniseOptions { progress: Some(progress), ..Default::default() };
    let mut answer = Box::pin(engine.recognise(clip, given));
    tokio::select! {
        _ = &mut answer => panic!("it was to take longer"),
        begun = tokio::time::timeout(DEADLINE, seen.wait_for(|&percent| percent > 0)) => {
            begun.expect("in time").expect("it runs");
        }
    }
    (answer, seen)
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_the_engine() {
    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    let clip = long_clip(&mut Random::new()).repeat(10);
    let fixture = fixtures("en").swap_remove(0);
    let next = pcm(fixture.text, fixture.voice);
    let (running, seen) = underway(&engine, clip).await;
    drop(running);
    let dropped = Instant::now();
    let transcript = recognise(&engine, next).await.unwrap();
    println!("next transcript {:?} after the drop", dropped.elapsed());
    assert_eq!(transcript.text(), fixture.text);
    assert!(*seen.borrow() < 50, "it went on to {} %", *seen.borrow());
    stop(engine).await;
}

#[tokio::test]
async fn a_shutdown_aborts_what_runs_and_what_waits() {
    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    let clip = long_clip(&mut Random::new()).repeat(10);
    let (running, _) = underway(&engine, clip.clone()).await;
    let waiting = engine.recognise(clip.clone(), RecogniseOptions::default());
    let waiting_too = engine.recognise(clip.clone(), RecogniseOptions::default());
    let begun = Instant::now();
    let shutdown = engine.shutdown(DEADLINE);
    let (running, waiting, waiting_too, joined) = tokio::join!(running, waiting, waiting_too, shutdown);
    println!("shut down in {:?}", begun.elapsed());
    assert!(joined);
    for outcome in [running, waiting, waiting_too, recognise(&engine, clip).await] {
        assert!(matches!(outcome, Err(SpeechError::Aborted)), "{outcome:?}");
    }
    assert!(engine.shutdown(DEADLINE).await, "a second time is harmless");
}

#[tokio::test]
async fn threads_beyond_the_cores_are_not_used() {
    let _alone = ALONE.lock().await;
    // whisper.cpp would start them all, and abort the process when it cannot.
    let engine = Engine::start(EngineOptions { threads: NonZeroUsize::new(1 << 40), ..options(&["en"]) });
    let engine = engine.await.unwrap();
    let fixture = fixtures("en").swap_remove(0);
    let transcript = recognise(&engine, pcm(fixture.text, fixture.voice)).await.unwrap();
    assert_eq!(transcript.text(), fixture.text);
    stop(engine).await;
}

#[tokio::test]
async fn an_idle_engine_shuts_down_at_once() {
    let _alone = ALONE.lock().await;
    let engine = start(&[]).await;
    assert!(engine.shutdown(Duration::from_secs(5)).await);
}

/// Writes down whose turn is over. The callers themselves may hear of two at once, in any order.
struct Turn(usize, Arc<Mutex<Vec<usize>>>);

impl Observer for Turn {
    fn on_finished(&self, _: Duration) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[tokio::test]
async fn callers_are_served_in_their_order() {
    let _alone = ALONE.lock().await;
    let engine = start(&["en"]).await;
    let texts = fixtures("en");
    let done = Arc::new(Mutex::new(Vec::new()));
    let ask = async |n: usize| {
        let fixture = &texts[n];
        let observer = Some(Arc::new(Turn(n, Arc::clone(&done))) as Arc<dyn Observer>);
        let options = RecogniseOptions { observer, ..Default::default() };
        let speech = engine.detector().detect(pcm(fixture.text, fixture.voice), &|| false).unwrap();
        let transcript = engine.recognise_speech(speech, options).await.unwrap();
        assert_eq!(transcript.text(), fixture.text);
    };
    tokio::join!(ask(0), ask(1), ask(2), ask(3));
    assert_eq!(*done.lock().unwrap(), [0, 1, 2, 3]);
    stop(engine).await;
}

// Model files.

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if !path.exists() {
        skipped(format!("no {}", path.display()));
        return None;
    }
    Some(path)
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speech");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn header_error(path: &Path) -> ModelFileError {
    file_check::check(path).expect_err("it is broken")
}

#[test]
fn the_micro_model_is_in_order() {
    assert_eq!(file_check::check(Path::new(MODEL)).unwrap().languages, 99);
}

/// The catalogue's files of May 2023 say version 1 in their headers, the later ones version 2, and some
/// programs write none at all. whisper.cpp takes them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn quantised_models_are_heard_whatever_version_they_name() {
    let _alone = ALONE.lock().await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speech");
    fs::create_dir_all(&folder).unwrap();
    let known = fixtures("en");
    for ftype in [7, 1007, 2007, 9, 1009, 2009] {
        let model = ModelFile::read(MODEL).with_ftype(ftype);
        let model = if ftype % 1000 == 9 { model.in_q5_1() } else { model };
        let model = model.write(folder.join(format!("ftype-{ftype}.bin")));
        let engine = Engine::start(EngineOptions { model, ..options(&["en"]) }).await.unwrap();
        let mut right = 0;
        for fixture in &known[..4] {
            let heard = recognise(&engine, pcm(fixture.text, fixture.voice)).await.unwrap().text();
            right += usize::from(heard == fixture.text);
        }
        stop(engine).await;
        assert!(right >= 3, "ftype {ftype}: {right} of 4");
    }
}

#[test]
fn what_is_no_model_is_refused_by_name() {
    for (bytes, expected) in [(&b""[..], "middle of its magic"), (b"RIFF....WAVEfmt ", "no ggml file")] {
        let message = header_error(&file("no-model.bin", bytes)).to_string();
        assert!(message.contains(expected), "{message}");
    }
    assert!(matches!(header_error(Path::new("/nowhere.bin")), ModelFileError::Io(_)));
    assert!(matches!(header_error(Path::new("/")), ModelFileError::Io(_)));
    for (name, expected) in [
        ("models/for-tests-silero-v5.1.2-ggml.bin", "Silero"),
        ("models/for-tests-silero-v6.2.0-ggml.bin", "Silero"),
        ("models/for-tests-ggml-tiny.bin", "no weights"),
        ("data/hostile/for-tests-ggml-whisper-bad-ndims.bin", "n_vocab"),
    ] {
        if let Some(path) = shared(name) {
            let message = header_error(&path).to_string();
            assert!(message.contains(expected), "{name}: {message}");
        }
    }
}

#[tokio::test]
async fn an_engine_says_which_model_is_broken() {
    let path = file("broken.bin", &fs::read(MODEL).unwrap()[..100_000]);
    let error = Engine::start(EngineOptions { model: path, ..options(&[]) }).await.err().unwrap();
    let message = error.to_string();
    assert!(message.contains("broken.bin ends in the middle of its vocabulary"), "{message}");
}

#[test]
fn every_truncation_is_refused() {
    let model = fs::read(MODEL).unwrap();
    let mut random = Random::new();
    let near = [1, 4, 12, 47, 48, 52, 56, 64_380, model.len() - 1, model.len() - 13];
    for length in near.into_iter().chain((0..60).map(|_| random.below(model.len()))) {
        let error = header_error(&file("truncated.bin", &model[..length]));
        let whole_tensors = matches!(error, ModelFileError::MissingTensors { .. });
        assert!(whole_tensors || matches!(error, ModelFileError::Truncated(_)), "{length}: {error}");
    }
}

/// Where the numbers are that whisper.cpp believes: header, sizes, and the heads of all tensors.
/// With it, where the first tensor begins.
fn structure(model: &[u8]) -> (Vec<usize>, usize) {
    let i32_at = |at: usize| i32::from_le_bytes(model[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 48;
    let mut places: Vec<usize> = (0..56).collect();
    at += 8 + i32_at(at) * i32_at(at + 4) * 4;
    places.extend(at..at + 4);
    let tokens = i32_at(at);
    at += 4;
    for token in 0..tokens {
        if token % 1000 == 0 {
            places.extend(at..at + 4);
        }
        at += 4 + i32_at(at);
    }
    let first_tensor = at;
    while at < model.len() {
        let (dimensions, name, kind) = (i32_at(at), i32_at(at + 4), i32_at(at + 8));
        let numbers: usize = (0..dimensions).map(|n| i32_at(at + 12 + 4 * n)).product();
        let head = 12 + 4 * dimensions + name;
        places.extend(at..at + head);
        let bytes = match kind {
            0 => numbers * 4,
            1 => numbers * 2,
            _ => numbers / 32 * 34,
        };
        at += head + bytes;
    }
    assert_eq!(at, model.len());
    (places, first_tensor)
}

#[test]
fn flipped_bytes_are_refused_or_harmless() {
    let model = fs::read(MODEL).unwrap();
    let (structure, _) = structure(&model);
    let mut random = Random::new();
    let mut accepted = Vec::new();
    for n in 0..250 {
        let mut mutant = model.clone();
        let place = match n % 5 {
            // Weights, filters, words: nothing in them is believed, whatever it is.
            0 => random.below(model.len()),
            1 => random.below(56),
            _ => structure[random.below(structure.len())],
        };
        let was = mutant[place];
        mutant[place] ^= 1 << random.below(8);
        let path = file("mutant.bin", &mutant);
        if file_check::check(&path).is_ok() {
            accepted.push((place, was, mutant[place]));
        }
    }
    println!("{} of 250 mutants accepted", accepted.len());
    assert!(accepted.len() < 125, "{accepted:?}");
    // Those that are accepted must load and run, which only a process of its own can show.
    for (place, was, is) in accepted.into_iter().take(6) {
        let mut mutant = model.clone();
        mutant[place] = is;
        runs(&file("accepted.bin", &mutant), &format!("byte {place}: {was:#04x} -> {is:#04x}"));
    }
}

#[test]
fn garbage_for_weights_does_not_abort() {
    let model = fs::read(MODEL).unwrap();
    let (structure, first_tensor) = structure(&model);
    let structure: HashSet<usize> = structure.into_iter().collect();
    let mut random = Random::new();
    // All of them not a number; anything at all.
    for garbage in [&mut || 0xff, &mut || random.below(256) as u8] as [&mut dyn FnMut() -> u8; 2] {
        let mut mutant = model.clone();
        for place in (first_tensor..model.len()).filter(|place| !structure.contains(place)) {
            mutant[place] = garbage();
        }
        runs(&file("garbage.bin", &mutant), "garbage for weights");
    }
}

#[test]
fn other_numbers_of_heads_run() {
    let mut mutant = fs::read(MODEL).unwrap();
    // n_audio_head and n_text_head: one head, 64 wide, in place of two.
    (mutant[16], mutant[32]) = (1, 1);
    runs(&file("one-head.bin", &mutant), "one head");
}

/// Has a process of its own load the model and recognise with it.
fn runs(model: &Path, what: &str) {
    let _alone = ALONE.blocking_lock();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "speech::the_model_given_by_another_test_runs", "--nocapture"])
        .env("STENOGRAM_TEST_MODEL", model)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{log}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains("it ran"), "{what}");
    assert!(!log.contains("whisper_"), "whisper.cpp's log is tracing's, not standard error's:\n{log}");
}

/// The child of [`runs`]; on its own it has nothing to do.
#[tokio::test]
async fn the_model_given_by_another_test_runs() {
    let Some(model) = std::env::var_os("STENOGRAM_TEST_MODEL") else { return };
    let engine =
        Engine::start(EngineOptions { model: model.into(), ..options(&["ru", "en"]) }).await.unwrap();
    let answer = engine.recognise(pcm("one two three", "en-us"), RecogniseOptions::default());
    // Garbage can go on for long at every temperature. What counts is that nothing aborts.
    if let Ok(outcome) = tokio::time::timeout(Duration::from_secs(10), answer).await {
        outcome.unwrap();
    }
    assert!(engine.shutdown(DEADLINE).await);
    println!("it ran");
}
