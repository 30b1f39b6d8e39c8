//! `stenogram explain` of the real binary: every problem is met by the program, and found again.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::pages::{self, PROJECT};

fn explain(words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stenogram"));
    // Wrong settings do not matter to it.
    command.arg("explain").args(words).env_clear().env("THREADS", "many").current_dir(std::env::temp_dir());
    let Output { status, stdout, stderr } = command.output().expect("run stenogram");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    (status.code(), stdout, stderr)
}

fn codes() -> Vec<String> {
    let (code, list, stderr) = explain(&[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let entries = list.lines().filter_map(|line| line.strip_prefix("  "));
    entries.map(|entry| entry.split(' ').next().unwrap().to_owned()).collect()
}

/// A line of each problem as it is printed, without the remedy and the code at its end.
const MESSAGES: &[(&str, &str)] = &[
    ("credentials-missing", "API_ID is not set. The number of your Telegram application"),
    ("configuration-wrong", "the configuration has an error: DEDUPE_TTL=\"soon\" (.env): must be a duration"),
    ("variable-unknown", ".env: there is no variable API_HSAH; is it API_HASH?"),
    ("not-logged-in", "error: there is no session at ./data/account.session"),
    ("logged-out", "the account is logged out: the session was ended (AUTH_KEY_UNREGISTERED)"),
    ("session-used-twice", "the session was used from two places at once, and Telegram has ended it"),
    ("session-in-use", "another stenogram is using this account (./data/account.lock is locked)"),
    ("session-readable", "the session ./data/account.session can be read by other users (mode 644)"),
    ("session-damaged", "the session ./data/account.session is damaged (EOF while parsing a value)"),
    ("session-key-refused", "datacentre 2 does not know this session's key and offered a new one"),
    ("updates-unusable", "cannot use the update state ./data/updates.redb: Database already open"),
    ("credentials-refused", "Telegram refuses API_ID and API_HASH (API_ID_INVALID)"),
    ("phone-number-wrong", "Telegram refuses: that is no phone number of an account"),
    ("login-code-wrong", "Telegram refuses: the code has expired"),
    ("login-refused", "Telegram refuses: it wants a newer program for logins"),
    ("already-logged-in", "already logged in as user 1000"),
    ("terminal-missing", "cannot read from the terminal: No such device or address (os error 6)"),
    ("account-gone", "Telegram has banned the account for breaking its rules (USER_DEACTIVATED_BAN)"),
    ("account-frozen", "Telegram has frozen this account: it can read, but not send"),
    ("account-limited", "Telegram limits this account for spam (PEER_FLOOD): nothing is sent"),
    ("flood-wait", "Waiting 300 s as Telegram demands reason=\"Telegram says FLOOD_WAIT (300)\""),
    ("peer-invalid", "Will not be answered reason=\"Telegram says PEER_ID_INVALID\""),
    ("telegram-unreachable", "Connection lost, next try in 10 s reason=\"no answer within 30 s\""),
    ("key-exchange-failed", "what answers does not prove that it is Telegram (invalid answer hash)"),
    ("telegram-trouble", "Telegram refuses: it has trouble of its own (RPC_CALL_FAIL)"),
    ("clock-wrong", "This machine's clock is 60 s behind Telegram's"),
    ("queue-in-use", "the queue ./data/queue.redb is in use by another process"),
    ("queue-format", "./data/queue.redb was written by another version of stenogram (format 2)"),
    ("queue-damaged", "the queue's data is damaged: ./data/queue.redb is no queue or was cut short"),
    ("job-given-up", "Given up, moved to the dead letters attempts=10"),
    ("redis-unreachable", "the queue is not available: nobody listens at Redis: Connection refused"),
    ("redis-address", "the address of Redis is wrong: Redis URL did not parse"),
    ("redis-password", "Redis at redis:6379 refused the user or the password (WRONGPASS invalid)"),
    ("redis-tls", "Redis at redis:6379 has a certificate of an authority that is not trusted here"),
    ("redis-sentinel", "Sentinel does not name the master: sentinel:26379: knows no master mymaster"),
    ("redis-rights", "Redis at redis:6379 does not allow this user what the queue needs (NOPERM)"),
    ("redis-unsafe", "Redis at redis:6379 has appendonly no: what it was given is lost"),
    ("redis-read-only", "Redis at redis:6379 is a read-only replica (READONLY You can't write)"),
    ("redis-memory", "Redis at redis:6379 is out of memory (OOM command not allowed)"),
    ("redis-disk", "Redis at redis:6379 cannot write to its disk (MISCONF Redis is configured)"),
    ("redis-cluster", "Redis at redis:6379 is a node of a cluster (MOVED 5460 10.0.0.2:6379)"),
    ("model-unusable", "the model models/ggml-base.bin has 1000 bytes: it is not whole, incomplete"),
    ("own-model-unusable", "the model own.bin is no ggml file (it begins with [50, 4b]) own model"),
    ("model-unknown", "there is no model \"huge\": give the path of a .bin file or one of tiny, base"),
    (
        "transcribe-cpp-missing",
        "the model models/parakeet-tdt-0.6b-v3-Q4_K_M.gguf needs the program ./stenogram-transcribe-cpp",
    ),
    ("model-replaced", "the model models/ggml-base.bin is another one than at the start"),
    ("language-not-in-model", "the model was not trained for the language \"yue\""),
    ("translation-impossible", "the model models/ggml-base.en.bin cannot translate, it knows English only"),
    ("vad-unusable", "the voice activity model models/ggml-silero-v5.1.2.bin is not there"),
    ("download-failed", "https://huggingface.co/x: given up after 8 attempts without progress"),
    ("download-wrong", "what https://mirror/x gives has the SHA-256 00 and not 11"),
    ("download-busy", "models/ggml-base.bin.part is being fetched by another process"),
    ("download-proxy", "the proxy in ALL_PROXY cannot be used: Proxy URL is invalid"),
    ("out-of-memory", "whisper.cpp cannot load the model models/ggml-base.bin"),
    ("cpu-too-old", "this CPU lacks AVX512F, which this build needs"),
    ("gpu-missing", "this is a build for GPUs (cuda), and none is found: the CPU recognises"),
    ("too-many-threads", "THREADS=64 is more than the 2 cores there are for stenogram"),
    ("recognition-failed", "the recognition thread is gone"),
    ("recogniser-away", "the recogniser gpu:8000/v1 cannot be reached: Connection refused"),
    ("recogniser-refuses", "the recogniser gpu:8000/v1 refuses the key, or wants one (401 Unauthorized)"),
    ("recogniser-ca", "the file ca.key of RECOGNISER_CA holds no certificate"),
    ("recogniser-failed", "the recogniser gpu:8000/v1 failed (500 Internal Server Error): no GPU"),
    ("recogniser-public", "what is said in your messages is sent to api.openai.com/v1 for recognition"),
    ("summary-failed", "the summary server gpu:11434/v1 gave no answer within 60 s"),
    ("summary-public", "the texts of long messages are sent to api.openai.com/v1 for summaries"),
    ("disk-full", "cannot write ./data/queue.redb: No space left on device (os error 28)"),
    ("permission-denied", "cannot use ./data/account.lock: Permission denied (os error 13)"),
    ("file-unusable", "cannot write to ./data: Not a directory (os error 20)"),
    ("process-limit", "cannot start its threads: Resource temporarily unavailable (os error 11)"),
    ("daemon-stopped", "the daemon does not answer at 127.0.0.1:9464"),
    ("env-file-readable", ".env can be read by other users (mode 644)"),
    ("port-taken", "cannot listen at 127.0.0.1:9464 for health and metrics: Address already in use"),
    ("serve-address-unusable", "cannot listen at 127.0.0.1:9465 for serve: Address already in use"),
    (
        "fleet-without-redis",
        "neither REDIS_URL nor REDIS_HOST is set, and gateways and workers meet in Redis",
    ),
    ("no-worker", "no worker of the fleet is there"),
    ("log-files-unwritable", "cannot write log files to ./logs: Read-only file system (os error 30)"),
];

#[test]
fn a_message_leads_to_its_problem_and_the_code_to_the_whole_of_it() {
    let listed: Vec<_> = MESSAGES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let sorted = |mut codes: Vec<String>| {
        codes.sort();
        codes
    };
    assert_eq!(sorted(listed), sorted(codes()), "a message of each, and nothing else");
    let mut missed = Vec::new();
    for (code, message) in MESSAGES {
        let (exit, found, _) = explain(&message.split(' ').collect::<Vec<_>>());
        if exit != Some(0) || found.lines().next() != Some(*code) {
            missed.push(format!("{code}: {message}\n{found}"));
        }
        let (_, whole, _) = explain(&[&format!("{message} [{code}]")]);
        assert!(whole.starts_with(code) && whole.contains("\n  What to do:  "), "{whole}");
        assert_eq!(whole.matches("What to do:").count(), 1, "{whole}");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn what_is_not_known_is_wrong_usage() {
    let (code, stdout, stderr) = explain(&["qwertz", "--uiop"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let expected = "nothing is known about \"qwertz --uiop\"; `stenogram explain` lists what is\n";
    assert!(stderr.ends_with(expected), "{stderr}");
}

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: std::path::PathBuf| {
        if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap_or_default() }
    };
    entries.map(text).collect()
}

/// The static `SOME_PROBLEM` of the problem `some-problem` stands where it is defined, in the list
/// of its room, and where it is met.
#[test]
fn every_problem_is_met_by_the_program() {
    let sources = sources(&Path::new(PROJECT).join("src"));
    let words: Vec<&str> = sources.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for code in codes() {
        let name = code.to_uppercase().replace('-', "_");
        let uses = words.iter().filter(|word| **word == name).count();
        assert!(uses > 2, "{name} is defined and listed, but no error or finding has it");
    }
}

#[test]
fn the_pages_mention_problems_that_there_are() {
    let codes = codes();
    let mut mentioned = 0;
    for page in pages::all(Path::new(PROJECT)) {
        for code in page.sections.iter().flat_map(|section| &section.code) {
            let in_brackets = code.strip_prefix('[').and_then(|code| code.strip_suffix(']'));
            let Some(named) = code.split_once("explain ").map(|(_, code)| code).or(in_brackets) else {
                continue;
            };
            // A placeholder, or the usage.
            if named.starts_with(|c: char| c.is_ascii_lowercase()) {
                assert!(codes.iter().any(|code| code == named), "{}: {named}", page.path.display());
                mentioned += 1;
            }
        }
    }
    assert!(mentioned >= 2, "both languages of TROUBLESHOOTING give an example");
}
