//! How much is answered and sent: the budgets of the account and of its chats, strangers behind everybody
//! else, a full queue, and an account that answers our answers.

use std::sync::Arc;

use fake_telegram::{Action, Chat, Draft, FRIEND, Fault, STRANGERS, Telegram, User};
use stenogram::domain::Task;
use stenogram::domain::budget::{Budget, Budgets, GateLimits};
use stenogram::domain::pacing::SendLimits;
use stenogram::jobs::gate::{Gate, GateUsage};
use stenogram::queue::Counts;
use stenogram::runtime::ledger::Ledger;
use stenogram::telegram::AccountOptions;
use tempfile::TempDir;

use crate::in_process::account::{DEADLINE, open, options, session};
use crate::line::{Line, policy, replies, saying};

const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const NO_LIMITS: GateLimits = GateLimits {
    stranger: Budgets { hour: None, day: None },
    chat: Budgets { hour: None, day: None },
    jobs: 1000,
    loop_after: 0,
};

/// A Telegram, and a line that is connected to it.
struct World {
    telegram: Telegram,
    folder: TempDir,
    line: Line,
    gate: Arc<Gate>,
    options: AccountOptions,
    limits: GateLimits,
}

impl World {
    async fn new(options: AccountOptions, limits: GateLimits) -> Self {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let folder = session(&telegram);
        let (line, gate) = Self::start(&folder, options.clone(), limits).await;
        telegram
            .wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1)
            .await
            .expect("connected");
        Self { telegram, folder, line, gate, options, limits }
    }

    async fn start(folder: &TempDir, options: AccountOptions, limits: GateLimits) -> (Line, Arc<Gate>) {
        let path = folder.path().join("budgets.redb");
        let free = async {
            while Ledger::open(&path).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, free).await.expect("the budgets are free in time");
        let account = open(folder, options).await;
        let gate = Arc::new(Gate::open(limits, path).await.with_memory(account.memory()));
        (Line::start_on(policy(Task::Transcribe), folder, account, Arc::clone(&gate)).await, gate)
    }

    async fn restart(self) -> Self {
        let Self { telegram, folder, line, gate, options, limits } = self;
        line.stop().await;
        // Its file is free once nobody has it.
        drop(gate);
        let (line, gate) = Self::start(&folder, options.clone(), limits).await;
        Self { telegram, folder, line, gate, options, limits }
    }

    fn stranger(&self, number: i64) -> Chat {
        self.telegram.add_user(User { id: STRANGERS.start + number, name: "Stranger".into(), bot: false })
    }

    async fn answered(&self, chat: Chat, message: i32) {
        self.telegram.wait_for_reply(chat, message, DEADLINE).await.expect("an answer");
    }

    fn sent(&self) -> usize {
        self.telegram.look(|ledger| ledger.sent().count())
    }
}

fn messages_an_hour(messages: u64) -> Budgets {
    Budgets { hour: Some(Budget { messages, seconds: 1 << 30, bytes: 1 << 40 }), day: None }
}

#[tokio::test]
async fn no_more_is_sent_than_the_budget_allows_also_after_a_restart() {
    // On the first day it is half of that.
    let options = AccountOptions { sends: SendLimits { minute: 1000, day: 6 }, ..options() };
    let world = World::new(options, NO_LIMITS).await;
    for number in 0..5 {
        let chat = world.telegram.add_user(User { id: 5000 + number, name: "Friend".into(), bot: false });
        world.telegram.send(chat, saying("hello"));
    }
    world.line.left(Counts { delayed: 2, ..Counts::default() }).await;
    assert_eq!(world.sent(), 3);
    assert_eq!(*world.line.recognised.borrow(), 5, "the others are recognised meanwhile");

    let world = world.restart().await;
    world.telegram.send(FRIENDS_CHAT, saying("another"));
    world.line.left(Counts { delayed: 3, ..Counts::default() }).await;
    assert_eq!(world.sent(), 3);
}

