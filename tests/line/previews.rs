//! The text of a long recording appears while it is recognised, and in the end it is the answer, once.

use fake_telegram::{ChatLimits, GROUP, Ledger, Post, SUPERGROUP};
use stenogram::domain::Documents;
use stenogram::domain::pacing::SendLimits;
use stenogram::domain::rules::{AnswerIn, Groups, Rules};

use super::*;

const EDIT: &str = "messages.editMessage";
const SEND: &str = "messages.sendMessage";

fn policy_in(answer_in: AnswerIn) -> Policy {
    let rules = Rules { answer_in, groups: Groups::All, ..Rules::default() };
    Policy { rules, ..policy(Task::Transcribe) }
}

async fn start_on(policy: &Policy, folder: &TempDir) -> Line {
    let account = open(folder, options()).await;
    Line::start_with(policy.clone(), folder, account, Arc::default(), Some(Duration::ZERO)).await
}

/// A Telegram that treats a repeated `random_id` like this, and a line that shows previews at once.
async fn start_previewing(dedupe: Dedupe, policy: &Policy) -> (Telegram, TempDir, Line) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    telegram.configure(|settings| settings.dedupe = dedupe);
    let folder = session(&telegram);
    let line = start_on(policy, &folder).await;
    let connected = |ledger: Ledger| ledger.count("messages.getDialogs") >= 1;
    telegram.wait_until(DEADLINE, connected).await.expect("connected");
    (telegram, folder, line)
}

/// The messages that the daemon has sent and that are there.
fn sent(telegram: &Telegram) -> Vec<Post> {
    telegram.look(|ledger| ledger.sent().cloned().collect())
}

fn texts(telegram: &Telegram) -> Vec<String> {
    sent(telegram).into_iter().map(|post| post.text).collect()
}

/// Waits until the daemon has sent one message that ends so.
async fn one_that_ends(telegram: &Telegram, end: &str) -> Post {
    let found = telegram.wait_for(DEADLINE, |ledger| {
        let mut sent = ledger.sent();
        sent.next().filter(|post| post.text.ends_with(end) && sent.next().is_none()).cloned()
    });
    found.await.unwrap()
}

async fn called(telegram: &Telegram, method: &str, times: usize) {
    telegram.wait_until(DEADLINE, |ledger| ledger.count(method) >= times).await.unwrap();
}

#[tokio::test]
async fn the_text_grows_in_one_message_which_becomes_the_answer() {
    for (answer_in, chat) in [
        (AnswerIn::Reply, FRIENDS_CHAT),
        (AnswerIn::Reply, GROUP),
        (AnswerIn::Reply, SUPERGROUP),
        (AnswerIn::Reply, SAVED_MESSAGES),
        (AnswerIn::Saved, FRIENDS_CHAT),
    ] {
        let (telegram, _folder, line) = start_previewing(Dedupe::Refuse, &policy_in(answer_in)).await;
        let draft = saying("one|two|three|four");
        let long = telegram.send(chat, if chat == SAVED_MESSAGES { draft.own() } else { draft });
        let first = one_that_ends(&telegram, "one …").await;
        line.let_in.send_replace(1);
        let second = one_that_ends(&telegram, "one two …").await;
        line.gate.send_replace(true);
        let answer = one_that_ends(&telegram, "four").await;
        line.finished().await;
        assert_eq!((first.id, second.id, first.edits), (answer.id, answer.id, 0));
        assert!(first.silent && answer.text.ends_with("one two three four"), "{}", answer.text);
        match answer_in {
            AnswerIn::Reply => assert_eq!((answer.chat, answer.reply_to), (chat, Some(long))),
            _ => {
                assert_eq!((answer.chat, answer.links().len()), (SAVED_MESSAGES, 1));
                assert!(answer.text.starts_with("Friend · "), "{}", answer.text);
            }
        }
        assert_eq!(telegram.look(|ledger| (ledger.count(SEND), ledger.deleted().count())), (1, 0));
        // The mark names it, as that of any answer.
        let id = JobId { account: OWNER, chat: chat.into(), message: long };
        let mark = line.queue.mark(id).await.unwrap();
        assert_eq!(mark, Some(stenogram::queue::Mark::Answered { replies: vec![answer.id] }));
    }
}

