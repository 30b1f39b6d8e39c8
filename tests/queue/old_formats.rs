//! What earlier versions stored is read: literal bytes of format 1 in both backends, and a file of
//! format 2.

use std::fs;
use std::path::Path;

use redb::{Database, ReadableDatabase as _, TableDefinition, TableHandle as _};
use stenogram::domain::{Answer, Part, Settings, Task};
use stenogram::queue::embedded;
use stenogram::queue::redis::RedisQueue;
use stenogram::queue::{
    Checkpoints as _, JobQueue as _, QueueAdmin as _, QueueError, ResultCache as _, State,
};
use support::redis::RedisServer;

use super::backend::{
    AnyQueue, Backend, OnFile, answer, claim, claim_id, dead, embedded_options, id, is_empty, job, options,
    with_document,
};

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const JOBS: TableDefinition<(i64, i64, i32), &[u8]> = TableDefinition::new("jobs");
const MARKS: TableDefinition<(i64, i64, i32), (u64, &[u8])> = TableDefinition::new("marks");
const MARK_EXPIRY: TableDefinition<(u64, (i64, i64, i32)), ()> = TableDefinition::new("expiry");
const RESULTS: TableDefinition<i64, (u64, &[u8])> = TableDefinition::new("results");
const RESULT_EXPIRY: TableDefinition<(u64, i64), ()> = TableDefinition::new("result_expiry");
const POISON: TableDefinition<i64, (u64, &[u8])> = TableDefinition::new("poison");
const POISON_EXPIRY: TableDefinition<(u64, i64), ()> = TableDefinition::new("poison_expiry");

/// A job as format 1 stored it.
const JOB: &str = r#"{"id":{"account":1000,"chat":1,"message":1},"peer":{"kind":"user","id":1,"access_hash":5},"kind":"voice","document":11,"outgoing":false,"date":1800000000,"duration":3,"size":9000}"#;
/// An answer as format 1 stored it.
const PARTS: &str =
    r#"[{"text":"один","folded":false,"task":"translate"},{"text":"два","folded":true,"task":"translate"}]"#;
/// The documents of a recording that has a result, and of one that is poisonous.
const KNOWN: i64 = 12;
const POISONOUS: i64 = 13;
const END: u64 = u64::MAX / 2;

fn translated() -> Answer {
    let part = |text: &str, folded| Part::message(text.into(), folded);
    let settings = Settings { task: Task::Translate, ..Settings::default() };
    Answer { settings, parts: vec![part("один", false), part("два", true)], origin: None }
}

/// A file of format 1: a claimed job with its answer, a result, and a poisonous recording. The mark
/// is one of `account`.
fn write_file(path: &Path, account: i64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let record = format!(
        r#"{{"job":{JOB},"seq":1,"place":2,"state":"claimed","deliveries":1,"deaths":0,"died":0,"begun":false,"attempts":2,"progress":null,"outbox":{PARTS},"reason":null}}"#
    );
    let database = Database::create(path).unwrap();
    let tx = database.begin_write().unwrap();
    {
        tx.open_table(META).unwrap().insert("format", 1).unwrap();
        tx.open_table(JOBS).unwrap().insert((1000, 1, 1), record.as_bytes()).unwrap();
        let mark = br#"{"answered":{"replies":[8]}}"#.as_slice();
        tx.open_table(MARKS).unwrap().insert((account, 1, 7), (END, mark)).unwrap();
        tx.open_table(MARK_EXPIRY).unwrap().insert((END, (account, 1, 7)), ()).unwrap();
        tx.open_table(RESULTS).unwrap().insert(KNOWN, (END, PARTS.as_bytes())).unwrap();
        tx.open_table(RESULT_EXPIRY).unwrap().insert((END, KNOWN), ()).unwrap();
        let tried = br#"{"account":1000,"chat":9,"message":9}"#.as_slice();
        tx.open_table(POISON).unwrap().insert(POISONOUS, (END, tried)).unwrap();
        tx.open_table(POISON_EXPIRY).unwrap().insert((END, POISONOUS), ()).unwrap();
    }
    tx.commit().unwrap();
}

/// The job that is stored above.
async fn expect_job(queue: &dyn AnyQueue) {
    let claim = claim(queue).await;
    assert_eq!(serde_json::to_string(&claim.job).unwrap(), JOB);
    assert_eq!((claim.attempts, claim.outbox), (2, Some(translated())));
    queue.done(claim.job.id, &[1]).await.unwrap();
}

#[tokio::test]
async fn a_file_of_format_1_is_brought_to_todays() {
    let place = OnFile::new();
    write_file(&place.path(), 1000);
    // Twice: what was brought over stays.
    for chat in [2, 3] {
        let queue = place.open().await;
        if chat == 2 {
            expect_job(&*queue).await;
        }
        let copy = with_document(KNOWN, job(chat, 1));
        assert_eq!(queue.result(&copy).await.unwrap(), Some(translated()));
        queue.add(&with_document(POISONOUS, job(chat, 1))).await.unwrap();
        assert!(is_empty(&*queue).await);
        let reason = dead(&*queue).await.pop().unwrap().reason.unwrap();
        assert!(reason.ends_with("the same recording in 1000:9:9"), "{reason}");
    }
    let database = Database::open(place.path()).unwrap();
    let tx = database.begin_read().unwrap();
    assert_eq!(tx.open_table(META).unwrap().get("format").unwrap().unwrap().value(), 3);
    let tables: Vec<String> = tx.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    assert!(!tables.iter().any(|name| name == "results" || name == "poison_expiry"), "{tables:?}");
}

