//! The two tasks, on the real whisper.cpp with the micro model.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use stenogram::domain::{LanguageCode, Languages, Task};
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions};
use support::model_file::ModelFile;
use support::speech::{MODEL, fixtures, pcm};

/// How long anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn write(name: &str, model: ModelFile) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("translation");
    fs::create_dir_all(&folder).unwrap();
    model.write(folder.join(name))
}

fn options(model: PathBuf, task: Task) -> EngineOptions {
    EngineOptions {
        model,
        languages: Languages::only(LanguageCode::ENGLISH),
        task,
        ..EngineOptions::default()
    }
}

/// Whether the model understands most of what it is known to understand.
async fn understands(model: PathBuf, task: Task) -> bool {
    let engine = Engine::start(options(model, task)).await.unwrap();
    let (mut right, mut count) = (0, 0);
    for fixture in fixtures("en").iter().take(4) {
        let answer = engine.recognise(pcm(fixture.text, fixture.voice), RecogniseOptions::default());
        let transcript = tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap();
        assert_eq!(transcript.task, task);
        right += usize::from(transcript.text() == fixture.text);
        count += 1;
    }
    assert!(engine.shutdown(DEADLINE).await);
    right * 2 > count
}

/// The micro model was trained with the token of one task before the text. With the two tokens swapped in
/// its file it understands only who asks for the other one.
#[tokio::test]
async fn the_task_reaches_whisper() {
    let swapped = write("swapped.bin", ModelFile::read(MODEL).tasks_swapped());
    assert!(understands(MODEL.into(), Task::Transcribe).await);
    assert!(understands(swapped.clone(), Task::Translate).await);
    assert!(!understands(swapped, Task::Transcribe).await);
    assert!(!understands(MODEL.into(), Task::Translate).await);
}

#[tokio::test]
async fn a_model_that_was_not_trained_to_translate_is_refused() {
    let english = write("english.bin", ModelFile::read(MODEL).english_only());
    let turbo = write("turbo.bin", ModelFile::read(MODEL).with_encoder_of(32));
    for (model, says) in [
        (&english, "english.bin cannot translate, it knows English only"),
        (&turbo, "turbo.bin cannot translate: its decoder was cut down"),
    ] {
        let error = Engine::start(options(model.clone(), Task::Translate)).await.err().expect("an error");
        let message = error.to_string();
        assert!(message.contains(says) && message.contains("TASK=transcribe"), "{message}");
    }
    // Transcribing they are taken as they are.
    for model in [english, turbo] {
        let engine = Engine::start(options(model, Task::Transcribe)).await.unwrap();
        let silence = engine.recognise(vec![0.0; 16_000], RecogniseOptions::default()).await;
        assert!(silence.is_ok_and(|transcript| transcript.is_empty()));
        assert!(engine.shutdown(DEADLINE).await);
    }
    assert!(options(MODEL.into(), Task::Translate).check_model().is_ok());
}
