//! What a gateway hands over, and what it makes of what comes back.

use std::sync::Arc;
use std::time::Duration;

use stenogram::domain::{Job, JobId, Progress, Settings, Task};
use stenogram::fleet::{FleetTranscriber, GatewayObserver, GatewayOptions};
use stenogram::jobs::ports::{Transcriber as _, Transcription};
use stenogram::queue::fleet::{Order, Report, Seen};
use stenogram::queue::{CrashRules, JobQueue as _};
use stenogram::speech::OwnersLists;
use stenogram::transcribe::chat_languages::ChatLanguages;
use support::redis::Folder;
use tokio_util::sync::CancellationToken;

use super::store::{Shared, stretch, take};
use crate::queue::backend::{claim_id, job};

struct Nobody;

impl GatewayObserver for Nobody {
    fn workers(&self, _: &[Seen], _: bool) {}

    fn recognised(&self, _: JobId, _: &Report) {}
}

/// What a gateway under these options hands over in the place of `shared`.
fn gateway(shared: &Shared, folder: &Folder, options: GatewayOptions) -> FleetTranscriber {
    let languages = Arc::new(ChatLanguages::open(folder.path().join("languages.json")));
    let shutdown = CancellationToken::new();
    FleetTranscriber::new(shared.assignments(), options, languages, Arc::new(Nobody), shutdown)
}

fn options() -> GatewayOptions {
    GatewayOptions { model: None, task: Task::Transcribe, lists: OwnersLists::default(), budget: 1 << 20 }
}

async fn claimed(shared: &Shared) -> Job {
    let job = job(2000, 1);
    shared.queue.add(&job).await.unwrap();
    assert_eq!(claim_id(&shared.queue).await, job.id);
    job
}

/// In milliseconds.
async fn next(transcription: &mut dyn Transcription) -> Option<u64> {
    transcription.next().await.expect("no fault").map(|progress| progress.until_ms)
}

#[tokio::test]
async fn the_words_of_a_chat_and_the_names_of_its_people_are_handed_over() {
    let (shared, folder) = (Shared::new().await, Folder::new("gateway"));
    let lists = OwnersLists { vocabulary: "Novak".parse().unwrap(), ..OwnersLists::default() };
    let gateway = gateway(&shared, &folder, GatewayOptions { lists, ..options() });
    let job = claimed(&shared).await;
    let settings = Settings {
        vocabulary: "Karl, пятница".parse().unwrap(),
        people: Some("Boris".parse().unwrap()),
        ..Settings::default()
    };
    let _open = gateway.open(&job, &settings, b"recording".to_vec(), &Progress::default()).await.unwrap();
    let order = take(&shared.worker("a")).await.expect("it waits").order;
    assert_eq!(order.vocabulary, ["Novak"]);
    assert_eq!(order.chat_vocabulary.terms(), ["Karl", "пятница"]);
    assert_eq!(order.people.terms(), ["Boris"]);
    // An earlier gateway knows nothing of them.
    let mut earlier = serde_json::to_value(&order).unwrap();
    let fields = earlier.as_object_mut().unwrap();
    assert!(fields.remove("chat_vocabulary").is_some() && fields.remove("people").is_some());
    let earlier: Order = serde_json::from_value(earlier).unwrap();
    assert!(earlier.chat_vocabulary.is_empty() && earlier.people.is_empty());
}

#[tokio::test]
async fn what_was_handed_over_under_another_model_or_other_lists_is_handed_over_again() {
    let (shared, folder) = (Shared::new().await, Folder::new("gateway"));
    let (job, settings, progress) = (claimed(&shared).await, Settings::default(), Progress::default());
    let small = || GatewayOptions { model: Some("small".into()), ..options() };
    let before = gateway(&shared, &folder, small());
    drop(before.open(&job, &settings, b"recording".to_vec(), &progress).await.unwrap());
    assert_eq!(take(&shared.worker("a")).await, None, "it is for another model");
    let same = gateway(&shared, &folder, small());
    assert!(same.resume(&job, &settings, &progress).await.unwrap().is_some());
    let languages = OwnersLists { languages: "ru,en".parse().unwrap(), ..OwnersLists::default() };
    let vocabulary = OwnersLists { vocabulary: "Novak".parse().unwrap(), ..OwnersLists::default() };
    for changed in [
        options(),
        GatewayOptions { lists: languages, ..small() },
        GatewayOptions { lists: vocabulary, ..small() },
    ] {
        let after = gateway(&shared, &folder, changed.clone());
        assert!(after.resume(&job, &settings, &progress).await.unwrap().is_none(), "{changed:?}");
    }
    let after = gateway(&shared, &folder, options());
    let _open = after.open(&job, &settings, b"recording".to_vec(), &progress).await.unwrap();
    assert_eq!(take(&shared.worker("a")).await.expect("it waits for any").job, job.id);
    let small = shared.worker_with("b", Duration::from_secs(60), &["small"], CrashRules::STRICT);
    assert_eq!(take(&small).await, None, "that one is gone");
}

#[tokio::test]
async fn a_stretch_that_is_published_twice_is_passed_on_once() {
    let (shared, folder) = (Shared::new().await, Folder::new("gateway"));
    let gateway = gateway(&shared, &folder, options());
    let (job, progress) = (claimed(&shared).await, Progress::default());
    let mut open = gateway.open(&job, &Settings::default(), b"recording".to_vec(), &progress).await.unwrap();
    let worker = shared.worker("a");
    let lease = take(&worker).await.expect("it waits");
    // The reply to the first one was lost.
    for _ in 0..2 {
        assert!(worker.publish(&lease, &stretch(29_000), false).await.unwrap());
    }
    assert_eq!(shared.standing(job.id).await.stretches, [stretch(29_000)]);
    // As a worker of an earlier version leaves it.
    let list = format!("{{stenogram:{}}}:stretches:{}", job.id.account, job.id);
    shared.command(&["RPUSH", &list, &serde_json::to_string(&stretch(29_000)).unwrap()]);
    assert!(worker.publish(&lease, &stretch(90_000), true).await.unwrap());
    let passed_on = [next(&mut *open).await, next(&mut *open).await, next(&mut *open).await];
    assert_eq!(passed_on, [Some(29_000), Some(90_000), None]);
}
