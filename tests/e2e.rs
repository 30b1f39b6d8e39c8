//! The whole line: the real binary, the loopback Telegram, real audio, the real whisper.cpp with the
//! test model, and either queue.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fake_telegram::{
    Action, BOT, Chat, Dedupe, Draft, FRIEND, Fault, GROUP, Packing, Post, Revocation, SAVED_MESSAGES,
    SECOND_FRIEND, SUPERGROUP, Telegram, User, write_session,
};
use stenogram::queue::embedded::{Embedded, EmbeddedOptions};
use stenogram::queue::redis::{RedisOptions, RedisQueue, ServerOptions};
use stenogram::queue::{Claimed, CrashRules, State};
use support::bombs;
use support::daemon::{Daemon, Home, events};
use support::disk::SmallDisk;
use support::redis::{DURABLE, RedisServer};
use support::skipped;
use support::speech::{self, Random, say, silence};

use crate::queue::backend::AnyQueue;

/// Decoding is slow in a build without optimisation, on a machine that runs other tests too.
const DEADLINE: Duration = Duration::from_secs(180);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
/// Of the texts that are spoken.
const SEED: u64 = 1;
/// How many of the texts may be recognised with one word wrong. Rounding differs between processors,
/// and the model is wrong about once in a hundred texts.
const MISHEARD_TEXTS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Backend {
    Embedded,
    Redis,
}

/// Everything that one test runs against.
struct World {
    telegram: Telegram,
    home: Home,
    redis: Option<RedisServer>,
    random: Random,
}

impl World {
    async fn new(backend: Backend) -> Self {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let mut home = Home::new(&telegram);
        let redis = match backend {
            Backend::Embedded => None,
            Backend::Redis => {
                let server = RedisServer::start(DURABLE);
                home.set("REDIS_HOST", "127.0.0.1");
                home.set("REDIS_PORT", &server.port().to_string());
                Some(server)
            }
        };
        Self { telegram, home, redis, random: Random::seeded(SEED) }
    }

    /// A text of so many digits and its voice message, the same in every run.
    fn spoken(&mut self, language: &str, voice: &str, digits: usize) -> (String, Vec<u8>) {
        let text = self.random.digits(language, digits);
        let ogg = say(&text, voice);
        (text, ogg)
    }

    /// Waits for the reply to a message in which `text` is spoken.
    async fn answers(&self, chat: Chat, message: i32, text: &str) -> Post {
        let reply = self.reply(chat, message).await;
        recognised(&reply.text, text);
        reply
    }

    async fn reply(&self, chat: Chat, message: i32) -> Post {
        self.telegram.wait_for_reply(chat, message, DEADLINE).await.unwrap_or_else(|timed_out| {
            panic!("{timed_out}\n{}", self.home.log());
        })
    }

    /// The daemon's queue; the daemon must not run.
    async fn queue(&self, crashes: CrashRules) -> Box<dyn AnyQueue> {
        let (dedupe_ttl, result_ttl) = (Duration::from_secs(86_400), Duration::from_secs(86_400));
        match &self.redis {
            None => {
                let options = EmbeddedOptions { dedupe_ttl, result_ttl, crashes };
                Box::new(Embedded::open(self.home.data().join("queue.redb"), options).await.expect("open it"))
            }
            Some(server) => {
                let (url, timeout) = (server.url(), DEADLINE);
                let options = RedisOptions {
                    server: ServerOptions::of_url(url),
                    account: 1000,
                    dedupe_ttl,
                    result_ttl,
                    crashes,
                    timeout,
                };
                Box::new(RedisQueue::connect(options).await.expect("connect"))
            }
        }
    }

    fn replies(&self, chat: Chat, message: i32) -> usize {
        self.telegram.look(|ledger| ledger.replies(chat, message).count())
    }
}

/// A reply has the words that were spoken. In at most [`MISHEARD_TEXTS`] of the texts one word may be
/// another or missing; more in one text is a failure.
fn recognised(reply: &str, text: &str) {
    static MISHEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if reply == text {
        return;
    }
    let wrong = wrong_words(reply, text);
    assert!(wrong <= 1, "{text:?} was recognised as {reply:?}");
    let mut misheard = MISHEARD.lock().unwrap_or_else(PoisonError::into_inner);
    misheard.insert(text.to_owned());
    assert!(misheard.len() <= MISHEARD_TEXTS, "{text:?} was recognised as {reply:?}, after {misheard:?}");
}

