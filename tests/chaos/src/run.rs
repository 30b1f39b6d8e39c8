//! Carries out a plan.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use fake_telegram::{
    Action, Call, Chat, Dedupe, Draft, Fault, OWNER, Packing, Settings, Telegram, User, write_session,
};
use stenogram::domain::{DocumentFormats, Documents, Form, Settings as StenogramSettings};
use stenogram::queue::embedded::{self, Embedded, EmbeddedOptions};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{Counts, CrashRules, Entry, JobQueue, QueueAdmin, State};
use support::mtproxy::Disguise;
use support::proxy::{Kind as KindOfProxy, ProxyServer};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::check::{self, Sent};
use crate::daemon::{DOCUMENT_FROM, Daemon, Home, by_kill};
use crate::plan::{CHATS_OF_COMMANDS, End, KILLS_IN_A_BURST, Life, LinkEvent, Message, News, Plan, Trouble};
use crate::proxy::Proxy;
use crate::recordings::{Kind, Recordings};
use crate::redis_server::{DURABLE, RedisServer};
use crate::report::{Left, LifeRecord, Report, STOPPED};
use crate::{Options, ProxyKind};

/// A planned crash has no job to come with where the daemon has got on with none for so long:
/// longer than any FLOOD_WAIT. How many it gets through by then is up to the machine.
const CRASH_WITHIN: Duration = Duration::from_secs(4);
/// A daemon that gets on for so long without its crash is past it.
const CRASH_AT_ALL_WITHIN: Duration = Duration::from_secs(60);
/// Lives after the planned ones at most, for crashes that still have had no job to come with, and
/// the messages of each: as many as its crash needs. The short tier has a message left after all of
/// them.
const EXTRA_LIVES: usize = 7;
const EXTRA_MESSAGES: usize = 2;
/// The end has come when no new answer has for so long: longer than any pause that the daemon makes
/// by itself. A job is put off for ten minutes at most after processes have died over it.
const STANDSTILL: Duration = Duration::from_secs(675);
/// How long a calm is at most: longer than jobs are put off after a burst.
const CALM: Duration = Duration::from_secs(100);
/// How often the queue is looked into meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Longer than a dead connection may go unnoticed, and the pause before the first new try.
const CONNECTED_WITHIN: Duration = Duration::from_secs(120);
const SETTLED: Duration = Duration::from_millis(300);
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Requests for jobs come at least this often while there is something to do: the daemon polls its
/// queue every 5 s.
const QUIET: Duration = Duration::from_secs(8);
/// But not while the daemon waits for an answer that was lost: it gives up after 30 s.
const QUIET_UNANSWERED: Duration = Duration::from_secs(35);
const POLL: Duration = Duration::from_millis(20);
const FIRST_USER: i64 = 10_000;
/// Clients reach the proxies here, the proxies reach the servers at the same ports of 127.0.0.1.
const WIRE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What the tasks of a run share.
struct World {
    telegram: Telegram,
    wires: Vec<Proxy>,
    recordings: Recordings,
    /// Whether there are rules.
    rules: bool,
    sent: Mutex<Vec<Sent>>,
    /// What is to be recognised again once it is answered, and what then.
    again: Mutex<Vec<(Chat, i32, Kind)>>,
    redis: Option<Mutex<RedisServer>>,
    redis_kills: AtomicUsize,
    /// Held by whoever has a hand on the wire.
    wire: tokio::sync::Mutex<()>,
    /// While the wire or Redis was not well.
    outages: Mutex<Vec<(Instant, Instant)>>,
    reconnects: Mutex<Vec<(Trouble, Option<Duration>)>>,
    cuts: AtomicUsize,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a proxy that leads to the wires, and runs as long as the harness. Its URL.
fn start_proxy(kind: ProxyKind, telegram: &Telegram) -> String {
    let proxy = ProxyServer::start(
        match kind {
            ProxyKind::Socks5 => KindOfProxy::Socks5,
            ProxyKind::Http => KindOfProxy::Http,
            ProxyKind::Mtproxy => KindOfProxy::MtProxy(Disguise::Tls),
        },
        None,
    );
    for dc in telegram.session().dcs {
        proxy.lead(format!("dc {}", dc.id), dc.ipv4.into());
    }
    proxy.url()
}

pub async fn run(options: &Options, folder: &Path) -> anyhow::Result<Report> {
    let started = Instant::now();
    let plan = Plan::draw(options);
    let faults = plan.faults.len() + plan.lives.iter().map(|life| life.faults.len()).sum::<usize>();
    let world = Arc::new(World::start(options, plan.spoken).await?);
    let redis_url = world.redis.as_ref().map(|redis| lock(redis).url());
    let proxy = options.proxy.map(|kind| start_proxy(kind, &world.telegram));
    let home = Home::new(folder, options, redis_url.clone(), proxy);
    std::fs::create_dir(home.data())?;
    write_session(&home.data().join("account.session"), &world.telegram.session())?;

    let mut lives = Lives {
        world: Arc::clone(&world),
        home,
        tasks: JoinSet::new(),
        redis_kills: JoinSet::new(),
        records: Vec::new(),
        owed: Vec::new(),
        killed: Vec::new(),
    };
    let mut shown = Instant::now();
    let planned = plan.lives.len();
    let mut tail = plan.tail;
    lives.settle().await?;
    plan.faults.into_iter().for_each(|fault| world.telegram.fault(fault));
    for (number, life) in plan.lives.into_iter().enumerate() {
        lives.live(life).await?;
        if shown.elapsed() > Duration::from_secs(10) || number + 1 == planned {
            shown = Instant::now();
            let (sent, complete) = world.progress();
            let minutes = started.elapsed().as_secs_f64() / 60.0;
            println!(
                "{minutes:5.1} min: life {} of {planned}, {sent} messages, {complete} answered or left alone",
                number + 1
            );
        }
    }
    for _ in 0..EXTRA_LIVES {
        let Some((point, pass)) = lives.owed.pop() else { break };
        let messages = tail.drain(..EXTRA_MESSAGES.min(tail.len())).collect();
        let pass = pass.min(EXTRA_MESSAGES as u32);
        lives.live(Life { end: End::Crash { point, pass }, messages, ..Life::default() }).await?;
    }
    let all_killed = started.elapsed();
    let last = lives.last(tail).await?;
    let Lives { home, records, owed, killed, .. } = lives;

    let (counts, entries) = jobs_left(&home, redis_url).await?;
    let left =
        Left { waiting: counts.waiting, claimed: counts.claimed, delayed: counts.delayed, dead: counts.dead };
    let dead = entries.into_iter().filter(|entry| entry.state == State::Dead);
    let dead = dead.map(|entry| format!("{}: {}", entry.job.id, entry.reason.unwrap_or_default()));
    let log = std::fs::read_to_string(home.log()).context("the daemon's log")?;
    let unstruck: usize = world
        .telegram
        .look(|ledger| ledger.faults().iter().map(|fault| fault.times.unwrap_or(0) as usize).sum());
    let mut report = Report {
        options: options.clone(),
        minutes: started.elapsed().as_secs_f64() / 60.0,
        drained_after_s: (started.elapsed() - all_killed).as_secs_f64(),
        verdict: world.telegram.look(|ledger| check::verdict(ledger, OWNER, &lock(&world.sent))),
        suppressed: world.telegram.look(|ledger| ledger.suppressed()),
        left,
        dead: dead.collect(),
        redis_kills: world.redis_kills.load(Ordering::Relaxed),
        cuts: world.cuts.load(Ordering::Relaxed),
        faults_struck: faults - unstruck,
        faults_planned: faults,
        crashes_missed: owed.len(),
        spoken: plan.spoken,
        asked_again: lock(&world.sent).iter().filter(|sent| sent.again).count(),
        bursts_s: bursts(&killed),
        stop: last.status.map_or("not in time, killed".to_owned(), |status| status.to_string()),
        stopped_after_s: last.took.as_secs_f64(),
        lives: records,
        ..Report::default()
    };
    report.time(&lock(&world.reconnects));
    report.weigh(&last.rss_kib);
    report.read_log(&log);
    Ok(report)
}

const DAY: Duration = Duration::from_secs(86_400);

/// What the daemon, which has ended, left in its queue.
async fn jobs_left(home: &Home, redis_url: Option<String>) -> anyhow::Result<(Counts, Vec<Entry>)> {
    match redis_url {
        None => {
            let crashes = CrashRules::default();
            let options = EmbeddedOptions { dedupe_ttl: DAY, result_ttl: DAY, crashes };
            jobs_of(&Embedded::open(home.queue(), options).await?).await
        }
        Some(url) => jobs_of(&RedisQueue::connect(redis_options(url, OWNER)).await?).await,
    }
}

pub async fn jobs_of(queue: &(impl JobQueue + QueueAdmin)) -> anyhow::Result<(Counts, Vec<Entry>)> {
    Ok((queue.counts().await?, queue.entries().await?))
}

pub fn redis_options(url: String, account: i64) -> RedisOptions {
    RedisOptions {
        server: ServerOptions::of_url(url),
        account,
        dedupe_ttl: DAY,
        result_ttl: DAY,
        crashes: CrashRules::default(),
        timeout: Duration::from_secs(5),
    }
}

/// Seconds from the first kill of each burst to its last.
fn bursts(killed: &[Instant]) -> Vec<f64> {
    let span = |burst: &[Instant]| (burst[burst.len() - 1] - burst[0]).as_secs_f64();
    killed.chunks(KILLS_IN_A_BURST).map(span).collect()
}

impl World {
    async fn start(options: &Options, spoken: usize) -> anyhow::Result<Self> {
        let dedupe = if options.dedupe { Dedupe::GiveFirst } else { Dedupe::Off };
        let settings = Settings { dedupe, ..Settings::default() };
        let telegram = Telegram::builder().settings(settings).advertise(WIRE.into()).start().await?;
        let mut wires = Vec::new();
        for dc in [2, 4] {
            let (address, _) = telegram.datacentre(dc).context("there are two datacentres")?;
            let server = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
            wires.push(Proxy::start(address, server).await.context("listen on 127.0.0.2")?);
        }
        for number in 0..options.chats + CHATS_OF_COMMANDS {
            let id = FIRST_USER + number as i64;
            telegram.add_user(User { id, name: format!("Friend {number}"), bot: false });
        }
        Ok(Self {
            telegram,
            wires,
            recordings: Recordings::new(spoken.min(12), false)?,
            rules: options.rules,
            sent: Mutex::default(),
            again: Mutex::default(),
            redis: options.redis_queue().then(|| Mutex::new(RedisServer::start(DURABLE))),
            redis_kills: AtomicUsize::new(0),
            wire: tokio::sync::Mutex::default(),
            outages: Mutex::default(),
            reconnects: Mutex::default(),
            cuts: AtomicUsize::new(0),
        })
    }

