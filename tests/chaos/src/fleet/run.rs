//! Carries out the plan of a fleet.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fake_telegram::Packing;
use stenogram::queue::State;
use stenogram::queue::redis::RedisQueue;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Options;
use super::plan::{Life, Message, Plan};
use super::process::{Lived, Process, STOPPED, clock_library};
use super::report::Report;
use super::world::{Account, World};
use crate::check::{self, Verdict};
use crate::plan::News;
use crate::run::{jobs_of, lock, redis_options};

/// The end has come when no new answer has for so long: a recording is put off for ten minutes at
/// most after workers have died of it.
const STANDSTILL: Duration = Duration::from_secs(675);
/// How long nothing may come after the last answer, for one that is too many.
const QUIET: Duration = Duration::from_secs(5);
const SHOW: Duration = Duration::from_secs(10);
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
/// How many seconds the clocks of the processes are ahead: two minutes lie between the outermost.
/// An account's Telegram has the clock of its gateway, for it refuses clients with another one.
const CLOCKS: [i64; 5] = [60, -60, 0, 30, -45];

fn clock(process: usize) -> i64 {
    if clock_library().is_some() { CLOCKS[process % CLOCKS.len()] } else { 0 }
}
/// What is left in Redis of a recording when all is answered: nothing.
const OF_RECORDINGS: [&str; 4] = [":assignment:", ":recording:", ":stretches:", ":later"];

pub async fn run(options: &Options, home: &Path) -> anyhow::Result<Report> {
    let started = Instant::now();
    let Plan { lives, messages, redis } = Plan::draw(options);
    let planned = lives.iter().map(Vec::len).sum();
    let clocks: Vec<i64> = (0..options.gateways).map(clock).collect();
    let world = Arc::new(World::start(&clocks, options.chats, options.spoken).await?);
    let processes = processes(&world, options, home).await?;
    for (account, gateway) in world.accounts.iter().zip(&processes) {
        settle(account, gateway).await?;
    }
    let (over, ended) = (watch::Sender::new(false), Arc::new(AtomicUsize::new(0)));

    let mut living = JoinSet::new();
    for (process, lives) in processes.iter().cloned().zip(lives) {
        living.spawn(live(process, lives, over.subscribe(), Arc::clone(&ended)));
    }
    let redis_kills = tokio::spawn(kill_redis(Arc::clone(&world), redis));
    let sending = tokio::spawn(send_all(Arc::clone(&world), messages, options.clone(), Arc::clone(&ended)));
    let mut shown = Instant::now();
    while ended.load(Ordering::Relaxed) < planned {
        // None ends before it is told so, unless the harness fails.
        if let Some(outcome) = living.try_join_next() {
            outcome??;
        }
        if shown.elapsed() > SHOW {
            shown = Instant::now();
            show(&world, started, ended.load(Ordering::Relaxed), planned);
        }
        sleep(LOOK).await;
    }
    redis_kills.await??;
    sending.await?;
    let all_killed = started.elapsed();
    drain(&world, options.hurry).await;
    show(&world, started, planned, planned);
    over.send_replace(true);
    let mut lived = Vec::new();
    while let Some(outcome) = living.join_next().await {
        lived.push(outcome??);
    }

    let mut report = Report {
        options: options.clone(),
        minutes: started.elapsed().as_secs_f64() / 60.0,
        drained_after_s: (started.elapsed() - all_killed).as_secs_f64(),
        verdict: verdict(&world),
        clocks: processes.iter().map(|process| (process.name.clone(), process.clock)).collect(),
        ..Report::default()
    };
    lived.into_iter().for_each(|lived| report.add(lived));
    report.redis_kills = options.redis_kills;
    report.left_of_recordings = left_of_recordings(&world);
    report.left_jobs = left_jobs(&world).await?;
    for process in &processes {
        report.read_log(&std::fs::read_to_string(process.log()).context("a process's log")?);
    }
    Ok(report)
}

async fn processes(world: &World, options: &Options, home: &Path) -> anyhow::Result<Vec<Arc<Process>>> {
    let mut processes = Vec::new();
    for number in 0..options.gateways {
        processes.push(world.gateway(number, home, &options.log_level).await?);
    }
    for number in 0..options.workers {
        processes.push(world.worker(number, home, &options.log_level, options.cost).await?);
    }
    processes.iter_mut().enumerate().for_each(|(number, process)| process.clock = clock(number));
    if clock_library().is_none() {
        println!("SKIPPED: clocks that differ: libfaketime is not installed");
    }
    Ok(processes.into_iter().map(Arc::new).collect())
}

/// A first start, for the gateway to learn where in the stream of updates it begins. What is sent
/// before that is older than its first connection ever.
pub async fn settle(account: &Account, gateway: &Process) -> anyhow::Result<()> {
    let mut child = gateway.start(None)?;
    // The first thing it does after storing where it begins.
    let has_begun = |ledger: fake_telegram::Ledger| ledger.count("messages.getDialogs") >= 1;
    let begun = account.telegram.wait_until(SETTLED_WITHIN, has_begun).await;
    begun.ok().context("the gateway does not connect")?;
    let (end, _) = gateway.stop(&mut child).await?;
    anyhow::ensure!(end == STOPPED, "the gateway's first start: {end}");
    Ok(())
}

