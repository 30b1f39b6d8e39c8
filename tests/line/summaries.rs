//! Texts with a summary above them, in every form, each exactly once.

use fake_telegram::{GROUP, Post};
use stenogram::domain::rules::{AnswerIn, Groups, Rules};
use stenogram::domain::{DocumentFormats, Documents};

use super::*;

/// Texts of a hundred characters have a summary and are folded.
fn summarised_in(answer_in: AnswerIn) -> Policy {
    let rules = Rules { answer_in, groups: Groups::All, ..Rules::default() };
    let documents = Documents { from: 3, formats: DocumentFormats::Txt };
    let settings = Settings { summary_from: 100, fold_from: 100, documents, ..Settings::default() };
    Policy { rules, settings, ..policy(Task::Transcribe) }
}

/// A text of two parts.
fn two_parts() -> String {
    (0..600).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}

/// Where the quote of a message begins and what it has.
fn quoted(post: &Post) -> (String, String) {
    let units: Vec<u16> = post.text.encode_utf16().collect();
    let quote = post.entities().into_iter().find(|entity| entity.collapsed).expect("a quote");
    let (above, below) = units.split_at(quote.offset as usize);
    assert_eq!(below.len(), quote.length as usize);
    (String::from_utf16(above).unwrap(), String::from_utf16(below).unwrap())
}

async fn sent_so_many(telegram: &Telegram, count: usize) -> Vec<Post> {
    telegram.wait_until(DEADLINE, |ledger| ledger.sent().count() >= count).await.unwrap();
    telegram.look(|ledger| ledger.sent().cloned().collect())
}

#[tokio::test]
async fn only_the_first_part_of_a_reply_has_the_summary_and_it_stays_open() {
    let (telegram, _folder, line) = start_under(summarised_in(AnswerIn::Reply)).await;
    let text = two_parts();
    telegram.send(FRIENDS_CHAT, saying(&text));
    let sent = sent_so_many(&telegram, 2).await;
    line.finished().await;
    let ((above, first), (nothing, second)) = (quoted(&sent[0]), quoted(&sent[1]));
    assert_eq!((above.as_str(), nothing.as_str()), ("About word0 word1.\n\n", ""));
    assert_eq!(format!("{first} {second}"), text);
    assert!(sent.iter().all(|post| post.text.encode_utf16().count() <= 4096));
    let short = telegram.send(FRIENDS_CHAT, saying("short"));
    telegram.wait_for_reply(FRIENDS_CHAT, short, DEADLINE).await.unwrap();
    assert_eq!(replies(&telegram, FRIENDS_CHAT, short), ["short"]);
}

#[tokio::test]
async fn in_saved_messages_it_stands_below_the_header_and_in_a_caption_above_the_text() {
    for (answer_in, chat) in [(AnswerIn::Saved, FRIENDS_CHAT), (AnswerIn::Caption, GROUP)] {
        let (telegram, _folder, line) = start_under(summarised_in(answer_in)).await;
        let text: String = two_parts().chars().take(300).collect();
        let message = telegram.send(chat, saying(&text).own());
        let post = match answer_in {
            AnswerIn::Saved => sent_so_many(&telegram, 1).await.remove(0),
            _ => {
                let captioned = |ledger: fake_telegram::Ledger| {
                    ledger.post(chat, message).filter(|post| post.edits > 0).cloned()
                };
                telegram.wait_for(DEADLINE, captioned).await.unwrap()
            }
        };
        line.finished().await;
        let (above, below) = quoted(&post);
        let above = above.strip_suffix("About word0 word1.\n\n").expect("a summary");
        assert_eq!(above.is_empty(), answer_in == AnswerIn::Caption, "{above}");
        assert_eq!(below.trim(), text.trim());
    }
}

#[tokio::test]
async fn a_document_has_it_as_its_caption_and_messages_in_its_place_have_it_above() {
    let (telegram, _folder, line) = start_under(summarised_in(AnswerIn::Reply)).await;
    let text = three_parts();
    telegram.send(FRIENDS_CHAT, saying(&text));
    let sent = sent_so_many(&telegram, 1).await;
    line.finished().await;
    assert_eq!(sent[0].text, "About word0 word1.");
    telegram.look(|ledger| {
        let (_, content) = ledger.document(&sent[0]).expect("a document");
        assert_eq!(String::from_utf8_lossy(content).trim(), text);
    });
    let limits = fake_telegram::ChatLimits { no_files: true, ..Default::default() };
    telegram.limit(GROUP, limits);
    let message = telegram.send(GROUP, saying(&format!("other {text}")));
    telegram.wait_until(DEADLINE, |ledger| ledger.replies(GROUP, message).count() >= 3).await.unwrap();
    line.finished().await;
    let posts: Vec<Post> = telegram.look(|ledger| ledger.replies(GROUP, message).cloned().collect());
    assert_eq!((posts.len(), quoted(&posts[0]).0.as_str()), (3, "About other word0.\n\n"));
}

/// Here Telegram forgets each `random_id` at once, and what was sent is found by its text.
#[tokio::test]
async fn a_crash_repeats_neither_the_summary_nor_a_part() {
    for answer_in in [AnswerIn::Reply, AnswerIn::Saved, AnswerIn::Caption] {
        let policy = summarised_in(answer_in);
        let (telegram, folder, mut line) = start_under(policy.clone()).await;
        let lost = |method| telegram.fault(Fault::on(method, Action::LoseAnswer).once());
        ["messages.sendMessage", "messages.editMessage"].into_iter().for_each(lost);
        let text = two_parts();
        let message = telegram.send(FRIENDS_CHAT, saying(&text).own());
        let parts = |ledger: &fake_telegram::Ledger| {
            let caption = ledger.post(FRIENDS_CHAT, message).is_some_and(|post| post.edits > 0);
            ledger.sent().count() + usize::from(caption)
        };
        telegram.wait_until(DEADLINE, |ledger| parts(&ledger) >= 1).await.unwrap();
        line.stop().await;
        line = Line::start_under(policy, &folder).await;
        telegram.wait_until(DEADLINE, |ledger| parts(&ledger) >= 2).await.unwrap();
        line.finished().await;
        assert_eq!(telegram.look(|ledger| parts(&ledger)), 2, "{answer_in:?}");
        let summaries = telegram.look(|ledger| {
            let texts = ledger.sent().chain(ledger.post(FRIENDS_CHAT, message));
            texts.filter(|post| post.text.contains("About word0 word1.")).count()
        });
        assert_eq!(summaries, 1, "{answer_in:?}");
    }
}

/// A copy of the recording in a chat without summaries gets the text alone, and the other way round.
#[tokio::test]
async fn a_kept_answer_is_used_only_where_it_would_have_the_same_summary() {
    let (telegram, folder, line) = start_under(summarised_in(AnswerIn::Reply)).await;
    let text: String = two_parts().chars().take(300).collect();
    let first = telegram.send(FRIENDS_CHAT, saying(&text));
    let with = telegram.wait_for_reply(FRIENDS_CHAT, first, DEADLINE).await.unwrap();
    line.finished().await;
    line.stop().await;
    let line = Line::start_under(policy(Task::Transcribe), &folder).await;
    let copy = telegram.look(|ledger| Draft::forward(ledger.post(FRIENDS_CHAT, first).unwrap()));
    let second = telegram.send(OTHER_CHAT, copy);
    let without = telegram.wait_for_reply(OTHER_CHAT, second, DEADLINE).await.unwrap();
    line.finished().await;
    assert!(with.text.starts_with("About ") && without.text.trim() == text.trim(), "{without:?}");
}
