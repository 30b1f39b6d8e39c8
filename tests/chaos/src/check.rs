//! What the other side saw, held against what it should have seen.

use std::collections::{HashMap, HashSet};

use fake_telegram::{Chat, Ledger, Post};
use serde::Serialize;
use stenogram::domain::Part;

/// With what the text of a preview ends.
const MORE: &str = " …";

/// A voice message that was sent, and the answer that it must have.
pub struct Sent {
    pub chat: Chat,
    pub message: i32,
    pub answer: Vec<Part>,
    /// Whether the first part is its caption, where Telegram lets it be.
    pub own: bool,
    /// The owner has it recognised again: its answer comes when it comes.
    pub again: bool,
}

/// Every list but the numbers must be empty. A line names account, chat and message as the log does.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// To be answered, and answered once with the right text.
    pub answered: usize,
    /// Not to be answered, and not answered.
    pub left_alone: usize,
    /// Those of them that have a caption, documents, messages that were edited.
    pub captions: usize,
    pub documents: usize,
    pub edited: usize,
    pub lost: Vec<String>,
    pub twice: Vec<String>,
    /// Where the text so far is left, in place of the answer or beside it.
    pub half_edited: Vec<String>,
    pub wrong: Vec<String>,
    /// Answers that came before the answer to an earlier message of their chat.
    pub out_of_order: Vec<String>,
    /// Messages of the daemon that answer nothing of ours, or a corrupt recording.
    pub uncalled_for: Vec<String>,
}

fn name(account: i64, chat: Chat, message: i32) -> String {
    format!("{account}:{}:{message}", i64::from(chat))
}

/// How many of `sent` have the answer that they must have.
pub fn complete(ledger: Ledger, account: i64, sent: &[Sent]) -> usize {
    let answers = Answers::of(ledger, account);
    sent.iter().filter(|sent| answers.are_right(sent)).count()
}

/// Those of `sent` whose answer is right and whose job has ended: a later message of the chat is
/// answered too.
pub fn ended(ledger: Ledger, account: i64, sent: &[Sent]) -> HashSet<(Chat, i32)> {
    let answers = Answers::of(ledger, account);
    let mut latest: HashMap<Chat, i32> = HashMap::new();
    let answered = |sent: &&Sent| !sent.answer.is_empty() && !sent.again && answers.are_right(sent);
    for sent in sent.iter().filter(answered) {
        let latest = latest.entry(sent.chat).or_default();
        *latest = sent.message.max(*latest);
    }
    let ended = |sent: &&Sent| latest.get(&sent.chat).is_some_and(|latest| sent.message < *latest);
    sent.iter().filter(answered).filter(ended).map(|sent| (sent.chat, sent.message)).collect()
}

/// What the daemon has made of each message.
struct Answers<'a> {
    ledger: Ledger<'a>,
    /// Its messages, by what they reply to.
    replies: HashMap<(Chat, i32), Vec<&'a Post>>,
    /// The captions of the owner's messages.
    captions: HashMap<(Chat, i32), &'a str>,
}

impl<'a> Answers<'a> {
    fn of(ledger: Ledger<'a>, account: i64) -> Self {
        let mut replies: HashMap<_, Vec<&Post>> = HashMap::new();
        for post in ledger.sent() {
            replies.entry((post.chat, post.reply_to.unwrap_or(0))).or_default().push(post);
        }
        let own = ledger.posts().filter(|post| post.from == Some(account) && !post.by_client());
        let captions = own.map(|post| ((post.chat, post.id), post.text.as_str())).collect();
        Self { ledger, replies, captions }
    }

    fn replies(&self, sent: &Sent) -> &[&'a Post] {
        self.replies.get(&(sent.chat, sent.message)).map_or(&[], Vec::as_slice)
    }

    fn caption(&self, sent: &Sent) -> Option<&'a str> {
        let caption = self.captions.get(&(sent.chat, sent.message)).filter(|_| sent.own)?;
        (!caption.is_empty()).then_some(*caption)
    }

    /// The text of each part that `sent` has, with the content of its document.
    fn parts(&self, sent: &Sent) -> Vec<(&'a str, Option<&'a [u8]>)> {
        let caption = self.caption(sent).map(|caption| (caption, None));
        let document = |post: &Post| self.ledger.document(post).map(|(_, content)| content);
        let replies = self.replies(sent).iter().map(|post| (post.text.as_str(), document(post)));
        caption.into_iter().chain(replies).collect()
    }

    fn are_right(&self, sent: &Sent) -> bool {
        let wanted = sent.answer.iter().map(|part| {
            let document = part.document.as_ref().map(|document| document.content.as_bytes());
            (part.text.as_str(), document)
        });
        self.parts(sent).into_iter().eq(wanted)
    }
}

impl Verdict {
    /// Adds what came of the messages of another account.
    pub fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.left_alone += other.left_alone;
        self.captions += other.captions;
        self.documents += other.documents;
        self.edited += other.edited;
        self.lost.extend(other.lost);
        self.twice.extend(other.twice);
        self.half_edited.extend(other.half_edited);
        self.wrong.extend(other.wrong);
        self.out_of_order.extend(other.out_of_order);
        self.uncalled_for.extend(other.uncalled_for);
    }
}

/// What came of the messages of an account.
pub fn verdict(ledger: Ledger, account: i64, sent: &[Sent]) -> Verdict {
    let mut verdict = Verdict::default();
    let answers = Answers::of(ledger, account);
    for sent in sent {
        let name = name(account, sent.chat, sent.message);
        let parts = answers.parts(sent);
        let is_half = |(text, document): &(&str, Option<&[u8]>)| document.is_none() && text.ends_with(MORE);
        if answers.are_right(sent) {
            match sent.answer.is_empty() {
                true => verdict.left_alone += 1,
                false => verdict.answered += 1,
            }
            verdict.captions += usize::from(answers.caption(sent).is_some());
            verdict.documents += parts.iter().filter(|(_, document)| document.is_some()).count();
            verdict.edited += answers.replies(sent).iter().filter(|post| post.edits > 0).count();
        } else if sent.answer.is_empty() {
            verdict.uncalled_for.push(name);
        } else if parts.iter().any(is_half) {
            verdict.half_edited.push(name);
        } else if parts.len() < sent.answer.len() {
            verdict.lost.push(name);
        } else if parts.len() > sent.answer.len() {
            verdict.twice.push(name);
        } else {
            verdict.wrong.push(format!("{name}: {parts:?} instead of {:?}", sent.answer));
        }
    }
    let known: HashSet<(Chat, i32)> = sent.iter().map(|sent| (sent.chat, sent.message)).collect();
    let strays = answers.replies.keys().filter(|id| !known.contains(id));
    verdict.uncalled_for.extend(strays.map(|(chat, message)| name(account, *chat, *message)));
    verdict.out_of_order = out_of_order(ledger, account, sent);
    verdict
}

fn out_of_order(ledger: Ledger, account: i64, sent: &[Sent]) -> Vec<String> {
    let again: HashSet<(Chat, i32)> =
        sent.iter().filter(|sent| sent.again).map(|sent| (sent.chat, sent.message)).collect();
    let mut latest: HashMap<Chat, i32> = HashMap::new();
    let mut found = Vec::new();
    for post in ledger.sent() {
        let message = post.reply_to.unwrap_or(0);
        if again.contains(&(post.chat, message)) {
            continue;
        }
        let latest = latest.entry(post.chat).or_default();
        if message < *latest {
            found.push(name(account, post.chat, message));
        }
        *latest = message.max(*latest);
    }
    found
}