    fn progress(&self) -> (usize, usize) {
        let sent = lock(&self.sent);
        (sent.len(), self.telegram.look(|ledger| check::complete(ledger, OWNER, &sent)))
    }

    /// Sends `message` now.
    fn send(&self, message: &Message) -> (Chat, i32) {
        let recording = self.recordings.make(message.kind, self.settings(message.own));
        let chat = Chat::User(FIRST_USER + message.chat as i64);
        // The books are closed meanwhile, lest an answer is counted whose message is not in them.
        let mut sent = lock(&self.sent);
        let tell = |draft| match message.news {
            News::Never => self.telegram.send_silently(chat, draft),
            News::Once | News::Twice(_) => self.telegram.send(chat, draft),
        };
        let (id, told) = if message.asked {
            let file = tell(Draft::music(recording.ogg, 1));
            (file, tell(Draft::text(".t").own().reply_to(file)))
        } else {
            let draft = Draft::voice(recording.ogg, 1);
            let voice = tell(if message.own { draft.own() } else { draft });
            (voice, voice)
        };
        sent.push(Sent { chat, message: id, answer: recording.answer, own: message.own, again: false });
        if message.again {
            lock(&self.again).push((chat, id, Kind::Tone(id as u64)));
        }
        (chat, told)
    }

