//! The table in docs/STEERING.md of every form in every chat: each cell is tried.

use std::collections::BTreeMap;

use fake_telegram::{BOT, BROADCAST, GROUP, Ledger, Post, STRANGERS, SUPERGROUP};
use stenogram::domain::rules::{AnswerIn, Groups, Rules};
use stenogram::domain::{DocumentFormats, Documents};

use crate::pages::Page;

use super::*;

/// The words of the English table in the Russian one.
const RUSSIAN: &[(&str, &str)] = &[
    ("text", "текст"),
    ("recording", "запись"),
    ("Saved Messages", "«Избранное»"),
    ("private chat", "личный чат"),
    ("group", "группа"),
    ("forum topic", "тема форума"),
    ("channel, bot", "канал, бот"),
    ("any", "любой"),
    ("short", "короткий"),
    ("long", "длинный"),
    ("very long", "очень длинный"),
    ("over 1,024", "больше 1024 знаков"),
    ("yours, voice", "ваше голосовое"),
    ("yours, round", "ваш «кружок»"),
    ("of others", "чужая"),
    ("reply", "ответ"),
    ("folded reply", "свёрнутый ответ"),
    ("document", "документ"),
    ("saved", "в Избранном"),
    ("folded saved", "свёрнут в Избранном"),
    ("saved document", "документ в Избранном"),
    ("caption", "подпись"),
    ("folded caption", "свёрнутая подпись"),
    ("caption and reply", "подпись и ответ"),
    ("nothing", "ничего"),
];

/// The rows of the table in a page, the head first.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = Page::read(page).text;
    let (_, table) = text.split_once("\n\n| `ANSWER_IN` |").expect("the table");
    let table = format!("| `ANSWER_IN` |{table}");
    let rows = table.lines().take_while(|line| line.starts_with('|')).filter(|line| !line.contains("---"));
    let cells = |row: &str| {
        let inner = row.trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    rows.map(cells).collect()
}

/// The chats of a column.
fn chats(column: &str) -> &'static [Chat] {
    const STRANGER: Chat = Chat::User(STRANGERS.start);
    match column {
        "Saved Messages" => &[SAVED_MESSAGES],
        "private chat" => &[FRIENDS_CHAT, STRANGER],
        "group" => &[GROUP, SUPERGROUP],
        "forum topic" => &[SUPERGROUP],
        "channel, bot" => &[BROADCAST, Chat::User(BOT)],
        _ => panic!("there are no chats of the kind {column:?}"),
    }
}

/// The recordings that a row is about.
fn recordings(row: &str) -> &'static [&'static str] {
    match row {
        "any" => &["yours, voice", "yours, round", "of others"],
        "yours, voice" => &["yours, voice"],
        "yours, round" => &["yours, round"],
        "of others" => &["of others"],
        _ => panic!("there are no recordings {row:?}"),
    }
}

/// Texts of a length; each begins with its number.
fn texts(row: &str, number: usize) -> Vec<String> {
    let of = |characters: usize| {
        let mut text = format!("number {number}");
        while text.len() < characters {
            text += " word";
        }
        text
    };
    match row {
        "short" => vec![of(0)],
        "long" => vec![of(900)],
        "over 1,024" => vec![of(3000)],
        "very long" => vec![of(14_000)],
        "any" => vec![of(0), of(900), of(14_000)],
        _ => panic!("there are no texts {row:?}"),
    }
}

