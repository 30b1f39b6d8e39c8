//! What the owner says in chats: commands from any chat and from Saved Messages.

use fake_telegram::{BOT, ChatLimits, GROUP, Packing, Post, SUPERGROUP};
use stenogram::domain::pacing::SendLimits;
use stenogram::domain::rules::{AnswerIn, Groups};
use stenogram::queue::{Claimed, MAX_DEATHS, Mark};
use stenogram::telegram::AccountOptions;

use super::*;

const FRIEND_SAYS: &str = "hello from a friend";

/// The owner says something on another device.
fn say(text: &str) -> Draft {
    Draft::text(text).own()
}

/// Waits until a message is deleted, and returns it as it was last.
async fn deleted(telegram: &Telegram, chat: Chat, id: i32) -> Post {
    let gone = |ledger: fake_telegram::Ledger| {
        ledger.deleted().find(|post| (post.chat, post.id) == (chat, id)).cloned()
    };
    telegram.wait_for(DEADLINE, gone).await.unwrap()
}

/// Gives a command in a chat, and returns what it was answered with before both went away.
async fn command(telegram: &Telegram, chat: Chat, draft: Draft) -> String {
    let id = telegram.send(chat, draft);
    deleted(telegram, chat, id).await.text
}

/// Gives a command in Saved Messages, and returns its answer.
async fn in_saved_messages(telegram: &Telegram, text: &str) -> String {
    let id = telegram.send(SAVED_MESSAGES, say(text));
    telegram.wait_for_reply(SAVED_MESSAGES, id, DEADLINE).await.unwrap().text
}

/// The number of client's messages in `chat`.
fn sent_to(telegram: &Telegram, chat: Chat) -> usize {
    telegram.look(|ledger| ledger.sent().filter(|post| post.chat == chat).count())
}

/// Waits until what was said before is done: a recording in a chat of its own is answered.
async fn settled(telegram: &Telegram, line: &Line) {
    let last = telegram.send(OTHER_CHAT, saying("settled"));
    telegram.wait_for_reply(OTHER_CHAT, last, DEADLINE).await.unwrap();
    line.finished().await;
}

#[tokio::test]
async fn a_chat_is_switched_off_and_on_and_stays_so_after_a_restart() {
    let (telegram, folder, line) = start().await;
    let text = command(&telegram, FRIENDS_CHAT, say(".off")).await;
    assert_eq!(text, "Recordings are not answered here any more.");
    let off = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    settled(&telegram, &line).await;
    assert!(replies(&telegram, FRIENDS_CHAT, off).is_empty());
    let line = line.crash(&folder).await;
    let still_off = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    settled(&telegram, &line).await;
    assert!(replies(&telegram, FRIENDS_CHAT, still_off).is_empty());
    let text = command(&telegram, FRIENDS_CHAT, say(".Вкл")).await;
    assert_eq!(text, "Теперь голосовые здесь распознаются.");
    let on = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let reply = telegram.wait_for_reply(FRIENDS_CHAT, on, DEADLINE).await.unwrap();
    assert_eq!(reply.text, FRIEND_SAYS);
}

/// Telegram has a short form for plain texts of private chats.
#[tokio::test]
async fn a_command_may_come_in_an_update_of_any_form() {
    let (telegram, _folder, line) = start().await;
    for packing in [Packing::ShortMessage, Packing::Short, Packing::Combined, Packing::TooLong] {
        let recording = telegram.send(FRIENDS_CHAT, Draft::music("asked for", 2));
        let sent = telegram.send_all([(FRIENDS_CHAT, say(".t").reply_to(recording))], packing);
        telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
        deleted(&telegram, FRIENDS_CHAT, sent[0]).await;
    }
    line.finished().await;
}

#[tokio::test]
async fn a_group_that_the_configuration_leaves_out_is_switched_on() {
    let (telegram, _folder, line) = start().await;
    for chat in [GROUP, SUPERGROUP] {
        let before = telegram.send(chat, saying("before").from(FRIEND));
        command(&telegram, chat, say(".on")).await;
        let after = telegram.send(chat, saying("after").from(FRIEND));
        telegram.wait_for_reply(chat, after, DEADLINE).await.unwrap();
        line.finished().await;
        assert!(replies(&telegram, chat, before).is_empty());
    }
}

