//! Nothing secret and nothing private is in any output, however much is logged: a whole life of the real
//! binary at the most verbose level, then every output is searched for what was planted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use fake_telegram::{
    Action, Chat, Draft, FRIEND, Fault, Group, GroupKind, OWNER, Packing, SAVED_MESSAGES, SECOND_FRIEND,
    SessionParams, Telegram, User, key_from_hex, phone_number, write_session,
};
use support::daemon::Home;
use support::redis::{DURABLE, RedisServer};
use support::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(90);
const API_HASH: &str = "c0ffee11c0ffee22c0ffee33c0ffee44";
const REDIS_PASSWORD: &str = "Redis-Passwort-7391";
const LOGIN_CODE: &str = "70707";
const LOGIN_PASSWORD: &str = "Zweitpasswort-8264";
const PHONE: &str = "+4915199887766";
const FRIENDS_NAME: &str = "Zdenka Hlavackova";
const GROUPS_NAME: &str = "Chorprobe Lindenhof";
const CAPTION: &str = "Losungswort Apfelbaum";

/// What was planted: what it is, and how it would look.
struct Planted(Vec<(String, String)>);

impl Planted {
    fn new(session: &SessionParams) -> Self {
        let mut planted = Self(Vec::new());
        for (what, text) in [
            ("API_HASH", API_HASH),
            ("the password of Redis", REDIS_PASSWORD),
            ("the login code", LOGIN_CODE),
            ("the second password", LOGIN_PASSWORD),
            ("the owner's phone number", PHONE.trim_start_matches('+')),
            ("a name", FRIENDS_NAME),
            ("a group's name", GROUPS_NAME),
            ("a caption", CAPTION),
        ] {
            planted.text(what, text);
        }
        for user in [OWNER, FRIEND, SECOND_FRIEND] {
            planted.text("a phone number", &phone_number(user));
        }
        for dc in &session.dcs {
            planted.key(&key_from_hex(dc.auth_key.as_deref().unwrap()).unwrap());
        }
        planted
    }

    /// A text, and as `{:?}` writes its bytes.
    fn text(&mut self, what: &str, text: &str) {
        self.0.push((what.to_owned(), text.to_owned()));
        self.0.push((format!("{what} in bytes"), debug(text.as_bytes())));
    }

    /// Pieces of a key, in the forms that programs write keys in.
    fn key(&mut self, key: &[u8; 256]) {
        for start in [0, 64, 240] {
            let piece = &key[start..start + 15];
            let hex: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
            // A multiple of three bytes: the same wherever in a longer text of base64 it begins so.
            let forms = [("hexadecimal", hex), ("base64", base64(piece)), ("bytes", debug(piece))];
            self.0.extend(forms.map(|(form, text)| (format!("the session's key in {form}"), text)));
        }
    }

    /// Every place where something of it is.
    fn found_in(&self, outputs: &BTreeMap<String, String>) -> Vec<String> {
        let mut found = Vec::new();
        for (name, output) in outputs {
            let output = output.to_lowercase();
            for (what, text) in &self.0 {
                if let Some(at) = output.find(&text.to_lowercase()) {
                    let line = output[..at].lines().count();
                    found.push(format!("{what} in {name}, line {line}"));
                }
            }
        }
        found
    }
}

fn debug(bytes: &[u8]) -> String {
    format!("{bytes:?}").trim_matches(['[', ']']).to_owned()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks_exact(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        text.extend([18, 12, 6, 0].map(|shift| char::from(DIGITS[(number >> shift & 63) as usize])));
    }
    text
}

fn voice(name: &str) -> (Vec<u8>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/voices");
    let list = fs::read_to_string(folder.join("voices.tsv")).unwrap();
    let line = list.lines().find(|line| line.starts_with(name)).unwrap();
    (fs::read(folder.join(name)).unwrap(), line.rsplit('\t').next().unwrap().to_owned())
}

/// Logs in at a terminal, with everything that is asked for; what was shown, less what was typed for all
/// to see.
fn log_in(home: &Home) -> String {
    let mut command = home.command();
    command.arg("login");
    let mut terminal = Terminal::start(&command);
    terminal.shows("Phone number with country code", 1);
    terminal.types(PHONE);
    terminal.shows("Code (not shown): ", 1);
    terminal.types_secretly(LOGIN_CODE);
    terminal.shows("Password of the two-step verification", 1);
    terminal.types_secretly(LOGIN_PASSWORD);
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
    terminal.shown().replacen(PHONE, "(typed)", 1)
}

