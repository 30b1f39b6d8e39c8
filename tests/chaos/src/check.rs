//! What the other side saw, held against what it should have seen.

use std::collections::HashMap;

use fake_telegram::{Chat, Ledger, Post};
use serde::Serialize;

/// A voice message that was sent, and the texts that must answer it.
pub struct Sent {
    pub chat: Chat,
    pub message: i32,
    pub answer: Vec<String>,
}

/// Every list but the numbers must be empty. A line names account, chat and message as the log does.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// To be answered, and answered once with the right text.
    pub answered: usize,
    /// Not to be answered, and not answered.
    pub left_alone: usize,
    pub lost: Vec<String>,
    pub twice: Vec<String>,
    pub wrong: Vec<String>,
    /// Answers that came before the answer to an earlier message of their chat.
    pub out_of_order: Vec<String>,
    /// Messages of the daemon that answer nothing of ours, or a corrupt recording.
    pub uncalled_for: Vec<String>,
}

fn name(account: i64, chat: Chat, message: i32) -> String {
    format!("{account}:{}:{message}", i64::from(chat))
}

/// How many of `sent` have at least as many answers as they must have.
pub fn complete(ledger: Ledger, sent: &[Sent]) -> usize {
    let answers = answers(ledger);
    let count = |sent: &&Sent| answers.get(&(sent.chat, sent.message)).map_or(0, Vec::len);
    sent.iter().filter(|sent| count(sent) >= sent.answer.len()).count()
}

fn answers(ledger: Ledger<'_>) -> HashMap<(Chat, i32), Vec<&Post>> {
    let mut answers: HashMap<_, Vec<&Post>> = HashMap::new();
    for post in ledger.sent() {
        answers.entry((post.chat, post.reply_to.unwrap_or(0))).or_default().push(post);
    }
    answers
}

impl Verdict {
    /// Adds what came of the messages of another account.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.left_alone += other.left_alone;
        self.lost.extend(other.lost);
        self.twice.extend(other.twice);
        self.wrong.extend(other.wrong);
        self.out_of_order.extend(other.out_of_order);
        self.uncalled_for.extend(other.uncalled_for);
    }
}

/// What came of the messages of an account.
pub fn verdict(ledger: Ledger, account: i64, sent: &[Sent]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut answers = answers(ledger);
    for Sent { chat, message, answer } in sent {
        let found = answers.remove(&(*chat, *message)).unwrap_or_default();
        let name = name(account, *chat, *message);
        let texts: Vec<&str> = found.iter().map(|post| post.text.as_str()).collect();
        if texts == *answer {
            match answer.is_empty() {
                true => verdict.left_alone += 1,
                false => verdict.answered += 1,
            }
        } else if answer.is_empty() {
            verdict.uncalled_for.push(name);
        } else if texts.len() < answer.len() {
            verdict.lost.push(name);
        } else if texts.len() > answer.len() {
            verdict.twice.push(name);
        } else {
            verdict.wrong.push(format!("{name}: {texts:?} instead of {answer:?}"));
        }
    }
    let strays = answers.keys().map(|(chat, message)| name(account, *chat, *message));
    verdict.uncalled_for.extend(strays);
    verdict.out_of_order = out_of_order(ledger, account);
    verdict
}

fn out_of_order(ledger: Ledger, account: i64) -> Vec<String> {
    let mut latest: HashMap<Chat, i32> = HashMap::new();
    let mut found = Vec::new();
    for post in ledger.sent() {
        let message = post.reply_to.unwrap_or(0);
        let latest = latest.entry(post.chat).or_default();
        if message < *latest {
            found.push(name(account, post.chat, message));
        }
        *latest = message.max(*latest);
    }
    found
}
