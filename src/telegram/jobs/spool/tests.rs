//! The spool: what outlives a restart, damage, the budget, what is stale.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::file::{CHUNK_HEAD, HEAD};
use super::*;

const ME: i64 = 1;
const DOCUMENT: i64 = 7;
const CHUNK: usize = 512 << 10;
const SIZE: u64 = 4 * CHUNK as u64;

fn job(message: i32) -> JobId {
    JobId { account: ME, chat: -2, message }
}

fn spool(folder: &Path, limit: u64) -> Spool {
    Spool::open(Some(SpoolOptions { folder: folder.join("spool"), limit }), ME)
}

fn chunk(number: u8) -> Vec<u8> {
    vec![number; CHUNK]
}

fn fill(spool: &Spool, message: i32, chunks: u8) {
    for number in 0..chunks {
        spool.append(job(message), DOCUMENT, u64::from(number) * CHUNK as u64, &chunk(number));
    }
}

fn path(folder: &Path, message: i32) -> PathBuf {
    folder.join(format!("spool/1_-2_{message}"))
}

#[test]
fn a_restart_goes_on_where_the_file_ended() {
    let folder = tempfile::tempdir().unwrap();
    fill(&spool(folder.path(), 1 << 30), 1, 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("spool")), 0o700);
    assert_eq!(mode(&path(folder.path(), 1)), 0o600);
    let spool = spool(folder.path(), 1 << 30);
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), [chunk(0), chunk(1)].concat());
    spool.append(job(1), DOCUMENT, 2 * CHUNK as u64, &chunk(2));
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), [chunk(0), chunk(1), chunk(2)].concat());
    assert_eq!(spool.load(job(2), DOCUMENT, SIZE), b"", "another job");
    spool.remove(job(1));
    assert!(!path(folder.path(), 1).exists());
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
}

#[test]
fn what_is_damaged_is_cut_off_and_costs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let spoilt = |change: &dyn Fn(&mut Vec<u8>)| {
        fill(&spool(folder.path(), 1 << 30), 1, 3);
        let path = path(folder.path(), 1);
        let mut file = fs::read(&path).unwrap();
        change(&mut file);
        fs::write(&path, file).unwrap();
        let spool = spool(folder.path(), 1 << 30);
        let loaded = spool.load(job(1), DOCUMENT, SIZE).len();
        // It can be gone on with.
        spool.append(job(1), DOCUMENT, loaded as u64, &chunk(9));
        let more = spool.load(job(1), DOCUMENT, SIZE).len();
        assert_eq!(more, loaded + CHUNK);
        spool.remove(job(1));
        loaded / CHUNK
    };
    let end = HEAD + 3 * (CHUNK_HEAD + CHUNK);
    assert_eq!(spoilt(&|_| {}), 3);
    assert_eq!(spoilt(&|file| file.truncate(end - 1)), 2);
    assert_eq!(spoilt(&|file| file[end - 1] ^= 1), 2);
    assert_eq!(spoilt(&|file| file[HEAD + CHUNK_HEAD + CHUNK + 2] ^= 0x80), 1);
    assert_eq!(spoilt(&|file| file[HEAD + 5] ^= 1), 0);
    assert_eq!(spoilt(&|file| file[0] ^= 1), 0);
    assert_eq!(spoilt(&|file| file.truncate(3)), 0);
    assert_eq!(spoilt(&|file| file.clear()), 0);
}

#[test]
fn another_document_and_a_short_chunk_in_the_middle_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1 << 30);
    fill(&spool, 1, 2);
    assert_eq!(spool.load(job(1), 8, SIZE), b"");
    assert!(!path(folder.path(), 1).exists());
    spool.append(job(1), DOCUMENT, 0, &[1; 1000]);
    assert_eq!(spool.load(job(1), DOCUMENT, 1000).len(), 1000, "all of it");
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
}

#[test]
fn a_chunk_that_does_not_follow_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1 << 30);
    spool.append(job(1), DOCUMENT, CHUNK as u64, &chunk(1));
    assert!(!path(folder.path(), 1).exists());
    fill(&spool, 1, 1);
    spool.append(job(1), DOCUMENT, 3 * CHUNK as u64, &chunk(3));
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), chunk(0));
}

#[test]
fn the_budget_is_kept_and_the_oldest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 4 * (CHUNK + 100) as u64;
    let size = || -> u64 {
        let files = fs::read_dir(folder.path().join("spool")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let spool = spool(folder.path(), limit);
    fill(&spool, 1, 2);
    fill(&spool, 2, 2);
    fill(&spool, 3, 1);
    assert!(size() <= limit);
    assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"", "the oldest is gone");
    fill(&spool, 4, 9);
    assert!(size() <= limit, "a file alone keeps within it as well");
    assert_eq!(spool.load(job(4), DOCUMENT, SIZE).len(), 4 * CHUNK);
    drop(spool);
    let smaller = self::spool(folder.path(), 0);
    assert_eq!((size(), smaller.load(job(4), DOCUMENT, SIZE).len()), (0, 0));
    fill(&smaller, 1, 1);
    assert_eq!(size(), 0);
}

#[test]
fn stale_files_go_whosever_they_are_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    fill(&spool(folder.path(), 1 << 30), 1, 1);
    fill(&spool(folder.path(), 1 << 30), 2, 1);
    let [of_another, stale_of_another] =
        ["2_-2_1", "2_-2_2"].map(|name| folder.path().join("spool").join(name));
    fs::write(&of_another, "x").unwrap();
    fs::write(&stale_of_another, "x").unwrap();
    let old = SystemTime::now() - STALE_AFTER - Duration::from_secs(60);
    for path in [&path(folder.path(), 1), &stale_of_another] {
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    let spool = spool(folder.path(), 1 << 30);
    assert!(!path(folder.path(), 1).exists() && !stale_of_another.exists() && of_another.exists());
    assert_eq!(spool.load(job(2), DOCUMENT, SIZE), chunk(0));
}

#[test]
fn without_a_folder_nothing_is_kept_and_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spool"), "no folder").unwrap();
    for spool in [spool(folder.path(), 1 << 30), Spool::open(None, ME)] {
        fill(&spool, 1, 2);
        assert_eq!(spool.load(job(1), DOCUMENT, SIZE), b"");
        spool.remove(job(1));
    }
}
