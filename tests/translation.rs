//! The two tasks, on the real whisper.cpp with the micro model.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use stenogram::domain::{Fault, LanguageCode, Languages, Task};
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
        languages: Languages { listed: vec![LanguageCode::ENGLISH], others: false },
        task,
        ..EngineOptions::default()
    }
}

/// Whether the model understands most of what it is known to understand when it is asked for this task.
async fn understands(engine: &Engine, task: Task) -> bool {
    let (mut right, mut count) = (0, 0);
    for fixture in fixtures("en").iter().take(4) {
        let options = RecogniseOptions { task, ..RecogniseOptions::default() };
        let answer = engine.recognise(pcm(fixture.text, fixture.voice), options);
        let transcript = tokio::time::timeout(DEADLINE, answer).await.expect("in time").unwrap();
        assert_eq!(transcript.task, task);
        right += usize::from(transcript.text() == fixture.text);
        count += 1;
    }
    right * 2 > count
}

/// The micro model was trained with the token of one task before the text. With the two tokens swapped in
/// its file it understands only who asks for the other one. One engine serves both tasks, in any order.
#[tokio::test]
async fn the_task_of_each_recording_reaches_whisper() {
    let swapped = write("swapped.bin", ModelFile::read(MODEL).tasks_swapped());
    for (model, understood) in [(MODEL.into(), Task::Transcribe), (swapped, Task::Translate)] {
        let engine = Engine::start(options(model, Task::Transcribe)).await.unwrap();
        for task in [Task::Transcribe, Task::Translate, Task::Transcribe] {
            assert_eq!(understands(&engine, task).await, task == understood, "{task:?}");
        }
        assert!(engine.shutdown(DEADLINE).await);
    }
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
    // They are accepted for transcribing; a recording that is to be translated fails alone.
    for model in [english, turbo] {
        let engine = Engine::start(options(model, Task::Transcribe)).await.unwrap();
        let silence = engine.recognise(vec![0.0; 16_000], RecogniseOptions::default()).await;
        assert!(silence.is_ok_and(|transcript| transcript.is_empty()));
        let translate = RecogniseOptions { task: Task::Translate, ..RecogniseOptions::default() };
        let error = engine.recognise(vec![0.0; 16_000], translate).await.unwrap_err();
        let Fault::Reject(why) = error.into() else { panic!("it would end the daemon, or be tried again") };
        assert!(
            why.contains("TASK=translate") && why.contains("for which the model was not trained"),
            "{why}"
        );
        assert!(engine.shutdown(DEADLINE).await);
    }
    assert!(options(MODEL.into(), Task::Translate).check_model().is_ok());
}
