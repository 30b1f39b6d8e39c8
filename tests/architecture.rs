//! Imports flow one way, and each outside crate stays in its room: see ARCHITECTURE.md.
//!
//! The sources are read as tokens, comments and texts left out, and every path in them is resolved
//! to what it begins with: a room of ours, or an outside crate.

use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms a room may name besides itself. A room that is missing here may name none.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("domain", &[]),
    // What any long-running process needs.
    ("runtime", &[]),
    ("config", &["domain", "runtime"]),
    ("queue", &["domain", "runtime"]),
    ("telegram", &["domain", "runtime"]),
    ("audio", &["domain"]),
    ("decoding", &["audio"]),
    ("speech", &["domain", "runtime"]),
    ("summary", &["domain", "runtime"]),
    ("transcribe", &["domain", "runtime", "audio", "decoding", "speech"]),
    ("jobs", &["domain", "runtime", "queue"]),
    // It knows nothing of jobs and of Telegram.
    ("serve", &["domain", "runtime", "audio", "decoding", "speech", "transcribe"]),
    // It hands jobs over to other processes, and recognises those of others.
    ("fleet", &["domain", "runtime", "queue", "jobs", "speech", "transcribe"]),
    // It wraps the queue, the messenger and the transcriber from outside; nobody who works may name
    // it.
    ("health", &["domain", "queue", "jobs", "runtime"]),
    // What is wrong, told to the owner.
    ("notices", &["domain", "health", "runtime"]),
    // It also chooses the queue's backend by the options that it makes.
    (
        "setup",
        &[
            "domain", "runtime", "config", "queue", "queue::*", "telegram", "audio", "speech", "fleet",
            "summary", "notices",
        ],
    ),
    ("app", &["*"]),
    // It looks at every part from outside, the way each is used.
    ("doctor", &["*"]),
    ("commands", &["*"]),
    ("cli", &["domain", "config"]),
    ("program", &["*"]),
    ("main", &["app", "program"]),
    // A program of its own, which must not have whisper.cpp in it.
    ("bin", &[]),
];

/// The backends of the queue: who may name the queue may name its trait, and these only with
/// `queue::*` or `*`.
const BACKENDS: &[&str] = &["embedded", "redis"];

/// Outside crates, with `*` all whose names begin like that, and the rooms that alone may name them.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("grammers*", &["telegram"]),
    ("redis", &["queue"]),
    // The embedded queue and the position in the stream of updates: a file each.
    ("redb", &["queue", "telegram", "runtime"]),
    ("symphonia*", &["audio"]),
    ("rubato", &["audio"]),
    ("seccompiler", &["decoding"]),
    ("landlock", &["decoding"]),
    ("whisper_rs*", &["speech"]),
    ("transcribe_cpp", &["bin"]),
    ("anyhow", &["program"]),
    ("hyper*", &["health", "serve"]),
    ("multer", &["serve"]),
    ("sd_notify", &["health"]),
];

/// A name, `::`, or another sign, and the line it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of a source without comments, texts and numbers.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let rest = &chars[at..];
        let length = match c {
            '/' if rest.starts_with(&['/', '/']) => rest.iter().take_while(|&&c| c != '\n').count(),
            '/' if rest.starts_with(&['/', '*']) => block_comment(rest),
            '"' => quoted(rest, '"'),
            '\'' => character(rest),
            'r' | 'b' | 'c' if text_prefix(rest).is_some() => text_prefix(rest).unwrap(),
            c if c.is_alphanumeric() || c == '_' => {
                let length = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                if !c.is_numeric() {
                    tokens.push(Token { line, text: rest[..length].iter().collect() });
                }
                length
            }
            ':' if rest.starts_with(&[':', ':']) => {
                tokens.push(Token { line, text: "::".to_owned() });
                2
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { line, text: c.to_string() });
                }
                1
            }
        };
        line += rest[..length].iter().filter(|&&c| c == '\n').count();
        at += length;
    }
    tokens
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(&['/', '*']) {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(&['*', '/']) {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of what stands between two `quote`s, they included.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a character literal, or 1 for the sign of a lifetime.
fn character(rest: &[char]) -> usize {
    let literal = rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'');
    if literal { quoted(rest, '\'') } else { 1 }
}

/// The length of a text with a prefix, `r"…"`, `br#"…"#`, `b'…'`; none if a name begins here.
fn text_prefix(rest: &[char]) -> Option<usize> {
    let prefix = rest.iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let quote = *rest.get(prefix + hashes)?;
    let raw = rest[..prefix].contains(&'r');
    if raw && quote == '"' {
        let mut end = vec!['"'];
        end.resize(hashes + 1, '#');
        let body = &rest[prefix + hashes + 1..];
        let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());
        return Some((prefix + hashes + 1 + length + end.len()).min(rest.len()));
    }
    let plain = prefix == 1 && hashes == 0 && matches!(quote, '"' | '\'');
    plain.then(|| prefix + quoted(&rest[prefix..], quote))
}

/// The place of a path's first token, and the path as it is written, groups spread out.
type Named = (usize, Vec<String>);

