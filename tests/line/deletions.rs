//! Recordings that are deleted.

use fake_telegram::{GROUP, SUPERGROUP};
use stenogram::domain::rules::Groups;
use stenogram::queue::Mark;

use super::*;

/// Waits until the client has deleted its answer.
async fn gone(telegram: &Telegram, chat: Chat, message: i32) {
    let is_gone = |ledger: fake_telegram::Ledger| ledger.post(chat, message).is_none();
    telegram.wait_until(DEADLINE, is_gone).await.unwrap();
}

fn in_groups() -> Policy {
    Policy { rules: Rules { groups: Groups::All, ..Rules::default() }, ..policy(Task::Transcribe) }
}

#[tokio::test]
async fn the_answer_to_ones_own_goes_with_it_in_every_kind_of_chat() {
    let (telegram, _folder, line) = start_under(in_groups()).await;
    for chat in [FRIENDS_CHAT, SAVED_MESSAGES, GROUP, SUPERGROUP] {
        let own = telegram.send(chat, saying("my words").own());
        let answer = telegram.wait_for_reply(chat, own, DEADLINE).await.unwrap();
        line.finished().await;
        telegram.delete(chat, own);
        gone(&telegram, chat, answer.id).await;
    }
}

#[tokio::test]
async fn the_answer_to_somebody_elses_stays_and_its_transcript_goes() {
    let (telegram, _folder, line) = start().await;
    let theirs = telegram.send(FRIENDS_CHAT, saying("their words"));
    let answer = telegram.wait_for_reply(FRIENDS_CHAT, theirs, DEADLINE).await.unwrap();
    line.finished().await;
    let finished = line.queue.finished(OWNER, None, theirs).await.unwrap().expect("it is kept");
    assert!(line.queue.result(&finished).await.unwrap().is_some());
    telegram.delete(FRIENDS_CHAT, theirs);
    // One that is deleted after it: its answer is gone, so the first deletion was followed too.
    let own = telegram.send(OTHER_CHAT, saying("my words").own());
    let last = telegram.wait_for_reply(OTHER_CHAT, own, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.delete(OTHER_CHAT, own);
    gone(&telegram, OTHER_CHAT, last.id).await;
    assert_eq!(line.queue.finished(OWNER, None, theirs).await.unwrap(), None);
    assert_eq!(line.queue.result(&finished).await.unwrap(), None);
    assert!(matches!(line.queue.mark(finished.id).await.unwrap(), Some(Mark::Answered { .. })));
    assert!(telegram.look(|ledger| ledger.post(FRIENDS_CHAT, answer.id).is_some()));
}

#[tokio::test]
async fn what_was_deleted_while_nobody_listened_is_followed_too() {
    let (telegram, folder, line) = start().await;
    let own = telegram.send(FRIENDS_CHAT, saying("my words").own());
    let answer = telegram.wait_for_reply(FRIENDS_CHAT, own, DEADLINE).await.unwrap();
    line.finished().await;
    line.stop().await;
    telegram.delete(FRIENDS_CHAT, own);
    let line = Line::start(&folder).await;
    gone(&telegram, FRIENDS_CHAT, answer.id).await;
    line.finished().await;
}

#[tokio::test]
async fn one_that_is_deleted_before_its_turn_is_not_recognised() {
    let (telegram, _folder, mut line) = start().await;
    let long = telegram.send(FRIENDS_CHAT, saying("a long|recording"));
    line.at_the_gate(1).await;
    let waits = telegram.send(FRIENDS_CHAT, saying("never read"));
    line.left(Counts { waiting: 1, claimed: 1, ..Counts::default() }).await;
    telegram.delete(FRIENDS_CHAT, waits);
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    line.finished().await;
    // The two stretches of the long one.
    assert_eq!(*line.recognised.borrow(), 2);
    let id = JobId { account: OWNER, chat: FRIEND, message: waits };
    let mark = line.queue.mark(id).await.unwrap();
    assert!(matches!(&mark, Some(Mark::Rejected { reason }) if reason.contains("deleted")), "{mark:?}");
}

/// The answer waits, because Telegram demands it.
#[tokio::test]
async fn one_that_is_deleted_before_its_answer_is_sent_gets_none_and_its_transcript_goes() {
    let (telegram, _folder, line) = start().await;
    telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(2)).once());
    let message = telegram.send(FRIENDS_CHAT, saying("their words"));
    line.left(Counts { delayed: 1, ..Counts::default() }).await;
    let post = telegram.look(|ledger| ledger.post(FRIENDS_CHAT, message).cloned()).unwrap();
    telegram.delete(FRIENDS_CHAT, message);
    line.finished().await;
    assert!(replies(&telegram, FRIENDS_CHAT, message).is_empty());
    let copy = telegram.send(OTHER_CHAT, Draft::forward(&post));
    telegram.wait_for_reply(OTHER_CHAT, copy, DEADLINE).await.unwrap();
    line.finished().await;
    assert_eq!(*line.recognised.borrow(), 2, "nothing was kept of the first");
}
