//! Answers as documents, each exactly once, and answers that are only kept.

use fake_telegram::{ChatLimits, GROUP, Post, SUPERGROUP};
use stenogram::domain::rules::{AnswerIn, Groups, Rules};
use stenogram::domain::{DocumentFormats, Documents};

use super::*;

fn documents_in(answer_in: AnswerIn, formats: DocumentFormats) -> Policy {
    let rules = Rules { answer_in, groups: Groups::All, ..Rules::default() };
    let documents = Documents { from: 3, formats };
    let settings = Settings { documents, ..Settings::default() };
    Policy { rules, settings, ..policy(Task::Transcribe) }
}

/// A message with a document: its chat, the message answered, the caption, the name, the content.
type Sent = (Chat, Option<i32>, String, String, String);

/// What the daemon has sent as documents. Whatever else it sent is none.
fn documents(telegram: &Telegram) -> Vec<Sent> {
    telegram.look(|ledger| {
        let sent = |post: &Post| {
            let (name, bytes) = ledger.document(post)?;
            let content = String::from_utf8(bytes.to_vec()).expect("it is text");
            Some((post.chat, post.reply_to, post.text.clone(), name.to_owned(), content))
        };
        ledger.sent().filter_map(sent).collect()
    })
}

async fn sent_so_many(telegram: &Telegram, count: usize) {
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= count).await.unwrap();
}

#[tokio::test]
async fn a_long_text_is_a_document_with_its_beginning() {
    let policy = documents_in(AnswerIn::Reply, DocumentFormats::Both);
    let (telegram, _folder, line) = start_under(policy).await;
    let text = three_parts();
    for (number, chat) in [FRIENDS_CHAT, GROUP, SUPERGROUP].into_iter().enumerate() {
        // Not a copy of the one before, and another text.
        let text = format!("{number} {text}");
        let message = telegram.send(chat, saying(&text));
        sent_so_many(&telegram, 2 * (number + 1)).await;
        line.finished().await;
        let sent = documents(&telegram);
        let [txt, srt] = &sent[2 * number..] else { panic!("{sent:?}") };
        let (beginning, rest) = txt.2.split_once(" …").expect("there is more");
        assert!(rest.is_empty() && text.starts_with(beginning) && beginning.len() > 250, "{beginning}");
        assert!(txt.3.starts_with("transcript_20") && txt.3.ends_with("_UTC.txt"), "{}", txt.3);
        assert_eq!((&txt.0, txt.1, &txt.4), (&chat, Some(message), &format!("{text}\n")));
        let cue = format!("1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n");
        let name = txt.3.replace(".txt", ".srt");
        assert_eq!(*srt, (chat, Some(message), String::new(), name, cue));
    }
    telegram.look(|ledger| assert!(ledger.sent().all(|post| post.silent)));
    // A shorter one is messages, as ever.
    let message = telegram.send(FRIENDS_CHAT, saying(&text[..6000]));
    sent_so_many(&telegram, 8).await;
    line.finished().await;
    assert_eq!(replies(&telegram, FRIENDS_CHAT, message).len(), 2);
    assert_eq!(documents(&telegram).len(), 6);
}

/// Here Telegram forgets each `random_id` at once, and what was sent is found by its name.
#[tokio::test]
async fn a_crash_sends_no_document_twice() {
    for answer_in in [AnswerIn::Reply, AnswerIn::Saved, AnswerIn::Caption] {
        for action in [Action::LoseAnswer, Action::DropAfter, Action::DropBefore] {
            let policy = documents_in(answer_in, DocumentFormats::Both);
            let (telegram, folder, mut line) = start_under(policy.clone()).await;
            telegram.fault(Fault::on("messages.sendMedia", action.clone()).times(2));
            let text = three_parts();
            let message = telegram.send(FRIENDS_CHAT, saying(&text).own());
            for calls in 1..=2 {
                let called = |ledger: fake_telegram::Ledger| ledger.count("messages.sendMedia") >= calls;
                telegram.wait_until(DEADLINE, called).await.unwrap();
                line.stop().await;
                line = Line::start_under(policy.clone(), &folder).await;
            }
            sent_so_many(&telegram, 2).await;
            line.finished().await;
            let sent = documents(&telegram);
            assert_eq!(sent.len(), 2, "{answer_in:?} {action:?}: {sent:?}");
            let formats = sent.iter().map(|sent| sent.3.rsplit_once('.').expect("a name").1);
            assert_eq!(formats.collect::<Vec<_>>(), ["txt", "srt"], "{answer_in:?} {action:?}");
            let (chat, reply_to) = match answer_in {
                AnswerIn::Saved => (SAVED_MESSAGES, None),
                _ => (FRIENDS_CHAT, Some(message)),
            };
            assert!(sent.iter().all(|sent| (sent.0, sent.1) == (chat, reply_to)), "{sent:?}");
            assert_eq!(*line.recognised.borrow(), 0, "the outbox kept it");
            telegram.look(|ledger| {
                assert_eq!(ledger.sent().count(), 2, "{answer_in:?} {action:?}");
                assert_eq!(ledger.post(FRIENDS_CHAT, message).unwrap().edits, 0);
            });
        }
    }
}