    /// The settings under which a message is answered.
    fn settings(&self, own: bool) -> StenogramSettings {
        if !self.rules {
            return StenogramSettings::default();
        }
        StenogramSettings {
            form: if own { Form::Caption } else { Form::Replies },
            documents: Documents { from: DOCUMENT_FROM, formats: DocumentFormats::Txt },
            ..StenogramSettings::default()
        }
    }

    /// Has the owner ask for another text of what is answered, if the job that answered it has ended,
    /// so that the command is not refused: a later message of its chat is answered too, or nothing
    /// is left to do. Returns whether there was anything to ask for.
    fn ask_again(&self, nothing_left: bool) -> bool {
        let (mut waiting, mut sent) = (lock(&self.again), lock(&self.sent));
        let before = waiting.len();
        if before == 0 {
            return false;
        }
        let ended = self.telegram.look(|ledger| check::ended(ledger, OWNER, &sent));
        waiting.retain(|(chat, message, kind)| {
            if !nothing_left && !ended.contains(&(*chat, *message)) {
                return true;
            }
            let known = sent.iter_mut().find(|sent| (sent.chat, sent.message) == (*chat, *message));
            let known = known.expect("what has ended was sent");
            let recording = self.recordings.make(*kind, self.settings(known.own));
            self.telegram.replace_file(*chat, *message, recording.ogg);
            (known.answer, known.again) = (recording.answer, true);
            self.telegram.send(*chat, Draft::text(".again").own().reply_to(*message));
            false
        });
        waiting.len() < before
    }

