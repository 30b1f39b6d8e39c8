//! Where answers appear and in which form; each exactly once, whatever happens on the way.

use fake_telegram::{GROUP, Post, SUPERGROUP};
use stenogram::domain::rules::{AnswerIn, Groups, Rules};

use super::*;

fn answered_in(answer_in: AnswerIn) -> Policy {
    let rules = Rules { answer_in, groups: Groups::All, ..Rules::default() };
    Policy { rules, ..policy(Task::Transcribe) }
}

/// What the daemon has written to Saved Messages.
fn saved(telegram: &Telegram) -> Vec<Post> {
    telegram.look(|ledger| ledger.sent().filter(|post| post.chat == SAVED_MESSAGES).cloned().collect())
}

/// Waits until the daemon has written so many messages to Saved Messages.
async fn saved_so_many(telegram: &Telegram, count: usize) -> Vec<Post> {
    let of_saved = |post: &&Post| post.chat == SAVED_MESSAGES;
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().filter(of_saved).count() >= count).await.unwrap();
    saved(telegram)
}

#[tokio::test]
async fn an_answer_in_saved_messages_says_whose_it_is_and_nobody_else_sees_it() {
    let (telegram, _folder, line) = start_under(answered_in(AnswerIn::Saved)).await;
    for (number, (chat, draft, header, link)) in [
        (FRIENDS_CHAT, saying("one"), "Friend · ", "tg://openmessage?user_id=2000&message_id="),
        (FRIENDS_CHAT, saying("two").own(), "→ Friend · ", "tg://openmessage?user_id=2000&message_id="),
        (GROUP, saying("three"), "Friend, Basic group · ", "tg://openmessage?chat_id=400&message_id="),
        (SUPERGROUP, saying("four").own(), "→ Supergroup · ", "https://t.me/c/500/"),
    ]
    .into_iter()
    .enumerate()
    {
        let message = telegram.send(chat, draft);
        let post = saved_so_many(&telegram, number + 1).await.pop().unwrap();
        let (first, text) = post.text.split_once('\n').expect("a header");
        assert!(first.starts_with(header) && first.ends_with(" UTC"), "{first}");
        assert_eq!(text, ["one", "two", "three", "four"][number]);
        assert_eq!(post.links(), [format!("{link}{message}")]);
        assert_eq!(post.reply_to, None);
    }
    // In Saved Messages itself the answer is a reply, as ever.
    let own = telegram.send(SAVED_MESSAGES, saying("five").own());
    telegram.wait_for_reply(SAVED_MESSAGES, own, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.look(|ledger| assert!(ledger.sent().all(|post| post.chat == SAVED_MESSAGES)));
}

/// Here Telegram forgets each `random_id` at once, and what was sent is found in Saved Messages.
#[tokio::test]
async fn a_crash_repeats_nothing_in_saved_messages() {
    let policy = answered_in(AnswerIn::Saved);
    for chat in [FRIENDS_CHAT, SUPERGROUP] {
        let (telegram, folder, mut line) = start_under(policy.clone()).await;
        let text = three_parts();
        telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).times(2));
        // The same words in answer to another message are no part of this answer.
        telegram.send(chat, saying(&text));
        for sent in 1..=2 {
            saved_so_many(&telegram, sent).await;
            line.stop().await;
            line = Line::start_under(policy.clone(), &folder).await;
        }
        saved_so_many(&telegram, 3).await;
        line.finished().await;
        let parts: Vec<String> =
            saved(&telegram).iter().map(|post| post.text.split_once('\n').unwrap().1.to_owned()).collect();
        assert_eq!(parts.join(" "), text, "{chat:?}");
        telegram.send(chat, saying(&text));
        saved_so_many(&telegram, 6).await;
        line.finished().await;
        assert_eq!(saved(&telegram).len(), 6, "{chat:?}");
    }
}

/// The captions of a chat, by the message that has them, and the replies.
async fn caption_of(telegram: &Telegram, chat: Chat, message: i32) -> Post {
    let has_caption = |post: &&Post| !post.text.is_empty();
    let caption =
        telegram.wait_for(DEADLINE, |ledger| ledger.post(chat, message).filter(has_caption).cloned());
    caption.await.unwrap()
}