async fn live(
    process: Arc<Process>,
    lives: Vec<Life>,
    over: watch::Receiver<bool>,
    ended: Arc<AtomicUsize>,
) -> anyhow::Result<Lived> {
    let count = || _ = ended.fetch_add(1, Ordering::Relaxed);
    process.live(lives, over, count).await
}

fn show(world: &World, started: Instant, ended: usize, planned: usize) {
    let (sent, complete) = world.progress();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    println!(
        "{minutes:5.1} min: {ended} of {planned} lives, {sent} messages, {complete} answered or left alone"
    );
}

/// Sends the messages while processes die: so many as lives have ended, and a few more.
async fn send_all(world: Arc<World>, messages: Vec<Message>, options: Options, ended: Arc<AtomicUsize>) {
    let (count, planned) = (messages.len(), options.kills + options.stops);
    let mut again = JoinSet::new();
    for (n, message) in messages.into_iter().enumerate() {
        let share = n as f64 / count as f64;
        let is_due = || planned == 0 || share <= ended.load(Ordering::Relaxed) as f64 / planned as f64 + 0.05;
        while !is_due() {
            sleep(Duration::from_millis(20)).await;
        }
        let account = &world.accounts[message.account];
        let told = account.send(&world.recordings, message.chat, message.kind, message.news);
        if let News::Twice(after) = message.news {
            let telegram = account.telegram.clone();
            again.spawn(async move {
                sleep(after).await;
                telegram.push(&[told], Packing::Separate);
            });
        }
    }
    again.join_all().await;
}

async fn kill_redis(world: Arc<World>, kills: Vec<(Duration, Duration)>) -> anyhow::Result<()> {
    for (pause, down) in kills {
        sleep(pause).await;
        lock(&world.redis).kill();
        sleep(down).await;
        let world = Arc::clone(&world);
        tokio::task::spawn_blocking(move || lock(&world.redis).restart()).await?;
    }
    Ok(())
}

/// Waits until all is answered, and nothing more comes, or nothing has come for long.
async fn drain(world: &World, hurry: bool) {
    let (mut best, mut since, mut shown) = (0, Instant::now(), Instant::now());
    loop {
        let (sent, complete) = world.progress();
        if shown.elapsed() > SHOW {
            shown = Instant::now();
            println!("           waiting: {complete} of {sent}, {} jobs unfinished", unfinished(world));
        }
        if complete > best {
            (best, since) = (complete, Instant::now());
        }
        if hurry {
            world.accounts.iter().for_each(|account| try_again(world, account));
        }
        // What is corrupt counts as complete; it has had its turn when Redis holds no job of it.
        let is_done = complete == sent && unfinished(world) == 0;
        if (is_done && since.elapsed() > QUIET) || since.elapsed() > STANDSTILL {
            return;
        }
        sleep(LOOK).await;
    }
}

/// Whatever of the account was put off is due now.
fn try_again(world: &World, account: &Account) {
    let later = format!("{{stenogram:{}}}:later", account.owner);
    let script =
        "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 0, id) end";
    lock(&world.redis).command::<()>(&["EVAL", script, "1", &later]);
}

/// How many jobs wait, run or are delayed.
fn unfinished(world: &World) -> u64 {
    let of = |account: &Account| {
        let root = format!("{{stenogram:{}}}", account.owner);
        lock(&world.redis).command::<Option<u64>>(&["HGET", &root, "unfinished"]).unwrap_or(0)
    };
    world.accounts.iter().map(of).sum()
}

fn left_of_recordings(world: &World) -> Vec<String> {
    let keys: Vec<String> = lock(&world.redis).command(&["KEYS", "*"]);
    let of_recording = |key: &String| OF_RECORDINGS.iter().any(|part| key.contains(part));
    keys.into_iter().filter(of_recording).collect()
}

/// What is unfinished in the queues.
async fn left_jobs(world: &World) -> anyhow::Result<Vec<String>> {
    let url = lock(&world.redis).url();
    let mut left = Vec::new();
    for account in &world.accounts {
        let queue = RedisQueue::connect(redis_options(url.clone(), account.owner)).await?;
        let (_, entries) = jobs_of(&queue).await?;
        let line = |entry: stenogram::queue::Entry| {
            let state = if entry.state == State::Dead { "dead" } else { "unfinished" };
            format!("{}: {state}: {}", entry.job.id, entry.reason.unwrap_or_default())
        };
        left.extend(entries.into_iter().map(line));
    }
    Ok(left)
}

fn verdict(world: &World) -> Verdict {
    let mut all = Verdict::default();
    for account in &world.accounts {
        let sent = lock(&account.sent);
        all.add(account.telegram.look(|ledger| check::verdict(ledger, account.owner, &sent)));
    }
    all
}
