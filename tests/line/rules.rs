//! Which messages are answered: chats of every kind, one's own and other people's.

use fake_telegram::{BOT, BROADCAST, ChatLimits, GROUP, STRANGERS, SUPERGROUP};
use stenogram::domain::rules::{Groups, Rules, Theirs};

use super::*;

fn under(rules: Rules) -> Policy {
    Policy { rules, ..policy(Task::Transcribe) }
}

fn in_groups(groups: Groups) -> Policy {
    under(Rules { groups, ..Rules::default() })
}

/// Sends these recordings, and returns which of them are answered, in a reply each.
async fn answered(policy: Policy, drafts: Vec<(Chat, Draft)>) -> Vec<bool> {
    let (telegram, _folder, line) = start_under(policy).await;
    telegram.add_user(User { id: STRANGERS.start, name: "Stranger".into(), bot: false });
    let sent: Vec<_> = drafts.into_iter().map(|(chat, draft)| (chat, telegram.send(chat, draft))).collect();
    // What comes last is answered last: the updates are taken in order, and then the jobs are done.
    let last = telegram.send(SAVED_MESSAGES, saying("last").own());
    telegram.wait_for_reply(SAVED_MESSAGES, last, DEADLINE).await.unwrap();
    line.finished().await;
    let count = |(chat, id): (Chat, i32)| telegram.look(|ledger| ledger.replies(chat, id).count());
    let counts: Vec<usize> = sent.into_iter().map(count).collect();
    assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    counts.into_iter().map(|count| count == 1).collect()
}

/// Everything in which a rule may make a difference: theirs and mine, by kind of chat.
fn everything() -> Vec<(Chat, Draft)> {
    let chats = [FRIENDS_CHAT, Chat::User(STRANGERS.start), GROUP, SUPERGROUP, BROADCAST, Chat::User(BOT)];
    let both = |chat| [(chat, saying("theirs")), (chat, saying("mine").own())];
    chats.into_iter().flat_map(both).collect()
}

/// The table in the README, as far as replies go: a contact's chat, a stranger's, a basic group and a
/// supergroup (in both, a contact speaks), a channel, a bot; of each theirs and mine.
#[tokio::test]
async fn each_setting_answers_what_the_table_in_the_readme_says() {
    let (yes, no) = ([true, true], [false, false]);
    let mine = [false, true];
    for (rules, expected) in [
        (Rules::default(), [yes, yes, no, no]),
        (Rules { groups: Groups::Mine, ..Rules::default() }, [yes, yes, mine, mine]),
        (Rules { groups: Groups::All, ..Rules::default() }, [yes, yes, yes, yes]),
        (Rules { theirs: Theirs::Contacts, groups: Groups::All, ..Rules::default() }, [yes, mine, yes, yes]),
        (Rules { theirs: Theirs::None, groups: Groups::All, ..Rules::default() }, [mine; 4]),
        (Rules { allowed: "-400".parse().unwrap(), ..Rules::default() }, [yes, yes, yes, no]),
        (
            Rules { denied: "2000".parse().unwrap(), groups: Groups::All, ..Rules::default() },
            [no, yes, mine, mine],
        ),
    ] {
        let answers = answered(under(rules.clone()), everything()).await;
        assert_eq!(answers, [expected.as_flattened(), &[false; 4]].concat(), "{rules:?}");
    }
    // With ANSWER_MINE=off, Saved Messages are not answered, so something else has to come last.
    let rules = Rules { mine: false, groups: Groups::All, ..Rules::default() };
    let (telegram, _folder, line) = start_under(under(rules)).await;
    let own =
        [FRIENDS_CHAT, GROUP, SAVED_MESSAGES].map(|chat| (chat, telegram.send(chat, saying("mine").own())));
    let last = telegram.send(FRIENDS_CHAT, saying("last"));
    telegram.wait_for_reply(FRIENDS_CHAT, last, DEADLINE).await.unwrap();
    line.finished().await;
    for (chat, message) in own {
        assert!(replies(&telegram, chat, message).is_empty(), "{chat:?}");
    }
}