#[tokio::test]
async fn where_and_translate_hold_in_their_chat_only() {
    let (telegram, _folder, line) = start().await;
    command(&telegram, FRIENDS_CHAT, say(".where saved")).await;
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    command(&telegram, FRIENDS_CHAT, say(".language ru")).await;
    let there = telegram.send(FRIENDS_CHAT, saying("hello"));
    let here = telegram.send(OTHER_CHAT, saying("hello"));
    let reply = telegram.wait_for_reply(OTHER_CHAT, here, DEADLINE).await.unwrap();
    assert_eq!(reply.text, "hello");
    let in_saved = |ledger: fake_telegram::Ledger| {
        ledger.sent().find(|post| post.chat == SAVED_MESSAGES).map(|post| post.text.clone())
    };
    let text = telegram.wait_for(DEADLINE, in_saved).await.unwrap();
    assert!(text.ends_with("\nHELLO"), "{text}");
    line.finished().await;
    assert!(replies(&telegram, FRIENDS_CHAT, there).is_empty());
}

#[tokio::test]
async fn a_pause_in_saved_messages_is_one_of_all_chats() {
    let (telegram, _folder, line) = start().await;
    assert_eq!(
        in_saved_messages(&telegram, "pause 2h").await,
        "Recordings in all chats are left alone for 2 h."
    );
    let paused = telegram.send(FRIENDS_CHAT, saying("one"));
    // One that was left alone is transcribed if the owner asks for it.
    let asked = telegram.send(OTHER_CHAT, saying("two"));
    telegram.send(OTHER_CHAT, say(".t").reply_to(asked));
    telegram.wait_for_reply(OTHER_CHAT, asked, DEADLINE).await.unwrap();
    assert_eq!(in_saved_messages(&telegram, "продолжай").await, "Пауза во всех чатах закончена.");
    let resumed = telegram.send(FRIENDS_CHAT, saying("three"));
    telegram.wait_for_reply(FRIENDS_CHAT, resumed, DEADLINE).await.unwrap();
    line.finished().await;
    assert!(replies(&telegram, FRIENDS_CHAT, paused).is_empty());
    // In Saved Messages the command stays, and so does its answer.
    let said: Vec<String> =
        telegram.look(|ledger| ledger.chat(SAVED_MESSAGES).map(|post| post.text.clone()).collect());
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(
        command(&telegram, FRIENDS_CHAT, say(".pause 1d")).await,
        "Recordings here are left alone for 1 d."
    );
    let paused = telegram.send(FRIENDS_CHAT, saying("four"));
    settled(&telegram, &line).await;
    assert!(replies(&telegram, FRIENDS_CHAT, paused).is_empty());
}

#[tokio::test]
async fn what_the_owner_asks_for_is_transcribed_wherever_it_is() {
    let (telegram, _folder, line) = start().await;
    let bots = Chat::User(BOT);
    for (chat, draft) in [
        (GROUP, saying("in a group").from(FRIEND)),
        (SUPERGROUP, saying("in a supergroup").from(FRIEND)),
        (SUPERGROUP, saying("of a bot").from(BOT)),
        (bots, saying("with a bot")),
        (FRIENDS_CHAT, Draft::music("a song", 3)),
        (FRIENDS_CHAT, saying("an old one").dated(1_600_000_000)),
    ] {
        let recording = telegram.send(chat, draft);
        settled(&telegram, &line).await;
        assert!(replies(&telegram, chat, recording).is_empty(), "{chat:?}");
        let before = sent_to(&telegram, chat);
        let command = telegram.send(chat, say(".t").reply_to(recording));
        let reply = telegram.wait_for_reply(chat, recording, DEADLINE).await.unwrap();
        assert!(deleted(&telegram, chat, command).await.text == ".t", "{chat:?}");
        line.finished().await;
        assert_eq!(sent_to(&telegram, chat), before + 1, "{chat:?}: {reply:?}");
    }
}

