//! `stenogram rules`: which messages are answered, and why one would be answered or not.

use std::io::{self, Write};
use std::time::Duration;

use super::CommandError;
use crate::cli::{AskedChat, MessageKind, Rules, RulesQuestion, Why};
use crate::config::Config;
use crate::domain::chat_rules::UNTIL_RESUMED;
use crate::domain::policy::Policy;
use crate::domain::rules::AnswerIn;
use crate::domain::unix_time::now_seconds;
use crate::domain::{
    ChatInfo, ChatKind, ChatRule, ChatRules, DocumentFormats, Form, RecordingKind, Sender, Task, Whose,
    calendar,
};
use crate::jobs::chat_rules_file;
use crate::runtime::deployment::typed;
use crate::runtime::problem;
use crate::setup;
use crate::telegram::SessionFile;

/// The rows of the table: kinds of chats in which something can be answered.
const CHATS: [(ChatKind, &str); 3] = [
    (ChatKind::SavedMessages, "Saved Messages"),
    (ChatKind::Private, "private chats"),
    (ChatKind::Group, "groups"),
];
/// Its columns.
const SENDERS: [(Whose, &str); 3] =
    [(Whose::Mine, "yours"), (Whose::Contact, "of contacts"), (Whose::Stranger, "of others")];
/// Longer than any MIN_DURATION: the length that is assumed where none is given.
const LONG: u32 = u32::MAX;

/// Prints the rules in force, or what they say of one message.
pub fn run(config: &Config, args: &Rules, out: &mut impl Write) -> Result<(), CommandError> {
    let path = config.data_dir.join(chat_rules_file::FILE_NAME);
    let read = chat_rules_file::read(&path)
        .unwrap_or_else(|error| Err(problem::of_file("cannot read", &path, &error).to_string()));
    let chats = read.unwrap_or_else(|error| {
        eprintln!("What you have said in chats is not counted here: {error}");
        ChatRules::default()
    });
    let policy = Policy { chats, ..setup::policy(config) };
    match &args.question {
        None => list(config, &policy, out)?,
        Some(RulesQuestion::Why(why)) => explain(config, &policy, why, out)?,
    }
    Ok(())
}

