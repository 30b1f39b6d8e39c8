//! The daemon's log files: written, and no reason to stop where they cannot be.

use std::fs;
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::{Daemon, Home, events};
use support::disk::SmallDisk;
use support::skipped;

const DEADLINE: Duration = Duration::from_secs(60);

async fn home() -> (Telegram, Home) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    home.set("LOG_DIR", "log");
    (telegram, home)
}

/// What is in the files, in the order of days.
fn written(home: &Home) -> String {
    let files = fs::read_dir(home.path().join("log")).unwrap();
    let mut paths: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_daemon_says_is_in_a_file_of_the_day_too_and_other_commands_write_none() {
    let (_telegram, home) = home().await;
    assert!(home.command().arg("models").arg("list").output().unwrap().status.success());
    assert!(!home.path().join("log").exists());
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    assert!(daemon.stop().await.0.success());
    // Either has a time of its own, some microseconds apart.
    let without_times = |lines: String| -> Vec<String> {
        lines.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    assert_eq!(without_times(written(&home)), without_times(home.log()));
    // The next run goes on in the same file.
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    assert!(daemon.stop().await.0.success());
    assert_eq!(events(&written(&home), "starting").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_folder_for_them_the_daemon_says_so_and_runs() {
    let (_telegram, home) = home().await;
    fs::write(home.path().join("log"), "a file").unwrap();
    let mut daemon = home.start();
    daemon.event("log_files_failed", DEADLINE).await;
    daemon.event("connected", DEADLINE).await;
    let ended = daemon.stop().await.0;
    assert_eq!(home.count("log_files_failed"), 1);
    assert!(ended.success(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_full_of_logs_is_told_once_and_stops_nothing() {
    let (telegram, home) = home().await;
    fs::create_dir(home.path().join("log")).unwrap();
    let Some(disk) = SmallDisk::mount(&home.path().join("log")) else {
        skipped("mounting is not permitted here");
        return;
    };
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    disk.fill();
    // What there is of the file's last page is room yet: so much is said that it is not enough.
    let loud = |daemon: &Daemon| daemon.count("log_files_failed") > 0;
    for _ in 0..200 {
        if loud(&daemon) {
            break;
        }
        let before = daemon.log().len();
        daemon.signal(1);
        daemon.logs("something", DEADLINE, |log| log.len() > before).await;
    }
    daemon.event("log_files_failed", DEADLINE).await;
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/voices/en-1.ogg");
    let message = telegram.send(Chat::User(FRIEND), Draft::voice(fs::read(recording).unwrap(), 3));
    telegram.wait_for_reply(Chat::User(FRIEND), message, DEADLINE).await.expect("an answer");
    disk.free();
    daemon.signal(1);
    daemon.event("log_files_restored", DEADLINE).await;
    assert_eq!(daemon.count("log_files_failed"), 1, "{}", daemon.log());
    assert!(daemon.stop().await.0.success());
    assert_eq!(events(&written(&home), "stopped").len(), 1);
}