#[tokio::test]
async fn in_a_forum_the_text_goes_to_the_topic() {
    let (telegram, _folder, line) = start().await;
    let topic = telegram.send(SUPERGROUP, Draft::text("a topic"));
    let recording = telegram.send(SUPERGROUP, saying("in a topic").in_topic(topic).from(FRIEND));
    // In a topic every message names the one that began it: that is no reply.
    let text = command(&telegram, SUPERGROUP, say(".t").in_topic(topic)).await;
    assert!(text.starts_with("Reply with this command to"), "{text}");
    telegram.send(SUPERGROUP, say(".t").in_topic(topic).reply_to(recording));
    let reply = telegram.wait_for_reply(SUPERGROUP, recording, DEADLINE).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.topic), ("in a topic", Some(topic)));
    line.finished().await;
}

#[tokio::test]
async fn what_is_asked_for_goes_before_everything_that_waits() {
    let (telegram, folder, line) = start().await;
    line.stop().await;
    // While nobody works, a long line comes together, also in the same chat.
    let waiting: Vec<i32> =
        (0..6).map(|number| telegram.send(FRIENDS_CHAT, saying(&format!("waits {number}")))).collect();
    let music = telegram.send(FRIENDS_CHAT, Draft::music("asked for", 2));
    telegram.send(FRIENDS_CHAT, say(".т").reply_to(music));
    let line = Line::start(&folder).await;
    let last = telegram.wait_for_reply(FRIENDS_CHAT, waiting[5], DEADLINE).await.unwrap();
    let asked = telegram.wait_for_reply(FRIENDS_CHAT, music, DEADLINE).await.unwrap();
    assert!(asked.id < last.id, "{} was sent after {}", asked.id, last.id);
    line.finished().await;
}

#[tokio::test]
async fn one_that_waits_is_taken_to_the_front_and_answered_once() {
    let (telegram, _folder, mut line) = start().await;
    let long = telegram.send(FRIENDS_CHAT, saying("a long|recording"));
    line.at_the_gate(1).await;
    let waits = telegram.send(FRIENDS_CHAT, saying("waits behind it"));
    let command = telegram.send(FRIENDS_CHAT, say(".t").reply_to(waits));
    telegram.wait_for_reply(FRIENDS_CHAT, waits, DEADLINE).await.unwrap();
    deleted(&telegram, FRIENDS_CHAT, command).await;
    // The long one is in work: that is said, and nothing else happens.
    let text = self::command(&telegram, FRIENDS_CHAT, say(".t").reply_to(long)).await;
    assert_eq!(text, "This recording is being worked on already.");
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    line.finished().await;
    assert_eq!([waits, long].map(|id| replies(&telegram, FRIENDS_CHAT, id).len()), [1, 1]);
}

#[tokio::test]
async fn an_answer_that_is_gone_is_sent_again_and_one_that_is_there_is_not() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    let recognised = *line.recognised.borrow();
    let text = command(&telegram, FRIENDS_CHAT, say(".t").reply_to(recording)).await;
    assert_eq!(text, "Answered before. If the answer is gone, it is sent again.");
    line.finished().await;
    let there = telegram.look(|ledger| ledger.replies(FRIENDS_CHAT, recording).cloned().collect::<Vec<_>>());
    assert_eq!((there.len(), there[0].id, there[0].edits), (1, first.id, 0));
    telegram.delete(FRIENDS_CHAT, first.id);
    command(&telegram, FRIENDS_CHAT, say(".t").reply_to(recording)).await;
    let second = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    assert_eq!((second.text.as_str(), second.id > first.id), (FRIEND_SAYS, true));
    line.finished().await;
    // And now that one is there.
    command(&telegram, FRIENDS_CHAT, say(".t").reply_to(recording)).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording), [FRIEND_SAYS]);
    assert_eq!(*line.recognised.borrow(), recognised, "it was kept");
}

