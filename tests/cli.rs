//! The program as one types it: the real binary in an empty environment and a folder of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const HASH: &str = "0123456789abcdef0123456789abcdef";

/// What came of a call.
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A folder to call the program in.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(self, file: &str, text: &str) -> Self {
        fs::write(self.0.join(file), text).unwrap();
        self
    }

    fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stenogram"));
        command.args(args).env_clear().envs(environment.iter().copied()).current_dir(&self.0);
        command
    }

    fn call(&self, args: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let output = self.command(args, environment).stdin(Stdio::null()).output().unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The line of `stenogram config` for `name`, with single spaces.
fn line(outcome: &Outcome, name: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = outcome.stdout.lines().map(words).find(|line| line.split(' ').next() == Some(name));
    found.unwrap_or_else(|| panic!("no {name} in {}", outcome.stdout))
}

#[test]
fn help_is_for_people() {
    let outcome = Place::new("help").call(&["--help"], &[]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    for words in [
        "Answers the voice messages of your Telegram account",
        "login",
        "transcribe",
        "models",
        "https://my.telegram.org",
        ".env",
        "Exit codes:",
        "Examples:",
    ] {
        assert!(outcome.stdout.contains(words), "{words} in {}", outcome.stdout);
    }
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 100), "{}", outcome.stdout);
}

