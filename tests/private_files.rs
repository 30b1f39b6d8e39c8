//! What the daemon writes can be read by its owner alone, also in folders that were there before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::Home;

const DEADLINE: Duration = Duration::from_secs(90);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("set the mode");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("look at it").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_private_in_folders_that_were_there_and_an_open_env_file_is_reported() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    home.set("LOG_DIR", "log");
    let env_file = home.path().join(".env");
    fs::write(&env_file, "LOG_FORMAT=human\n").expect("write the file");
    fs::create_dir(home.path().join("log")).expect("make the folder");
    let old_log = home.path().join("log/stenogram.2020-01-01.log");
    fs::write(&old_log, "a line\n").expect("write an old log file");
    for (path, bits) in
        [(&env_file, 0o644), (&home.data(), 0o755), (&home.path().join("log"), 0o777), (&old_log, 0o644)]
    {
        set_mode(path, bits);
    }
    let mut daemon = home.start();
    daemon.event("chats_listed", DEADLINE).await;
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/voices/en-1.ogg");
    let recording = fs::read(recording).expect("read a recording");
    telegram.send(Chat::User(FRIEND), Draft::voice(recording, 3));
    daemon.event("heard", DEADLINE).await;
    assert!(daemon.stop().await.0.success());

    assert_eq!((home.count("env_file_readable"), home.count("folder_shared")), (1, 0));
    for folder in [home.data(), home.path().join("log")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        let files: Vec<_> =
            fs::read_dir(&folder).expect("list").map(|entry| entry.expect("list").path()).collect();
        assert!(files.len() >= 2, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    // A folder with somebody else's files keeps its rights.
    set_mode(&env_file, 0o600);
    fs::write(home.path().join("log/syslog"), "").expect("write the file");
    set_mode(&home.path().join("log"), 0o755);
    let mut daemon = home.start();
    daemon.event("folder_shared", DEADLINE).await;
    assert!(daemon.stop().await.0.success());
    assert_eq!((mode(&home.path().join("log")), home.count("env_file_readable")), (0o755, 1));
}