/// Every path of a source. A name alone is one in `use` only.
fn paths(tokens: &[Token]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        // `impl Trait + use<'a>` is no import.
        let is_bound = tokens.get(at + 1).is_some_and(|next| next.text == "<");
        if tokens[at].text == "use" && !is_bound {
            at = use_tree(tokens, at + 1, &[], &mut found);
            continue;
        }
        if tokens[at].text == "extern" && tokens.get(at + 1).is_some_and(|next| next.text == "crate") {
            let name = tokens.get(at + 2).map(|token| token.text.clone()).unwrap_or_default();
            found.push((at, vec![name]));
            at += 3;
            continue;
        }
        if !tokens[at].is_name() {
            at += 1;
            continue;
        }
        let start = at;
        let mut path = vec![tokens[at].text.clone()];
        while tokens.get(at + 1).is_some_and(|sign| sign.text == "::")
            && tokens.get(at + 2).is_some_and(Token::is_name)
        {
            path.push(tokens[at + 2].text.clone());
            at += 2;
        }
        // `x::<T>::y` goes on after a path; `::y` alone begins one.
        let goes_on = start >= 2
            && tokens[start - 1].text == "::"
            && (tokens[start - 2].is_name() || tokens[start - 2].text == ">");
        if path.len() > 1 && !goes_on {
            found.push((start, path));
        }
        at += 1;
    }
    found
}

/// Spreads out one tree of a `use`, from `at` on; gives where it ends.
fn use_tree(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<Named>) -> usize {
    let mut path = before.to_vec();
    let start = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            "as" => at += 2,
            "::" => at += 1,
            "," | "}" | ";" => break,
            _ => {
                path.push(token.text.clone());
                at += 1;
            }
        }
    }
    found.push((start, path));
    at
}

/// Where a file stands in the tree of modules: its room first, without `mod`.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// In how many modules written out in the file each token is.
fn depths(tokens: &[Token]) -> Vec<usize> {
    let mut inline: Vec<usize> = Vec::new();
    let mut braces = 0;
    let mut depths = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2].text == "mod" && tokens[at - 1].is_name() {
                    inline.push(braces);
                }
            }
            "}" => {
                if inline.last() == Some(&braces) {
                    inline.pop();
                }
                braces = braces.saturating_sub(1);
            }
            _ => {}
        }
        depths.push(inline.len());
    }
    depths
}