/// How many words of `text` are missing, or other ones, or too many in `reply`, up to two: more than
/// one is a failure however many they are.
fn wrong_words(reply: &str, text: &str) -> usize {
    let (reply, text) = (words(reply), words(text));
    let alike = |(a, b): &(&&str, &&str)| a == b;
    let head = reply.iter().zip(&text).take_while(alike).count();
    let rest = reply.len().min(text.len()) - head;
    let tail = reply.iter().rev().zip(text.iter().rev()).take(rest).take_while(alike).count();
    (reply.len().max(text.len()) - head - tail).min(2)
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn one_wrong_word_is_told_from_more() {
    for (reply, wrong) in [
        ("one two three", 0),
        ("one ten three", 1),
        ("one two", 1),
        ("one two two three", 1),
        ("two three one", 2),
        ("one", 2),
        ("", 2),
    ] {
        assert_eq!(wrong_words(reply, "one two three"), wrong, "{reply:?}");
    }
}

/// One test for each queue.
macro_rules! with_either_queue {
    ($($(#[$attribute:meta])* $name:ident),* $(,)?) => {
        mod embedded {
            use super::*;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Backend::Embedded).await })*
        }
        mod redis {
            use super::*;
            $($(#[$attribute])* #[tokio::test] async fn $name() { super::$name(Backend::Redis).await })*
        }
    };
}

mod commands;
mod flows;
mod previews;
mod rules;

with_either_queue! {
    english_and_russian_are_answered_with_their_words,
    a_chats_language_is_remembered_over_a_restart,
    what_came_while_the_daemon_was_down_is_answered_once,
    a_stop_in_the_middle_of_a_recognition_costs_nothing,
    a_kill_in_the_middle_of_a_recognition_costs_nothing,
    a_kill_between_sending_and_finishing_answers_once,
    a_connection_cut_after_sending_answers_once,
    a_flood_wait_outlives_a_kill,
    a_long_outage_is_made_up_for,
    a_job_that_kills_the_process_is_given_up_and_can_be_put_back,
    kills_while_a_recording_is_fetched_or_sent_do_not_make_it_poison,
    a_full_disk_is_waited_out,
    a_long_recording_goes_on_where_a_kill_interrupted_it,
    a_recording_forwarded_is_answered_without_being_recognised_again,
}

async fn english_and_russian_are_answered_with_their_words(backend: Backend) {
    let mut world = World::new(backend).await;
    let english = world.spoken("en", "en-us", 5);
    let russian = world.spoken("ru", "ru", 5);
    let own = world.spoken("en", "en-gb", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let messages = [
        (FRIENDS_CHAT, Draft::voice(english.1, 3), Some(english.0)),
        (Chat::User(SECOND_FRIEND), Draft::voice(russian.1, 3).in_dc(2), Some(russian.0)),
        (FRIENDS_CHAT, Draft::voice(silence(2.0), 2), None),
        (SAVED_MESSAGES, Draft::voice(own.1, 2).own(), Some(own.0)),
    ];
    let mut expected = Vec::new();
    for (chat, draft, text) in messages {
        expected.push((chat, world.telegram.send(chat, draft), text));
    }
    for (chat, message, text) in &expected {
        if let Some(text) = text {
            let reply = world.answers(*chat, *message, text).await;
            assert_eq!((reply.chat, reply.silent), (*chat, true));
        }
    }
    daemon.event("silent", DEADLINE).await;
    let (status, took) = daemon.stop().await;
    assert!(status.success() && took < Duration::from_secs(8), "{status} after {took:?}");
    for (chat, message, text) in expected {
        assert_eq!(world.replies(chat, message), usize::from(text.is_some()));
    }
}

/// Only that it is remembered, and for the right chat: what follows from it is for `tests/speech.rs`.
async fn a_chats_language_is_remembered_over_a_restart(backend: Backend) {
    let mut world = World::new(backend).await;
    let habits = world.home.data().join("languages.json");
    for recordings in 1..=2 {
        let (text, russian) = world.spoken("ru", "ru", 5);
        let mut daemon = world.home.start();
        daemon.event("connected", DEADLINE).await;
        let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(russian, 3));
        world.answers(FRIENDS_CHAT, message, &text).await;
        assert!(daemon.stop().await.0.success());
        let known = std::fs::read(&habits).expect("read the languages");
        let known: serde_json::Value = serde_json::from_slice(&known).expect("JSON");
        let seconds = &known[FRIEND.to_string()]["seconds"];
        assert_eq!(seconds.as_object().map(|languages| languages.len()), Some(1), "{known}");
        let seconds = seconds["ru"].as_f64().expect("seconds of Russian");
        assert!(seconds > f64::from(recordings), "after {recordings} recordings: {known}");
        assert_eq!(known.as_object().expect("chats").len(), 1, "{known}");
    }
}

async fn what_came_while_the_daemon_was_down_is_answered_once(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    daemon.stop().await;
    let message = world.telegram.send_silently(FRIENDS_CHAT, Draft::voice(ogg, 3));
    let mut daemon = world.home.start();
    world.answers(FRIENDS_CHAT, message, &text).await;
    // Told of once more, it is known.
    world.telegram.push(&[(FRIENDS_CHAT, message)], fake_telegram::Packing::Separate);
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

/// Starts on a long message and returns once it is being recognised.
async fn in_the_middle(world: &mut World) -> (Daemon, i32, String) {
    let (text, ogg) = world.spoken("en", "en-us", 6);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    daemon.event("recognising", DEADLINE).await;
    (daemon, message, text)
}

async fn a_stop_in_the_middle_of_a_recognition_costs_nothing(backend: Backend) {
    let mut world = World::new(backend).await;
    let (daemon, message, text) = in_the_middle(&mut world).await;
    let (status, took) = daemon.stop().await;
    assert!(status.success() && took < Duration::from_secs(8), "{status} after {took:?}");
    assert_eq!(world.replies(FRIENDS_CHAT, message), 0);
    let mut daemon = world.home.start();
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.event("answered", DEADLINE).await;
    // An orderly stop counts as no delivery.
    assert!(daemon.count("redelivered") == 0, "{}", daemon.log());
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

async fn a_kill_in_the_middle_of_a_recognition_costs_nothing(backend: Backend) {
    let mut world = World::new(backend).await;
    let (daemon, message, text) = in_the_middle(&mut world).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("redelivered", DEADLINE).await;
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

/// C3 to C4: the reply was sent, its answer never came, the process dies. And Telegram has forgotten
/// the `random_id`.
async fn a_kill_between_sending_and_finishing_answers_once(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.configure(|settings| settings.dedupe = Dedupe::Off);
    world.telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("answered", DEADLINE).await;
    // What was recognised is not recognised again: the answer lay in the outbox.
    assert!(daemon.count("recognised") == 0, "{}", daemon.log());
    assert!(daemon.count("found_sent") > 0, "{}", daemon.log());
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

async fn a_job_that_kills_the_process_is_given_up_and_can_be_put_back(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 6);
    let (other_text, other_ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let poison = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 5));
    let behind = world.telegram.send(FRIENDS_CHAT, Draft::voice(other_ogg.clone(), 3));
    let id = format!("1000:{FRIEND}:{poison}");
    // After the first death it is taken up at once; after one more in quick succession it has to
    // wait.
    daemon.event("recognising", DEADLINE).await;
    daemon.kill();
    daemon = world.home.start();
    daemon.event_with("redelivered", "delivery=2 deaths=1", DEADLINE).await;
    daemon.event("recognising", DEADLINE).await;
    daemon.kill();
    daemon = world.home.start();
    daemon.event_with("delayed", "Put off for 60 s", DEADLINE).await;
    // The other chats are answered meanwhile; its own waits.
    let second_chat = Chat::User(SECOND_FRIEND);
    let innocent = world.telegram.send(second_chat, Draft::voice(other_ogg, 3));
    world.answers(second_chat, innocent, &other_text).await;
    assert_eq!(world.replies(FRIENDS_CHAT, behind), 0);
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    let entries = world.queue(CrashRules::default()).await.entries().await.unwrap();
    let entry = entries.iter().find(|entry| entry.job.id.to_string() == id).expect("it is there");
    assert!(matches!(entry.state, State::Delayed { .. }), "{entry:?}");
    assert!(entry.reason.as_ref().unwrap().starts_with("the process died while it decoded"), "{entry:?}");
    // Two more processes die of it, as if an hour passed before each.
    for _ in 0..2 {
        let queue = world.queue(CrashRules::STRICT).await;
        let Claimed::Job(claim) = queue.claim().await.unwrap() else { panic!("it is due") };
        queue.begin(claim.job.id).await.unwrap();
    }
    drop(world.queue(CrashRules::STRICT).await);
    daemon = world.home.start();
    daemon.event("dead_letter", DEADLINE).await;
    world.answers(FRIENDS_CHAT, behind, &other_text).await;
    assert_eq!(world.replies(FRIENDS_CHAT, poison), 0);
    daemon.event("answered", DEADLINE).await;
    // The same recording in another chat is not tried at all.
    let post = world.telegram.look(|ledger| ledger.post(FRIENDS_CHAT, poison).cloned()).expect("it was sent");
    let copy = world.telegram.send(second_chat, Draft::forward(&post));
    let why = format!("died 3 times over the same recording in {id}");
    daemon.event_with("dead_letter", &why, DEADLINE).await;

    let queue = |args: &[&str]| {
        let output = world.home.command().arg("queue").args(args).output().expect("run stenogram queue");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, table, _) = queue(&[]);
    assert_eq!(code, Some(0));
    let line = table.lines().find(|line| line.starts_with(&id)).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("dead") && line.contains("the process died 3 times"), "{line}");
    assert!(queue(&["--json"]).1.contains("\"state\":\"dead\""));
    assert_eq!(queue(&["retry", "1000:1:1"]).0, Some(1));
    assert_eq!(queue(&["retry", "nonsense"]).0, Some(2));

    // The embedded queue is open to one process at a time, Redis to all.
    let mut answers = 2;
    if let Backend::Embedded = backend {
        answers = 1;
        let (code, _, error) = queue(&["retry", &id]);
        assert!(code == Some(1) && error.contains("[queue-in-use]"), "{code:?} {error}");
        daemon.stop().await;
        assert_eq!(queue(&["retry", &id]).0, Some(0));
        daemon = world.home.start();
    } else {
        assert_eq!(queue(&["retry", &id]).0, Some(0));
    }
    world.answers(FRIENDS_CHAT, poison, &text).await;
    daemon.events("answered", answers, DEADLINE).await;
    daemon.stop().await;
    assert_eq!(queue(&["drop", "--all-dead"]).0, Some(0));
    assert_eq!(queue(&[]).1, "The queue is empty.\n");
    assert_eq!(queue(&["drop", "--all-dead"]).1, "No job is dead.\n");
    for (chat, message, replies) in [
        (FRIENDS_CHAT, poison, 1),
        (FRIENDS_CHAT, behind, 1),
        (second_chat, innocent, 1),
        (second_chat, copy, 0),
    ] {
        assert_eq!(world.replies(chat, message), replies);
    }
}

async fn kills_while_a_recording_is_fetched_or_sent_do_not_make_it_poison(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let mut message = None;
    for method in ["upload.getFile", "messages.sendMessage"] {
        let fault = Fault::on(method, Action::Ignore);
        world.telegram.fault(fault);
        let message =
            *message.get_or_insert_with(|| world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 3)));
        // Once more than makes a recording poison that is decoded or recognised meanwhile.
        for kill in 1..=4 {
            let asked = world.telegram.wait_until(DEADLINE, |ledger| ledger.count(method) >= kill).await;
            asked.unwrap_or_else(|_| panic!("{method}, kill {kill}: {}", daemon.log()));
            daemon.kill();
            daemon = world.home.start();
        }
        assert_eq!(world.replies(FRIENDS_CHAT, message), 0);
        world.telegram.clear_faults();
    }
    let message = message.expect("it was sent");
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.event("answered", DEADLINE).await;
    assert!(world.home.count("dead_letter") == 0, "{}", world.home.log());
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

async fn a_long_recording_goes_on_where_a_kill_interrupted_it(backend: Backend) {
    let world = World::new(backend).await;
    let fixtures = speech::fixtures("en");
    let texts: Vec<_> = fixtures.iter().take(6).map(|fixture| (fixture.text, fixture.voice)).collect();
    let ogg = speech::say_now_and_then(&texts, 100);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let long = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 510));
    daemon.event("progress", DEADLINE).await;
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("resumed", DEADLINE).await;
    let said: Vec<_> = texts.iter().map(|(text, _)| *text).collect();
    world.answers(FRIENDS_CHAT, long, &said.join(" ")).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, long), 1);
}

