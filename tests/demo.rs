//! `./start.sh demo` answers every message with its exact text.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demo_answers_every_message_word_for_word() {
    let daemon = Path::new(env!("CARGO_BIN_EXE_stenogram"));
    let program = daemon.with_file_name("fake-telegram");
    assert!(program.exists(), "fake-telegram is not built; run `cargo test --workspace`");
    let output = Command::new(program)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["demo", "--model", "tests/fixtures/micro/ggml-micro-q8_0.bin", "--daemon"])
        .arg(daemon)
        .output()
        .expect("run the demo");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    let voices = include_str!("fixtures/voices/voices.tsv").lines().filter(|line| !line.starts_with('#'));
    for line in voices {
        let text = line.rsplit('\t').next().expect("a text");
        assert!(shown.lines().any(|line| line.matches(text).count() == 2), "{text:?} not in\n{shown}");
    }
}