#[tokio::test]
async fn a_short_recording_and_other_forms_have_no_preview() {
    for (answer_in, text) in
        [(AnswerIn::Reply, "one"), (AnswerIn::Caption, "one|two|three"), (AnswerIn::Nowhere, "one|two|three")]
    {
        let (telegram, _folder, mut line) = start_previewing(Dedupe::Off, &policy_in(answer_in)).await;
        let message = telegram.send(FRIENDS_CHAT, saying(text).own());
        if text.contains('|') {
            line.at_the_gate(1).await;
            line.let_in.send_replace(1);
            line.at_the_gate(2).await;
            telegram.look(|ledger| assert_eq!((ledger.count(SEND), ledger.count(EDIT)), (0, 0)));
        }
        line.gate.send_replace(true);
        line.ended(message).await;
        line.finished().await;
        let (sends, edits) = telegram.look(|ledger| (ledger.count(SEND), ledger.count(EDIT)));
        assert_eq!(sends + edits, usize::from(answer_in != AnswerIn::Nowhere), "{answer_in:?}");
    }
}

/// Whether the first message arrived is in doubt, and then the process dies.
#[tokio::test]
async fn a_crash_while_the_preview_is_sent_leaves_one_message() {
    for (dedupe, action, answer_in) in [
        (Dedupe::Off, Action::DropAfter, AnswerIn::Reply),
        (Dedupe::Off, Action::LoseAnswer, AnswerIn::Saved),
        (Dedupe::Off, Action::DropBefore, AnswerIn::Reply),
        (Dedupe::Refuse, Action::LoseAnswer, AnswerIn::Reply),
        (Dedupe::GiveFirst, Action::LoseAnswer, AnswerIn::Reply),
        (Dedupe::Off, Action::Ignore, AnswerIn::Saved),
    ] {
        for is_early in [true, false] {
            let policy = policy_in(answer_in);
            let (telegram, folder, mut line) = start_previewing(dedupe, &policy).await;
            telegram.fault(Fault::on(SEND, action.clone()).once());
            let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
            called(&telegram, SEND, 1).await;
            line.at_the_gate(1).await;
            line.stop().await;
            // The doubt is resolved while it is recognised, or when the answer is delivered.
            let line = if is_early {
                let line = start_on(&policy, &folder).await;
                line.let_in.send_replace(1);
                one_that_ends(&telegram, " …").await;
                line
            } else {
                Line::start_under(policy.clone(), &folder).await
            };
            line.gate.send_replace(true);
            one_that_ends(&telegram, "one two three").await;
            line.finished().await;
            let what = format!("{dedupe:?} {action:?} {answer_in:?} {is_early}");
            assert_eq!(sent(&telegram).len(), 1, "{what}");
            assert_eq!(telegram.look(|ledger| ledger.deleted().count()), 0, "{what}");
            if answer_in == AnswerIn::Reply {
                assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three"], "{what}");
            }
        }
    }
}

/// The answer is stored, and whether its edit arrived is in doubt. Half a text is no answer.
#[tokio::test]
async fn a_crash_while_the_answer_takes_its_place_leaves_the_whole_answer() {
    for action in [Action::DropAfter, Action::LoseAnswer, Action::DropBefore, Action::Ignore] {
        for answer_in in [AnswerIn::Reply, AnswerIn::Saved] {
            let policy = policy_in(answer_in);
            let (telegram, folder, line) = start_previewing(Dedupe::Off, &policy).await;
            telegram.fault(Fault::on(EDIT, action.clone()).once());
            let text = three_parts();
            telegram.send(FRIENDS_CHAT, saying(&text.replace("word400 ", "word400|")));
            let preview = one_that_ends(&telegram, "word400 …").await;
            line.gate.send_replace(true);
            called(&telegram, EDIT, 1).await;
            line.stop().await;
            let line = start_on(&policy, &folder).await;
            line.finished().await;
            let answer = sent(&telegram);
            assert_eq!((answer.len(), answer[0].id), (3, preview.id), "{action:?} {answer_in:?}");
            let parts = answer.iter().map(|post| match answer_in {
                AnswerIn::Saved => post.text.split_once('\n').expect("a header").1.to_owned(),
                _ => post.text.clone(),
            });
            assert_eq!(parts.collect::<Vec<_>>().join(" "), text, "{action:?} {answer_in:?}");
            assert_eq!(*line.recognised.borrow(), 0, "the outbox kept the text");
        }
    }
}