async fn a_recording_forwarded_is_answered_without_being_recognised_again(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let first = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    world.answers(FRIENDS_CHAT, first, &text).await;
    let post = world.telegram.look(|ledger| ledger.post(FRIENDS_CHAT, first).cloned()).expect("it was sent");
    let forward = || Draft::forward(&post);
    let second_chat = Chat::User(SECOND_FRIEND);
    let second = world.telegram.send(second_chat, forward());
    assert_eq!(world.answers(second_chat, second, &text).await.chat, second_chat);
    daemon.stop().await;
    // A new process knows it too.
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let third = world.telegram.send(FRIENDS_CHAT, forward());
    world.answers(FRIENDS_CHAT, third, &text).await;
    daemon.stop().await;
    assert_eq!((world.home.count("recognised"), world.home.count("transcript_reused")), (1, 2));

    // With RESULT_TTL=0 what was kept is gone, and nothing is.
    world.home.set("RESULT_TTL", "0");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    for _ in 0..2 {
        let again = world.telegram.send(FRIENDS_CHAT, forward());
        world.answers(FRIENDS_CHAT, again, &text).await;
    }
    daemon.stop().await;
    assert_eq!(world.home.count("recognised"), 3);
}

/// A thousand people unheard of, from this id on: the update state remembers them and grows.
fn strangers_write(telegram: &Telegram, from: i64) {
    let strangers = (from..from + 1000).map(|id| User { id, name: format!("Stranger {id}"), bot: false });
    let drafts: Vec<_> = strangers.map(|user| (telegram.add_user(user), Draft::text("hello"))).collect();
    telegram.send_all(drafts, Packing::OneUpdates);
}

