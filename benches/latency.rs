//! From the push of a voice message to its reply, less its recognition: the real binary, a Telegram
//! on loopback, and either queue.
//!
//! `cargo bench --bench latency`. Fails where a median is above [`BAR`]. The daemon, its queue and
//! Redis keep their files below TMPDIR: on a tmpfs an fsync costs nothing, and the numbers say little.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, Packing, SAVED_MESSAGES, SECOND_FRIEND, Telegram};
use serde_json::Value;
use support::daemon::{Daemon, Home};
use support::redis::{DURABLE, RedisServer};
use support::speech;

const BAR: Duration = Duration::from_millis(50);
/// Messages measured, one after the other.
const MESSAGES: usize = 60;
/// Messages sent before, which find a connection to the files' datacentre yet to be made.
const WARM_UP: usize = 5;
/// Messages sent at once.
const BURST: usize = 15;
/// After a reply the daemon still has to finish the job; nobody sends the next message so soon.
const PAUSE: Duration = Duration::from_millis(200);
/// For one message, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);
/// For all of a burst, whose recognitions add up.
const BURST_DEADLINE: Duration = Duration::from_secs(300);
const CHATS: [Chat; 3] = [Chat::User(FRIEND), Chat::User(SECOND_FRIEND), SAVED_MESSAGES];

/// Where the time of one message went.
const PARTS: [&str; 6] =
    ["heard, queued, claimed", "fetched", "decoded", "stored, sent", "all but recognition", "recognition"];
type Parts = [Duration; PARTS.len()];
const ALL_BUT_RECOGNITION: usize = 4;

/// What one queue gave.
struct Figures {
    messages: Vec<Parts>,
    /// Beyond its recognition, for one message of a burst.
    burst: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let clips: Vec<Vec<u8>> = speech::fixtures("en")
        .iter()
        .filter(|fixture| fixture.text.split(' ').count() <= 3)
        .take(5)
        .map(|fixture| speech::say(fixture.text, fixture.voice))
        .collect();
    assert!(!clips.is_empty());
    let embedded = measure(&clips, None).await;
    let redis = measure(&clips, Some(RedisServer::start(DURABLE))).await;

    println!("{MESSAGES} voice messages one after the other, from the push of the update to the reply; ms");
    println!("{:24}{:>27}{:>27}", "", "embedded queue", "Redis");
    println!("{:24}{1:>9}{2:>9}{3:>9}{1:>9}{2:>9}{3:>9}", "", "p50", "p95", "max");
    for (part, name) in PARTS.iter().enumerate() {
        print!("{name:24}");
        for figures in [&embedded, &redis] {
            for percent in [50, 95, 100] {
                print!("{:9.1}", millis(percentile(&figures.messages, part, percent)));
            }
        }
        println!();
    }
    println!("\n{BURST} at once in {} chats, for each message beyond its recognition; ms", CHATS.len());
    println!("{:24}{:9.1}{:27.1}", "", millis(embedded.burst), millis(redis.burst));

    let median = |figures: &Figures| percentile(&figures.messages, ALL_BUT_RECOGNITION, 50);
    let slowest = median(&embedded).max(median(&redis));
    println!("\nslower median {:.1} ms, bar {} ms", millis(slowest), BAR.as_millis());
    if slowest <= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(clips: &[Vec<u8>], redis: Option<RedisServer>) -> Figures {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    home.set("LOG_FORMAT", "json");
    if let Some(server) = &redis {
        home.set("REDIS_URL", &server.url());
    }
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let drafts = || clips.iter().map(|clip| Draft::voice(clip.clone(), 2)).cycle();

    let mut messages = Vec::new();
    for (number, draft) in drafts().take(WARM_UP + MESSAGES).enumerate() {
        let (to_claim, total) = one(&telegram, draft).await;
        tokio::time::sleep(PAUSE).await;
        let stages = stages(&daemon);
        assert_eq!(stages.len(), number + 1, "every message is recognised");
        let [fetch, decode, recognise] = stages[number];
        let rest = total.saturating_sub(recognise);
        let send = rest.saturating_sub(to_claim + fetch + decode);
        if number >= WARM_UP {
            messages.push([to_claim, fetch, decode, send, rest, recognise]);
        }
    }

    let start = Instant::now();
    let burst = CHATS.into_iter().cycle().zip(drafts()).map(|(chat, draft)| match chat {
        SAVED_MESSAGES => (chat, draft.own()),
        _ => (chat, draft),
    });
    telegram.send_all(burst.take(BURST), Packing::Separate);
    let all = WARM_UP + MESSAGES + BURST;
    telegram
        .wait_until(BURST_DEADLINE, |ledger| ledger.sent().count() == all)
        .await
        .expect("all are answered");
    let took = start.elapsed();
    let recognition: Duration = stages(&daemon).iter().skip(WARM_UP + MESSAGES).map(|stages| stages[2]).sum();
    daemon.stop().await;
    Figures { messages, burst: took.saturating_sub(recognition) / BURST as u32 }
}

/// How long one message took to the first request that works on it, and to its reply.
async fn one(telegram: &Telegram, draft: Draft) -> (Duration, Duration) {
    let calls = telegram.look(|ledger| ledger.calls().len());
    let start = Instant::now();
    let message = telegram.send(CHATS[0], draft);
    telegram.wait_for_reply(CHATS[0], message, DEADLINE).await.expect("it is answered");
    let total = start.elapsed();
    let claimed = telegram.look(|ledger| {
        let mut since = ledger.calls()[calls..].iter();
        since.find(|call| call.method == "messages.getMessages").map(|call| call.at)
    });
    (claimed.expect("its file was asked for") - start, total)
}

/// Fetching, decoding and recognition of every message so far.
fn stages(daemon: &Daemon) -> Vec<[Duration; 3]> {
    let time = |line: &Value, stage: &str| {
        Duration::from_secs_f64(line[stage].as_f64().expect("a stage's time") / 1000.0)
    };
    let log = daemon.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["event"] == "stages")
        .map(|line| ["fetch_ms", "decode_ms", "recognise_ms"].map(|stage| time(&line, stage)))
        .collect()
}

/// The nearest-rank percentile of one part.
fn percentile(messages: &[Parts], part: usize, percent: usize) -> Duration {
    let mut times: Vec<_> = messages.iter().map(|parts| parts[part]).collect();
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100) - 1]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
