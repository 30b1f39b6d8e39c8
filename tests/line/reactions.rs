//! The owner's reactions to recordings: one emoji asks for the text.

use fake_telegram::{BOT, BROADCAST, GROUP, SUPERGROUP};
use stenogram::domain::rules::Rules;

use super::*;

/// The emoji that [`Ears`] takes for a request.
const ASK: Option<&str> = Some("✍️");

/// Waits until what happened before is done: a recording in a chat of its own is answered.
async fn settled(telegram: &Telegram, line: &Line) {
    let last = telegram.send(OTHER_CHAT, saying("settled"));
    telegram.wait_for_reply(OTHER_CHAT, last, DEADLINE).await.unwrap();
    line.finished().await;
}

/// Nothing in the friend's chat is answered by itself.
fn quiet() -> Policy {
    let rules = Rules { denied: "2000".parse().unwrap(), ..Rules::default() };
    Policy { rules, ..policy(Task::Transcribe) }
}

/// In private chats and basic groups the reaction comes as an edit of the message, in supergroups as an
/// update of its own.
#[tokio::test]
async fn a_reaction_of_the_owner_brings_the_text_once() {
    let (telegram, _folder, line) = start_under(quiet()).await;
    for (chat, draft) in [
        (FRIENDS_CHAT, saying("theirs")),
        (FRIENDS_CHAT, saying("mine").own()),
        (FRIENDS_CHAT, Draft::music("a song", 3)),
        (FRIENDS_CHAT, saying("an old one").dated(1_600_000_000)),
        (GROUP, saying("in a group").from(FRIEND)),
        (SUPERGROUP, saying("in a supergroup").from(FRIEND)),
        (Chat::User(BOT), saying("with a bot")),
    ] {
        let recording = telegram.send(chat, draft);
        settled(&telegram, &line).await;
        assert!(replies(&telegram, chat, recording).is_empty(), "{chat:?}");
        // Taken back and given again, it is the same request.
        for emoji in [ASK, None, ASK] {
            telegram.react(chat, recording, OWNER, emoji);
        }
        telegram.wait_for_reply(chat, recording, DEADLINE).await.unwrap();
        settled(&telegram, &line).await;
        assert_eq!(replies(&telegram, chat, recording).len(), 1, "{chat:?}");
        // The reaction stays.
        telegram.look(|ledger| assert_eq!(ledger.post(chat, recording).unwrap().reactions.len(), 1));
    }
}

#[tokio::test]
async fn other_reactions_and_those_of_others_ask_for_nothing() {
    let (telegram, _folder, line) = start_under(quiet()).await;
    let now = i32::try_from(stenogram::domain::unix_time::now_seconds()).unwrap();
    let recordings = [FRIENDS_CHAT, SUPERGROUP].map(|chat| (chat, telegram.send(chat, saying("left alone"))));
    for (chat, recording) in recordings {
        telegram.react(chat, recording, FRIEND, ASK);
        telegram.react(chat, recording, OWNER, Some("👍"));
        // One of an hour ago is in the list when somebody else reacts.
        telegram.react_at(chat, recording, OWNER, ASK, now - 3600);
        telegram.react(chat, recording, SECOND_FRIEND, Some("👍"));
    }
    let text = telegram.send(FRIENDS_CHAT, Draft::text("no recording"));
    telegram.react(FRIENDS_CHAT, text, OWNER, ASK);
    let vanishing = telegram.send(FRIENDS_CHAT, saying("once").view_once());
    telegram.react(FRIENDS_CHAT, vanishing, OWNER, ASK);
    settled(&telegram, &line).await;
    telegram.look(|ledger| {
        assert!(ledger.sent().all(|post| post.chat == OTHER_CHAT));
        // Members of a group cannot make us ask for messages.
        assert_eq!(ledger.count("channels.getMessages"), 0);
    });
}

#[tokio::test]
async fn a_post_of_a_channel_that_lists_the_reaction_is_transcribed_where_the_owner_may_write() {
    let (telegram, _folder, line) = start_under(quiet()).await;
    // In a channel of somebody else, the answer goes nowhere but into the log.
    let post = telegram.send(BROADCAST, saying("a post"));
    telegram.react(BROADCAST, post, OWNER, ASK);
    settled(&telegram, &line).await;
    assert!(replies(&telegram, BROADCAST, post).is_empty());
}

/// Here Telegram forgets each `random_id` at once, and the events come again after each crash.
#[tokio::test]
async fn a_reaction_is_obeyed_once_also_after_a_crash_and_an_outage() {
    let (telegram, folder, mut line) = start_under(quiet()).await;
    let text = three_parts();
    let recording = telegram.send(FRIENDS_CHAT, saying(&text));
    settled(&telegram, &line).await;
    // Given while the daemon is away.
    line.stop().await;
    telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).times(2));
    telegram.react(FRIENDS_CHAT, recording, OWNER, ASK);
    line = Line::start_under(quiet(), &folder).await;
    for sent in 1..=2 {
        telegram
            .wait_until(DEADLINE, |ledger| ledger.replies(FRIENDS_CHAT, recording).count() >= sent)
            .await
            .unwrap();
        line.stop().await;
        line = Line::start_under(quiet(), &folder).await;
    }
    telegram
        .wait_until(DEADLINE, |ledger| ledger.replies(FRIENDS_CHAT, recording).count() >= 3)
        .await
        .unwrap();
    settled(&telegram, &line).await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording).join(" "), text);
}

/// As with the command `t`: an answer that is there stays, and one that is gone comes again.
#[tokio::test]
async fn a_recording_that_was_answered_keeps_its_answer() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying("hello"));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.react(FRIENDS_CHAT, recording, OWNER, ASK);
    settled(&telegram, &line).await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording), ["hello"]);
    let other = telegram.send(FRIENDS_CHAT, saying("gone"));
    let gone = telegram.wait_for_reply(FRIENDS_CHAT, other, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.delete(FRIENDS_CHAT, gone.id);
    telegram.react(FRIENDS_CHAT, other, OWNER, ASK);
    let again = telegram.wait_for_reply(FRIENDS_CHAT, other, DEADLINE).await.unwrap();
    assert!(again.id > first.id.max(gone.id), "{again:?}");
    line.finished().await;
}