#[tokio::test]
async fn a_chat_beyond_its_budget_waits_and_the_others_do_not_also_after_a_restart() {
    let limits = GateLimits { stranger: messages_an_hour(2), chat: messages_an_hour(4), ..NO_LIMITS };
    let world = World::new(options(), limits).await;
    let stranger = world.stranger(0);
    let strangers: Vec<i32> = (0..4).map(|_| world.telegram.send(stranger, saying("buy"))).collect();
    let friends: Vec<i32> = (0..5).map(|_| world.telegram.send(FRIENDS_CHAT, saying("hi"))).collect();
    world.line.left(Counts { delayed: 2, waiting: 1, ..Counts::default() }).await;
    assert_eq!(world.gate.usage(), GateUsage { over_budget: 2, ..GateUsage::default() });

    let world = world.restart().await;
    let other = world.stranger(1);
    let others = world.telegram.send(other, saying("hello"));
    world.answered(other, others).await;
    let next = world.telegram.send(stranger, saying("buy"));
    world.line.left(Counts { delayed: 2, waiting: 2, ..Counts::default() }).await;
    let answered = |chat, messages: &[i32]| {
        messages.iter().filter(|message| !replies(&world.telegram, chat, **message).is_empty()).count()
    };
    assert_eq!(answered(stranger, &strangers), 2);
    assert_eq!(answered(stranger, &[next]), 0);
    assert_eq!(answered(FRIENDS_CHAT, &friends), 4);
}

#[tokio::test]
async fn the_length_that_counts_is_that_of_the_sound_and_not_the_one_claimed() {
    let budget = Budget { messages: 1000, seconds: 4, bytes: 1 << 40 };
    let chat = Budgets { hour: Some(budget), day: None };
    let world = World::new(options(), GateLimits { chat, ..NO_LIMITS }).await;
    world.line.gate.send_replace(true);
    // Five seconds of sound that are said to be one.
    let long = world.telegram.send(FRIENDS_CHAT, saying("a|b|c|d|e"));
    world.answered(FRIENDS_CHAT, long).await;
    let next = world.telegram.send(FRIENDS_CHAT, saying("next"));
    world.line.left(Counts { delayed: 1, ..Counts::default() }).await;
    assert!(replies(&world.telegram, FRIENDS_CHAT, next).is_empty());
}

