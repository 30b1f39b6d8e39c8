//! How much memory a program takes at most.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// Peak resident memory of a call that succeeds, in KiB.
pub fn peak(command: &mut Command) -> u64 {
    let (peak, status) = peak_and_status(command);
    assert!(status.success(), "{command:?}: {status}");
    peak
}

/// Peak resident memory of a call in KiB, looked at until it ends, and how it ended.
pub fn peak_and_status(command: &mut Command) -> (u64, ExitStatus) {
    let mut child = command.stdout(Stdio::null()).spawn().expect("run stenogram");
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(&status_file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("it is a child") {
            return (peak, status);
        }
        thread::sleep(Duration::from_millis(5)); // between two looks
    }
}
