//! The decoder process holds what takes it over, and the daemon survives it. The program `chaos` is
//! the daemon here: its decoder process makes attempts that src/probes.rs lists.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fake_telegram::{Chat, Draft, FRIEND, SECOND_FRIEND, Telegram};
use stenogram::audio::{AudioError, Limits};
use stenogram::decoding::{Allowance, DecoderProgram, Request};
use support::daemon::Home;
use support::signals::with_default_signals;
use support::{skipped, speech};

const DEADLINE: Duration = Duration::from_secs(300);

fn program() -> DecoderProgram {
    DecoderProgram::at(env!("CARGO_BIN_EXE_chaos"))
}

fn allowance() -> Allowance {
    Allowance::new(0, Duration::ZERO, &Limits::default())
}

/// What the daemon gets to know of the attempt.
fn attempt(probe: &str, allowance: Allowance) -> AudioError {
    let bytes = format!("probe: {probe}").into_bytes();
    let request = Request { bytes: bytes.len() as u64, limits: Limits::default(), allowance, keep: 0 };
    let never = AtomicBool::new(false);
    match program().serve(&request, bytes, &never) {
        Err(error) => error,
        Ok(mut process) => loop {
            match process.next().expect("it ends with an error") {
                Ok(samples) => assert!(!samples.is_empty()),
                Err(error) => break error,
            }
        },
    }
}

/// The walls that the kernel or the container refuses here.
fn missing() -> Vec<String> {
    program().walls().expect("the process starts").missing
}

#[test]
fn from_inside_there_is_no_socket_no_file_no_gigabyte_and_no_process() {
    let missing = missing();
    if !missing.is_empty() {
        skipped(format!("not all walls stand here: {missing:?}"));
        return;
    }
    for probe in ["socket", "file", "gigabyte", "process", "environment"] {
        let error = attempt(probe, allowance());
        println!("{probe}: {error}");
        let AudioError::Broken(said) = error else { panic!("{probe}: {error}") };
        assert!(said.contains("failed") && !said.contains("done"), "{probe}: {said}");
    }
}

#[test]
fn what_it_uses_up_beyond_its_allowance_ends_it() {
    let cpu = Duration::from_secs(1);
    let error = attempt("loop", Allowance { cpu, ..allowance() });
    assert_eq!(error, AudioError::TooSlow { limit: cpu });
    let wall = Duration::from_secs(2);
    let error = attempt("sleep", Allowance { wall, ..allowance() });
    assert_eq!(error, AudioError::TooSlow { limit: wall });
    let memory = 50 << 20;
    let error = attempt("hog", Allowance { memory, ..allowance() });
    assert_eq!(error, AudioError::TooMuchMemory { limit: memory });
}

#[test]
fn its_death_and_its_lies_are_the_recordings_fault() {
    for probe in ["abort", "babble", "flood", "silence", "pretend"] {
        let error = attempt(probe, allowance());
        assert!(matches!(error, AudioError::Crashed(_)), "{probe}: {error:?}");
    }
}

#[test]
fn a_program_that_does_not_start_is_no_fault_of_the_recording() {
    for path in ["/nonexistent", "/bin/false"] {
        let error = DecoderProgram::at(path).walls().expect_err("it is no decoder");
        assert!(matches!(error, AudioError::NotStarted(_)), "{path}: {error:?}");
    }
}

#[test]
fn an_abort_kills_it() {
    const MARK: u64 = 0x5ca1ab1e;
    let bytes = b"probe: loop".to_vec();
    let request =
        Request { bytes: bytes.len() as u64, limits: Limits::default(), allowance: allowance(), keep: MARK };
    let abort = AtomicBool::new(false);
    let marked = |line: &str| line.contains(&format!("\"keep\":{MARK}"));
    thread::scope(|scope| {
        let decoding = scope.spawn(|| program().serve(&request, bytes, &abort).map(|process| process.id()));
        wait_until("it runs", || !processes(marked).is_empty());
        abort.store(true, Ordering::Relaxed);
        assert_eq!(decoding.join().unwrap(), Err(AudioError::Aborted));
    });
    assert_eq!(processes(marked), [0; 0]);
}

/// The processes whose command line is like this.
fn processes(is_one: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("list the processes").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |process: &u32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        is_one(&String::from_utf8_lossy(&line))
    };
    numbers.filter(is_one).collect()
}

/// The decoder processes of a daemon.
fn decoders_of(daemon: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{daemon}"))
    };
    processes(|line| line.contains("\0decode\0")).into_iter().filter(is_child).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(20)); // between two looks
    }
}

/// The program `chaos` as the daemon.
fn daemon(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    with_default_signals(&mut command).env_clear().env("CHAOS_ROLE", "daemon");
    command.envs(home.variables.iter().map(|(name, value)| (name, value)));
    command.current_dir(home.path()).stdin(Stdio::null());
    command
}

/// A voice message that makes the attempt, in a file of so many bytes.
fn voice(probe: &str, bytes: usize) -> Draft {
    let mut file = format!("probe: {probe}").into_bytes();
    file.resize(bytes, b' ');
    Draft::voice(file, 3)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_loops_or_kills_its_decoder_is_rejected_and_the_daemon_lives() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let home = Home::new(&telegram);
    let mut running = home.start_as(&mut daemon(&home));
    running.event("decoder_walls", DEADLINE).await;
    running.event("connected", DEADLINE).await;
    telegram.send(Chat::User(SECOND_FRIEND), voice("loop", 1001));
    running.event_with("rejected", "decoding took longer than the limit", DEADLINE).await;
    telegram.send(Chat::User(SECOND_FRIEND), voice("abort", 900));
    running.events("rejected", 2, DEADLINE).await;
    telegram.send(Chat::User(SECOND_FRIEND), voice("hog", 900));
    running.event_with("rejected", "of memory", DEADLINE).await;
    let fixture = &speech::fixtures("en")[0];
    let friend = Chat::User(FRIEND);
    let message = telegram.send(friend, Draft::voice(speech::say(fixture.text, fixture.voice), 2));
    telegram.wait_for_reply(friend, message, DEADLINE).await.expect("the friend is answered");
    assert_eq!(running.count("redelivered"), 0, "the daemon has not died");
    assert!(running.stop().await.0.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_daemon_is_the_end_of_its_decoders() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let home = Home::new(&telegram);
    let mut running = home.start_as(&mut daemon(&home));
    running.event("connected", DEADLINE).await;
    telegram.send(Chat::User(SECOND_FRIEND), voice("sleep", 900));
    let id = running.pid();
    let decoder = || decoders_of(id).first().copied();
    wait_until("it decodes", || decoder().is_some());
    let first = decoder().expect("it decodes");
    assert!(running.stop().await.0.success());
    wait_until("the decoder is gone", || !Path::new(&format!("/proc/{first}")).exists());

    let running = home.start_as(&mut daemon(&home));
    let id = running.pid();
    wait_until("it decodes again", || !decoders_of(id).is_empty());
    let second = decoders_of(id)[0];
    running.kill();
    // With the daemon gone, a decoder that sleeps is ended by the kernel alone.
    wait_until("the decoder is gone", || !Path::new(&format!("/proc/{second}")).exists());
}
