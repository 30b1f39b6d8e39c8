//! How long a friend waits for an answer while hostile files arrive in two other chats, beside how
//! long without them: the real binary, a Telegram on loopback, the embedded queue.
//!
//! `cargo bench --bench hostile -- [--copies N] [--messages N]`. The files are those that
//! `tests/support/bombs.rs` makes and, where the folder is there, those of `../shared/data`, one of
//! each after the other, N times, and they are sent among the friend's messages. Fails where the
//! longest wait is more than [`WAIT`] above the longest without them, where the daemon needs more
//! than [`MEMORY`] more, and where it takes longer than [`STOP`] to stop in the middle of them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, SAVED_MESSAGES, SECOND_FRIEND, Telegram};
use support::daemon::{Daemon, Home, events};
use support::{bombs, speech};

const WAIT: Duration = Duration::from_secs(3);
/// In KiB.
const MEMORY: u64 = 60_000;
const STOP: Duration = Duration::from_secs(8);
const DEADLINE: Duration = Duration::from_secs(3600);

/// How long each of a friend's messages waited, and the most memory that the daemon held meanwhile, in
/// KiB.
struct Measured {
    times: Vec<Duration>,
    memory: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let copies = argument("--copies", 1);
    let messages = argument("--messages", 10);
    let fixture = &speech::fixtures("en")[0];
    let clip = speech::say(fixture.text, fixture.voice);
    let kinds = files();
    let files: Vec<&Vec<u8>> = std::iter::repeat_n(&kinds, copies).flatten().collect();

    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    home.set("QUEUE_LIMIT", "100000");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    // The first message opens the connection for files.
    wait_for_a_friend(&telegram, &clip).await;

    let alone = measure(&telegram, &daemon, &clip, &vec![&[][..]; messages]).await;
    let start = Instant::now();
    let portion = files.len().div_ceil(messages);
    let mut portions: Vec<_> = files.chunks(portion).collect();
    portions.resize(messages, &[]);
    let beside = measure(&telegram, &daemon, &clip, &portions).await;
    let answered = start.elapsed();
    let expected = files.len() + 2 * messages;
    daemon.logs("an end of each file", DEADLINE, |log| ended(log) > expected).await;
    let all = start.elapsed();
    let refused = daemon.count("rejected");

    send(&telegram, &files);
    daemon.logs("some of the files again", DEADLINE, |log| ended(log) > expected + kinds.len() / 10).await;
    let (status, stopped) = daemon.stop().await;

    println!("a friend's message to its answer, {messages} times each; ms, and MB of the daemon");
    println!("{:40}{:>9}{:>9}{:>9}{:>9}", "", "median", "p95", "longest", "memory");
    for (name, measured) in [("without hostile files", &alone), ("beside them", &beside)] {
        let at = |share: f64| measured.times[((messages - 1) as f64 * share) as usize].as_millis();
        let memory = measured.memory as f64 / 1000.0;
        println!("{name:40}{:9}{:9}{:9}{memory:9.1}", at(0.5), at(0.95), at(1.0));
    }
    println!(
        "{} hostile files, {copies} of each kind: {refused} refused, the last one ended after {:.1} s; the \
         friend's {messages} messages took {:.1} s; stopped in the middle of them after {:.1} s, with {status}",
        files.len(),
        all.as_secs_f64(),
        answered.as_secs_f64(),
        stopped.as_secs_f64()
    );
    let held = beside.times[messages - 1] <= alone.times[messages - 1] + WAIT
        && beside.memory <= alone.memory + MEMORY
        && stopped <= STOP
        && status.success();
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number after this argument.
fn argument(name: &str, default: usize) -> usize {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1);
    value.map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name} wants a number, not {value}"))
    })
}

fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = bombs::bombs().into_iter().map(|(_, bytes)| bytes).collect();
    for folder in ["bombs", "hostile"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
        let Ok(entries) = fs::read_dir(folder) else { continue };
        files.extend(entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")));
    }
    files
}

/// Sends the files into two other chats.
fn send(telegram: &Telegram, files: &[&Vec<u8>]) {
    for (bytes, chat) in files.iter().zip([Chat::User(SECOND_FRIEND), SAVED_MESSAGES].into_iter().cycle()) {
        let draft = Draft::voice((*bytes).clone(), 3);
        telegram.send(chat, if chat == SAVED_MESSAGES { draft.own() } else { draft });
    }
}

/// How many jobs have come to an end.
fn ended(log: &str) -> usize {
    ["rejected", "silent", "answered", "dead_letter"].iter().map(|end| events(log, end).len()).sum()
}

/// Sends a portion of files before each of the friend's messages.
async fn measure(telegram: &Telegram, daemon: &Daemon, clip: &[u8], portions: &[&[&Vec<u8>]]) -> Measured {
    let mut measured = Measured { times: Vec::new(), memory: 0 };
    for portion in portions {
        send(telegram, portion);
        measured.times.push(wait_for_a_friend(telegram, clip).await);
        measured.memory = measured.memory.max(resident(daemon.pid()));
    }
    measured.times.sort_unstable();
    measured
}

/// The memory that a process holds, in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

async fn wait_for_a_friend(telegram: &Telegram, clip: &[u8]) -> Duration {
    let start = Instant::now();
    let message = telegram.send(Chat::User(FRIEND), Draft::voice(clip.to_vec(), 2));
    telegram.wait_for_reply(Chat::User(FRIEND), message, DEADLINE).await.expect("it is answered");
    start.elapsed()
}