fn list(config: &Config, policy: &Policy, out: &mut impl Write) -> io::Result<()> {
    let rules = &config.rules;
    writeln!(out, "{:16}{:13}{:13}{}", "answered in", SENDERS[0].1, SENDERS[1].1, SENDERS[2].1)?;
    for (kind, name) in CHATS {
        let answered = SENDERS.map(|(whose, _)| {
            if kind == ChatKind::SavedMessages && whose != Whose::Mine {
                return "-";
            }
            let reason = rules.reason_to_ignore(&chat(kind), &sender(whose, 0), LONG);
            if reason.is_none() { "yes" } else { "no" }
        });
        writeln!(out, "{name:16}{:13}{:13}{}", answered[0], answered[1], answered[2])?;
    }
    if !rules.allowed.is_empty() {
        writeln!(out, "Everybody's messages are answered in: {} (CHATS_ALLOW)", rules.allowed)?;
    }
    if !rules.denied.is_empty() {
        writeln!(out, "Never answered: {} (CHATS_DENY)", rules.denied)?;
    }
    let time = |time: Duration| in_units(time.as_secs(), &[(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")]);
    let place = match rules.answer_in {
        AnswerIn::Reply => Some("in replies (ANSWER_IN=reply)"),
        AnswerIn::Saved => Some("in Saved Messages (ANSWER_IN=saved)"),
        AnswerIn::Caption => {
            Some("in captions of your own voice messages, else in replies (ANSWER_IN=caption)")
        }
        AnswerIn::Nowhere => None,
    };
    if let Some(place) = place {
        writeln!(out, "Texts appear {place}.")?;
        documents(config, out)?;
    } else {
        let (time, print) = (time(config.result_ttl), typed("transcripts"));
        writeln!(
            out,
            "Nothing is sent (ANSWER_IN=nowhere): texts are kept for {time} (RESULT_TTL), and `{print}` \
             prints them."
        )?;
    }
    if !rules.min_duration.is_zero() {
        let shortest = time(rules.min_duration);
        writeln!(out, "Not answered: recordings shorter than {shortest} (MIN_DURATION)")?;
    }
    writeln!(
        out,
        "Not answered: recordings longer than {} (MAX_DURATION) or larger than {} (MAX_FILE_SIZE), \
         and messages that are older than {} when they arrive (CATCH_UP_MAX_AGE)",
        time(config.max_duration),
        in_units(config.max_file_size, &[(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"), (1, "")]),
        time(config.catch_up_max_age)
    )?;
    writeln!(
        out,
        "Never answered: channels, bots, view-once and self-destructing messages, Telegram's notices"
    )?;
    list_chats(&policy.chats, out)?;
    out.flush()
}

/// Says which texts are documents.
fn documents(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let documents = config.documents;
    let file = match documents.formats {
        DocumentFormats::Txt => "a .txt file",
        DocumentFormats::Srt => "an .srt file",
        DocumentFormats::Both => "a .txt and an .srt file",
    };
    match documents.from {
        u32::MAX => writeln!(out, "Texts of any length are messages (DOCUMENT_FROM=off)."),
        1 => writeln!(out, "Each text is {file} (DOCUMENT_FROM=1)."),
        from => writeln!(out, "A text that would take {from} messages or more is {file} (DOCUMENT_FROM)."),
    }
}

/// What the owner has said in chats.
fn list_chats(chats: &ChatRules, out: &mut impl Write) -> io::Result<()> {
    let now = now_seconds();
    if let Some(until) = chats.paused_until.filter(|until| *until > now) {
        writeln!(out, "Said in Saved Messages: all chats are paused {}", end_of(until))?;
    }
    for (chat, rule) in &chats.chats {
        let said = said_in(rule, now);
        if !said.is_empty() {
            writeln!(out, "Said in chat {chat}: {}", said.join(", "))?;
        }
    }
    Ok(())
}

fn said_in(rule: &ChatRule, now: i64) -> Vec<String> {
    let answer = rule.answer.map(|answer| if answer { "on".to_owned() } else { "off".to_owned() });
    let language = rule.language.map(|language| format!("language {language}"));
    let task = rule.task.map(|task| match task {
        Task::Translate => "translate on".to_owned(),
        Task::Transcribe => "translate off".to_owned(),
    });
    let place = rule.answer_in.map(|place| match place {
        AnswerIn::Reply => "where reply".to_owned(),
        AnswerIn::Saved => "where saved".to_owned(),
        AnswerIn::Caption => "where caption".to_owned(),
        AnswerIn::Nowhere => "where nowhere".to_owned(),
    });
    let vocabulary = rule.vocabulary.as_ref().map(|words| format!("vocabulary {words}"));
    let pause = rule.paused_until.filter(|until| *until > now);
    let pause = pause.map(|until| format!("paused {}", end_of(until)));
    [answer, language, task, place, vocabulary, pause].into_iter().flatten().collect()
}

/// When a pause ends.
fn end_of(until: i64) -> String {
    match until {
        UNTIL_RESUMED => "until you say resume".to_owned(),
        until => format!("until {}", calendar::utc(until)),
    }
}

/// A number as it is written in the configuration, in the largest unit that divides it.
fn in_units(number: u64, units: &[(u64, &str)]) -> String {
    let divides = units.iter().find(|(unit, _)| number.is_multiple_of(*unit));
    divides.map_or_else(|| number.to_string(), |(unit, name)| format!("{}{name}", number / unit))
}

fn explain(config: &Config, policy: &Policy, why: &Why, out: &mut impl Write) -> io::Result<()> {
    let chats = possible_chats(config, &why.chat);
    for chat in &chats {
        let answer = match reason(config, policy, why, chat) {
            None => format!("answered: {}", form(policy, why, chat)),
            Some(reason) => format!("not answered: {reason}"),
        };
        if chats.len() > 1 {
            write!(out, "if it is {}: ", name(chat.kind))?;
        }
        writeln!(out, "{answer}")?;
    }
    out.flush()
}

/// Why such a message in this chat is not answered; `None` if it is.
fn reason(config: &Config, policy: &Policy, why: &Why, chat: &ChatInfo) -> Option<&'static str> {
    if matches!(why.kind, MessageKind::Audio | MessageKind::Video) {
        return Some("only voice messages and round video notes are answered, not files");
    }
    let whose = whose(why, chat);
    // In a private chat the other one is the chat.
    let id = if chat.kind == ChatKind::Private && whose != Whose::Mine { chat.id } else { 0 };
    let seconds = why.seconds.unwrap_or(LONG);
    policy.reason_to_ignore(chat, &sender(whose, id), seconds, now_seconds()).or_else(|| {
        let is_long = why.seconds.is_some() && u64::from(seconds) > config.max_duration.as_secs();
        is_long.then_some("longer than MAX_DURATION")
    })
}

fn whose(why: &Why, chat: &ChatInfo) -> Whose {
    if why.mine || chat.kind == ChatKind::SavedMessages {
        Whose::Mine
    } else if why.contact {
        Whose::Contact
    } else {
        Whose::Stranger
    }
}

/// How the text of such a message appears.
fn form(policy: &Policy, why: &Why, chat: &ChatInfo) -> &'static str {
    let kind = match why.kind {
        MessageKind::Round => RecordingKind::VideoNote,
        _ => RecordingKind::Voice,
    };
    match policy.rules_in(chat).form(chat, whose(why, chat), kind) {
        Form::Replies => "with a reply",
        Form::SavedMessages => "in Saved Messages",
        Form::Caption => "in its caption",
        Form::Nowhere => "nowhere, its text is only kept (RESULT_TTL)",
    }
}

/// The chats that the owner may mean: an id or a name alone does not always say what it is of.
fn possible_chats(config: &Config, asked: &AskedChat) -> Vec<ChatInfo> {
    let of_kinds = |id, names: &[String], kinds: &[ChatKind]| {
        kinds.iter().map(|&kind| ChatInfo { id, kind, names: names.to_vec() }).collect()
    };
    match asked {
        AskedChat::Kind(kind) => vec![chat(*kind)],
        AskedChat::Id(id) if SessionFile::user_in(&config.data_dir).ok() == Some(*id) => {
            of_kinds(*id, &[], &[ChatKind::SavedMessages])
        }
        AskedChat::Id(777_000) => of_kinds(777_000, &[], &[ChatKind::Service]),
        AskedChat::Id(id @ 1..) => of_kinds(*id, &[], &[ChatKind::Private, ChatKind::Bot]),
        AskedChat::Id(id @ -1_000_000_000_000..) => of_kinds(*id, &[], &[ChatKind::Group]),
        AskedChat::Id(id) => of_kinds(*id, &[], &[ChatKind::Group, ChatKind::Channel]),
        AskedChat::Name(name) => {
            let kinds = [ChatKind::Private, ChatKind::Bot, ChatKind::Group, ChatKind::Channel];
            of_kinds(0, std::slice::from_ref(name), &kinds)
        }
    }
}

/// Some chat of this kind that no list names.
fn chat(kind: ChatKind) -> ChatInfo {
    ChatInfo { id: 0, kind, names: Vec::new() }
}

fn sender(whose: Whose, id: i64) -> Sender {
    Sender {
        id,
        is_owner: whose == Whose::Mine,
        is_bot: whose == Whose::Bot,
        is_contact: Some(whose == Whose::Contact),
        names: Vec::new(),
    }
}

fn name(kind: ChatKind) -> &'static str {
    match kind {
        ChatKind::SavedMessages => "Saved Messages",
        ChatKind::Private => "a person",
        ChatKind::Bot => "a bot",
        ChatKind::Service => "Telegram's own account",
        ChatKind::Group => "a group",
        ChatKind::Channel => "a channel",
    }
}