#[tokio::test]
async fn short_recordings_are_left_alone() {
    let rules = Rules { min_duration: Duration::from_secs(3), ..Rules::default() };
    let (telegram, _folder, line) = start_under(under(rules)).await;
    let short = telegram.send(FRIENDS_CHAT, Draft::voice("short", 2));
    let long = telegram.send(FRIENDS_CHAT, Draft::voice("long", 3));
    telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    line.finished().await;
    assert!(replies(&telegram, FRIENDS_CHAT, short).is_empty());
}

#[tokio::test]
async fn people_and_groups_are_denied_and_allowed_by_their_names() {
    let rules = Rules {
        allowed: "@The_Group".parse().unwrap(),
        denied: "@second".parse().unwrap(),
        ..Rules::default()
    };
    let (telegram, _folder, line) = start_under(under(rules)).await;
    telegram.set_name(SUPERGROUP, "the_group");
    telegram.set_name(OTHER_CHAT, "Second");
    let denied = [(OTHER_CHAT, saying("one")), (SUPERGROUP, saying("two").from(SECOND_FRIEND))];
    let denied = denied.map(|(chat, draft)| (chat, telegram.send(chat, draft)));
    let allowed = telegram.send(SUPERGROUP, saying("three").from(FRIEND));
    telegram.wait_for_reply(SUPERGROUP, allowed, DEADLINE).await.unwrap();
    let last = telegram.send(FRIENDS_CHAT, saying("last"));
    telegram.wait_for_reply(FRIENDS_CHAT, last, DEADLINE).await.unwrap();
    line.finished().await;
    for (chat, message) in denied {
        assert!(replies(&telegram, chat, message).is_empty(), "{chat:?}");
    }
}

#[tokio::test]
async fn in_groups_the_topic_is_kept_and_bots_are_left_alone() {
    let (telegram, _folder, line) = start_under(in_groups(Groups::All)).await;
    let bot = telegram.send(SUPERGROUP, saying("a bot").from(BOT));
    let topic = telegram.send(SUPERGROUP, Draft::text("a topic"));
    let in_topic = telegram.send(SUPERGROUP, saying("in a topic").in_topic(topic));
    let reply = telegram.wait_for_reply(SUPERGROUP, in_topic, DEADLINE).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.topic, reply.silent), ("in a topic", Some(topic), true));
    line.finished().await;
    assert!(replies(&telegram, SUPERGROUP, bot).is_empty());
}

/// Telegram does not say who an anonymous administrator is, but marks the owner's own messages. In the
/// discussion group of a channel, the channel's posts come in its name.
#[tokio::test]
async fn anonymous_administrators_and_posts_of_channels_are_somebody_else() {
    for groups in [Groups::Mine, Groups::All] {
        let (telegram, _folder, line) = start_under(in_groups(groups)).await;
        let mine = telegram.send(SUPERGROUP, saying("mine").own().sent_as(SUPERGROUP));
        let theirs =
            [SUPERGROUP, BROADCAST].map(|name| telegram.send(SUPERGROUP, saying("theirs").sent_as(name)));
        telegram.wait_for_reply(SUPERGROUP, mine, DEADLINE).await.unwrap();
        let last = telegram.send(SUPERGROUP, saying("last").own());
        telegram.wait_for_reply(SUPERGROUP, last, DEADLINE).await.unwrap();
        line.finished().await;
        for message in theirs {
            let answered = replies(&telegram, SUPERGROUP, message) == ["theirs"];
            assert_eq!(answered, groups == Groups::All, "{groups:?}");
        }
    }
}