#[tokio::test]
async fn a_friend_is_answered_before_any_number_of_strangers() {
    let mut world = World::new(options(), NO_LIMITS).await;
    // The first of each stranger stops in its middle.
    for number in 0..5 {
        let stranger = world.stranger(number);
        for _ in 0..6 {
            world.telegram.send(stranger, saying("on|and|on"));
        }
    }
    world.line.at_the_gate(2).await;
    world.line.left(Counts { claimed: 2, waiting: 28, ..Counts::default() }).await;
    for number in 1..=3 {
        let message = world.telegram.send(FRIENDS_CHAT, saying("ten seconds"));
        world.answered(FRIENDS_CHAT, message).await;
        assert_eq!(*world.line.recognised.borrow(), 2 + number, "nobody else went before");
    }
    // And the strangers follow.
    world.line.gate.send_replace(true);
    world
        .telegram
        .wait_until(DEADLINE * 2, |ledger| ledger.sent().count() >= 33)
        .await
        .expect("all answered");
    world.line.finished().await;
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_of_strangers_and_of_nobody_else() {
    let mut world = World::new(options(), GateLimits { jobs: 4, ..NO_LIMITS }).await;
    let strangers: Vec<Chat> = (0..3).map(|number| world.stranger(number)).collect();
    for round in 0..2 {
        for stranger in &strangers {
            world.telegram.send(*stranger, saying("on|and|on"));
        }
        world.line.at_the_gate(2).await;
        let waiting = [1, 2][round];
        world.line.left(Counts { claimed: 2, waiting, ..Counts::default() }).await;
    }
    // Two of the second round were refused before this one arrived.
    let message = world.telegram.send(FRIENDS_CHAT, saying("hello"));
    world.answered(FRIENDS_CHAT, message).await;
    assert_eq!(world.gate.usage(), GateUsage { refused: 2, ..GateUsage::default() });
    world.line.gate.send_replace(true);
    world.line.finished().await;
    assert_eq!(world.sent(), 5, "what was accepted is answered");
    let again = world.telegram.send(strangers[0], saying("hello"));
    world.answered(strangers[0], again).await;
}

#[tokio::test]
async fn an_account_that_answers_our_answers_is_noticed_and_the_others_go_on() {
    let world = World::new(options(), GateLimits { loop_after: 10, ..NO_LIMITS }).await;
    let robot = world.stranger(0);
    let mut message = world.telegram.send(robot, saying("say something"));
    let mut answers = 0;
    // A program that says each answer aloud.
    let stopped = loop {
        let answered = world.telegram.wait_for_reply(robot, message, DEADLINE);
        let held = world.line.left(Counts { delayed: 1, ..Counts::default() });
        tokio::select! {
            biased;
            answered = answered => {
                answered.expect("an answer");
                answers += 1;
                assert!(answers <= 30, "the loop goes on");
                message = world.telegram.send(robot, saying(&format!("you said {answers}")));
            }
            () = held => break message,
        }
    };
    assert!(answers >= 10, "{answers}");
    assert!(replies(&world.telegram, robot, stopped).is_empty());
    assert_eq!(world.gate.usage(), GateUsage { looping: 1, ..GateUsage::default() });
    let friends = world.telegram.send(FRIENDS_CHAT, saying("hello"));
    world.answered(FRIENDS_CHAT, friends).await;
    world.line.left(Counts { delayed: 1, ..Counts::default() }).await;
}

#[tokio::test]
async fn recordings_in_work_share_one_budget_of_memory_whatever_a_file_may_have() {
    let mut world =
        World::new(AccountOptions { memory: 1000, max_file_size: 1000, ..options() }, NO_LIMITS).await;
    let long = format!("{}|end", "word ".repeat(140));
    let chats: Vec<Chat> = [5000, 5001]
        .map(|id| world.telegram.add_user(User { id, name: "Friend".into(), bot: false }))
        .to_vec();
    let first = world.telegram.send(chats[0], saying(&long));
    world.line.at_the_gate(1).await;
    let second = world.telegram.send(chats[1], saying(&long));
    world.line.left(Counts { claimed: 1, delayed: 1, ..Counts::default() }).await;
    // A small one fits beside it, and one that is too large is refused whatever there is.
    let small = world.telegram.send(FRIENDS_CHAT, saying("small"));
    world.answered(FRIENDS_CHAT, small).await;
    world.telegram.send(FRIENDS_CHAT, saying(&"word ".repeat(400)));
    world.line.left(Counts { claimed: 1, delayed: 1, ..Counts::default() }).await;
    assert_eq!(*world.line.recognised.borrow(), 2);
    world.line.gate.send_replace(true);
    for (chat, message) in [(chats[0], first), (chats[1], second)] {
        world.answered(chat, message).await;
    }
    world.line.finished().await;
}

/// Five strangers send voices, long ones, forwards, and answers to our answers, while ten friends send five
/// messages each. STRANGERS_MESSAGES says how many they send: 300 here, 3,000 in the bar of the project.
#[tokio::test]
async fn friends_are_answered_and_no_budget_is_exceeded_whatever_strangers_send() {
    let messages = std::env::var("STRANGERS_MESSAGES").map_or(300, |text| text.parse().expect("a number"));
    // On the first day it is half of that, and half of this again for strangers.
    let sends = SendLimits { minute: 10_000, day: 400 };
    let limits = GateLimits { stranger: messages_an_hour(30), jobs: 200, loop_after: 10, ..NO_LIMITS };
    let world = World::new(AccountOptions { sends, ..options() }, limits).await;
    world.line.gate.send_replace(true);
    // A Telegram that takes more than this for spam.
    world.telegram.fault(Fault::on("messages.sendMessage", Action::error(400, "PEER_FLOOD")).after(200));
    let strangers: Vec<Chat> = (0..5).map(|number| world.stranger(number)).collect();
    let friends: Vec<Chat> = (5000..5010)
        .map(|id| world.telegram.add_user(User { id, name: "Friend".into(), bot: false }))
        .collect();
    let mut forwarded = None;
    let mut waited_for = Vec::new();
    for number in 0..messages {
        let stranger = strangers[number % 5];
        let draft = match (number % 4, &forwarded) {
            (0, Some(post)) => Draft::forward(post),
            (1, _) => saying("a|long|one"),
            _ => saying(&format!("buy number {number}")),
        };
        let message = world.telegram.send(stranger, draft);
        if forwarded.is_none() {
            forwarded = world.telegram.look(|ledger| ledger.post(stranger, message).cloned());
        }
        if number % (messages / 50).max(1) == 0 && waited_for.len() < 50 {
            let friend = friends[waited_for.len() % 10];
            waited_for.push((friend, world.telegram.send(friend, saying(&format!("hello {number}")))));
        }
    }
    assert_eq!(waited_for.len(), 50);
    for (friend, message) in waited_for {
        world.answered(friend, message).await;
    }
    let (sent, tried) = world.telegram.look(|ledger| {
        let to = |chat: &Chat| ledger.chat(*chat).filter(|post| post.by_client()).count();
        (strangers.iter().map(to).collect::<Vec<_>>(), ledger.count("messages.sendMessage"))
    });
    assert!(tried <= 200, "{tried} messages were sent");
    assert!(sent.iter().sum::<usize>() <= 100 && sent.iter().all(|sent| *sent <= 31), "{sent:?}");
    let counts = world.line.queue.counts().await.expect("count");
    // A friend's job may not have ended yet.
    assert!(counts.waiting + counts.claimed + counts.delayed <= 200 + 50, "{counts:?}");
    assert_eq!(counts.dead, 0);
}