#[tokio::test]
async fn a_flood_wait_for_edits_holds_neither_other_answers_nor_this_one_for_long() {
    let policy = policy_in(AnswerIn::Reply);
    let (telegram, folder, line) = start_previewing(Dedupe::Refuse, &policy).await;
    telegram.fault(Fault::on(EDIT, Action::flood_wait(600)).once());
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three|four"));
    let preview = one_that_ends(&telegram, "one …").await;
    line.let_in.send_replace(1);
    called(&telegram, EDIT, 1).await;
    let other = telegram.send(OTHER_CHAT, saying("other"));
    telegram.wait_for_reply(OTHER_CHAT, other, DEADLINE).await.unwrap();
    // It is remembered over a restart.
    line.stop().await;
    let mut line = start_on(&policy, &folder).await;
    line.let_in.send_replace(2);
    line.at_the_gate(2).await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one …"]);
    line.gate.send_replace(true);
    line.ended(long).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three four"]);
    telegram.look(|ledger| {
        assert_eq!(ledger.deleted().map(|post| post.id).collect::<Vec<_>>(), [preview.id]);
        assert_eq!(ledger.count(EDIT), 1);
    });
    // Nor is there a preview that could not grow.
    let next = telegram.send(FRIENDS_CHAT, saying("five|six"));
    telegram.wait_for_reply(FRIENDS_CHAT, next, DEADLINE).await.unwrap();
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, next), ["five six"]);
    telegram.look(|ledger| assert_eq!((ledger.count(EDIT), ledger.count(SEND)), (1, 4)));
}

#[tokio::test]
async fn a_short_flood_wait_is_waited_out() {
    let (telegram, _folder, line) = start_previewing(Dedupe::Refuse, &policy_in(AnswerIn::Reply)).await;
    telegram.fault(Fault::on(EDIT, Action::flood_wait(1)).once());
    let long = telegram.send(FRIENDS_CHAT, saying("one|two"));
    let preview = one_that_ends(&telegram, "one …").await;
    line.gate.send_replace(true);
    let answer = one_that_ends(&telegram, "one two").await;
    line.finished().await;
    assert_eq!((answer.id, answer.reply_to), (preview.id, Some(long)));
    telegram.look(|ledger| assert_eq!((ledger.count(EDIT), ledger.count(SEND)), (2, 1)));
}

#[tokio::test]
async fn an_answer_whose_preview_cannot_be_edited_is_a_message_of_its_own() {
    for error in ["MESSAGE_EDIT_TIME_EXPIRED", "MESSAGE_ID_INVALID", "CHAT_RESTRICTED", "MESSAGE_EMPTY"] {
        let (telegram, _folder, mut line) =
            start_previewing(Dedupe::Refuse, &policy_in(AnswerIn::Reply)).await;
        telegram.fault(Fault::on(EDIT, Action::error(400, error)));
        let long = telegram.send(FRIENDS_CHAT, saying("one|two"));
        let preview = one_that_ends(&telegram, "one …").await;
        line.gate.send_replace(true);
        line.ended(long).await;
        line.finished().await;
        assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two"], "{error}");
        let deleted = telegram.look(|ledger| ledger.deleted().map(|post| post.id).collect::<Vec<_>>());
        assert_eq!(deleted, [preview.id], "{error}");
    }
}

/// The new message is sent, and the process dies before the preview is deleted.
#[tokio::test]
async fn a_crash_before_the_preview_is_deleted_leaves_the_answer_alone() {
    let policy = policy_in(AnswerIn::Reply);
    let (telegram, folder, line) = start_previewing(Dedupe::Off, &policy).await;
    telegram.fault(Fault::on(EDIT, Action::error(400, "MESSAGE_EDIT_TIME_EXPIRED")));
    telegram.fault(Fault::on("messages.deleteMessages", Action::Ignore).once());
    let long = telegram.send(FRIENDS_CHAT, saying("one|two"));
    one_that_ends(&telegram, "one …").await;
    line.gate.send_replace(true);
    called(&telegram, "messages.deleteMessages", 1).await;
    assert_eq!(texts(&telegram), ["one …", "one two"]);
    line.stop().await;
    let line = start_on(&policy, &folder).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two"]);
}