#[tokio::test]
async fn ones_own_voice_message_gets_its_text_as_a_caption() {
    let (telegram, _folder, line) = start_under(answered_in(AnswerIn::Caption)).await;
    for chat in [FRIENDS_CHAT, GROUP, SUPERGROUP, SAVED_MESSAGES] {
        let own = telegram.send(chat, saying("mine").own());
        let post = caption_of(&telegram, chat, own).await;
        assert_eq!((post.text.as_str(), post.edits), ("mine", 1), "{chat:?}");
    }
    let theirs = telegram.send(FRIENDS_CHAT, saying("theirs"));
    telegram.wait_for_reply(FRIENDS_CHAT, theirs, DEADLINE).await.unwrap();
    let round = telegram.send(FRIENDS_CHAT, Draft::round("round", 1).own());
    telegram.wait_for_reply(FRIENDS_CHAT, round, DEADLINE).await.unwrap();
    line.finished().await;
    assert_eq!(telegram.look(|ledger| ledger.sent().count()), 2);
}

#[tokio::test]
async fn what_does_not_fit_a_caption_follows_as_replies() {
    let (telegram, _folder, line) = start_under(answered_in(AnswerIn::Caption)).await;
    let text = three_parts();
    let own = telegram.send(FRIENDS_CHAT, saying(&text).own());
    telegram.wait_until(DEADLINE, |ledger| ledger.replies(FRIENDS_CHAT, own).count() >= 2).await.unwrap();
    line.finished().await;
    let caption = caption_of(&telegram, FRIENDS_CHAT, own).await;
    assert!(caption.text.encode_utf16().count() <= 1024);
    assert!(caption.entities().iter().any(|entity| entity.collapsed));
    let parts = [vec![caption.text], replies(&telegram, FRIENDS_CHAT, own)].concat();
    assert_eq!(parts.join(" "), text);
}

#[tokio::test]
async fn where_there_can_be_no_caption_the_answer_is_a_reply() {
    let policy = Policy { max_age: Duration::from_secs(30 * 86_400), ..answered_in(AnswerIn::Caption) };
    let (telegram, _folder, line) = start_under(policy).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let long_ago = i32::try_from(now).unwrap() - 3 * 86_400;
    for draft in [
        saying("captioned").own().caption("my own words"),
        saying("too old").own().dated(long_ago),
        saying("forwarded").own().forwarded_from(FRIEND),
    ] {
        let own = telegram.send(FRIENDS_CHAT, draft);
        telegram.wait_for_reply(FRIENDS_CHAT, own, DEADLINE).await.unwrap();
        telegram.look(|ledger| assert_eq!(ledger.post(FRIENDS_CHAT, own).unwrap().edits, 0));
    }
    line.finished().await;
    assert_eq!(telegram.look(|ledger| ledger.sent().count()), 3);
}

#[tokio::test]
async fn a_crash_neither_repeats_a_caption_nor_adds_a_reply() {
    let policy = answered_in(AnswerIn::Caption);
    for action in [Action::LoseAnswer, Action::DropAfter, Action::DropBefore] {
        let (telegram, folder, line) = start_under(policy.clone()).await;
        telegram.fault(Fault::on("messages.editMessage", action.clone()).once());
        let own = telegram.send(FRIENDS_CHAT, saying("mine").own());
        telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.editMessage") >= 1).await.unwrap();
        line.stop().await;
        let line = Line::start_under(policy.clone(), &folder).await;
        let post = caption_of(&telegram, FRIENDS_CHAT, own).await;
        line.finished().await;
        assert_eq!((post.text.as_str(), post.edits), ("mine", 1), "{action:?}");
        assert_eq!(telegram.look(|ledger| ledger.sent().count()), 0, "{action:?}");
    }
}

#[tokio::test]
async fn the_owner_says_from_which_length_a_text_is_folded() {
    for (fold_from, folded) in [(3, true), (4, false), (u32::MAX, false)] {
        let mut policy = policy(Task::Transcribe);
        policy.settings.fold_from = fold_from;
        let (telegram, _folder, _line) = start_under(policy).await;
        let message = telegram.send(FRIENDS_CHAT, saying("one"));
        let reply = telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await.unwrap();
        assert_eq!(reply.entities().iter().any(|entity| entity.collapsed), folded, "{fold_from}");
    }
}

/// A copy of a recording is answered from the store, in the form that its own chat wants.
#[tokio::test]
async fn a_copy_is_answered_in_its_own_form() {
    let (telegram, _folder, line) = start_under(answered_in(AnswerIn::Caption)).await;
    let theirs = telegram.send(FRIENDS_CHAT, saying("one"));
    telegram.wait_for_reply(FRIENDS_CHAT, theirs, DEADLINE).await.unwrap();
    line.finished().await;
    let post = telegram.look(|ledger| ledger.post(FRIENDS_CHAT, theirs).unwrap().clone());
    let copy = telegram.send(OTHER_CHAT, Draft::forward(&post));
    telegram.wait_for_reply(OTHER_CHAT, copy, DEADLINE).await.unwrap();
    assert_eq!(*line.recognised.borrow(), 1);
}
