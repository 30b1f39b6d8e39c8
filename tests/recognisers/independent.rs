//! A server that nobody here wrote: faster-whisper-server from PyPI, with OpenAI's weights.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stenogram::domain::Task;
use stenogram::speech::{RecogniseOptions, RecogniserOptions};
use support::redis::RedisServer;
use support::{official, skipped};

use super::{recognisers, server};

/// How long it may take to load the model, and to recognise.
const DEADLINE: Duration = Duration::from_secs(120);

/// The program, where `python3 -m venv target/servers && target/servers/bin/pip install
/// faster-whisper-server` has put it, or as FASTER_WHISPER_SERVER names it.
fn program() -> Option<PathBuf> {
    let made = || concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers/bin/faster-whisper-server").into();
    let path = std::env::var_os("FASTER_WHISPER_SERVER").map_or_else(made, PathBuf::from);
    if !path.exists() {
        skipped(format!("no {}", path.display()));
        return None;
    }
    Some(path)
}

struct FasterWhisper(Child);

impl Drop for FasterWhisper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn faster_whisper_server_hears_what_was_said() {
    let (Some(program), Some(model), Some(recording)) =
        (program(), official::model("faster-whisper-base"), official::shared("speech/jfk.wav"))
    else {
        return;
    };
    let port = RedisServer::free_port();
    let child = Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .arg(model)
        .env("HF_HUB_OFFLINE", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the server");
    let _server = FasterWhisper(child);
    let start = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < DEADLINE, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut options = server(&format!("http://127.0.0.1:{port}/v1"));
    options.timeout = DEADLINE;
    let recognisers = recognisers(vec![RecogniserOptions::Server(options)]).await;
    let pcm = support::speech::decode(&std::fs::read(recording).expect("read it"));
    for task in [Task::Transcribe, Task::Translate] {
        let (detector, pcm) = (recognisers.detector().clone(), pcm.clone());
        let speech =
            tokio::task::spawn_blocking(move || detector.detect(pcm, &|| false)).await.unwrap().unwrap();
        let options = RecogniseOptions { task, ..RecogniseOptions::default() };
        use stenogram::speech::Recogniser as _;
        let transcript =
            recognisers.recognise_stretch(speech, options).await.expect("a transcript").transcript;
        let text = transcript.text().to_lowercase();
        assert!(text.contains("ask not what your country can do for you"), "{text}");
        if task == Task::Transcribe {
            assert_eq!(transcript.language.map(|code| code.as_str()), Some("en"));
            let last = transcript.segments.last().expect("a segment");
            assert!((9_000..=11_000).contains(&last.end_ms), "{transcript:?}");
        }
    }
}