/// The update state is on that disk with either queue.
async fn a_full_disk_is_waited_out(backend: Backend) {
    let mut world = World::new(backend).await;
    let data = world.home.data();
    let Some(disk) = SmallDisk::mount(&data) else {
        skipped("mounting is not permitted here");
        return;
    };
    write_session(&data.join("account.session"), &world.telegram.session()).expect("write the session");
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let mut messages = vec![world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2))];
    world.answers(FRIENDS_CHAT, messages[0], &text).await;
    daemon.event("answered", DEADLINE).await;
    let post = world.telegram.look(|ledger| ledger.post(FRIENDS_CHAT, messages[0]).cloned()).expect("sent");

    disk.fill();
    let trouble = |log: &str| {
        !events(log, "queue_unavailable").is_empty()
            || events(log, "disconnected").iter().any(|line| line.contains("cannot use the update state"))
    };
    for _ in 0..5 {
        messages.push(world.telegram.send(FRIENDS_CHAT, Draft::forward(&post)));
    }
    strangers_write(&world.telegram, 6_000);
    strangers_write(&world.telegram, 5_000);
    daemon.logs("that the disk is full", DEADLINE, trouble).await;
    // Whatever was not stored is not acknowledged: a new process hears of it again.
    daemon.kill();
    disk.free();
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    disk.fill();
    for _ in 0..5 {
        messages.push(world.telegram.send(FRIENDS_CHAT, Draft::forward(&post)));
    }
    daemon.logs("that the disk is full", DEADLINE, trouble).await;
    disk.free();
    // The same process goes on by itself.
    for message in &messages {
        world.answers(FRIENDS_CHAT, *message, &text).await;
    }
    daemon.stop().await;
    for message in messages {
        assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
    }
}

