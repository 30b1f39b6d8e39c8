//! How long a friend waits for an answer while hostile files arrive in two other chats, beside how
//! long without them: the real binary, a Telegram on loopback, the embedded queue.
//!
//! `cargo bench --bench hostile`. The files are those that `tests/support/bombs.rs` makes and, where
//! the folder is there, those of `../shared/data`. Fails where the longest wait is more than
//! [`BAR`] above the longest without them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, SAVED_MESSAGES, SECOND_FRIEND, Telegram};
use support::daemon::{Home, events};
use support::{bombs, speech};

const BAR: Duration = Duration::from_secs(3);
/// Messages of the friend, measured one after the other, without the files and beside them.
const ROUNDS: usize = 10;
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> ExitCode {
    let fixture = &speech::fixtures("en")[0];
    let clip = speech::say(fixture.text, fixture.voice);
    let mut files: Vec<Vec<u8>> = bombs::bombs().into_iter().map(|(_, bytes)| bytes).collect();
    let made = files.len();
    for folder in ["bombs", "hostile"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
        let Ok(entries) = fs::read_dir(folder) else { continue };
        files.extend(entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")));
    }

    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let home = Home::new(&telegram);
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    // The first message opens the connection for files.
    wait_for_a_friend(&telegram, &clip).await;

    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(wait_for_a_friend(&telegram, &clip).await);
    }
    for (bytes, chat) in files.iter().zip([Chat::User(SECOND_FRIEND), SAVED_MESSAGES].into_iter().cycle()) {
        let draft = Draft::voice(bytes.clone(), 3);
        telegram.send(chat, if chat == SAVED_MESSAGES { draft.own() } else { draft });
    }
    let mut beside = Vec::new();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        beside.push(wait_for_a_friend(&telegram, &clip).await);
    }
    let answered = start.elapsed();
    let finished = |log: &str| {
        let ends = ["rejected", "silent", "answered", "dead_letter"];
        let jobs: usize = ends.iter().map(|end| events(log, end).len()).sum();
        jobs > files.len() + 2 * ROUNDS
    };
    daemon.logs("an end of each file", DEADLINE, finished).await;
    let all = start.elapsed();
    let log = daemon.log();
    let (status, _) = daemon.stop().await;

    println!("a friend's message to its answer, {ROUNDS} times each; ms");
    println!("{:40}{:>9}{:>9}", "", "median", "longest");
    for (name, times) in [("without hostile files", &mut alone), ("beside them", &mut beside)] {
        times.sort_unstable();
        println!("{name:40}{:9}{:9}", times[ROUNDS / 2].as_millis(), times[ROUNDS - 1].as_millis());
    }
    println!(
        "{} hostile files ({made} of them made here): {} refused, the last one ended after {:.1} s; \
         the friend's {ROUNDS} messages took {:.1} s",
        files.len(),
        events(&log, "rejected").len(),
        all.as_secs_f64(),
        answered.as_secs_f64()
    );
    let held = beside[ROUNDS - 1] <= alone[ROUNDS - 1] + BAR && status.success();
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn wait_for_a_friend(telegram: &Telegram, clip: &[u8]) -> Duration {
    let start = Instant::now();
    let message = telegram.send(Chat::User(FRIEND), Draft::voice(clip.to_vec(), 2));
    telegram.wait_for_reply(Chat::User(FRIEND), message, DEADLINE).await.expect("it is answered");
    start.elapsed()
}