/// It was given up after one of its parts had been sent.
#[tokio::test]
async fn the_rest_of_an_answer_that_was_given_up_is_sent() {
    let (telegram, folder, line) = start().await;
    let text = three_parts();
    telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
    let recording = telegram.send(FRIENDS_CHAT, saying(&text));
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() == 1).await.unwrap();
    line.stop().await;
    let queue = queue(&folder).await;
    let Claimed::Job(claim) = queue.claim().await.unwrap() else { panic!("it has not ended") };
    assert_eq!(claim.outbox.map(|answer| answer.parts.len()), Some(3));
    queue.bury(claim.job.id, "given up").await.unwrap();
    drop(queue);
    let line = Line::start(&folder).await;
    telegram.send(FRIENDS_CHAT, say(".t").reply_to(recording));
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= 3).await.unwrap();
    line.finished().await;
    let replies = replies(&telegram, FRIENDS_CHAT, recording);
    assert_eq!((replies.len(), replies.join(" ")), (3, text));
}

#[tokio::test]
async fn a_text_that_is_asked_for_leaves_the_answer_that_is_there_as_it_is() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    command(&telegram, FRIENDS_CHAT, say(".t").reply_to(recording)).await;
    line.finished().await;
    let there = telegram.look(|ledger| ledger.replies(FRIENDS_CHAT, recording).cloned().collect::<Vec<_>>());
    let [answer] = &there[..] else { panic!("{there:?}") };
    assert_eq!((answer.id, answer.edits, answer.text.as_str()), (first.id, 0, FRIEND_SAYS));
}

#[tokio::test]
async fn texts_are_not_sent_nowhere_if_none_is_kept() {
    let (telegram, _folder, line) = start().await;
    let text = command(&telegram, FRIENDS_CHAT, say(".where nowhere")).await;
    assert_eq!(text, "Not obeyed: with RESULT_TTL=0 no text is kept, and these would be lost.");
    let message = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await.unwrap();
    line.finished().await;
}

#[tokio::test]
async fn again_recognises_anew_and_edits_the_answer() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    let recognised = *line.recognised.borrow();
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    let again = telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    let edited = |ledger: fake_telegram::Ledger| {
        ledger.post(FRIENDS_CHAT, first.id).filter(|post| post.edits > 0).map(|post| post.text.clone())
    };
    let text = telegram.wait_for(DEADLINE, edited).await.unwrap();
    assert_eq!(text, FRIEND_SAYS.to_uppercase());
    deleted(&telegram, FRIENDS_CHAT, again).await;
    line.finished().await;
    assert_eq!(*line.recognised.borrow(), recognised + 1);
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording).len(), 1);
}

/// A message of two parts that becomes one of one part, and an answer in Saved Messages.
#[tokio::test]
async fn again_leaves_no_part_of_the_earlier_answer_behind() {
    let rules = Rules { answer_in: AnswerIn::Saved, ..Rules::default() };
    let (telegram, _folder, line) = start_under(Policy { rules, ..policy(Task::Transcribe) }).await;
    let long = "a word ".repeat(700);
    let recording = telegram.send(FRIENDS_CHAT, saying(&long));
    let parts = |ledger: fake_telegram::Ledger| {
        let parts: Vec<Post> = ledger.sent().filter(|post| post.chat == SAVED_MESSAGES).cloned().collect();
        (parts.len() == 2).then_some(parts)
    };
    let before = telegram.wait_for(DEADLINE, parts).await.unwrap();
    line.finished().await;
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    let edited = |ledger: fake_telegram::Ledger| {
        let is_new = |post: &Post| ledger.post(SAVED_MESSAGES, post.id).is_some_and(|now| now.edits == 1);
        before.iter().all(is_new).then_some(())
    };
    telegram.wait_for(DEADLINE, edited).await.unwrap();
    line.finished().await;
    let after = telegram.look(parts).expect("two parts, as before");
    assert!(after.iter().all(|post| post.text.contains("A WORD")), "{after:?}");
}

