//! TROUBLESHOOTING.md holds the symptoms that people search for, and stays short enough to be read.
//!
//! Every other message says itself what to do, so the page does not list it.

use std::fs;
use std::path::Path;

/// Most sections of a page, and its most bytes in either language.
const MAX_SECTIONS: usize = 20;
const MAX_BYTES: usize = 15 << 10;

/// How the sections begin that people come for.
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

#[test]
fn each_page_is_short_and_has_what_people_search_for() {
    for name in ["TROUBLESHOOTING.md", "TROUBLESHOOTING.ru.md"] {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        assert!(page.len() <= MAX_BYTES, "{name} has {} bytes", page.len());
        let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
        assert!(sections.len() <= MAX_SECTIONS, "{name} has {} sections", sections.len());
        for title in CLASSICS {
            assert!(sections.iter().any(|it| it.starts_with(title)), "{name} has no section {title:?}");
        }
    }
}
