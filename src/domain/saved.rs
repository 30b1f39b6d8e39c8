//! The line above an answer in Saved Messages: who sent the recording and when, and a link to it.

use super::calendar::utc;
use super::reply::utf16_len;
use super::sanitise::sanitise;
use super::{Job, PeerKind};

/// The longest name that is shown, in UTF-16 code units.
const NAME_LIMIT: usize = 64;

/// Says who sent a recording, in which chat and when, in one line. `sender` is `None` for the
/// owner's own recordings, and `chat` for those that others sent in private.
pub fn header(sender: Option<&str>, chat: Option<&str>, date: i64) -> String {
    let sender = sender.map_or_else(|| "→".to_owned(), shown);
    let separator = if sender == "→" { " " } else { ", " };
    let chat = chat.map_or_else(String::new, |chat| format!("{separator}{}", shown(chat)));
    format!("{sender}{chat} · {}", utc(date))
}

/// The link to a job's message. Telegram's apps open links to the messages of private chats and
/// basic groups too, but on the owner's devices only.
pub fn message_link(job: &Job) -> String {
    let (chat, message) = (job.recording.chat, job.id.message);
    match (chat.kind, job.recording.thread) {
        (PeerKind::User, _) => format!("tg://openmessage?user_id={}&message_id={message}", chat.id),
        (PeerKind::Group, _) => format!("tg://openmessage?chat_id={}&message_id={message}", chat.id),
        (PeerKind::Channel, None) => format!("https://t.me/c/{}/{message}", chat.id),
        (PeerKind::Channel, Some(topic)) => format!("https://t.me/c/{}/{topic}/{message}", chat.id),
    }
}

/// A name that others have chosen, on one line and not too long.
fn shown(name: &str) -> String {
    let mut shown = String::new();
    for c in sanitise(name).replace('\n', " ").chars() {
        if utf16_len(&shown) + c.len_utf16() > NAME_LIMIT {
            break;
        }
        shown.push(c);
    }
    let shown = shown.trim();
    if shown.is_empty() { "?".to_owned() } else { shown.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Peer;
    use crate::domain::reply::HEADER_LIMIT;

    #[test]
    fn a_header_says_who_where_and_when() {
        let date = 1_795_822_800;
        assert_eq!(header(Some("Anna"), None, date), "Anna · 2026-11-27 23:40 UTC");
        assert_eq!(header(None, Some("Anna"), date), "→ Anna · 2026-11-27 23:40 UTC");
        assert_eq!(header(Some("Anna"), Some("Family"), date), "Anna, Family · 2026-11-27 23:40 UTC");
    }

    #[test]
    fn names_of_strangers_neither_break_the_line_nor_fill_it() {
        let name = "🎙\n\u{202E}".repeat(500);
        let header = header(Some(&name), Some(&name), i64::from(i32::MAX));
        assert!(!header.contains(['\n', '\u{202E}']), "{header}");
        assert!(utf16_len(&header) < HEADER_LIMIT, "{}", utf16_len(&header));
        assert_eq!(super::header(Some("\u{200B}"), None, 0), "? · 1970-01-01 00:00 UTC");
    }

    #[test]
    fn every_chat_has_links_to_its_messages() {
        for (kind, thread, link) in [
            (PeerKind::User, None, "tg://openmessage?user_id=42&message_id=7"),
            (PeerKind::Group, None, "tg://openmessage?chat_id=42&message_id=7"),
            (PeerKind::Channel, None, "https://t.me/c/42/7"),
            (PeerKind::Channel, Some(5), "https://t.me/c/42/5/7"),
        ] {
            let chat = Peer { kind, id: 42, access_hash: 0 };
            let mut job = Job::example(chat, 7);
            job.recording.thread = thread;
            assert_eq!(message_link(&job), link);
        }
    }
}