#[tokio::test]
async fn where_the_account_may_not_write_it_tries_once() {
    let (telegram, _folder, mut line) = start_under(in_groups(Groups::All)).await;
    telegram.limit(GROUP, ChatLimits { no_writing: true, ..ChatLimits::default() });
    let message = telegram.send(GROUP, saying("one"));
    line.ended(message).await;
    // The next one there is not even recognised; other groups are not concerned.
    let next = telegram.send(GROUP, saying("two"));
    line.ended(next).await;
    assert_eq!(telegram.look(|ledger| ledger.count("messages.sendMessage")), 1);
    assert_eq!(*line.recognised.borrow(), 1);
    let elsewhere = telegram.send(SUPERGROUP, saying("three"));
    telegram.wait_for_reply(SUPERGROUP, elsewhere, DEADLINE).await.unwrap();
    line.finished().await;
}

#[tokio::test]
async fn a_short_slow_mode_is_waited_out_and_a_long_one_is_a_refusal() {
    let (telegram, _folder, mut line) = start_under(in_groups(Groups::All)).await;
    telegram.limit(SUPERGROUP, ChatLimits { slow_mode: 1, ..ChatLimits::default() });
    // The owner's own message begins the pause.
    let short = telegram.send(SUPERGROUP, saying("short").own());
    telegram.wait_for_reply(SUPERGROUP, short, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.limit(SUPERGROUP, ChatLimits { slow_mode: 3600, ..ChatLimits::default() });
    let before = telegram.look(|ledger| ledger.count("messages.sendMessage"));
    let long = telegram.send(SUPERGROUP, saying("long"));
    line.ended(long).await;
    line.finished().await;
    assert_eq!(telegram.look(|ledger| ledger.count("messages.sendMessage")), before + 1);
    assert!(replies(&telegram, SUPERGROUP, long).is_empty());
}

#[tokio::test]
async fn an_answer_that_has_begun_is_finished_however_long_the_slow_mode_is() {
    let (telegram, _folder, line) = start_under(in_groups(Groups::All)).await;
    telegram.limit(SUPERGROUP, ChatLimits { slow_mode: 3600, ..ChatLimits::default() });
    let message = telegram.send(SUPERGROUP, saying(&three_parts()));
    telegram.wait_for_reply(SUPERGROUP, message, DEADLINE).await.unwrap();
    line.left(Counts { delayed: 1, ..Counts::default() }).await;
    assert!(line.ended.borrow().is_empty());
}

/// Telegram does not list what was missed, neither for the account nor for the supergroup.
#[tokio::test]
async fn a_long_outage_is_made_up_for_in_groups_too() {
    let (telegram, folder, line) = start_under(in_groups(Groups::Mine)).await;
    for chat in [GROUP, SUPERGROUP] {
        let seen = telegram.send(chat, saying("seen").own());
        telegram.wait_for_reply(chat, seen, DEADLINE).await.unwrap();
    }
    line.finished().await;
    // Whatever is answered last has its position stored before this.
    let last = telegram.send(SAVED_MESSAGES, saying("last").own());
    telegram.wait_for_reply(SAVED_MESSAGES, last, DEADLINE).await.unwrap();
    line.finished().await;
    line.stop().await;
    let mut missed = Vec::new();
    for chat in [GROUP, SUPERGROUP] {
        for _ in 0..3 {
            missed.push((chat, telegram.send_silently(chat, saying("mine").own()), true));
            missed.push((chat, telegram.send_silently(chat, saying("theirs")), false));
        }
    }
    telegram.fault(Fault::on("updates.getDifference", Action::TooLong).once());
    telegram.fault(Fault::on("updates.getChannelDifference", Action::TooLong).once());
    let line = Line::start_under(in_groups(Groups::Mine), &folder).await;
    for (chat, message, _) in missed.iter().filter(|(_, _, mine)| *mine) {
        telegram.wait_for_reply(*chat, *message, DEADLINE).await.unwrap();
    }
    line.finished().await;
    for (chat, message, mine) in missed {
        assert_eq!(replies(&telegram, chat, message).len(), usize::from(mine), "{chat:?} {message}");
    }
}