/// Under ANSWER_IN=reply an earlier answer may have more parts than the new one.
#[tokio::test]
async fn parts_that_are_left_over_are_deleted() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(&"a word ".repeat(700)));
    let two = |ledger: fake_telegram::Ledger| {
        let parts: Vec<i32> = ledger.replies(FRIENDS_CHAT, recording).map(|post| post.id).collect();
        (parts.len() == 2).then_some(parts)
    };
    let parts = telegram.wait_for(DEADLINE, two).await.unwrap();
    line.finished().await;
    // The recording has changed meanwhile, which a real one cannot.
    telegram.replace_file(FRIENDS_CHAT, recording, "a few words");
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    deleted(&telegram, FRIENDS_CHAT, parts[1]).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording), ["a few words"]);
    let kept = telegram.look(|ledger| ledger.post(FRIENDS_CHAT, parts[0]).map(|post| post.edits));
    assert_eq!(kept, Some(1));
}

/// The texts of the parts that stay are the same, so that after the crash they are found in the chat.
#[tokio::test]
async fn after_a_crash_no_part_of_a_longer_answer_is_left() {
    let (telegram, folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(&three_parts()));
    let three = |ledger: fake_telegram::Ledger| {
        let parts: Vec<Post> = ledger.replies(FRIENDS_CHAT, recording).cloned().collect();
        (parts.len() == 3).then_some(parts)
    };
    let before = telegram.wait_for(DEADLINE, three).await.unwrap();
    line.finished().await;
    let shorter = [before[0].text.as_str(), &before[1].text].join(" ");
    telegram.replace_file(FRIENDS_CHAT, recording, shorter.as_str());
    telegram.fault(Fault::on("messages.deleteMessages", Action::Ignore));
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    // That of the command, and that of the third part.
    let asked = |ledger: fake_telegram::Ledger| ledger.count("messages.deleteMessages") >= 2;
    telegram.wait_until(DEADLINE, asked).await.unwrap();
    line.stop().await;
    telegram.clear_faults();
    let line = Line::start(&folder).await;
    deleted(&telegram, FRIENDS_CHAT, before[2].id).await;
    line.finished().await;
    let after: Vec<Post> = telegram.look(|ledger| ledger.replies(FRIENDS_CHAT, recording).cloned().collect());
    assert_eq!(after.iter().map(|post| post.id).collect::<Vec<_>>(), [before[0].id, before[1].id]);
    assert_eq!(after.iter().map(|post| post.text.as_str()).collect::<Vec<_>>().join(" "), shorter);
}

/// What the earlier answer says is wrong then.
#[tokio::test]
async fn where_nobody_speaks_after_all_the_earlier_answer_is_deleted() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.replace_file(FRIENDS_CHAT, recording, "");
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    deleted(&telegram, FRIENDS_CHAT, first.id).await;
    line.finished().await;
    let id = JobId { account: OWNER, chat: FRIEND, message: recording };
    assert_eq!(line.queue.mark(id).await.unwrap(), Some(Mark::Answered { replies: Vec::new() }));
    telegram.wait_until(DEADLINE, |ledger| ledger.chat(SAVED_MESSAGES).count() == 1).await.unwrap();
}

#[tokio::test]
async fn where_nobody_speaks_after_all_the_caption_is_removed_and_the_recording_stays() {
    let rules = Rules { answer_in: AnswerIn::Caption, ..Rules::default() };
    let (telegram, _folder, line) = start_under(Policy { rules, ..policy(Task::Transcribe) }).await;
    let own = telegram.send(FRIENDS_CHAT, saying("mine").own());
    let caption =
        |ledger: fake_telegram::Ledger| ledger.post(FRIENDS_CHAT, own).map(|post| post.text.clone());
    let says =
        |text: &'static str| move |ledger: fake_telegram::Ledger| caption(ledger).as_deref() == Some(text);
    telegram.wait_until(DEADLINE, says("mine")).await.unwrap();
    line.finished().await;
    telegram.replace_file(FRIENDS_CHAT, own, "");
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(own));
    telegram.wait_until(DEADLINE, says("")).await.unwrap();
    line.finished().await;
    assert_eq!(telegram.look(caption).as_deref(), Some(""));
}