#[tokio::test]
async fn a_preview_that_somebody_deletes_is_no_answer() {
    for is_in_doubt in [false, true] {
        let policy = policy_in(AnswerIn::Reply);
        let (telegram, folder, line) = start_previewing(Dedupe::Refuse, &policy).await;
        if is_in_doubt {
            telegram.fault(Fault::on(SEND, Action::LoseAnswer).once());
        }
        let long = telegram.send(FRIENDS_CHAT, saying("one|two|three|four"));
        let preview = one_that_ends(&telegram, "one …").await;
        if !is_in_doubt {
            // Its number is known once it is edited.
            line.let_in.send_replace(1);
            one_that_ends(&telegram, "one two …").await;
        }
        line.stop().await;
        telegram.delete(FRIENDS_CHAT, preview.id);
        let line = start_on(&policy, &folder).await;
        line.let_in.send_replace(2);
        // It is found to be gone, and nothing is put in its place before the answer.
        called(&telegram, if is_in_doubt { SEND } else { EDIT }, 2).await;
        line.gate.send_replace(true);
        telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
        line.finished().await;
        assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three four"], "{is_in_doubt}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_recording_that_gets_no_answer() {
    for (text, is_deleted) in [("one|!", false), ("one|two", true)] {
        for is_in_doubt in [false, true] {
            let policy = policy_in(AnswerIn::Reply);
            let (telegram, folder, mut line) = start_previewing(Dedupe::Refuse, &policy).await;
            if is_in_doubt {
                telegram.fault(Fault::on(SEND, Action::LoseAnswer).once());
            }
            telegram.fault(Fault::on("messages.deleteMessages", Action::DropBefore).once());
            let long = telegram.send(FRIENDS_CHAT, saying(text));
            one_that_ends(&telegram, "one …").await;
            line.at_the_gate(1).await;
            if is_in_doubt {
                line.stop().await;
                line = Line::start_under(policy, &folder).await;
            }
            if is_deleted {
                telegram.delete(FRIENDS_CHAT, long);
            }
            line.gate.send_replace(true);
            line.ended(long).await;
            line.finished().await;
            assert_eq!(texts(&telegram), [""; 0], "{text} {is_in_doubt}");
            let mark = line.queue.mark(JobId { account: OWNER, chat: FRIEND, message: long }).await.unwrap();
            assert!(matches!(mark, Some(stenogram::queue::Mark::Rejected { .. })), "{mark:?}");
        }
    }
}

#[tokio::test]
async fn a_document_takes_the_place_of_its_preview() {
    let documents = Documents { from: 1, ..Documents::default() };
    let settings = Settings { documents, ..Settings::default() };
    let policy = Policy { settings, ..policy_in(AnswerIn::Reply) };
    for no_files in [false, true] {
        let (telegram, folder, line) = start_previewing(Dedupe::Off, &policy).await;
        telegram.limit(GROUP, ChatLimits { no_files, ..ChatLimits::default() });
        telegram.fault(Fault::on("messages.sendMedia", Action::LoseAnswer).once());
        let long = telegram.send(GROUP, saying("one|two"));
        let preview = one_that_ends(&telegram, "one …").await;
        line.gate.send_replace(true);
        called(&telegram, "messages.sendMedia", 1).await;
        line.stop().await;
        let line = start_on(&policy, &folder).await;
        line.finished().await;
        assert_eq!(replies(&telegram, GROUP, long), ["one two"]);
        let answer = sent(&telegram).remove(0);
        // A group that takes no files has the text in place of the preview.
        let is_text = telegram.look(|ledger| ledger.document(&answer).is_none());
        assert_eq!((is_text, answer.id == preview.id), (no_files, no_files));
    }
}

#[tokio::test]
async fn a_job_without_room_in_the_budget_has_no_preview() {
    let telegram = Telegram::start().await.unwrap();
    let folder = session(&telegram);
    let sends = SendLimits { minute: 8, day: 8 };
    let account = open(&folder, stenogram::telegram::AccountOptions { sends, ..options() }).await;
    let policy = policy_in(AnswerIn::Reply);
    let mut line = Line::start_with(policy, &folder, account, Arc::default(), Some(Duration::ZERO)).await;
    called(&telegram, "messages.getDialogs", 1).await;
    // The account is new, so that half of the budget holds: four, of which three are three quarters.
    for n in 0..3 {
        let message = telegram.send(OTHER_CHAT, saying(&format!("number {n}")));
        telegram.wait_for_reply(OTHER_CHAT, message, DEADLINE).await.unwrap();
    }
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    line.at_the_gate(1).await;
    line.let_in.send_replace(1);
    line.at_the_gate(2).await;
    line.gate.send_replace(true);
    telegram.wait_for_reply(FRIENDS_CHAT, long, DEADLINE).await.unwrap();
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, long), ["one two three"]);
    telegram.look(|ledger| assert_eq!((ledger.count(SEND), ledger.count(EDIT)), (4, 0)));
}