/// What `source`, the file at `file` below src/, names against the rules: `file:line: what`.
fn violations(file: &str, source: &str) -> Vec<String> {
    let module = module_of(Path::new(file));
    let Some(room) = module.first() else {
        return Vec::new(); // lib.rs declares the rooms and names none
    };
    let tokens = tokens(source);
    let depths = depths(&tokens);
    let allowed = MAY_NAME.iter().find(|(name, _)| name == room).map(|(_, rooms)| *rooms).unwrap_or_default();
    let mut found = Vec::new();
    if !MAY_NAME.iter().any(|(name, _)| name == room) {
        found.push(format!("src/{file}:1: {room} is no room of the table; give it a line there"));
    }
    for (at, path) in paths(&tokens) {
        let line = tokens[at].line;
        let supers = path.iter().take_while(|part| *part == "super").count();
        let from_root = match path[0].as_str() {
            "crate" | "stenogram" => &path[1..],
            "super" if supers >= module.len() + depths[at] => &path[supers..],
            _ => &[],
        };
        if let Some(named) = from_root.first() {
            let everything = allowed.contains(&"*");
            let is_room = MAY_NAME.iter().any(|(name, _)| name == named);
            let backend =
                named == "queue" && from_root.get(1).is_some_and(|at| BACKENDS.contains(&at.as_str()));
            let fine = named == room
                || everything
                || (allowed.contains(&named.as_str()) && (!backend || allowed.contains(&"queue::*")));
            if (is_room || named == "*") && !fine {
                found.push(format!("src/{file}:{line}: {room} names {}", from_root.join("::")));
            }
        }
        for (outside, homes) in KEPT_IN {
            let is_outside = match outside.strip_suffix('*') {
                Some(beginning) => path[0].starts_with(beginning),
                None => path[0] == *outside,
            };
            if is_outside && !homes.contains(&room.as_str()) {
                found.push(format!("src/{file}:{line}: {room} names {}", path.join("::")));
            }
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_flow_one_way_and_outside_crates_stay_in_their_rooms() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    assert!(files.len() > 10, "the sources are not where they were: {files:?}");
    let found: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let file = path.strip_prefix(&src).unwrap().to_str().unwrap();
            violations(file, &fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(found.is_empty(), "against ARCHITECTURE.md:\n{}", found.join("\n"));
}

#[test]
fn comments_are_at_most_100_columns_wide() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for path in files {
        let source = fs::read_to_string(&path).unwrap();
        for (line, number) in source.lines().zip(1..) {
            let is_wide = line.trim_start().starts_with("//") && line.chars().count() > 100;
            assert!(!is_wide, "{}:{number} is wider than 100 columns", path.display());
        }
    }
}

#[test]
fn planted_violations_are_found_with_file_and_line() {
    for (file, source, wanted) in [
        (
            "domain/job.rs",
            "\nuse crate::queue::Queue;",
            &["src/domain/job.rs:2: domain names queue::Queue"][..],
        ),
        (
            "config/mod.rs",
            "fn f() { crate::setup::limits() }",
            &["src/config/mod.rs:1: config names setup::limits"],
        ),
        (
            "queue/redis.rs",
            "use crate::{\n    domain::Job,\n    config::{self, Config},\n};",
            &[
                "src/queue/redis.rs:3: queue names config::self",
                "src/queue/redis.rs:3: queue names config::Config",
            ],
        ),
        ("audio/mod.rs", "use super::speech;", &["src/audio/mod.rs:1: audio names speech"]),
        (
            "audio/view.rs",
            "fn f<T>() -> impl Iterator + use<T> {\n    let a = 1;\n    crate::speech::x();\n}",
            &["src/audio/view.rs:3: audio names speech::x"],
        ),
        (
            "audio/decode.rs",
            "mod tests {\n    use super::super::super::speech::X;\n}",
            &["src/audio/decode.rs:2: audio names speech::X"],
        ),
        (
            "jobs/worker.rs",
            "use crate::queue::{Queue, embedded::Embedded};",
            &["src/jobs/worker.rs:1: jobs names queue::embedded::Embedded"],
        ),
        ("audio/mod.rs", "use crate::*;", &["src/audio/mod.rs:1: audio names *"]),
        ("cli.rs", "use crate::app;", &["src/cli.rs:1: cli names app"]),
        ("gateway.rs", "", &["src/gateway.rs:1: gateway is no room of the table; give it a line there"]),
        (
            "app.rs",
            "fn f(c: grammers_client::Client) {}",
            &["src/app.rs:1: app names grammers_client::Client"],
        ),
        ("app.rs", "use grammers_session as session;", &["src/app.rs:1: app names grammers_session"]),
        ("app.rs", "extern crate grammers_client as g;", &["src/app.rs:1: app names grammers_client"]),
        (
            "app.rs",
            "fn f() -> Result<(), redis::RedisError> {}",
            &["src/app.rs:1: app names redis::RedisError"],
        ),
        ("app.rs", "let c = ::redis::Client::open(url);", &["src/app.rs:1: app names redis::Client::open"]),
        (
            "speech/mod.rs",
            "use {rubato::Fft, whisper_rs::X};",
            &["src/speech/mod.rs:1: speech names rubato::Fft"],
        ),
        (
            "jobs/pipeline.rs",
            "/* a */ let s = \"\n\"; symphonia::core::x();",
            &["src/jobs/pipeline.rs:2: jobs names symphonia::core::x"],
        ),
        (
            "jobs/worker.rs",
            "fn f<'a>(x: &'a str) -> anyhow::Result<()> {}",
            &["src/jobs/worker.rs:1: jobs names anyhow::Result"],
        ),
    ] {
        assert_eq!(violations(file, source), wanted, "{source}");
    }
}

#[test]
fn what_is_allowed_is_let_through() {
    for (file, source) in [
        ("queue/redis.rs", "use redis::aio::MultiplexedConnection; use crate::domain::{Job, JobId};"),
        ("queue/redis.rs", "use super::{Queue, QueueError}; use super::embedded::X;"),
        ("queue/mod.rs", "pub mod redis; pub use redis::RedisQueue;"),
        ("app.rs", "use crate::queue::{embedded, redis::RedisQueue}; crate::queue::redis::open();"),
        ("app.rs", "let redis = config.redis.as_ref(); redis.map(|redis| redis.url);"),
        (
            "config/mod.rs",
            "// grammers_client::Client\n/* redis::x /* nested */ redis::y */ let x = \"redis::z\";",
        ),
        (
            "config/mod.rs",
            "let x = r#\"use \"redis::z\"#; let c = '\"'; let d = b'\\''; /// crate::app::x\nfn f() {}",
        ),
        (
            "config/raw.rs",
            "use super::error::ConfigError; mod tests { use super::*; use super::super::Config; }",
        ),
        (
            "jobs/worker.rs",
            "use crate::queue::{self, Claim, Queue}; use crate::domain::Fault; Vec::<u8>::new();",
        ),
        ("main.rs", "use stenogram::app; fn main() -> ExitCode { stenogram::program::main_with() }"),
        ("program.rs", "use crate::app; fn run() -> anyhow::Result<()> {}"),
        ("lib.rs", "pub mod queue;"),
    ] {
        assert_eq!(violations(file, source), [] as [String; 0], "{source}");
    }
}

/// A workspace is built with the features that any member asks for. What a test crate asked for
/// would be in the program that all other tests run, and not in the one that is released.
#[test]
fn no_test_crate_asks_for_a_feature_of_the_product() {
    for member in ["fake-telegram", "chaos", "eval", "support"] {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(member).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let asks = |line: &&str| line.starts_with("stenogram =") && line.contains("features");
        assert_eq!(manifest.lines().find(asks), None, "{member}");
    }
}
