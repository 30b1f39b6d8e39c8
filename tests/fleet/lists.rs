//! A worker recognises under the lists of the recording's owner, not its own.

use std::sync::Arc;

use stenogram::domain::Languages;
use stenogram::speech::{Engine, EngineOptions, OwnersLists, RecogniseOptions};
use support::speech::{ALONE, MODEL, pcm};

#[tokio::test(flavor = "multi_thread")]
async fn the_languages_are_those_of_the_owner() {
    let _alone = ALONE.lock().await;
    let options = EngineOptions { model: MODEL.into(), ..EngineOptions::default() };
    let engine = Engine::start(options).await.expect("start the engine");
    let speech = pcm("один два три четыре пять", "ru");
    for (listed, others, expected) in [("ru,en", true, "ru"), ("en", false, "en"), ("ru", false, "ru")] {
        let listed = listed.split(',').map(|code| code.parse().unwrap()).collect();
        let languages = Languages { listed, others };
        let lists = Some(Arc::new(OwnersLists { languages, ..OwnersLists::default() }));
        let options = RecogniseOptions { lists, ..RecogniseOptions::default() };
        let transcript = engine.recognise(speech.clone(), options).await.expect("a transcript");
        assert_eq!(transcript.language.map(|language| language.as_str()), Some(expected));
    }
}