#[test]
fn version_is_that_of_the_package() {
    let outcome = Place::new("version").call(&["--version"], &[]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.stdout, concat!("stenogram ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    let place = Place::new("usage");
    for (args, words) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["trancribe", "a.ogg"], "transcribe"),
        (&["transcribe"], "FILE"),
        (&["transcribe", "--format", "pdf", "a.ogg"], "srt"),
        (&["transcribe", "--language", "ua", "a.ogg"], "uk"),
        (&["transcribe", "--model", "no such", "a.ogg"], "models list"),
        (&["models"], "pull"),
    ] {
        let outcome = place.call(args, &[]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(outcome.stderr.contains(words), "{args:?}: {}", outcome.stderr);
    }
}

#[test]
fn config_shows_every_value_and_its_origin() {
    let place = Place::new("config")
        .with(".env", "MODEL=tiny\nREDIS_HOST=redis\n")
        .with("hash", &format!("{HASH}\n"))
        .with("password", "hunter2\n");
    let environment = [
        ("API_ID", "12345"),
        ("API_HASH_FILE", "hash"),
        ("REDIS_PASSWORD_FILE", "password"),
        ("LANGUAGE", "en_US:en"),
    ];
    let outcome = place.call(&["config"], &environment);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(line(&outcome, "API_ID"), "API_ID \"12345\" environment");
    assert_eq!(line(&outcome, "API_HASH"), "API_HASH (hidden) API_HASH_FILE, hash");
    assert_eq!(line(&outcome, "MODEL"), "MODEL \"tiny\" .env");
    assert_eq!(line(&outcome, "LANGUAGE"), "LANGUAGE \"auto\" default");
    assert_eq!(line(&outcome, "REDIS_URL"), "REDIS_URL (not set) default");
    assert_eq!(line(&outcome, "REDIS_PASSWORD"), "REDIS_PASSWORD (hidden) REDIS_PASSWORD_FILE, password");
    let column = |name: &str| outcome.stdout.lines().find(|line| line.starts_with(name)).unwrap().find('"');
    assert_eq!(column("API_ID"), column("MAX_RECONNECT_DELAY"));
    assert!(!outcome.stdout.contains("hunter2") && !outcome.stdout.contains(HASH));
}

#[test]
fn config_works_without_credentials() {
    let outcome = Place::new("no_credentials").call(&["config"], &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(line(&outcome, "API_ID"), "API_ID (not set) default");
}

#[test]
fn a_wrong_configuration_exits_with_2_and_every_error() {
    let place = Place::new("mistakes").with(".env", "THREADS=many\nREDIS_PASWORD=hunter2\n'hunter2\n");
    let environment = [
        ("API_ID", "abc"),
        ("API_HASH", "hunter2"),
        ("REDIS_URL", "http://:hunter2@redis"),
        ("REDIS_PASSWORD", "hunter2"),
        ("MODEL_URL", "https://me:hunter2@mirror"),
        ("RECONNECT_DELAY", "600"),
    ];
    for args in [&["config"][..], &["run"], &[], &["models", "list"], &["transcribe", "-"]] {
        let outcome = place.call(args, &environment);
        assert_eq!(outcome.code, Some(2), "{args:?}");
        assert!(
            outcome.stderr.starts_with("stenogram: the configuration has 8 errors:"),
            "{}",
            outcome.stderr
        );
        for named in ["THREADS", "line 3", "API_ID", "API_HASH", "REDIS_URL", "MODEL_URL", "RECONNECT_DELAY"]
        {
            assert!(outcome.stderr.contains(named), "{named} in {}", outcome.stderr);
        }
        assert!(outcome.stderr.contains("is it REDIS_PASSWORD?"), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("hunter2") && !outcome.stdout.contains("hunter2"));
    }
}

#[test]
fn what_talks_to_telegram_says_which_credentials_are_missing() {
    let place = Place::new("missing");
    for command in ["run", "login", "logout"] {
        let outcome = place.call(&[command], &[]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{command}");
        for words in ["API_ID is not set", "API_HASH is not set", "https://my.telegram.org"] {
            assert!(outcome.stderr.contains(words), "{command}: {}", outcome.stderr);
        }
    }
}

#[test]
fn warnings_go_to_the_log_in_its_format() {
    let place = Place::new("warnings").with(".env", "LANGUAGE_=ru\n");
    let outcome = place.call(&["config"], &[("LOG_FORMAT", "json")]);
    assert_eq!(outcome.code, Some(0));
    let logged: serde_json::Value = serde_json::from_str(outcome.stderr.trim()).unwrap();
    assert_eq!(logged["level"], "WARN");
    assert!(logged["message"].as_str().unwrap().contains("is it LANGUAGE?"), "{logged}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let place = Place::new("reader_leaves");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command(&["config"], &[]);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn rules_are_shown_and_explained() {
    let place = Place::new("rules");
    let words = |outcome: &Outcome| {
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        outcome.stdout.lines().map(line).collect::<Vec<_>>()
    };
    let shown = place.call(&["rules"], &[]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    let table =
        ["answered in yours of contacts of others", "Saved Messages yes - -", "private chats yes yes yes"];
    assert_eq!(words(&shown)[..3], table);
    assert_eq!(words(&shown)[3], "groups no no no");
    for limit in ["4h (MAX_DURATION)", "200M (MAX_FILE_SIZE)", "1d when they arrive (CATCH_UP_MAX_AGE)"] {
        assert!(shown.stdout.contains(limit), "{limit} in {}", shown.stdout);
    }
    let environment = [
        ("ANSWER_GROUPS", "all"),
        ("ANSWER_THEIRS", "contacts"),
        ("CHATS_DENY", "-400,@spam"),
        ("MIN_DURATION", "2"),
        ("ANSWER_IN", "caption"),
    ];
    let shown = words(&place.call(&["rules"], &environment));
    assert_eq!(shown[2..4], ["private chats yes yes no", "groups yes yes no"]);
    for part in ["-400,@spam (CHATS_DENY)", "2s (MIN_DURATION)", "ANSWER_IN=caption"] {
        assert!(shown.iter().any(|line| line.contains(part)), "{part} in {shown:?}");
    }
    let shown = words(&place.call(&["rules"], &[("ANSWER_IN", "nowhere"), ("RESULT_TTL", "2d")]));
    assert!(shown.iter().any(|line| line.contains("Nothing is sent") && line.contains("2d")), "{shown:?}");
    for (question, answers) in [
        ("group voice", &["not answered: not of a contact, and ANSWER_THEIRS is contacts"][..]),
        ("group voice --contact", &["answered: with a reply"]),
        ("group voice --mine", &["answered: in its caption"]),
        ("private round --mine", &["answered: with a reply"]),
        ("group voice --mine --seconds 1", &["not answered: shorter than MIN_DURATION"]),
        ("-400 voice --mine", &["not answered: CHATS_DENY names the chat"]),
        (
            "private audio",
            &["not answered: only voice messages and round video notes are answered, not files"],
        ),
        ("saved voice --seconds 99999", &["not answered: longer than MAX_DURATION"]),
        (
            "2000 voice --contact",
            &["if it is a person: answered: with a reply", "if it is a bot: not answered: a chat with a bot"],
        ),
        ("777000 voice", &["not answered: Telegram's service notifications"]),
        (
            "-1001234567890 voice --mine",
            &["if it is a group: answered: in its caption", "if it is a channel: not answered: a channel"],
        ),
    ] {
        let args: Vec<&str> = ["rules", "why"].into_iter().chain(question.split(' ')).collect();
        let outcome = place.call(&args, &environment);
        assert_eq!(
            (outcome.code, words(&outcome)),
            (Some(0), answers.iter().map(|it| (*it).to_owned()).collect()),
            "{question}"
        );
    }
    let wrong = place.call(&["rules"], &[("ANSWER_GROUPS", "some")]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("ANSWER_GROUPS"), "{}", wrong.stderr);
}
