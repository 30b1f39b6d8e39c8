//! `stenogram login` and `logout`: the real binary at a terminal, against the loopback Telegram.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use fake_telegram::{Action, Builder, Chat, Draft, Fault, SessionParams, Telegram, write_session};
use support::daemon::Home;
use support::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(60);
const PHONE: &str = "+4915112345678";
const CODE: &str = "70707";
const PHONE_PROMPT: &str = "Phone number with country code";
const CODE_PROMPT: &str = "Code (not shown): ";

fn logged_out() -> Builder {
    Telegram::builder().logged_out().login_code(CODE)
}

/// A home whose session leads to `telegram`, with nobody logged in.
fn home(telegram: &Telegram) -> Home {
    let home = Home::empty();
    std::fs::create_dir(home.data()).expect("make the data folder");
    let session = SessionParams { user: None, ..telegram.session() };
    write_session(&home.data().join("account.session"), &session).expect("write the session");
    home
}

fn command(home: &Home, word: &str) -> Command {
    let mut command = home.command();
    command.arg(word);
    command
}

/// What came of `word`, called without a terminal: exit code, standard output and error.
fn call(home: &Home, word: &str) -> (Option<i32>, String, String) {
    let plain = command(home, word);
    let mut command = Command::new("setsid");
    command.args(["--wait"]).arg(plain.get_program()).arg(word).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(home.path()).stdin(Stdio::null()).output().expect("run setsid");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn login(home: &Home) -> Terminal {
    Terminal::start(&command(home, "login"))
}

/// A login that asks for the phone number, or, that given, waits for the code to be typed.
fn asked(home: &Home, prompt: &str) -> Terminal {
    let terminal = login(home);
    terminal.shows(PHONE_PROMPT, 1);
    if prompt == CODE_PROMPT {
        terminal.types(PHONE);
        terminal.shows(CODE_PROMPT, 1);
        terminal.wait_for_echo(false);
    }
    terminal
}

#[tokio::test(flavor = "multi_thread")]
async fn after_phone_code_and_password_the_daemon_runs() {
    let telegram = logged_out().password("hunter2", "a cat").start().await.expect("start Telegram");
    let home = home(&telegram);
    let mut terminal = login(&home);
    terminal.shows("Telegram watches accounts that use an unofficial program like this one", 1);
    terminal.shows("leave SENDS_PER_MINUTE and SENDS_PER_DAY as they are.", 1);
    terminal.shows(PHONE_PROMPT, 1);
    terminal.types("");
    terminal.shows(PHONE_PROMPT, 2);
    terminal.types(PHONE);
    terminal.shows("look into your other Telegram apps first, then for an SMS", 1);
    terminal.shows(CODE_PROMPT, 1);
    terminal.types_secretly("99999");
    terminal.shows("That is not the code.", 1);
    terminal.shows(CODE_PROMPT, 2);
    terminal.types_secretly("");
    terminal.shows(CODE_PROMPT, 3);
    terminal.types_secretly(CODE);
    terminal.shows("Password of the two-step verification (not shown, hint: a cat): ", 1);
    terminal.types_secretly("hunter3");
    terminal.shows("That is not the password.", 1);
    terminal.shows("(not shown, hint: a cat): ", 2);
    terminal.types_secretly("hunter2");
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
    terminal.shows("Logged in as user 1000. The session is in ./data/account.session:", 1);
    let shown = terminal.shown();
    assert!(shown.contains(PHONE), "the phone number is shown while it is typed: {shown}");
    for secret in ["99999", CODE, "hunter3", "hunter2"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }

    // Between the login and the first start.
    let ogg = std::fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message");
    let message = telegram.send(Chat::User(2000), Draft::voice(ogg, 2));
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    telegram.wait_for_reply(Chat::User(2000), message, DEADLINE).await.expect("it is answered");
    let (code, _, stderr) = call(&home, "logout");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("another stenogram is using this account"), "{stderr}");
    let mut terminal = login(&home);
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("another stenogram is using this account", 1);
    assert!(daemon.stop().await.0.success());

    let mut terminal = login(&home);
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("already logged in as user 1000; run `stenogram logout` first", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_it_says_so_before_anything_happens() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    let (code, stdout, stderr) = call(&home, "login");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert_eq!(
        stderr,
        "stenogram: cannot read from the terminal: there is none; run `stenogram login` at a terminal; over SSH use `ssh -t` \
         [terminal-missing]\n"
    );
    assert_eq!(telegram.look(|ledger| ledger.calls().len()), 0);
    assert!(!home.data().join("account.lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_d_ends_the_dialogue_and_nothing_else() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    for prompt in [PHONE_PROMPT, CODE_PROMPT] {
        let mut terminal = asked(&home, prompt);
        terminal.presses("\x04");
        assert_eq!(terminal.ends().code(), Some(1), "{prompt}");
        terminal.shows("\r\nstenogram: cannot read from the terminal: the input was ended; ", 1);
        assert!(!terminal.shown().contains("panicked"), "{}", terminal.shown());
    }
    let (code, _, stderr) = call(&home, "run");
    assert_eq!(code, Some(3), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_it_and_leaves_the_terminal_as_it_was() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    for prompt in [PHONE_PROMPT, CODE_PROMPT] {
        let mut terminal = asked(&home, prompt);
        terminal.presses("\x03");
        assert_eq!(terminal.ends().signal(), Some(libc::SIGINT), "{prompt}");
        terminal.wait_for_echo(true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_telegram_refuses_is_said_with_a_remedy() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    let mut terminal = login(&home);
    terminal.shows(PHONE_PROMPT, 1);
    terminal.types("0");
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows(
        "Telegram refuses: that is no phone number of an account; write the number with its country code",
        1,
    );

    let other = logged_out().api_hash("another").start().await.expect("start Telegram");
    let elsewhere = self::home(&other);
    let mut terminal = login(&elsewhere);
    terminal.shows(PHONE_PROMPT, 1);
    terminal.types(PHONE);
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("Telegram refuses: API_ID and API_HASH do not belong together", 1);

    for (code, error, says) in [
        (
            400,
            "PHONE_NUMBER_BANNED",
            "(PHONE_NUMBER_BANNED); if that is a mistake, write to recover@telegram.org",
        ),
        (
            -503,
            "Timeout",
            "it has trouble of its own (Timeout); try again in a few minutes [telegram-trouble]",
        ),
        (420, "FLOOD_WAIT_4000", "too many tries; wait 4001 s"),
    ] {
        telegram.fault(Fault::on("auth.sendCode", Action::error(code, error)).once());
        let mut terminal = login(&home);
        terminal.shows(PHONE_PROMPT, 1);
        terminal.types(PHONE);
        assert_eq!(terminal.ends().code(), Some(1), "{error}");
        terminal.shows(says, 1);
    }

    let mut terminal = login(&home);
    terminal.shows(PHONE_PROMPT, 1);
    terminal.types(PHONE);
    for n in 1..=3 {
        terminal.shows(CODE_PROMPT, n);
        terminal.types_secretly("00000");
    }
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("three wrong tries; wait some minutes and run `stenogram login` again", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_needs_telegram_and_keeps_the_session_until_then() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    let (code, _, stderr) = call(&home, "logout");
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("is not logged in; run `stenogram login`"), "{stderr}");

    let mut terminal = asked(&home, CODE_PROMPT);
    terminal.types(CODE);
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());

    telegram.go_down().await;
    let (code, stdout, stderr) = call(&home, "logout");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.starts_with("stenogram: Telegram cannot be reached: "), "{stderr}");
    assert!(stderr.ends_with("; then try again [telegram-unreachable]\n"), "{stderr}");
    assert!(home.data().join("account.session").exists());

    telegram.come_back().await.expect("listen again");
    let (code, stdout, stderr) = call(&home, "logout");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "Logged out; ./data/account.session is deleted.\n");
    assert_eq!(telegram.look(|ledger| ledger.count("auth.logOut")), 1);
    assert!(!home.data().join("account.session").exists());
    let (code, _, stderr) = call(&home, "logout");
    assert_eq!(code, Some(3), "{stderr}");
    assert_eq!(stderr.matches("there is no session at").count(), 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telegram_that_is_away_is_said_before_anything_is_asked() {
    let telegram = logged_out().start().await.expect("start Telegram");
    let home = home(&telegram);
    telegram.go_down().await;
    let mut terminal = login(&home);
    assert_eq!(terminal.ends().code(), Some(1));
    terminal.shows("Telegram cannot be reached: ", 1);
    assert!(!terminal.shown().contains("Phone"), "{}", terminal.shown());
}