    /// Sends each when its time has come.
    async fn send_all(self: Arc<Self>, messages: Vec<Message>) {
        let start = Instant::now();
        let mut again = JoinSet::new();
        for message in messages {
            sleep((start + message.at.unwrap_or_default()).saturating_duration_since(Instant::now())).await;
            let told = self.send(&message);
            if let News::Twice(after) = message.news {
                let world = Arc::clone(&self);
                again.spawn(async move {
                    sleep(after).await;
                    world.telegram.push(&[told], Packing::Separate);
                });
            }
        }
        again.join_all().await;
    }

    /// Redis dies, and comes back after `down`. One death at a time.
    fn kill_redis(&self, down: Duration) {
        let Some(redis) = &self.redis else { return };
        let mut redis = lock(redis);
        let from = Instant::now();
        redis.kill();
        std::thread::sleep(down); // on a thread of its own, see the caller
        redis.restart();
        self.redis_kills.fetch_add(1, Ordering::Relaxed);
        lock(&self.outages).push((from, Instant::now()));
    }

    /// One trouble at a time. Returns when the wire is well again.
    async fn trouble(&self, trouble: Trouble) {
        let each = |what: &dyn Fn(&Proxy)| self.wires.iter().for_each(what);
        let from = Instant::now();
        match trouble {
            Trouble::Cut(time) => {
                each(&Proxy::close);
                sleep(time).await;
                each(&Proxy::open);
            }
            Trouble::Stall(time) => {
                each(&|wire| wire.stall(true));
                sleep(time).await;
                each(&|wire| wire.stall(false));
            }
            Trouble::HalfOpen => each(&Proxy::half_open),
            Trouble::Slow(delay, time) => {
                each(&|wire| wire.delay(delay));
                sleep(time).await;
                each(&|wire| wire.delay(Duration::ZERO));
            }
        }
        lock(&self.outages).push((from, Instant::now()));
        if matches!(trouble, Trouble::Cut(_) | Trouble::Stall(_)) {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the client that started then has introduced itself over a connection that still
    /// lives, and has had time to hear the answer. False if that never happens.
    async fn is_connected(&self, calls: usize, started: Instant) -> bool {
        while started.elapsed() < CONNECTED_WITHIN {
            if let Some(born) = self.wires[0].newest() {
                let introduced = |call: &Call| {
                    call.method == "updates.getState" && call.at >= born && call.at.elapsed() > SETTLED
                };
                let own = |calls: &[Call]| calls.iter().any(introduced);
                if self.telegram.look(|ledger| own(ledger.calls().get(calls..).unwrap_or_default())) {
                    return true;
                }
            }
            sleep(POLL).await;
        }
        false
    }

    /// Waits until a client introduces itself after the first `calls` calls. It does so once for
    /// each connection to its home datacentre.
    async fn introduced(&self, calls: usize, since: Instant) -> Option<Duration> {
        loop {
            let at = self.telegram.look(|ledger| {
                let new = ledger.calls().get(calls..).unwrap_or_default();
                new.iter()
                    .find(|call| call.method == "updates.getState" && call.at >= since)
                    .map(|call| call.at)
            });
            match at {
                Some(at) => return Some(at - since),
                None if since.elapsed() > CONNECTED_WITHIN => return None,
                None => sleep(POLL).await,
            }
        }
    }

    /// Waits until a client has sent so many messages after the first `calls` calls.
    async fn sends(&self, calls: usize, wanted: u32) {
        let enough = |sends: usize| sends >= wanted as usize;
        let sends = |calls: &[Call]| calls.iter().filter(|call| is_a_send(call)).count();
        while !enough(self.telegram.look(|ledger| sends(ledger.calls().get(calls..).unwrap_or_default()))) {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the daemon that started after the first `calls` calls has asked for nothing for
    /// a job for [`CRASH_WITHIN`], from `begun` on.
    async fn stands_still(&self, calls: usize, begun: Instant) {
        loop {
            let last = self.telegram.look(|ledger| {
                let own = ledger.calls().get(calls..).unwrap_or_default();
                own.iter().rfind(|call| is_for_a_job(call)).map_or(begun, |call| call.at.max(begun))
            });
            let until = (last + CRASH_WITHIN).min(begun + CRASH_AT_ALL_WITHIN);
            if until <= Instant::now() {
                return;
            }
            sleep(until - Instant::now()).await;
        }
    }

    /// Answers that Telegram has yet to lose without a word.
    fn answers_to_lose(&self) -> usize {
        let silent = |fault: &&Fault| fault.times != Some(0) && matches!(fault.action, Action::LoseAnswer);
        self.telegram.look(|ledger| ledger.faults().iter().filter(silent).count())
    }

    fn calls(&self) -> usize {
        self.telegram.look(|ledger| ledger.calls().len())
    }

    /// Takes away what has not gone wrong yet, for a while in which the daemon has to get on.
    fn hold_faults(&self) -> Vec<Fault> {
        let pending = |fault: &&Fault| fault.times != Some(0);
        let held = self.telegram.look(|ledger| ledger.faults().iter().filter(pending).cloned().collect());
        self.telegram.clear_faults();
        held
    }

    fn release_faults(&self, held: &Mutex<Vec<Fault>>) {
        lock(held).drain(..).for_each(|fault| self.telegram.fault(fault));
    }
}

/// How the last daemon lived, and stopped when it was asked to.
struct LastLife {
    /// None: not in time.
    status: Option<ExitStatus>,
    took: Duration,
    /// Every 100 ms.
    rss_kib: Vec<u64>,
}

/// One life after the other.
struct Lives {
    world: Arc<World>,
    home: Home,
    /// What is not bound to a life: sending, troubles of the wire.
    tasks: JoinSet<()>,
    /// Neither are deaths of Redis.
    redis_kills: JoinSet<()>,
    records: Vec<LifeRecord>,
    /// Crashes that had no job to come with.
    owed: Vec<(&'static str, u32)>,
    /// When each kill of a burst came.
    killed: Vec<Instant>,
}

impl Lives {
    /// A first start, for the daemon to learn where in the stream of updates it begins.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let mut daemon = self.home.start(None)?;
        // The first thing it does after storing where in the stream of updates it begins. What is
        // sent before that is older than its first connection ever.
        let begun = self
            .world
            .telegram
            .wait_until(CONNECTED_WITHIN, |ledger| ledger.count("messages.getDialogs") >= 1);
        begun.await.ok().context("the daemon does not connect")?;
        daemon.terminate().await?;
        let status = daemon.ends_within(STOP_WITHIN).await?.context("the daemon does not stop")?;
        anyhow::ensure!(status.success(), "the daemon's first start: {status}");
        Ok(())
    }

    async fn live(&mut self, life: Life) -> anyhow::Result<()> {
        let world = Arc::clone(&self.world);
        let (before, later): (Vec<_>, Vec<_>) =
            life.messages.into_iter().partition(|message| message.at.is_none());
        world.ask_again(false);
        // Nobody listens yet: these are told of by the difference only.
        for message in &before {
            world.send(message);
        }
        life.faults.into_iter().for_each(|fault| world.telegram.fault(fault));
        let measured: Vec<_> = life.links.into_iter().filter(|event| self.unless_measured(event)).collect();
        if !measured.is_empty() {
            // A daemon that cannot queue what it hears is late to see that its connection is gone.
            while self.redis_kills.join_next().await.is_some() {}
        }
        let held = Mutex::default();
        let end = self.choose(life.end, !measured.is_empty());
        let calls = world.calls();
        let order = match &end {
            End::Crash { point, pass } => Some(format!("{point}@{pass}")),
            _ => None,
        };
        let mut daemon = self.home.start(order)?;
        self.tasks.spawn(Arc::clone(&world).send_all(later));
        if let Some((at, down)) = life.redis {
            let world = Arc::clone(&world);
            self.redis_kills.spawn(async move {
                sleep(at).await;
                // It cannot panic but by the harness's own mistake, which the report would show.
                let _ = tokio::task::spawn_blocking(move || world.kill_redis(down)).await;
            });
        }
        let started = daemon.started;
        let ending = async {
            measure(&world, &measured, calls, started, &held).await;
            world.release_faults(&held);
            let begun = if measured.is_empty() { started } else { Instant::now() };
            match end {
                // The intake, where C1 is, does not get on with the jobs.
                End::Crash { point, .. } if point.contains("C1") => {
                    sleep((begun + CRASH_WITHIN).saturating_duration_since(Instant::now())).await;
                }
                End::Crash { .. } => world.stands_still(calls, begun).await,
                End::Kill { answers, late, within } => {
                    let left = (begun + within).saturating_duration_since(Instant::now());
                    let enough = world.sends(calls, answers);
                    if tokio::time::timeout(left, enough).await.is_ok() {
                        sleep(late).await;
                    }
                }
                End::Burst(after) => sleep((started + after).saturating_duration_since(Instant::now())).await,
                End::Calm => self.calm().await,
            }
        };
        let early = tokio::select! {
            () = ending => None,
            status = daemon.ends_within(Duration::MAX) => status?,
        };
        let status = match early {
            Some(status) => status,
            None => daemon.kill().await?,
        };
        world.release_faults(&held);
        let what = match (end, early.is_some()) {
            _ if !by_kill(status) => format!("ended by itself: {status}"),
            (End::Crash { point, .. }, true) => format!("crash {point}"),
            (End::Crash { point, .. }, false) => {
                // A crash at a preview wants a slow recording, which not every life has: those that
                // any job meets come first, lest they find no jobs left.
                if point.contains("preview") {
                    self.owed.insert(0, (point, 1));
                } else {
                    self.owed.push((point, 2));
                }
                "kill".to_owned()
            }
            (End::Kill { .. }, _) => "kill".to_owned(),
            (End::Burst(_), _) => {
                self.killed.push(Instant::now());
                "kill in a burst".to_owned()
            }
            (End::Calm, _) => "kill after a calm".to_owned(),
        };
        self.record(&daemon, what, calls);
        Ok(())
    }

    /// What was planned, or a crash that is owed in place of a kill; a kill where a connection is
    /// measured.
    fn choose(&mut self, planned: End, measured: bool) -> End {
        match planned {
            End::Crash { point, pass } if measured => {
                self.owed.push((point, pass));
                End::default()
            }
            End::Kill { within, .. } if within > Duration::from_millis(500) && !measured => {
                self.owed.pop().map_or(planned, |(point, pass)| End::Crash { point, pass })
            }
            _ => planned,
        }
    }

    /// Waits until the queue is empty; after a burst that is when all that was put off had its
    /// turn.
    async fn calm(&self) {
        let until = Instant::now() + CALM;
        while Instant::now() < until {
            sleep(LOOK).await;
            if self.is_queue_empty().await {
                return;
            }
        }
    }

    /// Nothing waits, runs or is delayed. A queue that cannot be read now, for its Redis was
    /// killed, is not known to be empty.
    async fn is_queue_empty(&self) -> bool {
        let url = self.world.redis.as_ref().map(|redis| lock(redis).url());
        let entries = match url {
            None => embedded::entries(self.home.queue()).await,
            Some(url) => match RedisQueue::attach(redis_options(url, OWNER)).await {
                Ok(queue) => queue.entries().await,
                Err(error) => Err(error),
            },
        };
        let is_dead = |entry: &Entry| entry.state == State::Dead;
        entries.is_ok_and(|entries| entries.iter().all(is_dead))
    }

    /// Sets off a trouble that nobody waits for.
    fn unless_measured(&mut self, event: &LinkEvent) -> bool {
        if !event.measured {
            let (world, event) = (Arc::clone(&self.world), *event);
            self.tasks.spawn(async move {
                sleep(event.at).await;
                let _hands = world.wire.lock().await;
                world.trouble(event.what).await;
            });
        }
        event.measured
    }

    /// The life that nobody ends before all is done.
    async fn last(&mut self, tail: Vec<Message>) -> anyhow::Result<LastLife> {
        let world = Arc::clone(&self.world);
        while self.tasks.join_next().await.is_some() {}
        while self.redis_kills.join_next().await.is_some() {}
        let (calls, to_lose) = (world.calls(), world.answers_to_lose());
        let mut daemon = self.home.start(None)?;
        Arc::clone(&world).send_all(tail).await;
        let (mut best, mut since) = (0, Instant::now());
        loop {
            world.ask_again(false);
            let (sent, complete) = world.progress();
            let quiet = if world.answers_to_lose() < to_lose { QUIET_UNANSWERED } else { QUIET };
            if complete == sent
                && self.is_quiet(quiet).await
                && self.is_queue_empty().await
                && !world.ask_again(true)
            {
                break;
            }
            if complete > best {
                (best, since) = (complete, Instant::now());
            }
            if since.elapsed() > STANDSTILL || daemon.ends_within(POLL).await?.is_some() {
                break;
            }
        }
        let asked = Instant::now();
        // Where it has ended already the status says so.
        let _ = daemon.terminate().await;
        let status = daemon.ends_within(STOP_WITHIN).await?;
        let took = asked.elapsed();
        self.record(&daemon, STOPPED.to_owned(), calls);
        Ok(LastLife { status, took, rss_kib: daemon.weights().iter().map(|weight| weight.now).collect() })
    }

    /// Whether corrupt recordings had their turn too: nothing tells but that nothing is asked for a
    /// job any more. The daemon's pings, every 30 s, say nothing of that.
    async fn is_quiet(&self, quiet: Duration) -> bool {
        let asked = || {
            self.world.telegram.look(|ledger| ledger.calls().iter().filter(|call| is_for_a_job(call)).count())
        };
        let before = asked();
        sleep(quiet).await;
        asked() == before
    }

    /// When the daemon that started after the first `calls` calls first asked for something for a
    /// job.
    fn first_request(&self, calls: usize) -> Option<Instant> {
        self.world.telegram.look(|ledger| {
            let own = ledger.calls().get(calls..).unwrap_or_default();
            // What its predecessor had sent may still come in; it has not introduced itself.
            let mut own = own.iter().skip_while(|call| call.method != "updates.getState");
            own.find(|call| is_for_a_job(call)).map(|call| call.at)
        })
    }

    fn record(&mut self, daemon: &Daemon, end: String, calls: usize) {
        let claimed = match (self.first_request(calls), daemon.log.first_job()) {
            (Some(at), Some(logged)) => Some(at.min(logged)),
            (at, logged) => at.or(logged),
        };
        let until = claimed.unwrap_or_else(Instant::now);
        let overlaps = |(from, to): &(Instant, Instant)| *from <= until && *to >= daemon.started;
        let weights = daemon.weights();
        self.records.push(LifeRecord {
            end,
            lived_ms: daemon.started.elapsed().as_millis() as u64,
            first_claim_ms: claimed.map(|at| at.duration_since(daemon.started).as_millis() as u64),
            disturbed: lock(&self.world.outages).iter().any(overlaps) || self.world.wire.try_lock().is_err(),
            rss_max_kib: weights.last().map(|weight| weight.peak),
        });
    }
}

/// Lets the troubles happen to a daemon that is connected, and waits until it is again. What is
/// measured is the first new try: meanwhile Telegram's faults, which cut connections too, are held
/// back.
async fn measure(
    world: &World,
    events: &[LinkEvent],
    calls: usize,
    started: Instant,
    held: &Mutex<Vec<Fault>>,
) {
    for event in events {
        sleep(event.at).await;
        let _hands = world.wire.lock().await;
        lock(held).extend(world.hold_faults());
        if !world.is_connected(calls, started).await {
            return;
        }
        let calls = world.calls();
        let mut since = Instant::now();
        world.trouble(event.what).await;
        if !matches!(event.what, Trouble::HalfOpen) {
            since = Instant::now();
        }
        let took = world.introduced(calls, since).await;
        lock(&world.reconnects).push((event.what, took));
    }
}

fn is_for_a_job(call: &Call) -> bool {
    is_a_send(call) || matches!(call.method, "messages.getMessages" | "upload.getFile")
}

fn is_a_send(call: &Call) -> bool {
    matches!(call.method, "messages.sendMessage" | "messages.sendMedia" | "messages.editMessage")
}