/// Breaks Redis, sends, waits until the daemon has noticed, and mends it: everything is answered once.
async fn survives(hurt: impl FnOnce(&RedisServer), complaint: &str, mend: impl FnOnce(&RedisServer)) {
    let mut world = World::new(Backend::Redis).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let redis = world.redis.take().expect("there is one");
    hurt(&redis);
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    daemon.event_with("queue_unavailable", "cannot add a job", DEADLINE).await;
    daemon.event_with("queue_unavailable", complaint, DEADLINE).await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 0);
    // It was not acknowledged: a process that starts now hears of it too.
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event_with("queue_unavailable", complaint, DEADLINE).await;
    mend(&redis);
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.event("queue_available", DEADLINE).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

#[tokio::test]
async fn redis_out_of_memory_is_waited_out() {
    let limit = |redis: &RedisServer, bytes| redis.command::<()>(&["CONFIG", "SET", "maxmemory", bytes]);
    survives(|redis| limit(redis, "1"), "[redis-memory]", |redis| limit(redis, "0")).await;
}

#[tokio::test]
async fn redis_as_a_read_only_replica_is_waited_out() {
    // Of a master that is not there: it keeps what it has.
    let follow = |redis: &RedisServer| redis.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    let lead = |redis: &RedisServer| redis.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    survives(follow, "read-only replica", lead).await;
}

/// What was asked of it meanwhile happens when it wakes, and its answers are lost.
#[tokio::test]
async fn redis_asleep_for_longer_than_the_timeout_is_waited_out() {
    let stop = |redis: &RedisServer| redis.signal("STOP");
    survives(stop, "did not answer in time", |redis| redis.signal("CONT")).await;
}

#[tokio::test]
async fn a_wrong_redis_password_ends_with_the_status_of_a_wrong_configuration() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let redis = RedisServer::start(&["--requirepass", "right"]);
    for (url, complaint) in [
        (redis.url().replace("redis://", "redis://:wrong-one@"), "refused the user or the password"),
        (redis.url(), "wants a password"),
    ] {
        let mut home = Home::new(&telegram);
        home.set("REDIS_URL", &url);
        let output = home.command().output().expect("run the daemon");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(complaint) && !error.contains("wrong-one"), "{error}");
    }
}

#[tokio::test]
async fn groups_bots_and_vanishing_messages_are_left_alone() {
    let mut world = World::new(Backend::Embedded).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let voice = || Draft::voice(ogg.clone(), 2);
    let alone = [
        (GROUP, voice()),
        (GROUP, voice().own()),
        (SUPERGROUP, voice()),
        (Chat::User(BOT), voice()),
        (FRIENDS_CHAT, voice().view_once()),
        (FRIENDS_CHAT, Draft::music(ogg.clone(), 2)),
    ];
    for (chat, draft) in alone {
        world.telegram.send(chat, draft);
    }
    let answered = world.telegram.send(FRIENDS_CHAT, voice());
    world.answers(FRIENDS_CHAT, answered, &text).await;
    daemon.stop().await;
    assert_eq!(world.telegram.look(|ledger| ledger.sent().count()), 1);
    let ignored = events(&world.home.log(), "ignored").join("\n");
    assert!(ignored.contains("an audio file, not a voice message"), "{ignored}");
}

#[tokio::test]
async fn a_round_video_is_answered_and_a_broken_file_is_not() {
    let mut world = World::new(Backend::Embedded).await;
    let (text, ogg) = world.spoken("ru", "ru", 4);
    let video = round_video(&world.home, &ogg);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let broken = world.telegram.send(FRIENDS_CHAT, Draft::voice(b"this is no recording".to_vec(), 3));
    let round = world.telegram.send(FRIENDS_CHAT, Draft::round(video, 3));
    world.answers(FRIENDS_CHAT, round, &text).await;
    daemon.event("rejected", DEADLINE).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, broken), 0);
}