/// Nor are the searches and requests repeated with which every stretch would try again.
#[tokio::test]
async fn a_group_with_a_long_slow_mode_gets_neither_preview_nor_answer() {
    let (telegram, _folder, mut line) = start_previewing(Dedupe::Refuse, &policy_in(AnswerIn::Reply)).await;
    telegram.fault(Fault::on(SEND, Action::error(420, "SLOWMODE_WAIT_3600")));
    let long = telegram.send(SUPERGROUP, saying("one|two|three|four"));
    called(&telegram, SEND, 1).await;
    line.gate.send_replace(true);
    line.ended(long).await;
    line.finished().await;
    let id = JobId { account: OWNER, chat: SUPERGROUP.into(), message: long };
    let mark = line.queue.mark(id).await.unwrap();
    assert!(matches!(mark, Some(stenogram::queue::Mark::Rejected { .. })), "{mark:?}");
    assert_eq!(telegram.look(|ledger| (ledger.count(SEND), ledger.sent().count())), (2, 0));
}

#[tokio::test]
async fn a_group_that_refuses_a_preview_is_sent_documents() {
    let documents = Documents { from: 1, ..Documents::default() };
    let settings = Settings { documents, ..Settings::default() };
    let policy = Policy { settings, ..policy_in(AnswerIn::Reply) };
    let (telegram, _folder, line) = start_previewing(Dedupe::Refuse, &policy).await;
    telegram.fault(Fault::on(SEND, Action::error(403, "CHAT_SEND_PLAIN_FORBIDDEN")));
    for (sends, text) in [(1, "one|two"), (2, "three|four")] {
        line.gate.send_replace(false);
        let long = telegram.send(GROUP, saying(text));
        called(&telegram, SEND, sends).await;
        line.gate.send_replace(true);
        telegram.wait_for_reply(GROUP, long, DEADLINE).await.unwrap();
        line.finished().await;
    }
    let is_document = |post: &Post| telegram.look(|ledger| ledger.document(post).is_some());
    let answers = sent(&telegram);
    assert_eq!((answers.len(), answers.iter().all(is_document)), (2, true));
}

/// The answer that is there stays until the new one takes its place.
#[tokio::test]
async fn what_is_recognised_again_has_no_preview() {
    let (telegram, _folder, line) = start_previewing(Dedupe::Off, &policy_in(AnswerIn::Reply)).await;
    let long = telegram.send(FRIENDS_CHAT, saying("one|two|three"));
    one_that_ends(&telegram, "one …").await;
    line.gate.send_replace(true);
    one_that_ends(&telegram, "one two three").await;
    line.finished().await;
    line.gate.send_replace(false);
    telegram.replace_file(FRIENDS_CHAT, long, "four|five|six");
    let edits = telegram.look(|ledger| ledger.count(EDIT));
    telegram.send(FRIENDS_CHAT, Draft::text(".again").own().reply_to(long));
    let mut came = line.came.clone();
    let before = *came.borrow();
    tokio::time::timeout(DEADLINE, came.wait_for(|came| *came > before)).await.unwrap().unwrap();
    assert_eq!(texts(&telegram), ["one two three"]);
    assert_eq!(telegram.look(|ledger| ledger.count(EDIT)), edits);
    line.gate.send_replace(true);
    one_that_ends(&telegram, "four five six").await;
    line.finished().await;
}
