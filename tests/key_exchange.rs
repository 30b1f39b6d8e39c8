//! Keys exchanged for real: the program against the loopback Telegram, which has an RSA key of its
//! own. What ships trusts Telegram's keys only and has no setting for others, so a copy of it is
//! made in which the one of Telegram's test servers is another number. Nothing else in it differs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use fake_telegram::{Action, Builder, Draft, FILE_DC, FRIEND, Fault, KeyExchange, SessionParams, Telegram};
use fake_telegram::{Chat, key_to_hex, rsa_modulus, write_session};
use support::daemon::Home;
use support::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(60);
const PHONE: &str = "+4915112345678";
const CODE: &str = "70707";
const PASSWORD: &str = "hunter2";
const HOME_DC: i32 = 2;
/// The fingerprint of Telegram's key, which <https://my.telegram.org> shows.
const TELEGRAM: i64 = -3414540481677951611;
/// The modulus of the key of Telegram's test servers, from there too.
const TEST_KEY: &str = "25342889448840415564971689590713473206898847759084779052582026594546022463853940585885215951168491965708222649399180603818074200620463776135424884632162512403163793083921641631564740959529419359595852941166848940585952337613333022396096584117954892216031229237302943701877588456738335398602461675225081791820393153757504952636234951323237820036543581047826906120927972487366805292115792231423684261262330394324750785450942589751755390156647751460719351439969059949569615302809050721500330239005077889855323917509948255722081644689442127297605422579707142646660768825302832201908302295573257427896031830742328565032949";

/// The copy of the program that knows the loopback Telegram's key.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut bytes = fs::read(support::stenogram()).expect("read the program");
    let ours = rsa_modulus();
    assert_eq!(ours.len(), TEST_KEY.len());
    let places = places(&bytes, TEST_KEY.as_bytes());
    assert!(!places.is_empty(), "the program does not have the test key as grammers writes it");
    for place in places {
        bytes[place..place + ours.len()].copy_from_slice(ours.as_bytes());
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stenogram-with-another-key");
    let fresh = path.with_extension(std::process::id().to_string());
    fs::write(&fresh, bytes).expect("write the copy");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("make it executable");
    fs::rename(&fresh, &path).expect("put the copy in place");
    path
});

/// Where the digits `key` are in `bytes`. Each of them covers a multiple of their length.
fn places(bytes: &[u8], key: &[u8]) -> Vec<usize> {
    let candidates = (0..bytes.len()).step_by(key.len()).filter(|at| bytes[*at].is_ascii_digit());
    let starts = candidates.flat_map(|at| (at + 1).saturating_sub(key.len())..=at);
    starts.filter(|start| bytes[*start..].starts_with(key)).collect()
}

fn logged_out() -> Builder {
    Telegram::builder().logged_out().login_code(CODE)
}

/// A home whose session leads to `telegram`, with no key and nobody logged in.
fn home(telegram: &Telegram) -> Home {
    let home = Home::empty();
    fs::create_dir(home.data()).expect("make the data folder");
    let mut session = SessionParams { user: None, ..telegram.session() };
    session.dcs.iter_mut().for_each(|dc| dc.auth_key = None);
    write_session(&home.data().join("account.session"), &session).expect("write the session");
    home
}

fn session(home: &Home) -> String {
    fs::read_to_string(home.data().join("account.session")).expect("read the session")
}