/// The answer that was there stays, and it is still known as the recording's own.
#[tokio::test]
async fn a_refusal_of_again_leaves_the_earlier_answer_known() {
    let (telegram, _folder, line) = start().await;
    let own = telegram.send(FRIENDS_CHAT, saying("mine").own());
    let first = telegram.wait_for_reply(FRIENDS_CHAT, own, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.replace_file(FRIENDS_CHAT, own, "mine, but better");
    let expired = Action::error(400, "MESSAGE_EDIT_TIME_EXPIRED");
    telegram.fault(Fault::on("messages.editMessage", expired).once());
    let forbidden = Action::error(403, "CHAT_WRITE_FORBIDDEN");
    telegram.fault(Fault::on("messages.sendMessage", forbidden).once());
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(own));
    let told = |ledger: fake_telegram::Ledger| {
        ledger
            .chat(SAVED_MESSAGES)
            .next()
            .filter(|post| post.text.contains("cannot be transcribed"))
            .is_some()
    };
    telegram.wait_until(DEADLINE, told).await.unwrap();
    line.finished().await;
    let id = JobId { account: OWNER, chat: FRIEND, message: own };
    assert_eq!(line.queue.mark(id).await.unwrap(), Some(Mark::Answered { replies: vec![first.id] }));
    // So the next one finds it, and it goes with the recording.
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(own));
    telegram
        .wait_until(DEADLINE, |ledger| {
            ledger.post(FRIENDS_CHAT, first.id).is_some_and(|post| post.text == "mine, but better")
        })
        .await
        .unwrap();
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, own).len(), 1);
    telegram.delete(FRIENDS_CHAT, own);
    deleted(&telegram, FRIENDS_CHAT, first.id).await;
}

#[tokio::test]
async fn too_old_to_be_edited_an_answer_is_replaced() {
    let (telegram, _folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    let first = telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    let refused = Action::Error { code: 400, text: "MESSAGE_EDIT_TIME_EXPIRED".into() };
    telegram.fault(Fault::on("messages.editMessage", refused).once());
    telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    deleted(&telegram, FRIENDS_CHAT, first.id).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, recording), [FRIEND_SAYS.to_uppercase()]);
}

/// An asked-for job that sends nothing is not silent to its owner.
#[tokio::test]
async fn the_owner_is_told_of_a_recording_that_gets_no_text() {
    let (telegram, _folder, line) = start().await;
    for (draft, said) in [
        (Draft::music("", 3), "В записи, о которой вы просили, нет речи: "),
        (
            Draft::music("too large", 3).claiming_size(1 << 40),
            "Запись, о которой вы просили, распознать не удалось",
        ),
    ] {
        let recording = telegram.send(FRIENDS_CHAT, draft);
        let before = sent_to(&telegram, SAVED_MESSAGES);
        telegram.send(FRIENDS_CHAT, say(".т").reply_to(recording));
        let noted = |ledger: fake_telegram::Ledger| {
            let notes: Vec<_> = ledger.sent().filter(|post| post.chat == SAVED_MESSAGES).collect();
            (notes.len() > before).then(|| notes.last().expect("one").text.clone())
        };
        let text = telegram.wait_for(DEADLINE, noted).await.unwrap();
        assert!(text.starts_with(said), "{text}");
        assert!(text.ends_with(&format!("message_id={recording}")), "{text}");
        line.finished().await;
    }
    assert_eq!(sent_to(&telegram, FRIENDS_CHAT), 0);
}

/// The queue itself gives it up.
#[tokio::test]
async fn the_owner_is_told_of_a_recording_that_kills_the_process() {
    let (telegram, folder, mut line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, Draft::music("never|read", 2));
    telegram.send(FRIENDS_CHAT, say(".t").reply_to(recording));
    line.at_the_gate(1).await;
    line.stop().await;
    for _ in 1..MAX_DEATHS {
        let queue = queue_under(CrashRules::STRICT, &folder).await;
        let Claimed::Job(claim) = queue.claim().await.unwrap() else { panic!("it is tried again") };
        queue.begin(claim.job.id).await.unwrap();
    }
    drop(queue_under(CrashRules::STRICT, &folder).await);
    let line = Line::start(&folder).await;
    let noted = |ledger: fake_telegram::Ledger| {
        ledger.sent().find(|post| post.chat == SAVED_MESSAGES).map(|post| post.text.clone())
    };
    let text = telegram.wait_for(DEADLINE, noted).await.unwrap();
    assert!(text.contains("cannot be transcribed (the process died 3 times"), "{text}");
    line.left(Counts { dead: 1, ..Counts::default() }).await;
}