#[tokio::test]
async fn a_document_in_saved_messages_says_whose_it_is() {
    let policy = documents_in(AnswerIn::Saved, DocumentFormats::Both);
    let (telegram, _folder, line) = start_under(policy).await;
    let message = telegram.send(FRIENDS_CHAT, saying(&three_parts()));
    sent_so_many(&telegram, 2).await;
    line.finished().await;
    let link = format!("tg://openmessage?user_id={FRIEND}&message_id={message}");
    let sent: Vec<Post> = telegram.look(|ledger| ledger.sent().cloned().collect());
    for post in &sent {
        assert_eq!((post.chat, post.links()), (SAVED_MESSAGES, vec![link.clone()]));
        assert!(post.text.starts_with("Friend · "), "{}", post.text);
        assert!(post.text.encode_utf16().count() <= 1024);
    }
    assert!(sent[0].text.ends_with(" …") && sent[1].text.trim_end().ends_with(" UTC"));
}

/// An upload that Telegram has lost is made again, a document of several pieces.
#[tokio::test]
async fn an_upload_that_fails_is_made_again() {
    let text = (0..20_000).map(|n| format!("слово{n}")).collect::<Vec<_>>().join(" ");
    for (method, action) in [
        ("upload.saveFilePart", Action::DropAfter),
        ("upload.saveFilePart", Action::Error { code: 500, text: "INTERNAL".into() }),
        ("messages.sendMedia", Action::Error { code: 400, text: "FILE_PARTS_INVALID".into() }),
    ] {
        let (telegram, _folder, line) =
            start_under(documents_in(AnswerIn::Reply, DocumentFormats::Txt)).await;
        telegram.fault(Fault::on(method, action.clone()).after(u32::from(method.starts_with('u'))).once());
        let message = telegram.send(FRIENDS_CHAT, saying(&text));
        sent_so_many(&telegram, 1).await;
        line.finished().await;
        let sent = documents(&telegram);
        assert_eq!(sent.len(), 1, "{action:?}");
        assert_eq!((sent[0].1, sent[0].4.trim_end()), (Some(message), text.as_str()), "{action:?}");
    }
}

#[tokio::test]
async fn a_group_without_files_gets_messages_also_after_a_crash() {
    let policy = documents_in(AnswerIn::Reply, DocumentFormats::Txt);
    let (telegram, folder, mut line) = start_under(policy.clone()).await;
    telegram.limit(GROUP, ChatLimits { no_files: true, ..ChatLimits::default() });
    telegram.fault(Fault::on("messages.sendMessage", Action::LoseAnswer).once());
    let text = three_parts();
    let message = telegram.send(GROUP, saying(&text));
    sent_so_many(&telegram, 1).await;
    line.stop().await;
    line = Line::start_under(policy, &folder).await;
    sent_so_many(&telegram, 3).await;
    line.finished().await;
    let replies = replies(&telegram, GROUP, message);
    assert_eq!((replies.len(), replies.join(" ")), (3, text));
    assert_eq!(documents(&telegram), []);
}

#[tokio::test]
async fn nothing_is_sent_where_the_text_is_only_kept() {
    let policy = documents_in(AnswerIn::Nowhere, DocumentFormats::Txt);
    let (telegram, folder, mut line) = start_under(policy.clone()).await;
    let text = three_parts();
    let theirs = telegram.send(FRIENDS_CHAT, saying(&text));
    line.ended(theirs).await;
    line.finished().await;
    line.stop().await;
    line = Line::start_under(policy, &folder).await;
    // A copy is known, and is kept once.
    let post = telegram.look(|ledger| ledger.post(FRIENDS_CHAT, theirs).unwrap().clone());
    let copy = telegram.send(OTHER_CHAT, Draft::forward(&post));
    line.ended(copy).await;
    assert_eq!(*line.recognised.borrow(), 0);
    let own = telegram.send(SAVED_MESSAGES, saying("mine").own());
    line.ended(own).await;
    assert_eq!(telegram.look(|ledger| ledger.sent().count()), 0);
    line.stop().await;
    let kept = stenogram::queue::embedded::results(folder.path().join("queue.redb"), 9).await.unwrap();
    let of = |answer: &Answer| (answer.origin.unwrap().job.message, answer.text());
    assert_eq!(kept.iter().map(of).collect::<Vec<_>>(), [(own, "mine".into()), (theirs, text)]);
}
