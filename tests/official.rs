//! OpenAI's weights in whisper.cpp's published files, where this machine has them (support::official).

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use stenogram::domain::{LanguageCode, Languages, Transcript};
use stenogram::speech::models::checksum::{Verdict, verify};
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions};
use support::noise::hiss;
use support::official::{model, shared};
use support::speech::{ALONE, Random, VAD, decode};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

async fn start(model: &Path, languages: &[&str], vad: bool) -> Engine {
    let listed = languages.iter().map(|code| code.parse().unwrap()).collect();
    let languages = Languages { listed, others: true };
    let vad = vad.then(|| VAD.into());
    let model = model.to_owned();
    let options = EngineOptions { model, languages, vad, ..EngineOptions::default() };
    Engine::start(options).await.unwrap()
}

async fn hear(engine: &Engine, pcm: Vec<f32>) -> Transcript {
    let answer = engine.recognise(pcm, RecogniseOptions::default());
    tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap()
}

async fn text(engine: &Engine, recording: &Path) -> String {
    hear(engine, decode(&fs::read(recording).unwrap())).await.text()
}

async fn stop(engine: Engine) {
    assert!(engine.shutdown(DEADLINE).await);
}

#[tokio::test]
async fn each_form_of_base_hears_a_president() {
    let _alone = ALONE.lock().await;
    let Some(recording) = shared("speech/jfk.wav") else { return };
    for file in ["ggml-base.bin", "ggml-base-q5_1.bin", "ggml-base-q8_0.bin"] {
        let Some(model) = model(file) else { continue };
        let verdict = verify(&model, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!(verdict, Verdict::Ok, "{file}");

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

/// A quick pass hears "What is the authority?", and its log probability says that this was guessed.
#[tokio::test]
async fn a_doubtful_recording_is_heard_with_care() {
    let _alone = ALONE.lock().await;
    let Some(recording) = shared("eval/stp_en_what_is_the_Outdoor_Humidity.wav") else { return };
    for file in ["ggml-base.bin", "ggml-base-q8_0.bin"] {
        let Some(model) = model(file) else { continue };
        let engine = start(&model, &["en"], true).await;
        assert_eq!(text(&engine, &recording).await, "What is the outdoor humidity?", "{file}");
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

/// LANGUAGES=ru,en is a guess at what is spoken: German and Spanish are written down as such.
#[tokio::test]
async fn a_clear_language_that_is_not_listed_is_written_down_in_it() {
    let _alone = ALONE.lock().await;
    let Some(model) = model("ggml-base.bin") else { return };
    let engine = start(&model, &["ru", "en"], true).await;
    for (file, language, words) in [
        ("eval/cuttledoc_fleurs-de-008.ogg", "de", "gesicht"),
        ("eval/cuttledoc_fleurs-es-003.ogg", "es", "tierra"),
        ("eval/mfa_sv_03.wav", "sv", "barnbarn"),
        ("speech/jfk.wav", "en", "country"),
        // Not "бедняга": the shortened window hears "Битняга".
        ("speech/deepspeech_ru.wav", "ru", "месте"),
    ] {
        let Some(recording) = shared(file) else { continue };
        let heard = hear(&engine, decode(&fs::read(recording).unwrap())).await;
        println!("{file}: {}", heard.text());
        assert_eq!(heard.language.map(LanguageCode::as_str), Some(language), "{file}: {}", heard.text());
        assert!(heard.text().to_lowercase().contains(words), "{file}: {}", heard.text());
    }
    stop(engine).await;
}

/// Of a word or two Whisper is not sure of the language: it stays one of the listed ones.
#[tokio::test]
async fn short_pieces_of_russian_stay_russian_or_english() {
    let _alone = ALONE.lock().await;
    let Some(model) = model("ggml-base.bin") else { return };
    let engine = start(&model, &["ru", "en"], true).await;
    // Those that `base` gives to another language with the highest probabilities, 0.64 to 0.88.
    for (file, seconds) in [
        ("eval/rhasspy_vf_ru_0031.wav", 1.5),
        ("eval/gigastt_golos_13.wav", 1.5),
        ("eval/asterisk_tt-allbusy.wav", 1.5),
        ("eval/asterisk_pbx-invalid.wav", 1.5),
        ("eval/asterisk_vm-options.wav", 1.0),
        ("speech/silero_ru_60s.wav", 1.2),
    ] {
        let Some(recording) = shared(file) else { continue };
        let pcm = decode(&fs::read(recording).unwrap());
        let end = ((seconds * 16_000.0) as usize).min(pcm.len());
        let heard = hear(&engine, pcm[..end].to_vec()).await;
        println!("{file}: {:?} {}", heard.language, heard.text());
        let language = heard.language.map(LanguageCode::as_str);
        assert!(matches!(language, None | Some("ru" | "en")), "{file}: {language:?} {}", heard.text());
    }
    stop(engine).await;
}

/// Somebody turns away from the phone: a sentence 30 and 40 dB below the one before it.
#[tokio::test]
async fn quiet_speech_after_loud_speech_is_written_down() {
    let _alone = ALONE.lock().await;
    let Some(model) = model("ggml-base.bin") else { return };
    let engine = start(&model, &["ru", "en"], true).await;
    let mut random = Random::seeded(1);
    for (loud, quiet, loud_words, quiet_words) in [
        ("eval/LJ001-0004.wav", "eval/cuttledoc_fleurs-en-003.ogg", "block", "cabbage"),
        ("eval/rhasspy_vf_ru_0024.wav", "eval/asterisk_pm-invalid-option.wav", "пространстве", "недоступна"),
    ] {
        let (Some(loud), Some(quiet)) = (shared(loud), shared(quiet)) else { continue };
        let [loud, quiet] = [loud, quiet].map(|file| as_loud_as_speech(decode(&fs::read(file).unwrap())));
        for decibels in [30.0, 40.0] {
            let gain = 10.0_f32.powf(-decibels / 20.0);
            let quiet = quiet.iter().map(|sample| sample * gain).collect();
            let mut pcm = [loud.clone(), vec![0.0; 11_200], quiet, vec![0.0; 8_000]].concat();
            let room = hiss(pcm.len(), 0.0001, &mut random);
            pcm.iter_mut().zip(room).for_each(|(sample, noise)| *sample += noise);
            let heard = hear(&engine, pcm).await.text().to_lowercase();
            assert!(heard.contains(loud_words), "{decibels}: {heard}");
            assert!(heard.contains(quiet_words), "{decibels}: {heard}");
        }
    }
    stop(engine).await;
}

/// With the root mean square 0.1.
fn as_loud_as_speech(pcm: Vec<f32>) -> Vec<f32> {
    let power = pcm.iter().map(|sample| sample * sample).sum::<f32>() / pcm.len() as f32;
    pcm.iter().map(|sample| sample * 0.1 / power.sqrt()).collect()
}
