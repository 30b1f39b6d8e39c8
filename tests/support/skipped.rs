//! Checks that cannot be made on this machine.

use std::io::Write as _;

/// Says that the running test, or a part of it, is left out. test.sh then counts the test as skipped
/// instead of passed.
///
/// The line goes straight to standard error, because libtest shows what a passing test prints with
/// `println!` to nobody.
pub fn skipped(why: impl std::fmt::Display) {
    // libtest names the thread of a test after the test.
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {why}\n", thread.name().unwrap_or("unknown"));
    std::io::stderr().write_all(line.as_bytes()).expect("write to standard error");
}
