//! The short tier: 300 messages, 20 kills and a burst of 20 more in 25 s, each queue; and a fleet.
//! What went wrong is printed with the seed.

use std::process::{Command, Stdio};

/// All that are not corrupt hold real words, for the real model.
const SHORT: &[&str] = &[
    "--answers-only",
    "--messages=300",
    "--kills=20",
    "--bursts=1",
    "--half-open=0",
    "--spoken=297",
    "--too-long=1",
    "--floods=8",
];

/// Answers in every form, with previews and edits.
const RULES: &[&str] = &[
    "--answers-only",
    "--rules",
    "--messages=150",
    "--kills=16",
    "--bursts=0",
    "--half-open=0",
    "--spoken=2",
    "--too-long=0",
    "--floods=10",
    "--longest-cut=4",
];

fn chaos(tier: &[&str], arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(tier)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("run the harness");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_message_is_answered_once_with_the_embedded_queue() {
    chaos(SHORT, &["--queue=embedded", "--proxy=mtproxy"]);
}

#[test]
fn every_message_is_answered_once_with_redis() {
    chaos(SHORT, &["--queue=redis"]);
}

#[test]
fn no_form_of_an_answer_is_lost_doubled_or_half_with_the_embedded_queue() {
    chaos(RULES, &["--queue=embedded"]);
}

#[test]
fn no_form_of_an_answer_is_lost_doubled_or_half_with_redis() {
    chaos(RULES, &["--queue=redis"]);
}

/// Two gateways, each with an account, and two workers, one Redis; all of them are killed.
#[test]
fn every_message_is_answered_once_by_a_fleet() {
    let fleet = ["fleet", "--gateways=2", "--workers=2", "--messages=60", "--corrupt=2", "--spoken=6"];
    chaos(&fleet, &["--kills=12", "--life=2", "--hurry"]);
}
