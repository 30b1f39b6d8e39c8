//! Large files over a restart: the real binary, which is killed while it fetches one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::{Daemon, Home};
use support::disk::SmallDisk;
use support::speech::stuffed;

const DEADLINE: Duration = Duration::from_secs(120);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const LARGE: usize = 15_000_000;
const PART: usize = 512 << 10;
const PARTS: usize = LARGE.div_ceil(PART);

struct World {
    telegram: Telegram,
    home: Home,
}

impl World {
    /// Where each part of a file takes a while.
    async fn new() -> Self {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        telegram.configure(|settings| settings.round_trip = Duration::from_millis(100));
        let home = Home::new(&telegram);
        Self { telegram, home }
    }

    fn sends_a_large_one(&self) -> i32 {
        let ogg = fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message");
        self.telegram.send(FRIENDS_CHAT, Draft::voice(stuffed(&ogg, LARGE), 2))
    }

    async fn connects(&self) -> Daemon {
        let mut daemon = self.home.start();
        daemon.event("connected", DEADLINE).await;
        daemon
    }

    /// Sends a large one, and kills the daemon half way through.
    async fn is_killed_half_way(&self) -> i32 {
        let daemon = self.connects().await;
        let message = self.sends_a_large_one();
        let half = self.telegram.wait_until(DEADLINE, |ledger| ledger.count("upload.getFile") >= PARTS / 2);
        if let Err(late) = half.await {
            panic!("{late}\n{}", self.home.log());
        }
        daemon.kill();
        message
    }

    async fn is_answered(&self, message: i32) {
        if let Err(late) = self.telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await {
            panic!("{late}\n{}", self.home.log());
        }
    }

    /// How many parts of files were asked for so far.
    fn asked(&self) -> usize {
        self.telegram.look(|ledger| ledger.count("upload.getFile"))
    }

    fn spool(&self) -> PathBuf {
        self.home.data().join("spool")
    }

    fn spooled(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.spool()) else { return Vec::new() };
        files.map(|file| file.expect("a file of the spool").path()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_half_way_a_tenth_of_a_file_is_asked_for_again_at_most() {
    let world = World::new().await;
    let message = world.is_killed_half_way().await;
    let [file] = &world.spooled()[..] else { panic!("{:?}", world.spooled()) };
    let mode = |path: &PathBuf| fs::metadata(path).expect("its rights").permissions().mode() & 0o777;
    assert_eq!((mode(&world.spool()), mode(file)), (0o700, 0o600));
    let mut daemon = world.home.start();
    daemon.event("download_resumed", DEADLINE).await;
    world.is_answered(message).await;
    daemon.event("answered", DEADLINE).await;
    let again = world.asked() - PARTS;
    assert!(again <= PARTS / 10, "{again} of {PARTS} parts again");
    assert_eq!(world.spooled(), [""; 0].map(PathBuf::from), "it is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_the_spool_costs_only_what_is_damaged() {
    let world = World::new().await;
    let message = world.is_killed_half_way().await;
    let [path] = &world.spooled()[..] else { panic!("{:?}", world.spooled()) };
    let mut file = fs::read(path).expect("the file");
    let middle = file.len() / 2;
    file[middle] ^= 1;
    fs::write(path, file).expect("damage it");
    let _daemon = world.home.start();
    world.is_answered(message).await;
    let again = world.asked() - PARTS;
    assert!((PARTS / 5..=PARTS / 3).contains(&again), "{again} of {PARTS} parts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_budget_nothing_is_written() {
    let mut world = World::new().await;
    world.home.set("SPOOL_LIMIT", "0");
    let message = world.is_killed_half_way().await;
    assert!(!world.spool().exists());
    let daemon = world.home.start();
    world.is_answered(message).await;
    assert_eq!(daemon.count("download_resumed"), 0);
    assert!(world.asked() >= PARTS + PARTS / 2 - 1, "{}", world.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_goes_on_without() {
    let world = World::new().await;
    fs::create_dir(world.spool()).expect("make the folder");
    let Some(_disk) = SmallDisk::mount(&world.spool()) else {
        support::skipped("mounting is not permitted here");
        return;
    };
    let mut daemon = world.connects().await;
    let message = world.sends_a_large_one();
    daemon.event_with("spool_unusable", "[disk-full]", DEADLINE).await;
    world.is_answered(message).await;
}
