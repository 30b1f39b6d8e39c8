//! Whatever the program can say about its surroundings is found in TROUBLESHOOTING.md.
//!
//! The messages are read from the sources: the texts of errors, of warnings in the log, all that the
//! doctor says when something is wrong, and what containers and the service say in its place. A new one that is
//! not on the page fails here.

#[path = "support/messages.rs"]
mod messages;

use std::fs;
use std::path::{Path, PathBuf};

use messages::{Text, texts};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Where the program speaks of its surroundings. Not here: recordings (audio), what is typed (cli), and
/// what is asked for and shown at a terminal (the other commands).
const ABOUT_SURROUNDINGS: [&str; 16] = [
    "app",
    "commands/mod.rs",
    "commands/models.rs",
    "commands/queue.rs",
    "config",
    "doctor",
    "health",
    "intake.rs",
    "languages.rs",
    "ops",
    "patience.rs",
    "pipeline.rs",
    "queue",
    "speech",
    "telegram",
    "worker.rs",
];

/// What each variable takes is in README's table and .env.example; what the status page shows is no message.
const NO_SOURCE: [&str; 2] = ["config/variables.rs", "health/page.rs"];

/// Of these every text is a message, unless it stands in one of [`NO_MESSAGE`].
const ALL_OF_IT: [&str; 4] = ["doctor", "speech/download.rs", "telegram/login.rs", "telegram/supervisor.rs"];

/// What is said where all is well, is asked, or goes to somebody else.
const NO_MESSAGE: [&str; 9] =
    ["ok", "begins", "join", "strip_prefix", "expect", "say", "info!", "header", "starts_with"];

/// Elsewhere a text is a message where it stands in one of these: an error's own text, a line in the log of
/// the level warn or error, an error made of a text, what a command complains of.
const IN_A_MESSAGE: [&str; 13] = [
    "#error",
    "error!",
    "warn!",
    "Configuration",
    "Unavailable",
    "Damaged",
    "InUse",
    "Lost",
    "complain",
    "contradiction",
    "push",
    "new",
    "Retry",
];

/// Messages that are not about the surroundings, or only together with another.
const ELSEWHERE: &[(&str, &str)] = &[
    ("The recording is damaged", "about a recording, as all that audio says"),
    ("the recording", "about a recording"),
    ("the recognition was aborted", "said to nobody: it is put back"),
    ("it does not answer", "counted as a failure of the queue; the worker's own line says why"),
    ("the program is stopping", "said to nobody: the daemon stops"),
    ("agrees with Telegram's", "all is well"),
    ("{shown} is not there yet", "all is well"),
];

/// The sections that people come for: the twelve classic problems, and ours.
const SECTIONS: [&str; 17] = [
    "Peer id invalid",
    "Connection lost",
    "Redis not available",
    "API_ID / API_HASH not found",
    "docker-compose: command not found",
    "Out of memory",
    "ffmpeg not found",
    "Voice messages are not answered",
    "Slow transcription",
    "Connection refused",
    "Port already in use",
    "Permission denied",
    "AUTH_KEY_DUPLICATED",
    "FLOOD_WAIT",
    "Illegal instruction",
    "Model download fails",
    "In a Proxmox LXC container",
];

/// What has to be told in a section, as people search for it.
const WORDS: [(&str, &str); 3] = [
    ("Illegal instruction", "SIGILL"),
    ("In a Proxmox LXC container", "226/NAMESPACE"),
    ("In a Proxmox LXC container", "nesting=1"),
];

/// A message as it is written: what stands between its values.
struct Message {
    place: String,
    text: String,
    pieces: Vec<String>,
}

fn sources() -> Vec<PathBuf> {
    fn collect(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), found));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.to_owned());
        }
    }
    let mut found = Vec::new();
    for place in ABOUT_SURROUNDINGS {
        let path = Path::new(PROJECT).join("src").join(place);
        assert!(path.exists(), "{place} is not where it was");
        collect(&path, &mut found);
    }
    found.sort();
    found
}