/// The recording under a picture, as round videos are: H.264 where ffmpeg has it, and AAC.
fn round_video(home: &Home, ogg: &[u8]) -> Vec<u8> {
    let (from, to) = (home.path().join("voice.ogg"), home.path().join("round.mp4"));
    std::fs::write(&from, ogg).expect("write the recording");
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", "color=c=blue:s=240x240:r=5", "-i"])
        .arg(&from)
        .args(["-shortest", "-c:a", "aac", "-b:a", "64k", "-ac", "1"])
        .arg(&to)
        .status();
    assert!(status.expect("run ffmpeg").success());
    std::fs::read(&to).expect("read the video")
}

#[tokio::test]
async fn a_second_daemon_on_the_same_session_is_refused() {
    let world = World::new(Backend::Embedded).await;
    let mut first = world.home.start();
    first.event("connected", DEADLINE).await;
    let second = world.home.command().output().expect("run a second one");
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("another stenogram is using this account"), "{error}");
    first.stop().await;
}

#[tokio::test]
async fn logged_out_ends_with_its_own_status_and_says_what_to_do() {
    let world = World::new(Backend::Embedded).await;
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.revoke(Revocation::SessionRevoked);
    world.telegram.cut();
    assert_eq!(daemon.ends(DEADLINE).await.code(), Some(3));
    assert!(daemon.log().contains("stenogram login"), "{}", daemon.log());

    let without_session = Home::empty();
    let output = without_session.command().output().expect("run the daemon");
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("stenogram login"), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_with_the_time_of_the_next_try() {
    let world = World::new(Backend::Embedded).await;
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.go_down().await;
    daemon.event_with("disconnected", "next try in 1 s", DEADLINE).await;
    daemon.event_with("disconnected", "next try in 2 s", DEADLINE).await;
    world.telegram.come_back().await.expect("come back");
    world.telegram.wait_until(DEADLINE, |ledger| ledger.count("updates.getState") >= 2).await.unwrap();
    world.telegram.send(FRIENDS_CHAT, Draft::voice(silence(1.0), 1));
    daemon.event("silent", DEADLINE).await;
    assert_eq!(daemon.count("connected"), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn redis_is_awaited_at_the_start_and_after_it_vanished() {
    let mut world = World::new(Backend::Redis).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let redis = world.redis.as_mut().expect("there is one");
    redis.kill();
    let mut daemon = world.home.start();
    daemon.event_with("queue_unavailable", "cannot connect to Redis", DEADLINE).await;
    redis.restart();
    daemon.event("connected", DEADLINE).await;
    redis.kill();
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    daemon.event_with("queue_unavailable", "cannot add a job", DEADLINE).await;
    redis.restart();
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

#[tokio::test]
async fn a_redis_that_may_forget_is_warned_about() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let redis = RedisServer::start(&["--appendonly", "no"]);
    let mut home = Home::new(&telegram);
    home.set("REDIS_URL", &redis.url());
    let mut daemon = home.start();
    daemon.event_with("queue_not_durable", "appendonly", DEADLINE).await;
    daemon.event("connected", DEADLINE).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_flood_wait_is_waited_out() {
    let mut world = World::new(Backend::Embedded).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    world.telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(2)).once());
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    daemon.event_with("flood_wait", "Waiting 3 s", DEADLINE).await;
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_hangup_signal_reads_the_log_level_again() {
    let mut world = World::new(Backend::Embedded).await;
    world.home.variables.retain(|(name, _)| name != "LOG_LEVEL");
    let env = world.home.path().join(".env");
    std::fs::write(&env, "LOG_LEVEL=info\n").expect("write .env");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.send(GROUP, Draft::voice(silence(1.0), 1));
    world.telegram.send(FRIENDS_CHAT, Draft::voice(silence(1.0), 1));
    daemon.event("silent", DEADLINE).await;
    assert!(daemon.count("ignored") == 0);
    std::fs::write(&env, "LOG_LEVEL=debug\n").expect("write .env");
    daemon.signal(1);
    daemon.event("reloaded", DEADLINE).await;
    world.telegram.send(GROUP, Draft::voice(silence(1.0), 1));
    daemon.event("ignored", DEADLINE).await;
    std::fs::write(&env, "LOG_LEVEL=loud\n").expect("write .env");
    daemon.signal(1);
    daemon.event("reload_failed", DEADLINE).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_signal_ends_the_process_at_once() {
    let mut world = World::new(Backend::Redis).await;
    // Redis is away, so the shutdown has something to wait for.
    world.redis.as_mut().expect("there is one").kill();
    let mut daemon = world.home.start();
    daemon.event("queue_unavailable", DEADLINE).await;
    daemon.signal(2);
    let status = daemon.ends(DEADLINE).await;
    assert!(matches!(status.code(), Some(0 | 130)), "{status}");
}

#[tokio::test]
async fn a_thread_that_hangs_does_not_hold_up_the_end() {
    let world = World::new(Backend::Embedded).await;
    // Reading it takes until somebody writes to it, as on a network drive whose server is away.
    let pipe = world.home.data().join("languages.json");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().expect("run mkfifo").success());
    let mut daemon = world.home.start();
    daemon.event("model_loaded", DEADLINE).await;
    let (status, _) = daemon.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(world.home.count("stop_forced") > 0, "{}", world.home.log());
}

#[tokio::test]
async fn bombs_hold_up_neither_a_friend_nor_the_end() {
    // Each of them is refused; without bounds, each takes a processor for minutes or for good.
    const BOMBS: [&str; 8] = [
        "mp4: a run of 2^32 samples",
        "mp4: a thousand runs of 2^32 samples",
        "mp4: a long run",
        "mp4: empty fragments of 32 tracks",
        "mp4: 2^32 samples of one size",
        "matroska: tracks",
        "ogg: comments",
        "ogg: streams",
    ];
    let mut world = World::new(Backend::Embedded).await;
    let (text, ogg) = world.spoken("en", "en-us", 4);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    for (_, bytes) in bombs::bombs().into_iter().filter(|(name, _)| BOMBS.contains(&name.as_str())) {
        world.telegram.send(Chat::User(SECOND_FRIEND), Draft::voice(bytes, 3));
    }
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 3));
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.events("rejected", BOMBS.len(), DEADLINE).await;
    let (status, _) = daemon.stop().await;
    assert!(status.success());
    assert!(world.home.count("stop_forced") == 0, "{}", world.home.log());
}

#[tokio::test]
async fn nothing_private_is_logged_at_the_most_talkative_level() {
    let mut world = World::new(Backend::Embedded).await;
    let (text, ogg) = world.spoken("en", "en-us", 6);
    world.home.set("LOG_LEVEL", "trace,grammers=trace,whisper=trace,redb=trace");
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let caption = "the caption under it";
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 4).caption(caption));
    let reply = world.answers(FRIENDS_CHAT, message, &text).await.text;
    daemon.event("answered", DEADLINE).await;
    let log = daemon.log();
    daemon.stop().await;
    let session = std::fs::read_to_string(world.home.data().join("account.session")).expect("the session");
    let key = session.split('"').find(|word| word.len() == 512).expect("a key in it");
    for secret in [reply.as_str(), caption, "0123456789abcdef0123456789abcdef", key, &key[..32]] {
        assert!(!log.contains(secret), "{secret:?} was logged");
    }
}

