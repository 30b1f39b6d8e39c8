//! The real binary with a clock that Telegram does not accept: it says so, and asks for little.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, Settings, Telegram};
use support::daemon::Home;
use support::speech;

use super::DEADLINE;
use super::http::{free_address, get, get_until};

/// By when the daemon has to say why it does not connect.
const SAYS_WITHIN: Duration = Duration::from_secs(15);
/// What it may send meanwhile, in packets a second.
const MOST: usize = 5;

/// A Telegram whose clock is ahead of this machine's by so many seconds. Its answers take 50 ms.
async fn telegram(clock_ahead: i64) -> Telegram {
    let settings = Settings { clock_ahead, round_trip: Duration::from_millis(50), ..Settings::default() };
    Telegram::builder().settings(settings).start().await.expect("start the loopback Telegram")
}

/// How many packets came within the busiest second.
fn busiest_second(telegram: &Telegram) -> usize {
    let packets = telegram.look(|ledger| ledger.packets().to_vec());
    let within = |start: &Instant| {
        let end = *start + Duration::from_secs(1);
        packets.iter().filter(|packet| *start <= **packet && **packet < end).count()
    };
    packets.iter().map(within).max().unwrap_or(0)
}

#[tokio::test]
async fn one_that_is_ahead_is_named_everywhere_and_costs_little() {
    for (ahead, in_words) in [(60, "1\u{a0}min"), (600, "10\u{a0}min"), (2 * 86_400, "2\u{a0}d 0\u{a0}h")] {
        let telegram = telegram(-ahead - 1).await;
        let mut home = Home::new(&telegram);
        let at = free_address();
        home.set("HEALTH_ADDRESS", &at.to_string());
        let start = Instant::now();
        let mut daemon = home.start();
        let why = "ahead of Telegram's, which refuses messages from over 30 s";
        daemon.event_with("disconnected", why, SAYS_WITHIN).await;
        assert!(start.elapsed() < SAYS_WITHIN);
        // Not only once.
        telegram.wait_until(DEADLINE, |ledger| ledger.count("req_pq_multi") >= 3).await.unwrap();
        assert!(busiest_second(&telegram) <= MOST, "{} packets in a second", busiest_second(&telegram));

        let says = format!("this machine's clock is {in_words} ahead of Telegram's");
        let ready = get_until(at, "/readyz", |answer| answer.body.contains("clock")).await;
        assert_eq!(ready.status, 503);
        let ready = ready.json();
        let of_telegram = |reason: &&serde_json::Value| reason["part"] == "telegram";
        let reason = ready["reasons"].as_array().unwrap().iter().find(of_telegram).unwrap();
        assert!(reason["reason"].as_str().unwrap().contains(&says), "{ready}");
        let page = get(at, "/").await.body.replace("&#39;", "'").replace("&#x27;", "'");
        assert!(page.contains(&says), "{page}");
        let page = get(at, "/?lang=ru").await.body;
        assert!(page.contains("часы этого компьютера спешат на"), "{page}");

        // The owner sets it right.
        telegram.configure(|settings| settings.clock_ahead = 0);
        daemon.event("connected", DEADLINE).await;
        get_until(at, "/readyz", |answer| answer.status == 200).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn one_that_is_behind_connects_and_is_warned_of() {
    for behind in [60, 600, 2 * 86_400] {
        let telegram = telegram(behind).await;
        let home = Home::new(&telegram);
        let mut daemon = home.start();
        daemon.event_with("clock_wrong", "s behind Telegram's", SAYS_WITHIN).await;
        daemon.event_with("clock_wrong", "[clock-wrong]", SAYS_WITHIN).await;
        daemon.event("connected", SAYS_WITHIN).await;
        daemon.stop().await;
    }
}

/// A library that, preloaded into a program, puts its clock forward: by as many seconds as the file
/// CLOCK_OFFSET is long in bytes.
const OTHER_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    struct stat offset;
    const char *path = getenv("CLOCK_OFFSET");
    if (!result && clock == CLOCK_REALTIME && path && !stat(path, &offset)) time->tv_sec += offset.st_size;
    return result;
}
"#;

/// The library, built.
fn other_clock() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    std::fs::write(&source, OTHER_CLOCK).expect("write the source");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.expect("a C compiler, as whisper.cpp needs one").success());
    library
}

#[tokio::test]
async fn one_that_somebody_puts_forward_ends_the_connection_before_anything_is_refused() {
    let telegram = telegram(0).await;
    let mut home = Home::new(&telegram);
    let offset = home.path().join("offset");
    std::fs::write(&offset, "").expect("write the offset");
    home.set("LD_PRELOAD", &other_clock().to_string_lossy());
    home.set("CLOCK_OFFSET", &offset.to_string_lossy());
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    // After this nothing of the start is on its way any more: a request in flight would be repeated
    // until the connection ends.
    telegram.send(Chat::User(FRIEND), Draft::voice(speech::silence(0.5), 1));
    daemon.event("silent", DEADLINE).await;
    let file = std::fs::File::options().write(true).open(&offset).expect("open the offset");
    let before = telegram.look(|ledger| ledger.packets().len());
    file.set_len(3600).expect("put the clock forward");
    daemon.event_with("disconnected", "clock was put forward by 3600 s", SAYS_WITHIN).await;
    daemon.event_with("disconnected", "clock is 3600 s ahead of Telegram's", SAYS_WITHIN).await;
    let since = telegram.look(|ledger| ledger.packets().len()) - before;
    assert!(since <= MOST * 3, "{since} packets");
    file.set_len(0).expect("put it back");
    daemon.events("connected", 2, DEADLINE).await;
    daemon.stop().await;
}
