//! What is particular to the queue in a file: its modes, its lock, SIGKILL, damage, a full disk.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redb::{ReadableDatabase, ReadableTableMetadata, TableDefinition};
use stenogram::domain::Task;
use stenogram::queue::embedded::{self, Embedded};
use stenogram::queue::{Added, Checkpoints, Counts, JobQueue, QueueError, State};

use super::backend::{
    ACCOUNT, Backend, LONG, OnFile, answer, claim, claim_id, embedded_options, id, is_empty, job, silence,
    with_document,
};

/// Tells the test binary, started again by itself, which file to work on.
const CHILD: &str = "QUEUE_TEST_CHILD";

async fn open(path: &Path) -> Result<Embedded, QueueError> {
    Embedded::open(path, embedded_options()).await
}

async fn error(path: &Path) -> QueueError {
    open(path).await.expect_err("opened")
}

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let place = OnFile::new();
    drop(place.open().await);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path()), 0o600);
    assert_eq!(mode(place.path().parent().unwrap()), 0o700);

    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o644)).unwrap();
    drop(place.open().await);
    assert_eq!(mode(&place.path()), 0o600);
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let place = OnFile::new();
    let queue = place.open().await;
    queue.add(&job(1, 1)).await.unwrap();
    match error(&place.path()).await {
        QueueError::InUse(why) => assert!(why.remedy.contains("stop the other"), "{why}"),
        other => panic!("{other:?}"),
    }
    // From another process too.
    let mut child = child("refused_child", &place.path()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(claim_id(&*queue).await, id(1, 1));
    drop(queue);
    open(&place.path()).await.unwrap();
}

#[tokio::test]
async fn refused_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    assert!(matches!(error(Path::new(&path)).await, QueueError::InUse(_)));
}