async fn a_connection_cut_after_sending_answers_once(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    world.telegram.configure(|settings| settings.dedupe = Dedupe::Off);
    world.telegram.fault(Fault::on("messages.sendMessage", Action::DropAfter).once());
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let message = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    world.answers(FRIENDS_CHAT, message, &text).await;
    daemon.event("answered", DEADLINE).await;
    daemon.stop().await;
    assert_eq!(world.replies(FRIENDS_CHAT, message), 1);
}

async fn a_flood_wait_outlives_a_kill(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let wait = Duration::from_secs(8);
    world.telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(8)).once());
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let first = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 2));
    daemon.event("flood_wait", DEADLINE).await;
    let refused = std::time::Instant::now();
    daemon.kill();
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    // A chat that was not refused itself waits too, recognised.
    let other = Chat::User(SECOND_FRIEND);
    let second = world.telegram.send(other, Draft::voice(ogg, 2));
    daemon.event("recognised", DEADLINE).await;
    for (chat, message) in [(FRIENDS_CHAT, first), (other, second)] {
        world.answers(chat, message, &text).await;
        assert!(refused.elapsed() >= wait, "sent after {:?}", refused.elapsed());
    }
    daemon.stop().await;
    assert_eq!(world.telegram.look(|ledger| ledger.count("messages.sendMessage")), 3);
}

async fn a_long_outage_is_made_up_for(backend: Backend) {
    let mut world = World::new(backend).await;
    let (text, ogg) = world.spoken("en", "en-us", 3);
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    let seen = world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg.clone(), 2));
    world.reply(FRIENDS_CHAT, seen).await;
    daemon.event("answered", DEADLINE).await;
    daemon.kill();
    let other = Chat::User(SECOND_FRIEND);
    let old = Draft::voice(ogg.clone(), 2).dated(1_700_000_000);
    let old = world.telegram.send_silently(other, old);
    let missed = [FRIENDS_CHAT, other, FRIENDS_CHAT]
        .map(|chat| (chat, world.telegram.send_silently(chat, Draft::voice(ogg.clone(), 2))));
    world.telegram.fault(Fault::on("updates.getDifference", Action::TooLong).times(2));
    let mut daemon = world.home.start();
    daemon.event("catching_up", DEADLINE).await;
    // In the middle of it.
    daemon.kill();
    let mut daemon = world.home.start();
    for (chat, message) in missed {
        world.answers(chat, message, &text).await;
    }
    daemon.event("too_old", DEADLINE).await;
    daemon.stop().await;
    for (chat, message) in missed.into_iter().chain([(FRIENDS_CHAT, seen)]) {
        assert_eq!(world.replies(chat, message), 1);
    }
    assert_eq!(world.replies(other, old), 0);
}

