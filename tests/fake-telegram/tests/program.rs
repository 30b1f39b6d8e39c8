//! The program, as containers and demonstrations use it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use serde_json::{Value, json};

/// The version whose layer (229) was compared with ours (230): the constructors used are the same.
const TELETHON: &str = "telethon==1.45.0";

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fake-telegram"))
}

/// A running `fake-telegram serve`, killed at the end.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its first line.
    ready: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut command = program();
        command.arg("serve").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        Self { child, input, output, ready }
    }

    fn say(&mut self, line: Value) -> Value {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder below `target` of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // There may be none yet.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn it_serves_until_told_to_quit() {
    let path = folder("serve").join("owner.session");
    let key = "a5".repeat(256);
    let key_file = path.with_file_name("key");
    std::fs::write(&key_file, format!("{key}\n")).unwrap();
    let (path_text, key_text) = (path.to_str().unwrap(), key_file.to_str().unwrap());
    let everywhere = ["--listen", "0.0.0.0:0", "--advertise", "127.0.0.2"];
    let mut server =
        Server::start(&[&["--session", path_text, "--key-file", key_text][..], &everywhere].concat());
    let ready: Value = serde_json::from_str(&server.ready).unwrap();
    assert_eq!(ready["ready"], true);
    let session: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(session["version"], 1);
    assert_eq!(session["dcs"], ready["dcs"]);
    assert_eq!(session["dcs"][1]["auth_key"], key.as_str());
    let address = session["dcs"][0]["ipv4"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.2:"), "{address}");
    assert_eq!(session["user"], json!({"id": 1000, "access_hash": 11000}));
    let sent = server.say(json!({"do": "text", "chat": 2000, "text": "hi"}));
    assert_eq!(sent, json!({"ok": true, "message": 1}));
    writeln!(server.input, "{}", json!({"do": "quit"})).unwrap();
    assert!(server.child.wait().unwrap().success());
}

#[test]
fn it_writes_session_files() {
    let path = folder("session").join("owner.session");
    let key = "0f".repeat(256);
    let session = |args: &[&str]| -> Output {
        program().arg("session").arg("--out").arg(&path).args(args).output().unwrap()
    };
    let dc2 = ["--dc", "2", "--addr", "127.0.0.1:4430", "--key", &key];
    let dc4 = ["--dc", "4", "--addr", "127.0.0.1:4431", "--key", &key];
    let user = ["--user-id", "5", "--access-hash", "-7"];
    let output = session(&[&dc2[..], &dc4, &user].concat());
    assert!(output.status.success(), "{output:?}");
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["home_dc"], 2);
    assert_eq!(written["user"], json!({"id": 5, "access_hash": -7}));
    assert_eq!(written["dcs"][1]["ipv4"], "127.0.0.1:4431");
    assert_eq!(written["dcs"][1]["auth_key"], key.as_str());

    let output = session(&["--dc", "2", "--addr", "127.0.0.1:4430", "--key", "short"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains("512 hexadecimal digits"), "{complaint}");
    let output = session(&[&dc2[..], &["--dc", "4"]].concat());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && complaint.contains("each --dc needs"), "{complaint}");
}

/// Telethon in a virtual environment below `target`, which later runs find there.
fn telethon() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("telethon");
    let python = environment.join("bin/python");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    };
    if run(Command::new(&python).args(["-c", "import telethon"])).is_err() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--retries", "1", TELETHON]))?;
    }
    Ok(python)
}

#[test]
fn telethon_gets_along_with_it() {
    let python = match telethon() {
        Ok(python) => python,
        Err(why) => {
            // test.sh counts this line; see tests/support/skipped.rs of the workspace.
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("unknown");
            writeln!(std::io::stderr(), "SKIPPED: {test}: Telethon cannot be installed: {why}").unwrap();
            return;
        }
    };
    let control = ["--control", "127.0.0.1:0"];
    let logged_in = Server::start(&control);
    let logged_out = Server::start(&[&["--logged-out", "--password", "hunter2"][..], &control].concat());
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/telethon/check.py");
    let output =
        Command::new(python).arg(check).args([&logged_in.ready, &logged_out.ready]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all is well"), "{said}\n{complaint}");
    println!("{said}");
}