/// A login that fails before anything is asked or stored, and says so.
fn fails(home: &Home, says: &str) {
    let before = session(home);
    let mut terminal = Terminal::start(home.command().arg("login"));
    assert_eq!(terminal.ends().code(), Some(1), "{}", terminal.shown());
    terminal.shows(says, 1);
    let shown = terminal.shown();
    assert!(!shown.contains("Phone number"), "{shown}");
    assert_eq!(session(home), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_prove_to_be_telegram_gets_nothing() {
    let named_only = |answer| KeyExchange::Impostor { fingerprint: TELEGRAM, answer };
    for (kind, says) in [
        (KeyExchange::Honest, "(all server fingerprints are unknown)"),
        (named_only(592), "what answers does not prove that it is Telegram ("),
        (
            named_only(590),
            "(the encrypted server response was 590 bytes long, which is not correctly padded)",
        ),
        // grammers stumbles over these.
        (named_only(16), "Telegram cannot be reached: "),
        (named_only(0), "Telegram cannot be reached: "),
    ] {
        let telegram = logged_out().key_exchange(kind).start().await.expect("start Telegram");
        let home = home(&telegram);
        fails(&home, says);
        assert_eq!(telegram.look(|ledger| ledger.count("auth.sendCode")), 0);
        let output = home.command().arg("doctor").output().expect("run the doctor");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!report.contains("panicked"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_code_and_password_exchanges_keys_and_the_daemon_goes_on_with_them() {
    let telegram = logged_out().password(PASSWORD, "a cat").key_exchange(KeyExchange::AsTestServer);
    let telegram = telegram.start().await.expect("start Telegram");
    let mut home = home(&telegram);
    home.program.clone_from(&PROGRAM);
    let mut terminal = Terminal::start(home.command().arg("login"));
    terminal.shows("Phone number with country code", 1);
    terminal.types(PHONE);
    terminal.shows("Code (not shown): ", 1);
    terminal.types_secretly(CODE);
    terminal.shows("Password of the two-step verification", 1);
    terminal.types_secretly(PASSWORD);
    assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
    terminal.shows("Logged in as user 1000.", 1);
    let exchanges = |dc| {
        telegram.look(|ledger| {
            ledger
                .calls()
                .iter()
                .filter(|call| call.method == "set_client_DH_params" && call.dc == dc)
                .count()
        })
    };
    assert_eq!((exchanges(HOME_DC), exchanges(FILE_DC)), (1, 0));
    let (_, beforehand) = telegram.datacentre(HOME_DC).expect("its key");
    assert!(!session(&home).contains(&key_to_hex(&beforehand)));

    // The file is in another datacentre, which the daemon exchanges a key with at the second try.
    telegram.fault(Fault::on("req_DH_params", Action::Corrupt).in_dc(FILE_DC).once());
    let ogg = fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message");
    let message = telegram.send(Chat::User(FRIEND), Draft::voice(ogg, 2));
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    if let Err(late) = telegram.wait_for_reply(Chat::User(FRIEND), message, DEADLINE).await {
        panic!("{late}\n{}", home.log());
    }
    assert!(
        home.log().contains("what answers does not prove that it is Telegram (invalid answer hash)"),
        "{}",
        home.log()
    );
    assert!(daemon.stop().await.0.success());
    assert_eq!((exchanges(HOME_DC), exchanges(FILE_DC)), (1, 1));
    let output = home.command().arg("logout").output().expect("log out");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(telegram.look(|ledger| ledger.count("auth.logOut")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_fails_on_the_way_stores_nothing_and_is_made_again() {
    let telegram =
        logged_out().key_exchange(KeyExchange::AsTestServer).start().await.expect("start Telegram");
    let mut home = home(&telegram);
    home.program.clone_from(&PROGRAM);
    for (method, action, says) in [
        ("req_DH_params", Action::Corrupt, "(invalid answer hash)"),
        ("req_DH_params", Action::Refuse, "(the generation of DH parameters by the server failed)"),
        ("req_DH_params", Action::DropBefore, "[telegram-unreachable]"),
        ("set_client_DH_params", Action::Corrupt, "(invalid new nonce hash)"),
        ("set_client_DH_params", Action::Refuse, "(the generation of DH parameters failed)"),
        ("set_client_DH_params", Action::Again, "(the generation of DH parameters failed)"),
        ("set_client_DH_params", Action::DropBefore, "[telegram-unreachable]"),
    ] {
        telegram.fault(Fault::on(method, action).once());
        fails(&home, says);
    }
    let mut terminal = Terminal::start(home.command().arg("login"));
    terminal.shows("Phone number with country code", 1);
    terminal.presses("\x04");
    assert_eq!(terminal.ends().code(), Some(1));
    // The key stays for the next login.
    let exchanges = telegram.look(|ledger| ledger.count("req_pq_multi"));
    let mut terminal = Terminal::start(home.command().arg("login"));
    terminal.shows("Phone number with country code", 1);
    terminal.presses("\x04");
    assert_eq!(terminal.ends().code(), Some(1));
    let since = telegram.look(|ledger| ledger.count("req_pq_multi")) - exchanges;
    assert_eq!(since, 1, "the clock was asked for, and no key");
}