fn is_message(file: &Path, text: &Text) -> bool {
    let within = |names: &[&str]| text.within.iter().any(|name| names.contains(&name.as_str()));
    let source = file.strip_prefix(Path::new(PROJECT).join("src")).unwrap();
    if NO_SOURCE.iter().any(|place| source == Path::new(place)) {
        return false;
    }
    match ALL_OF_IT.iter().any(|place| source.starts_with(place)) {
        true => !within(&NO_MESSAGE),
        false => within(&IN_A_MESSAGE),
    }
}

/// What stands between the `{}` of a format.
fn pieces(text: &str) -> Vec<String> {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}").replace('`', "");
    let mut pieces = Vec::new();
    for (n, part) in text.split('{').enumerate() {
        let plain = if n == 0 { part } else { part.split_once('}').map_or("", |(_, after)| after) };
        let plain = plain.replace('\u{1}', "{").replace('\u{2}', "}");
        let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
        if plain.chars().any(char::is_alphanumeric) {
            pieces.push(plain);
        }
    }
    pieces
}

fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count()
}

fn messages() -> Vec<Message> {
    let mut messages = Vec::new();
    for file in sources() {
        for text in texts(&fs::read_to_string(&file).unwrap()) {
            let pieces = pieces(&text.text);
            if is_message(&file, &text) && pieces.iter().map(|piece| words(piece)).sum::<usize>() > 1 {
                let place = file.strip_prefix(PROJECT).unwrap().display();
                messages.push(Message { place: format!("{place}:{}", text.line), text: text.text, pieces });
            }
        }
    }
    messages
}

/// Whether `line` shows a message of these pieces: all of them in order, or, where it is cut short by … ,
/// those before that, with the last one begun; three words at least.
fn shows(line: &str, pieces: &[String]) -> bool {
    let (mut rest, mut seen) = (line, 0);
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece.as_str()) else {
            let mut cuts = rest.match_indices('…').map(|(at, _)| rest[..at].trim());
            return cuts.any(|before| begun(before, piece).is_some_and(|words| seen + words > 2));
        };
        (rest, seen) = (after, seen + words(piece));
    }
    true
}

/// How many words of `piece`, from its beginning on, `text` ends with. None where it ends otherwise; what is
/// empty has not come to the piece.
fn begun(text: &str, piece: &str) -> Option<usize> {
    let ends = piece.match_indices(' ').map(|(at, _)| &piece[..at]);
    let longest = ends.rev().find(|beginning| text.ends_with(beginning));
    longest.map(words).or(text.is_empty().then_some(0))
}

#[test]
fn every_problem_that_people_have_has_a_section_with_what_they_see() {
    let page = fs::read_to_string(Path::new(PROJECT).join("TROUBLESHOOTING.md")).unwrap();
    for title in SECTIONS {
        let section = page.split("\n## ").find(|section| section.starts_with(&format!("{title}\n")));
        let section = section.unwrap_or_else(|| panic!("no section {title:?}"));
        // Of these two nothing is seen at all.
        let silent = ["Voice messages are not answered", "Slow transcription"].contains(&title);
        assert!(silent || section.contains("\n    "), "no line of {title:?} is shown");
        for (_, words) in WORDS.iter().filter(|(within, _)| *within == title) {
            assert!(section.contains(words), "{title:?} says nothing of {words}");
        }
    }
}

/// What a script says by `say`, `refuse` or `echo`, cut at its variables.
fn messages_of_script(source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["say \"", "refuse \"", "echo \""] {
        for rest in source.split(start).skip(1) {
            let text = rest.replace("\\\"", "'").replace("\\$", "\u{1}");
            let text = text.split('"').next().unwrap_or_default().to_owned();
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_{}:-*".contains(c);
            let mut parts = text.split('$');
            let first = parts.next().unwrap_or_default();
            let others = parts.map(|part| part.trim_start_matches(is_name));
            let pieces = std::iter::once(first).chain(others).map(|piece| piece.replace('\u{1}', "$"));
            let pieces: Vec<String> = pieces.map(|piece| piece.trim().to_owned()).collect();
            found.push(pieces.into_iter().filter(|piece| words(piece) > 0).collect());
        }
    }
    found.retain(|pieces: &Vec<String>| pieces.iter().map(|piece| words(piece)).sum::<usize>() > 1);
    found
}