/// The form in which the recording in `message` was answered, in the words of the table.
fn form(ledger: &Ledger, chat: Chat, message: i32, topic: Option<i32>) -> String {
    let is_folded = |post: &Post| post.entities().iter().any(|entity| entity.collapsed);
    let named = |post: &Post, name: &str| match (ledger.document(post), is_folded(post)) {
        (Some(_), _) if name == "reply" => "document".to_owned(),
        (Some(_), _) => format!("{name} document"),
        (None, true) => format!("folded {name}"),
        (None, false) => name.to_owned(),
    };
    let suffix = format!("/{message}");
    let about = |link: &String| match chat {
        Chat::Channel(id) => link.starts_with(&format!("https://t.me/c/{id}/")) && link.ends_with(&suffix),
        Chat::Group(id) => link.ends_with(&format!("chat_id={id}&message_id={message}")),
        Chat::User(id) => link.ends_with(&format!("user_id={id}&message_id={message}")),
    };
    let recording = ledger.post(chat, message).expect("the recording");
    let replies: Vec<&Post> = ledger.replies(chat, message).collect();
    let saved: Vec<&Post> =
        ledger.sent().filter(|post| post.chat == SAVED_MESSAGES && post.links().iter().any(about)).collect();
    for reply in &replies {
        assert!(reply.silent && reply.topic == topic, "{reply:?}");
    }
    match (recording.edits, &replies[..], &saved[..]) {
        (0, [], []) => "nothing".to_owned(),
        (0, [reply], []) => named(reply, "reply"),
        (0, [], [saved]) => named(saved, "saved"),
        // The recording itself has a file, which is no document.
        (1, replies, []) => {
            let folded = if is_folded(recording) { "folded " } else { "" };
            match replies {
                [] => format!("{folded}caption"),
                // Such a text is long, so all of it is folded.
                replies => {
                    assert!(is_folded(recording) && replies.iter().all(|reply| is_folded(reply)));
                    "caption and reply".to_owned()
                }
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_russian_table_is_the_english_one() {
    let words: BTreeMap<_, _> = RUSSIAN.iter().copied().collect();
    let translated = |cell: &String| match words.get(cell.as_str()) {
        Some(word) => (*word).to_owned(),
        None => cell.clone(),
    };
    // A text is masculine, and a recording feminine.
    let fixed = |row: Vec<String>| -> Vec<String> {
        let of = |(at, cell): (usize, String)| match (at, cell.as_str()) {
            (2, "любой") => "любая".to_owned(),
            (0, place) => RUSSIAN
                .iter()
                .find(|(_, word)| *word == place)
                .map_or(cell.clone(), |(name, _)| (*name).into()),
            _ => cell,
        };
        row.into_iter().enumerate().map(of).collect()
    };
    let english = rows("docs/STEERING.md").into_iter().map(|row| row.iter().map(translated).collect());
    let english: Vec<Vec<String>> = english.map(fixed).collect();
    assert_eq!(english, rows("docs/STEERING.ru.md"));
}

#[tokio::test]
async fn each_cell_of_the_table_is_what_happens() {
    let mut table = rows("docs/STEERING.md").into_iter();
    let head = table.next().expect("a head");
    assert_eq!(head[1..3], ["text", "recording"]);
    let mut of_place: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    table.for_each(|row| of_place.entry(row[0].clone()).or_default().push(row[1..].to_vec()));
    assert_eq!(of_place.keys().collect::<Vec<_>>(), ["caption", "nowhere", "reply", "saved"]);
    for (place, rows) in of_place {
        let answer_in: AnswerIn = place.parse().expect("a value of ANSWER_IN");
        let rules = Rules { answer_in, groups: Groups::All, ..Rules::default() };
        let documents = Documents { from: 4, formats: DocumentFormats::Txt };
        let settings = Settings { documents, ..Settings::default() };
        let (telegram, _folder, line) =
            start_under(Policy { rules, settings, ..policy(Task::Transcribe) }).await;
        telegram.add_user(User { id: STRANGERS.start, name: "Stranger".into(), bot: false });
        let topic = telegram.send(SUPERGROUP, Draft::text("a topic"));
        let mut expected = Vec::new();
        for row in &rows {
            assert_eq!(row.len() + 1, head.len(), "{place}: {row:?}");
            for (column, cell) in head[3..].iter().zip(&row[2..]) {
                // Nobody else speaks in Saved Messages.
                let may_speak =
                    |whose: &&&str| **whose != "of others" || !matches!(column.as_str(), "Saved Messages");
                let whose: Vec<_> = recordings(&row[1]).iter().filter(may_speak).collect();
                assert_eq!(cell.is_empty(), whose.is_empty(), "{place}: {row:?} {column}");
                for (whose, &chat) in
                    whose.into_iter().flat_map(|whose| chats(column).iter().map(move |c| (whose, c)))
                {
                    for text in texts(&row[0], expected.len()) {
                        let draft = match *whose {
                            "yours, voice" => saying(&text).own(),
                            "yours, round" => Draft::round(text.as_bytes(), 1).own(),
                            _ => saying(&text),
                        };
                        let topic = (column == "forum topic").then_some(topic);
                        let draft = match topic {
                            Some(topic) => draft.in_topic(topic),
                            None => draft,
                        };
                        let message = telegram.send(chat, draft);
                        let what = format!("{place}, {}, {whose}, {column}", row[0]);
                        expected.push((what, chat, message, topic, cell.clone()));
                    }
                }
            }
        }
        // Updates are taken in order: when this is known, so are all others.
        let last = telegram.send(OTHER_CHAT, saying("last"));
        let mut line = line;
        line.ended(last).await;
        line.finished().await;
        telegram.look(|ledger| {
            for (what, chat, message, topic, cell) in expected {
                assert_eq!(form(&ledger, chat, message, topic), cell, "{what}");
            }
        });
    }
}
