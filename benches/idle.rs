//! What the daemon costs while nobody speaks: CPU over a minute, and memory, with either queue.
//!
//! `cargo bench --bench idle`. Fails where the CPU is above [`BAR`].

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, Telegram};
use support::daemon::Home;
use support::redis::{DURABLE, RedisServer};
use support::speech;

/// Of one core.
const BAR: f64 = 0.005;
const MINUTE: Duration = Duration::from_secs(60);
/// After the first answer, for what is still to be written down.
const SETTLE: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(90);
/// A second of silence is decoded but not recognised; this is.
const TEXT: &str = "seven one";

struct Figures {
    /// CPU time over the minute, of one core's.
    cpu: f64,
    /// Resident memory, in bytes.
    resident: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let server = RedisServer::start(DURABLE);
    let (embedded, redis) = tokio::join!(idle(None), idle(Some(&server)));
    let model = fs::metadata(speech::MODEL).expect("the test model").len();
    println!("idle for {} s with the model ({:.1} MiB) loaded", MINUTE.as_secs(), mebibytes(model));
    for (queue, figures) in [("embedded queue", &embedded), ("Redis", &redis)] {
        let Figures { cpu, resident } = figures;
        println!("{queue:16}{:8.3} % of one core{:8.1} MiB resident", cpu * 100.0, mebibytes(*resident));
    }
    println!("bar {} %; the clock's tick of 10 ms is 0.017 %", BAR * 100.0);
    if embedded.cpu.max(redis.cpu) < BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn idle(redis: Option<&RedisServer>) -> Figures {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    if let Some(server) = redis {
        home.set("REDIS_URL", &server.url());
    }
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let message = telegram.send(Chat::User(FRIEND), Draft::voice(speech::say(TEXT, "en-us+m3"), 2));
    telegram.wait_for_reply(Chat::User(FRIEND), message, DEADLINE).await.expect("it is answered");
    tokio::time::sleep(SETTLE).await;

    let (start, before) = (Instant::now(), cpu_time(daemon.pid()));
    assert!(!before.is_zero(), "it has recognised something, so this clock does not run");
    tokio::time::sleep(MINUTE).await;
    let spent = cpu_time(daemon.pid()).saturating_sub(before);
    let cpu = spent.as_secs_f64() / start.elapsed().as_secs_f64();
    let resident = resident(daemon.pid());
    daemon.stop().await;
    Figures { cpu, resident }
}

/// The time that all threads of a process have run for, in user and kernel.
fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon runs");
    // The second field, the name in parentheses, may hold spaces; utime and stime are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks"));
    // USER_HZ is 100 on every Linux that Rust runs on, whatever the kernel's own clock does.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// In bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
