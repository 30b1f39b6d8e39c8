//! TROUBLESHOOTING.md holds the symptoms that people search for, and stays short enough to be read.
//!
//! Every other message says itself what to do, so the page does not list it.

use std::fs;
use std::path::Path;

/// Most sections of a page, and its most bytes in either language.
const MAX_SECTIONS: usize = 20;
const MAX_BYTES: usize = 15 << 10;

/// The headings that people come for, as both pages begin them.
const CLASSICS: [&str; 15] = [
    "API_ID / API_HASH not found",
    "Connection lost",
    "Connection refused",
    "Redis not available",
    "No space left on device",
    "Peer id invalid",
    "Slow transcription",
    "Out of memory",
    "Illegal instruction",
    "Model download fails",
    "ffmpeg not found",
    "docker-compose: command not found",
    "Port already in use",
    "Permission denied",
    "FLOOD_WAIT",
];

/// What must be found by a search of the page.
const SEARCHED_FOR: [&str; 8] = [
    "AUTH_KEY_DUPLICATED",
    "AUTH_KEY_UNREGISTERED",
    "PEER_FLOOD",
    "SIGILL",
    "226/NAMESPACE",
    "nesting=1",
    "WRONGPASS",
    "OOMKilled",
];

#[test]
fn each_page_is_short_and_has_what_people_search_for() {
    for name in ["TROUBLESHOOTING.md", "TROUBLESHOOTING.ru.md"] {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(page.len() <= MAX_BYTES, "{name} has {} bytes", page.len());
        let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
        assert!(sections.len() <= MAX_SECTIONS, "{name} has {} sections", sections.len());
        for title in CLASSICS {
            let section = sections.iter().find(|section| section.starts_with(title));
            let section = section.unwrap_or_else(|| panic!("{name} has no section {title:?}"));
            // Nothing is printed where recognition is merely slow, nor by a program that is not there.
            let silent = ["Slow transcription", "docker-compose: command not found"].contains(&title);
            assert!(silent || section.contains("\n    "), "{name}: {title:?} shows no line");
        }
        for words in SEARCHED_FOR {
            assert!(page.contains(words), "{name} says nothing of {words}");
        }
    }
}