/// What looks like a command and is none is never touched, and neither is what the client sends.
#[tokio::test]
async fn only_what_the_owner_has_written_is_a_command() {
    let (telegram, _folder, line) = start().await;
    let texts = [
        Draft::text(".off"),                // of the friend
        say(".off").forwarded_from(FRIEND), // forwarded
        say("off"),                         // without the prefix
        say(".off the record"),             // a sentence
        say("..."),
        say(".hidden file"),
        saying("not a word").own().caption(".off"), // a caption
        say(".off").without_sound(),                // what this program sends is silent
    ];
    let sent: Vec<i32> = texts.into_iter().map(|draft| telegram.send(FRIENDS_CHAT, draft)).collect();
    // An answer in Saved Messages that reads like a command.
    let own = telegram.send(SAVED_MESSAGES, saying("pause").own());
    telegram.wait_for_reply(SAVED_MESSAGES, own, DEADLINE).await.unwrap();
    // The difference has the client's own messages too.
    telegram.push(&[], Packing::TooLong);
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    line.finished().await;
    telegram.look(|ledger| {
        for id in &sent {
            let post = ledger.post(FRIENDS_CHAT, *id).expect("it is still there");
            assert_eq!(post.edits, 0, "{post:?}");
        }
        assert_eq!(ledger.deleted().count(), 0);
    });
}

#[tokio::test]
async fn a_command_that_comes_late_is_not_obeyed() {
    let (telegram, _folder, line) = start().await;
    let now = i32::try_from(stenogram::domain::unix_time::now_seconds()).unwrap();
    let late = telegram.send(FRIENDS_CHAT, say(".off").dated(now - 400));
    let in_time = telegram.send(OTHER_CHAT, say(".off").dated(now - 200));
    deleted(&telegram, OTHER_CHAT, in_time).await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    let noted = telegram.send(SAVED_MESSAGES, say("pause").dated(now - 400));
    let reply = telegram.wait_for_reply(SAVED_MESSAGES, noted, DEADLINE).await.unwrap();
    assert!(reply.text.starts_with("Not obeyed: this command arrived 6 min "), "{}", reply.text);
    line.finished().await;
    telegram.look(|ledger| assert_eq!(ledger.post(FRIENDS_CHAT, late).map(|post| post.edits), Some(0)));
}

/// The position in the stream of updates is what it was before the commands, as after a crash that
/// came before it was stored.
#[tokio::test]
async fn a_command_that_comes_twice_is_obeyed_once() {
    let (telegram, folder, line) = start().await;
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    settled(&telegram, &line).await;
    let [position, before] = ["updates.redb", "before.redb"].map(|name| folder.path().join(name));
    line.stop().await;
    std::fs::copy(&position, &before).unwrap();

    let line = Line::start(&folder).await;
    command(&telegram, FRIENDS_CHAT, say(".translate on")).await;
    let again = telegram.send(FRIENDS_CHAT, say(".again").reply_to(recording));
    deleted(&telegram, FRIENDS_CHAT, again).await;
    let off = telegram.send(FRIENDS_CHAT, say(".off"));
    deleted(&telegram, FRIENDS_CHAT, off).await;
    settled(&telegram, &line).await;
    assert_eq!(*line.recognised.borrow(), 2, "anew, and what settles");
    let mark = line.queue.mark(JobId { account: OWNER, chat: FRIEND, message: off }).await.unwrap();
    assert_eq!(mark, Some(Mark::Obeyed));
    line.stop().await;
    std::fs::rename(&before, &position).unwrap();
    // A command that is obeyed again would make this file anew.
    std::fs::remove_file(folder.path().join(FILE_NAME)).unwrap();

    let line = Line::start(&folder).await;
    settled(&telegram, &line).await;
    assert_eq!(*line.recognised.borrow(), 1, "only what settles");
    assert!(!folder.path().join(FILE_NAME).exists());
    let reply = telegram.look(|ledger| ledger.replies(FRIENDS_CHAT, recording).cloned().collect::<Vec<_>>());
    assert_eq!((reply.len(), reply[0].edits), (1, 1));
}