#[test]
fn what_containers_and_the_service_say_is_on_the_page() {
    let page = fs::read_to_string(Path::new(PROJECT).join("TROUBLESHOOTING.md")).unwrap();
    let is_one =
        |name: &str| (name.starts_with("docker-") && name.ends_with(".sh")) || name.ends_with(".service");
    let mut count = 0;
    for folder in ["scripts", "deploy"] {
        for entry in fs::read_dir(Path::new(PROJECT).join(folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let source = if is_one(&name) { fs::read_to_string(entry.path()).unwrap() } else { continue };
            for pieces in messages_of_script(&source) {
                count += 1;
                assert!(page.lines().any(|line| shows(line, &pieces)), "{name} says {pieces:?}");
            }
        }
    }
    assert!(count > 1, "only {count} messages: are they written in another way now?");
}

#[test]
fn messages_are_found_in_a_script() {
    let source =
        "say() { echo \"$*\" >&2; }\nsay \"in $seconds s. See \\$HOME\" \\\n  \"more\"\necho \"one word\"";
    assert_eq!(messages_of_script(source), [vec!["in", "s. See $HOME"], vec!["one word"]]);
}

#[test]
fn every_message_about_the_surroundings_is_on_the_page() {
    let page = fs::read_to_string(Path::new(PROJECT).join("TROUBLESHOOTING.md")).unwrap().replace('`', "");
    let messages = messages();
    assert!(messages.len() > 150, "only {} messages: are they written in another way now?", messages.len());
    let exempt = |message: &Message| ELSEWHERE.iter().find(|(text, _)| message.text.starts_with(text));
    let (exempted, missing): (Vec<_>, Vec<_>) = messages
        .iter()
        .filter(|message| !page.lines().any(|line| shows(line, &message.pieces)))
        .partition(|message| exempt(message).is_some());
    for (text, _) in ELSEWHERE {
        assert!(exempted.iter().any(|message| message.text.starts_with(text)), "no need to exempt {text:?}");
    }
    let missing: Vec<_> =
        missing.iter().map(|message| format!("{}: {}", message.place, message.text)).collect();
    assert!(missing.is_empty(), "{} not in TROUBLESHOOTING.md:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn a_message_is_shown_whole_or_as_far_as_the_line_goes() {
    let message = pieces("the session {} can be read by others (mode {mode:03o}); run `chmod 600 {}`");
    for line in [
        "    the session ./data/a can be read by others (mode 644); run chmod 600 ./data/a",
        "FAIL  the session ./data/a can be read by others (mode 644); run chmod …",
        "    the session … can be read by …",
    ] {
        assert!(shows(line, &message), "{line}");
    }
    for line in [
        "",
        "…",
        "    the session ./data/a …",
        "    the session ./data/a can be written by others (mode 644); run chmod 600 ./data/a",
        "    the session ./data/a can be read by others (mode 644); stop …",
        "    can be read by others (mode 644); run chmod 600 ./data/a the session",
    ] {
        assert!(!shows(line, &message), "{line}");
    }
}

#[test]
fn messages_are_found_in_a_source_with_what_they_stand_in() {
    let source = r##"
        /// "a comment"
        #[error("cannot use {}: {why}", .0.display())]
        fn f<'a>(c: char) { let quote = '"'; warn!(reason = x, "one \"two\" \
            three"); Err(Damaged(format!(r#"a "raw" {text}"#))) }
        #[cfg(test)]
mod tests { fn g() { warn!("in a test") } }"##;
    let found: Vec<_> =
        texts(source).into_iter().map(|text| (text.line, text.text, text.within.join(" "))).collect();
    let expected = [
        (3, "cannot use {}: {why}", "#error"),
        (4, "one \"two\" three", "warn!"),
        (5, "a \"raw\" {text}", "Err Damaged format!"),
    ];
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, (line, text, within)) in found.iter().zip(expected) {
        let ends = found.2.ends_with(within);
        assert!(found.0 == line && found.1 == text && ends, "{found:?} and not {text:?} within {within:?}");
    }
}