/// What the program says on its two outputs.
fn said(home: &Home, words: &[&str]) -> String {
    let output = home.command().args(words).output().expect("run the program");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Login, voice messages good and bad, outages and refusals, a reload, a stop; then everything that was
/// said meanwhile.
async fn a_whole_life(log_level: &str, log_format: &str) -> (Planted, BTreeMap<String, String>) {
    let telegram = Telegram::builder().logged_out().login_code(LOGIN_CODE).password(LOGIN_PASSWORD, "a cat");
    let telegram = telegram.start().await.expect("start the loopback Telegram");
    telegram.add_user(User { id: FRIEND, name: FRIENDS_NAME.to_owned(), bot: false });
    let group = Group { id: 401, title: GROUPS_NAME.to_owned(), kind: GroupKind::Basic };
    let group = telegram.add_group(group);
    let settings = [DURABLE, &["--requirepass", REDIS_PASSWORD]].concat();
    let redis = RedisServer::start(&settings);

    let mut home = Home::with_voice_activity();
    for (name, value) in [
        ("API_HASH", API_HASH),
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &redis.port().to_string()),
        ("REDIS_PASSWORD", REDIS_PASSWORD),
        ("LOG_DIR", "log"),
        ("LOG_LEVEL", log_level),
        ("LOG_FORMAT", log_format),
    ] {
        home.set(name, value);
    }
    fs::create_dir(home.data()).unwrap();
    let session = SessionParams { user: None, ..telegram.session() };
    write_session(&home.data().join("account.session"), &session).unwrap();
    let mut planted = Planted::new(&session);
    let mut outputs = BTreeMap::from([("login".to_owned(), log_in(&home))]);

    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    telegram.fault(Fault::on("messages.sendMessage", Action::error(500, "INTERNAL")).once());
    telegram.fault(Fault::on("upload.getFile", Action::DropBefore).after(1).once());
    for (chat, file) in [(Chat::User(FRIEND), "en-1.ogg"), (SAVED_MESSAGES, "ru-1.ogg")] {
        let (ogg, text) = voice(file);
        planted.text("a transcript", &text);
        let draft = Draft::voice(ogg, 3).caption(CAPTION);
        let message = telegram.send(chat, if chat == SAVED_MESSAGES { draft.own() } else { draft });
        let reply = telegram.wait_for_reply(chat, message, DEADLINE).await.unwrap();
        assert_eq!(reply.text, text);
    }
    let (ogg, _) = voice("en-2.ogg");
    telegram.send_all(
        [
            (group, Draft::voice(ogg.clone(), 3).from(FRIEND)),
            (Chat::User(FRIEND), Draft::text(CAPTION)),
            (Chat::User(FRIEND), Draft::voice(vec![7; 5000], 3).caption(CAPTION)),
        ],
        Packing::OneUpdates,
    );
    daemon.event("rejected", DEADLINE).await;
    telegram.go_down().await;
    daemon.event("disconnected", DEADLINE).await;
    telegram.come_back().await.unwrap();
    daemon.signal(1);
    daemon.event("reloaded", DEADLINE).await;
    // It stays in the queue, with its answer stored.
    telegram.fault(Fault::on("messages.sendMessage", Action::flood_wait(3600)));
    telegram.send(Chat::User(SECOND_FRIEND), Draft::voice(ogg, 3));
    daemon.event("flood_wait", DEADLINE).await;
    let calls: [&[&str]; 6] = [
        &["queue"],
        &["queue", "--json"],
        &["config"],
        &["doctor"],
        &["doctor", "--json"],
        &["models", "list"],
    ];
    for words in calls {
        outputs.insert(words.join(" "), said(&home, words));
    }
    assert!(daemon.stop().await.0.success());
    outputs.insert("doctor without a daemon".to_owned(), said(&home, &["doctor"]));
    outputs.insert("standard error".to_owned(), home.log());
    for entry in fs::read_dir(home.path().join("log")).unwrap() {
        let path = entry.unwrap().path();
        outputs.insert(path.display().to_string(), fs::read_to_string(path).unwrap());
    }
    // Wrong ones are complained about.
    home.set("REDIS_PASSWORD", "");
    home.set("REDIS_URL", &format!("redis://:{REDIS_PASSWORD}@host:port/"));
    home.set("API_HASH", &API_HASH[1..]);
    planted.text("a wrong API_HASH", &API_HASH[1..]);
    for words in [&["run"][..], &["config"], &["doctor"]] {
        outputs.insert(format!("{}, configured wrongly", words.join(" ")), said(&home, words));
    }
    (planted, outputs)
}

fn nothing_leaks((planted, outputs): &(Planted, BTreeMap<String, String>)) {
    assert!(outputs.len() >= 13, "{:?}", outputs.keys());
    for (name, output) in outputs {
        assert!(!output.is_empty(), "{name}");
    }
    assert_eq!(planted.found_in(outputs), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_level_trace_nothing_leaks_and_a_jobs_lines_share_its_id() {
    let life = a_whole_life("trace", "json").await;
    nothing_leaks(&life);
    let files: Vec<_> = life.1.iter().filter(|(name, _)| name.ends_with(".log")).collect();
    assert!(!files.is_empty());
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_a_job = ["heard", "recognising", "voice_activity", "stages", "recognised", "answered", "rejected"];
    for event in of_a_job {
        let mut said = lines.iter().filter(|line| line["event"] == event).peekable();
        assert!(said.peek().is_some(), "no {event}");
        for line in said {
            let id = line["span"]["id"].as_str().unwrap_or_else(|| panic!("no id in {line}"));
            assert!(line["span"]["name"] == "job" && id.starts_with(&format!("{OWNER}:")), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_crate_at_its_loudest_nothing_leaks() {
    let crates = "trace,grammers=trace,redis=trace,redb=trace,tokio=trace,whisper_rs=trace,symphonia=trace";
    nothing_leaks(&a_whole_life(crates, "human").await);
}

#[test]
fn what_is_planted_is_found() {
    let key: [u8; 256] = std::array::from_fn(|n| (n * 7 + 3) as u8);
    let mut planted = Planted(Vec::new());
    planted.key(&key);
    planted.text("a name", FRIENDS_NAME);
    let hex: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
    for output in [hex, base64(&key), format!("{key:?}"), FRIENDS_NAME.to_uppercase()] {
        let outputs = BTreeMap::from([("it".to_owned(), format!("first\n{output}"))]);
        assert!(!planted.found_in(&outputs).is_empty(), "{output}");
    }
}