#[tokio::test]
async fn questions_are_answered() {
    let (telegram, _folder, line) = start().await;
    let in_group = telegram.send(GROUP, saying("nobody asked").from(FRIEND));
    let answered = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, answered, DEADLINE).await.unwrap();
    line.finished().await;
    let why = command(&telegram, GROUP, say(".why").reply_to(in_group)).await;
    assert_eq!(why, "It is not answered: a group, and ANSWER_GROUPS is off.");
    let why = command(&telegram, FRIENDS_CHAT, say(".почему").reply_to(answered)).await;
    assert_eq!(why, "Ответ был отправлен.");
    let why = command(&telegram, GROUP, say(".why")).await;
    assert_eq!(why.lines().count(), 2, "{why}");
    let text = telegram.send(FRIENDS_CHAT, Draft::text("no recording"));
    let none = command(&telegram, FRIENDS_CHAT, say(".t").reply_to(text)).await;
    assert!(none.starts_with("Reply with this command to a voice message"), "{none}");
    for (text, answer) in [
        ("queue", "Queue: 0 waiting, 0 in work, 0 put off, 0 given up."),
        ("status", "stenogram "),
        ("help", "Commands, in any chat"),
        (".помощь", "Команды для любого чата"),
    ] {
        let reply = in_saved_messages(&telegram, text).await;
        assert!(reply.starts_with(answer), "{text}: {reply}");
    }
    // What is asked in another chat is answered where nobody else sees it.
    let before = sent_to(&telegram, SAVED_MESSAGES);
    assert_eq!(command(&telegram, FRIENDS_CHAT, say(".status")).await, ".status");
    let noted = |ledger: fake_telegram::Ledger| {
        ledger.sent().filter(|post| post.chat == SAVED_MESSAGES).count() == before + 1
    };
    telegram.wait_until(DEADLINE, noted).await.unwrap();
}

/// A command that disappeared without an answer would look as if it had not been read.
#[tokio::test]
async fn a_question_stays_until_its_answer_may_be_sent() {
    let telegram = Telegram::start().await.unwrap();
    let folder = session(&telegram);
    let sends = SendLimits { minute: 100, day: 1 };
    let account = open(&folder, AccountOptions { sends, ..options() }).await;
    let line = Line::start_on(policy(Task::Transcribe), &folder, account, Arc::default()).await;
    telegram.wait_until(DEADLINE, |ledger| ledger.count("messages.getDialogs") >= 1).await.unwrap();
    let recording = telegram.send(FRIENDS_CHAT, saying(FRIEND_SAYS));
    telegram.wait_for_reply(FRIENDS_CHAT, recording, DEADLINE).await.unwrap();
    let question = telegram.send(FRIENDS_CHAT, say(".status"));
    // That takes longer, and needs no new message.
    command(&telegram, OTHER_CHAT, say(".off")).await;
    assert_eq!(sent_to(&telegram, SAVED_MESSAGES), 0);
    assert!(telegram.look(|ledger| ledger.post(FRIENDS_CHAT, question).is_some()));
    line.finished().await;
}

#[tokio::test]
async fn in_a_group_in_which_the_owner_may_not_write_nothing_is_left_to_do() {
    let (telegram, _folder, line) = start_under(Policy {
        rules: Rules { groups: Groups::All, ..Rules::default() },
        ..policy(Task::Transcribe)
    })
    .await;
    let command = telegram.send(SUPERGROUP, say(".off"));
    deleted(&telegram, SUPERGROUP, command).await;
    telegram.limit(SUPERGROUP, ChatLimits { no_writing: true, ..ChatLimits::default() });
    let last = telegram.send(SUPERGROUP, say(".on"));
    deleted(&telegram, SUPERGROUP, last).await;
    line.finished().await;
}
