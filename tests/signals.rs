//! The tests of Ctrl-C do not depend on which signals the caller of the tests ignores.

use std::process::Command;

const TESTS: [&str; 3] = [
    "login::ctrl_c_ends_it_and_leaves_the_terminal_as_it_was",
    "models_cli::ctrl_c_leaves_a_part_that_the_next_pull_goes_on_with",
    "scripts::ctrl_c_at_a_prompt_leaves_nothing_half_written",
];

/// `nohup ./test.sh &` ignores these signals, and programs inherit that.
#[test]
fn ctrl_c_works_where_the_caller_of_the_tests_ignores_signals() {
    let output = Command::new("timeout")
        .args(["120", "sh", "-c", "trap '' INT QUIT HUP; exec \"$0\" --exact \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(TESTS)
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} passed", TESTS.len());
    assert!(output.status.success() && shown.contains(&all), "{}: {shown}", output.status);
}