/// Format 1 does not say whose the results are.
#[tokio::test]
async fn a_file_of_format_1_with_two_accounts_keeps_its_jobs() {
    let place = OnFile::new();
    write_file(&place.path(), 2000);
    let queue = place.open().await;
    expect_job(&*queue).await;
    for document in [KNOWN, POISONOUS] {
        queue.add(&with_document(document, job(document, 1))).await.unwrap();
        assert_eq!(claim_id(&*queue).await, id(document, 1));
        assert_eq!(queue.result(&with_document(document, job(document, 1))).await.unwrap(), None);
    }
}

/// The first versions had neither results nor poison.
#[tokio::test]
async fn a_file_of_format_1_without_the_later_tables_is_opened() {
    let place = OnFile::new();
    write_file(&place.path(), 1000);
    let database = Database::open(place.path()).unwrap();
    let tx = database.begin_write().unwrap();
    for table in ["results", "result_expiry", "poison", "poison_expiry"] {
        let handle = tx.list_tables().unwrap().find(|handle| handle.name() == table).unwrap();
        tx.delete_table(handle).unwrap();
    }
    tx.commit().unwrap();
    drop(database);
    let queue = place.open().await;
    expect_job(&*queue).await;
    queue.add(&job(2, 1)).await.unwrap();
    queue.store_outbox(claim_id(&*queue).await, &answer("x")).await.unwrap();
    assert_eq!(queue.result(&job(2, 1)).await.unwrap(), Some(answer("x")));
}

#[tokio::test]
async fn a_file_of_format_1_can_be_listed_and_is_not_changed() {
    let place = OnFile::new();
    write_file(&place.path(), 1000);
    let before = fs::read(place.path()).unwrap();
    let entries = embedded::entries(place.path()).await.unwrap();
    assert_eq!((entries.len(), entries[0].job.id, entries[0].state), (1, id(1, 1), State::Claimed));
    assert!(fs::read(place.path()).unwrap() == before, "the file was written to");
}

fn set_format(path: &Path, format: u64) {
    let database = Database::open(path).unwrap();
    let tx = database.begin_write().unwrap();
    tx.open_table(META).unwrap().insert("format", format).unwrap();
    tx.commit().unwrap();
}

/// An older program would overlook a preview or a summary, and answer twice.
#[tokio::test]
async fn a_file_of_format_2_is_read_and_then_refused_by_older_programs() {
    let place = OnFile::new();
    let queue = place.open().await;
    queue.add(&job(1, 1)).await.unwrap();
    queue.store_outbox(claim_id(&*queue).await, &answer("x")).await.unwrap();
    drop(queue);
    set_format(&place.path(), 2);
    assert_eq!(embedded::entries(place.path()).await.unwrap().len(), 1);
    let queue = place.open().await;
    assert_eq!(claim(&*queue).await.outbox, Some(answer("x")));
    drop(queue);
    let database = Database::open(place.path()).unwrap();
    let tx = database.begin_read().unwrap();
    assert_eq!(tx.open_table(META).unwrap().get("format").unwrap().unwrap().value(), 3);
}

#[tokio::test]
async fn a_file_of_a_later_format_is_refused() {
    let place = OnFile::new();
    drop(place.open().await);
    set_format(&place.path(), 4);
    let refused = embedded::Embedded::open(place.path(), embedded_options()).await;
    assert!(
        matches!(&refused, Err(QueueError::Configuration(why)) if why.what.contains("format 4")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_queue_of_format_1_in_redis_is_read() {
    let server = RedisServer::start(&[]);
    let root = "{stenogram:1000}";
    let key = |key: &str| format!("{root}:{key}");
    server.command::<()>(&["HSET", root, "format", "1", "places", "1", "unfinished", "1"]);
    let [stored_job, result] = [key("job:1000:1:1"), key("result:12")];
    server.command::<()>(&["HSET", &stored_job, "job", JOB, "document", "11", "state", "waiting"]);
    server.command::<()>(&["HSET", &stored_job, "entry", "1-0", "deliveries", "1", "attempts", "2"]);
    server.command::<()>(&["HSET", &stored_job, "outbox", PARTS]);
    server.command::<()>(&["RPUSH", &key("chat:1"), "1000:1:1"]);
    server.command::<()>(&["XADD", &key("ready"), "1-0", "id", "1000:1:1"]);
    server.command::<()>(&["SET", &result, PARTS, "PX", "1000000"]);
    server.command::<()>(&["ZADD", &key("results"), "4000000000000", "12"]);

    let admin = RedisQueue::attach(options(server.url())).await.unwrap();
    assert_eq!(admin.entries().await.unwrap()[0].job.id, id(1, 1));
    assert_eq!(server.command::<String>(&["HGET", root, "format"]), "1");

    let queue = RedisQueue::connect(options(server.url())).await.unwrap();
    assert_eq!(server.command::<String>(&["HGET", root, "format"]), "5");
    expect_job(&queue).await;
    let copy = with_document(KNOWN, job(2, 1));
    assert_eq!(queue.result(&copy).await.unwrap(), Some(translated()));
    // It is known of which task it is: only an answer of the other one takes its place.
    queue.add(&copy).await.unwrap();
    assert_eq!(claim_id(&queue).await, copy.id);
    for (stored, kept) in
        [(Answer { parts: Vec::new(), ..translated() }, translated()), (answer("one"), answer("one"))]
    {
        queue.store_outbox(copy.id, &stored).await.unwrap();
        assert_eq!(queue.result(&copy).await.unwrap(), Some(kept));
    }
}
