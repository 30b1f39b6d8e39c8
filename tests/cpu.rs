//! On a CPU that lacks what whisper.cpp was compiled for, the program says so instead of dying of SIGILL.

use std::process::Command;

use support::skipped;

#[test]
fn a_cpu_below_the_build_is_told_what_it_lacks() {
    let emulate = |cpu: &str| {
        let mut command = Command::new("qemu-x86_64");
        command.args(["-cpu", cpu, env!("CARGO_BIN_EXE_stenogram"), "transcribe"]);
        command.args([
            "--model",
            "tests/fixtures/micro/ggml-micro-q8_0.bin",
            "tests/fixtures/voices/en-1.ogg",
        ]);
        command.output()
    };
    // Of 2008, without AVX.
    let output = match emulate("Nehalem") {
        Ok(output) => output,
        Err(error) => return skipped(format!("no CPU can be emulated: qemu-x86_64: {error} (qemu-user)")),
    };
    let needed = stenogram::speech::cpu::needed();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if needed.iter().any(|instructions| instructions.name == "AVX2") {
        assert!(output.status.code() == Some(2), "{}: {stderr}", output.status);
        assert!(stderr.contains("this CPU lacks AVX, AVX2"), "{stderr}");
        assert!(stderr.contains("build stenogram on this machine"), "{stderr}");
    } else {
        assert!(output.status.success(), "{}: {stderr}", output.status);
    }
}
