//! A server that nobody here wrote: fakellm from PyPI, which has OpenAI's interface and answers what
//! its rules say.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::python::with_packages;
use support::redis::RedisServer;
use support::skipped;

use super::*;

/// The program; it is installed once, from PyPI.
fn program() -> Option<PathBuf> {
    match with_packages(env!("CARGO_TARGET_TMPDIR"), &["fakellm==0.3.5"]) {
        Ok(python) => Some(python.with_file_name("fakellm")),
        Err(why) => {
            skipped(format!("no fakellm: {why}"));
            None
        }
    }
}

struct FakeLlm(Child);

impl Drop for FakeLlm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const RULES: &str = r#"
version: 1
defaults:
  fallback: deterministic_echo
rules:
  - name: summary
    when:
      messages_contain: "<transcript>"
    respond:
      content: "Three numbers are counted."
"#;

#[tokio::test]
async fn fakellm_writes_the_summary_of_what_was_said() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("fakellm.yaml"), RULES).expect("write its rules");
    let port = RedisServer::free_port();
    let child = Command::new(program)
        .args(["serve", "--port", &port.to_string()])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the server");
    let _server = FakeLlm(child);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < DEADLINE, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let home = home(&telegram, &format!("http://127.0.0.1:{port}/v1"));
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    let message = telegram.send(FRIENDS_CHAT, Draft::voice(say("one two three", "en-us"), 3));
    let sent = reply(&telegram, message).await;
    let (above, below) = above_and_below(&sent);
    assert_eq!((above.as_str(), below.as_str()), ("Three numbers are counted.\n\n", "one two three"));
    assert!(daemon.stop().await.0.success());
}
