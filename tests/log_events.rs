//! The daemon's log as tests and log watchers read it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use support::daemon::{Home, events};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("read a file")
}

/// The first cells of the tables under a heading of the fourth level.
fn listed(document: &str, heading: &str) -> BTreeSet<String> {
    let text = read(document);
    let (_, section) = text.split_once(&format!("\n#### {heading}\n")).expect("the heading");
    let (section, _) = section.split_once("\n## ").expect("the next heading");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let events: Vec<String> = rows.map(|(event, _)| event.to_owned()).collect();
    let listed: BTreeSet<String> = events.iter().cloned().collect();
    assert_eq!(listed.len(), events.len(), "twice in {events:?}");
    listed
}

/// The events that the sources of `folder` log.
fn logged(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("read a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(logged(&path));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("read a source");
        let names = text.split("event = \"").skip(1).filter_map(|rest| rest.split_once('"'));
        found.extend(names.map(|(event, _)| event.to_owned()));
    }
    found
}

#[test]
fn every_event_that_is_logged_is_listed_and_every_one_that_is_listed_is_logged() {
    let logged = logged(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(listed("docs/OPERATING.md", "Events"), logged);
    assert_eq!(listed("docs/OPERATING.ru.md", "События"), logged);
}

#[tokio::test]
async fn an_event_is_a_field_in_either_format() {
    for format in ["human", "json"] {
        let mut home = Home::empty();
        home.set("LOG_FORMAT", format);
        let mut daemon = home.start();
        assert_eq!(daemon.ends(Duration::from_secs(60)).await.code(), Some(3), "nobody is logged in");
        let log = daemon.log();
        let [line] = events(&log, "starting")[..] else { panic!("{log}") };
        match serde_json::from_str::<serde_json::Value>(line) {
            Ok(fields) => assert!(format == "json" && fields["event"] == "starting", "{line}"),
            Err(_) => assert!(format == "human" && line.contains(" event=\"starting\" "), "{line}"),
        }
    }
}

#[test]
fn a_line_written_before_the_start_returns_is_the_daemons_own() {
    const LINE: &str = "a quick daemon\n";
    let home = Home::empty();
    let mut command = home.command();
    command.arg("--version");
    // SAFETY: write(2) is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Starting a command returns after its exec, and this is before it.
            libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len());
            Ok(())
        });
    }
    for _ in 0..2 {
        let daemon = home.start_as(&mut command);
        assert_eq!(daemon.log(), LINE, "all lines of this daemon, and none of an earlier one");
    }
}