#[tokio::test]
async fn what_is_no_queue_is_named_as_such() {
    let place = OnFile::new();
    drop(place.open().await);
    for content in [b"hello".to_vec(), vec![0; 100_000], b"redb".repeat(50_000)] {
        fs::write(place.path(), content).unwrap();
        match error(&place.path()).await {
            QueueError::Damaged(why) => {
                assert!(why.what.contains(&place.path().display().to_string()), "{why}");
                assert!(why.remedy.contains("move the file away"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let folder = place.path().parent().unwrap().to_owned();
    assert!(matches!(error(&folder).await, QueueError::Configuration(_)));
    assert!(matches!(error(&place.path().join("below a file")).await, QueueError::Configuration(_)));
}

/// A file cut short or with bytes changed is refused, or it is sound; nothing panics or hangs.
#[tokio::test]
async fn a_damaged_file_is_an_error() {
    let place = OnFile::new();
    let queue = place.open().await;
    for chat in 1..=50 {
        queue.add(&job(chat, 1)).await.unwrap();
        claim(&*queue).await;
        queue.store_outbox(id(chat, 1), &answer(&"word ".repeat(500))).await.unwrap();
    }
    drop(queue);
    let sound = fs::read(place.path()).unwrap();
    let mut refused = 0;
    for part in 1..20 {
        fs::write(place.path(), &sound[..sound.len() * part / 20]).unwrap();
        match open(&place.path()).await {
            Ok(queue) => assert_eq!(queue.counts().await.unwrap().waiting, 50),
            Err(QueueError::Damaged(_)) => refused += 1,
            Err(other) => panic!("cut to {part}/20: {other:?}"),
        }
    }
    assert!(refused > 10, "only {refused} of 19 were refused");
    for at in (0..sound.len()).step_by(sound.len() / 40) {
        let mut damaged = sound.clone();
        let end = (at + 64).min(damaged.len());
        damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(place.path(), &damaged).unwrap();
        match open(&place.path()).await {
            Ok(queue) => {
                let _ = queue.claim().await;
                let _ = queue.add(&job(1, 2)).await;
            }
            Err(QueueError::Damaged(_) | QueueError::Configuration(_)) => {}
            Err(other) => panic!("changed at {at}: {other:?}"),
        }
    }
}

/// The copy of an open file is what a power cut leaves. It holds all that was acknowledged.
#[tokio::test]
async fn the_image_of_a_power_cut_is_whole() {
    let (place, image) = (OnFile::new(), OnFile::new());
    drop(image.open().await);
    let queue = place.open().await;
    for chat in 1..=50 {
        queue.add(&job(chat, 1)).await.unwrap();
        fs::copy(place.path(), image.path()).unwrap();
        let counts = image.open().await.counts().await.unwrap();
        assert_eq!(counts, Counts { waiting: chat as u64, ..Counts::default() });
    }
}

/// A power cut in the middle of a commit leaves any part of its sectors written, in any order. Whatever
/// part that is, all that was committed before is there, and the commit happened or did not.
#[tokio::test]
async fn a_torn_commit_loses_nothing_that_was_committed() {
    const SECTOR: usize = 512;
    const CUTS: usize = 40;
    let (place, image) = (OnFile::new(), OnFile::new());
    drop(image.open().await);
    let queue = place.open().await;
    let outbox = answer(&"word ".repeat(300));
    let mut seed: u64 = 0x5eed;
    for chat in 1..=6 {
        queue.add(&job(chat, 1)).await.unwrap();
        queue.store_outbox(claim_id(&*queue).await, &outbox).await.unwrap();
        let before = fs::read(place.path()).unwrap();
        queue.done(id(chat, 1), &[1]).await.unwrap();
        let after = fs::read(place.path()).unwrap();
        let longest = before.len().max(after.len());
        let sector = |file: &[u8], at: usize| {
            let mut sector =
                file.get(at..longest.min(at + SECTOR).min(file.len())).unwrap_or_default().to_vec();
            sector.resize(SECTOR.min(longest - at), 0);
            sector
        };
        let changed: Vec<usize> =
            (0..longest).step_by(SECTOR).filter(|&at| sector(&before, at) != sector(&after, at)).collect();
        assert!(changed.len() > 2, "{changed:?}");
        for cut in 0..CUTS {
            let written: Vec<usize> = if cut < CUTS / 2 {
                // In the order of the file, up to a point.
                changed[..changed.len() * cut / (CUTS / 2)].to_vec()
            } else {
                let mut coin = || {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    seed >> 63 == 1
                };
                changed.iter().copied().filter(|_| coin()).collect()
            };
            let mut torn = before.clone();
            torn.resize(longest, 0);
            for &at in &written {
                let sector = sector(&after, at);
                torn[at..at + sector.len()].copy_from_slice(&sector);
            }
            fs::write(image.path(), &torn).unwrap();
            let found = image.open().await;
            let counts = found.counts().await.unwrap();
            assert!(counts.waiting <= 1 && counts.claimed == 0, "{counts:?} of {written:?}");
            if counts.waiting == 1 {
                let claim = claim(&*found).await;
                assert_eq!((claim.job.id, claim.outbox.as_ref()), (id(chat, 1), Some(&outbox)));
            }
            for known in 1..=chat {
                assert_eq!(found.add(&job(known, 1)).await.unwrap(), Added::Seen, "{known} of {written:?}");
            }
        }
    }
}

/// Listing reads a copy: it needs no lock, and sees whole jobs while somebody writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_can_be_listed_while_it_is_open() {
    let place = OnFile::new();
    assert_eq!(embedded::entries(place.path()).await.unwrap(), []);
    assert!(!place.path().exists());
    let queue = place.open().await;
    let writer = tokio::spawn(async move {
        for message in 1..=300 {
            queue.add(&job(1, message)).await.unwrap();
        }
        queue
    });
    let mut seen = 0;
    while !writer.is_finished() {
        let entries = embedded::entries(place.path()).await.unwrap();
        assert!(entries.len() >= seen, "{} after {seen}", entries.len());
        assert!(entries.iter().enumerate().all(|(n, entry)| entry.job == job(1, n as i32 + 1)));
        seen = entries.len();
    }
    let queue = writer.await.unwrap();
    claim(&*queue).await;
    let entries = embedded::entries(place.path()).await.unwrap();
    assert_eq!(entries, queue.entries().await.unwrap());
    assert_eq!((entries.len(), entries[0].state), (300, State::Claimed));
    let left: Vec<_> = fs::read_dir(place.path().parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

/// What a process that is killed while it makes the file leaves behind.
#[tokio::test]
async fn a_file_half_made_is_made_anew() {
    let place = OnFile::new();
    let folder = place.path().parent().unwrap().to_owned();
    fs::create_dir(folder).unwrap();
    fs::write(place.path().with_extension("redb.new"), vec![0; 5000]).unwrap();
    place.open().await.add(&job(1, 1)).await.unwrap();
    assert_eq!(claim_id(&*place.open().await).await, id(1, 1));
    // An empty file, which someone may have put there for its rights.
    fs::write(place.path(), []).unwrap();
    place.open().await.add(&job(1, 1)).await.unwrap();
}

#[tokio::test]
async fn ended_marks_leave_the_file() {
    const MARKS: TableDefinition<(i64, i64, i32), (u64, &[u8])> = TableDefinition::new("marks");
    let place = OnFile::new();
    let queue = place.open_keeping(Duration::from_millis(1), LONG).await;
    for message in 0..200 {
        queue.add(&job(1, message)).await.unwrap();
        claim(&*queue).await;
        queue.done(id(1, message), &[message]).await.unwrap();
    }
    drop(queue);
    let database = redb::Database::open(place.path()).unwrap();
    let marks = database.begin_read().unwrap().open_table(MARKS).unwrap().len().unwrap();
    assert!(marks < 20, "{marks} marks are left");
}

const RESULTS: TableDefinition<(i64, i64), (u64, &[u8])> = TableDefinition::new("account_results");
const RESULT_EXPIRY: TableDefinition<(u64, (i64, i64)), ()> = TableDefinition::new("account_result_expiry");

#[tokio::test]
async fn a_damaged_result_makes_way_for_a_new_one() {
    let place = OnFile::new();
    drop(place.open().await);
    let key = (ACCOUNT, job(1, 1).recording.document);
    let database = redb::Database::open(place.path()).unwrap();
    let tx = database.begin_write().unwrap();
    let end = u64::MAX / 2;
    tx.open_table(RESULTS).unwrap().insert(key, (end, b"[{".as_slice())).unwrap();
    tx.open_table(RESULT_EXPIRY).unwrap().insert((end, key), ()).unwrap();
    tx.commit().unwrap();
    drop(database);
    let queue = place.open().await;
    queue.add(&job(1, 1)).await.unwrap();
    let id = claim_id(&*queue).await;
    assert!(matches!(queue.result(&job(1, 1)).await, Err(QueueError::Damaged(_))));
    queue.store_outbox(id, &answer("x")).await.unwrap();
    assert_eq!(queue.result(&job(1, 1)).await.unwrap(), Some(answer("x")));
}

const JOBS: TableDefinition<(i64, i64, i32), &[u8]> = TableDefinition::new("jobs");

/// Whatever the damaged job was doing, and whoever stood behind it.
#[tokio::test]
async fn a_damaged_row_costs_its_job_and_no_other() {
    for is_claimed in [false, true] {
        let place = OnFile::new();
        let queue = place.open().await;
        for (chat, message) in [(1, 1), (1, 2), (2, 1), (1, 3)] {
            queue.add(&job(chat, message)).await.unwrap();
        }
        if is_claimed {
            assert_eq!(claim_id(&*queue).await, id(1, 1));
        }
        drop(queue);
        let database = redb::Database::open(place.path()).unwrap();
        let tx = database.begin_write().unwrap();
        for message in [1, 3] {
            tx.open_table(JOBS).unwrap().insert((ACCOUNT, 1, message), &b"{\"job\":"[..]).unwrap();
        }
        tx.commit().unwrap();
        drop(database);
        assert_eq!(embedded::entries(place.path()).await.unwrap().len(), 2);
        let queue = place.open().await;
        for next in [id(2, 1), id(1, 2)] {
            assert_eq!(claim_id(&*queue).await, next);
            queue.done(next, &[]).await.unwrap();
        }
        assert!(is_empty(&*queue).await);
        assert_eq!(queue.counts().await.unwrap(), Counts::default());
        // The message itself may come again.
        assert_eq!(queue.add(&job(1, 1)).await.unwrap(), Added::New);
        drop(queue);
        assert_eq!(claim_id(&*place.open().await).await, id(1, 1));
    }
}

#[tokio::test]
async fn the_oldest_results_make_room() {
    let place = OnFile::new();
    drop(place.open().await);
    let database = redb::Database::open(place.path()).unwrap();
    let tx = database.begin_write().unwrap();
    for document in 1..=10_000 {
        let (key, end) = ((ACCOUNT, document), u64::MAX / 2 + document as u64);
        tx.open_table(RESULTS).unwrap().insert(key, (end, b"[]".as_slice())).unwrap();
        tx.open_table(RESULT_EXPIRY).unwrap().insert((end, key), ()).unwrap();
    }
    tx.commit().unwrap();
    drop(database);
    let queue = place.open().await;
    queue.add(&job(1, 1)).await.unwrap();
    queue.store_outbox(claim_id(&*queue).await, &answer("x")).await.unwrap();
    assert_eq!(queue.result(&job(1, 1)).await.unwrap(), Some(answer("x")));
    let planted = |document| with_document(document, job(1, 2));
    assert_eq!(queue.result(&planted(1)).await.unwrap(), None);
    assert_eq!(queue.result(&planted(2)).await.unwrap(), Some(silence(Task::Transcribe)));
}

/// The test binary started again to run one of its tests on the file.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("queue::embedded::{test}"), "--nocapture"]).env(CHILD, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[tokio::test]
async fn sigkill_loses_nothing_that_was_acknowledged() {
    const KILLS: u32 = 10;
    let place = OnFile::new();
    let mut added = Vec::new();
    let mut done = Vec::new();
    for kill in 0..KILLS {
        let mut child = child("working_child", &place.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        while acknowledged < 20 + kill * 7 {
            acknowledged += u32::from(note(&lines.next().unwrap().unwrap(), &mut added, &mut done));
        }
        child.kill().unwrap();
        for line in lines {
            note(&line.unwrap(), &mut added, &mut done);
        }
        child.wait().unwrap();
    }
    assert!(done.len() > 50);
    let queue = place.open().await;
    for &message in &added {
        assert_eq!(queue.add(&job(1, message)).await.unwrap(), Added::Seen, "{message} is lost");
    }
    // What is left is what was not acknowledged as done, but for one whose answer a kill cut off.
    let mut left = Vec::new();
    while let stenogram::queue::Claimed::Job(claim) = queue.claim().await.unwrap() {
        left.push(claim.job.id.message);
        queue.done(claim.job.id, &[]).await.unwrap();
    }
    assert!(left.iter().all(|message| !done.contains(message)), "done twice");
    let missing = added.iter().filter(|message| !done.contains(message) && !left.contains(message));
    let dead = queue.counts().await.unwrap().dead as usize;
    assert!(missing.count() <= KILLS as usize + dead);
}

/// Takes one line of the working child; false for the test harness's own.
fn note(line: &str, added: &mut Vec<i32>, done: &mut Vec<i32>) -> bool {
    let Some((what, message)) = line.split_once(' ') else { return false };
    let Ok(message) = message.parse() else { return false };
    match what {
        "added" => added.push(message),
        "done" => done.push(message),
        _ => return false,
    }
    true
}

/// Adds jobs and finishes most of them, saying what was acknowledged, until it is killed.
#[tokio::test]
async fn working_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let queue = open(Path::new(&path)).await.unwrap();
    let mut message = (std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() % 1_000_000_000) as i32 * 2;
    loop {
        for _ in 0..3 {
            message += 1;
            if queue.add(&job(1, message)).await.unwrap() == Added::New {
                println!("added {message}");
            }
        }
        for _ in 0..2 {
            let id = claim_id(&queue).await;
            queue.store_outbox(id, &answer("x")).await.unwrap();
            queue.done(id, &[1]).await.unwrap();
            println!("done {}", id.message);
        }
    }
}

/// A limit on the file's size is the full disk that needs no root.
#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let place = OnFile::new();
    let child = child("child_on_a_small_disk", &place.path());
    // The limit is soft, in units of 512 bytes; the signal that comes with it is ignored, as the
    // error is what a full disk gives.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -S -f 1000; exec \"$0\" \"$@\""]);
    limited.arg(child.get_program()).args(child.get_args()).env(CHILD, place.path());
    let mut child = limited.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    expect_line(&mut child, &mut output, "full");
    let lifted = Command::new("prlimit")
        .args(["--pid", &child.id().to_string(), "--fsize=unlimited:unlimited"])
        .status()
        .unwrap();
    assert!(lifted.success());
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    expect_line(&mut child, &mut output, "works");
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(child.wait().unwrap().success());

    let queue = place.open().await;
    assert_eq!(queue.counts().await.unwrap(), Counts { waiting: 1, ..Counts::default() });
    assert_eq!(claim_id(&*queue).await, id(2, 1));
}

fn expect_line(child: &mut Child, output: &mut impl BufRead, expected: &str) {
    for line in output.lines() {
        if line.unwrap() == expected {
            return;
        }
    }
    panic!("the child ended without saying {expected:?}: {:?}", child.wait());
}

#[tokio::test]
async fn child_on_a_small_disk() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let queue = open(Path::new(&path)).await.unwrap();
    queue.add(&job(1, 1)).await.unwrap();
    queue.add(&job(2, 1)).await.unwrap();
    assert_eq!(claim_id(&queue).await, id(1, 1));
    let mut stored = Vec::new();
    let too_much = loop {
        let next = answer(&"x".repeat(20_000 * (stored.len() + 1)));
        match queue.store_outbox(id(1, 1), &next).await {
            Ok(()) => stored.push(next),
            Err(QueueError::Unavailable(_)) => break next,
            Err(other) => panic!("{other:?}"),
        }
    };
    for _ in 0..3 {
        let result = queue.store_outbox(id(1, 1), &too_much).await;
        assert!(matches!(result, Err(QueueError::Unavailable(_))), "{result:?}");
    }
    // Nothing half-done: the job is claimed as before, and reading goes on.
    let counts = queue.counts().await.unwrap();
    assert_eq!(counts, Counts { waiting: 1, claimed: 1, ..Counts::default() });
    println!("\nfull");
    std::io::stdin().read_line(&mut String::new()).unwrap();

    queue.check().await.unwrap();
    queue.store_outbox(id(1, 1), &too_much).await.unwrap();
    queue.release(id(1, 1)).await.unwrap();
    let claim = claim(&queue).await;
    assert_eq!((claim.job.id, claim.delivery, claim.outbox), (id(1, 1), 1, Some(too_much)));
    queue.done(id(1, 1), &[1]).await.unwrap();
    assert_eq!(claim_id(&queue).await, id(2, 1));
    assert!(is_empty(&queue).await);
    println!("\nworks");
}