/// Answered messages of two chats, whose files lie in the account's own datacentre.
#[tokio::test]
async fn files_of_the_home_datacentre_do_not_end_the_session() {
    for media_addresses in [false, true] {
        let mut world = World::new(Backend::Embedded).await;
        world.telegram.configure(|settings| settings.media_addresses = media_addresses);
        let (text, ogg) = world.spoken("en", "en-us", 3);
        let mut daemon = world.home.start();
        daemon.event("connected", DEADLINE).await;
        for _ in 0..2 {
            let chats = [FRIENDS_CHAT, Chat::User(SECOND_FRIEND)];
            let sent =
                chats.map(|chat| (chat, world.telegram.send(chat, Draft::voice(ogg.clone(), 2).in_dc(2))));
            for (chat, message) in sent {
                world.answers(chat, message, &text).await;
            }
        }
        world.telegram.look(|ledger| {
            let mut parts = ledger.calls().iter().filter(|call| call.method == "upload.getFile");
            assert!(parts.all(|call| call.media_only == media_addresses && call.dc == 2));
        });
        assert_eq!(daemon.count("connected"), 1);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_large_file_comes_whole_however_often_telegram_demands_a_wait() {
    let world = World::new(Backend::Embedded).await;
    let wait = Action::error(420, "FLOOD_PREMIUM_WAIT_2");
    world.telegram.fault(Fault::on("upload.getFile", wait).every(21));
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    // Over the main connection the two parts at the beginning are smaller.
    let (file, own) = (15_500_000_u32, 3_000_000_u32);
    let files = [(4, file, file.div_ceil(512 << 10)), (2, own, own.div_ceil(64 << 10) + 2)];
    for (dc, length, parts) in files {
        let before = world.telegram.look(|ledger| ledger.count("upload.getFile"));
        let silent = daemon.count("silent");
        world.telegram.send(FRIENDS_CHAT, Draft::voice(large(length), 1).in_dc(dc));
        daemon.events("silent", silent + 1, DEADLINE).await;
        let asked = world.telegram.look(|ledger| ledger.count("upload.getFile")) - before;
        let parts = parts as usize;
        assert!((parts..=parts + parts / 10).contains(&asked), "{asked} requests for {parts} parts");
    }
    assert!(daemon.count("download_paused") > 0, "{}", daemon.log());
    daemon.stop().await;
}

/// Silence in a file of so many bytes: a voice message behind a long tag.
fn large(bytes: u32) -> Vec<u8> {
    const HEADER: u32 = 10;
    let voice = silence(1.0);
    let tag = bytes - HEADER - voice.len() as u32;
    let mut file = b"ID3\x04\0\0".to_vec();
    file.extend([21, 14, 7, 0].map(|bits| (tag >> bits) as u8 & 0x7f));
    file.resize((HEADER + tag) as usize, 0);
    file.extend(voice);
    file
}

#[tokio::test]
async fn a_session_revoked_without_a_cut_connection_ends_the_daemon_within_a_minute() {
    let world = World::new(Backend::Embedded).await;
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    // The last request of its own that a new daemon makes.
    daemon.event("chats_listed", DEADLINE).await;
    world.telegram.revoke(Revocation::SessionRevoked);
    assert_eq!(daemon.ends(Duration::from_secs(60)).await.code(), Some(3));
    assert!(daemon.log().contains("SESSION_REVOKED"), "{}", daemon.log());
}

#[tokio::test]
async fn the_first_error_that_ended_the_session_is_the_one_told() {
    let mut world = World::new(Backend::Embedded).await;
    let (_, ogg) = world.spoken("en", "en-us", 3);
    world.telegram.fault(Fault::on("messages.sendMessage", Action::error(406, "AUTH_KEY_DUPLICATED")).once());
    // The first is asked when connecting, the second because of the error.
    let unregistered = Action::error(401, "AUTH_KEY_UNREGISTERED");
    world.telegram.fault(Fault::on("updates.getState", unregistered).after(1));
    let mut daemon = world.home.start();
    daemon.event("connected", DEADLINE).await;
    world.telegram.send(FRIENDS_CHAT, Draft::voice(ogg, 2));
    assert_eq!(daemon.ends(DEADLINE).await.code(), Some(3));
    assert!(daemon.log().contains("used from two places at once"), "{}", daemon.log());
}
