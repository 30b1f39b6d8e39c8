//! Telegram and models through proxies: the real binary, proxies on loopback, and addresses to
//! which only the proxies know the way.

mod past;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, SessionParams, Telegram, write_session};
use support::daemon::Home;
use support::doctor::Report;
use support::mtproxy::{DOMAIN, Disguise, KEY};
use support::proxy::{Kind, ProxyServer, forward};
use support::python;
use support::speech::stuffed;
use support::terminal::Terminal;

const DEADLINE: Duration = Duration::from_secs(90);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const BOTH: [Kind; 2] = [Kind::Socks5, Kind::Http];
const DISGUISES: [Disguise; 3] = [Disguise::None, Disguise::Padding, Disguise::Tls];
/// A large voice message has this many bytes.
const LARGE: usize = 15_000_000;

/// A large voice message. To make it takes a second.
fn large() -> Draft {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| stuffed(&recording(), LARGE));
    Draft::voice(BYTES.clone(), 2)
}

fn kinds() -> impl Iterator<Item = Kind> {
    BOTH.into_iter().chain(DISGUISES.map(Kind::MtProxy))
}

fn recording() -> Vec<u8> {
    std::fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message")
}

fn voice() -> Draft {
    Draft::voice(recording(), 2)
}

/// Where the datacentre is said to be. Whoever connects to it directly is counted.
struct Decoy {
    address: SocketAddr,
    callers: Arc<AtomicUsize>,
}

impl Decoy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for the decoy");
        let address = listener.local_addr().expect("its address");
        let callers = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&callers);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, callers }
    }

    /// A home whose session leads to the decoy instead of to `telegram`; the proxies know better.
    fn home(&self, telegram: &Telegram, proxies: &[&ProxyServer]) -> Home {
        let home = Home::new(telegram);
        let path = home.data().join("account.session");
        let session = std::fs::read_to_string(&path).expect("read the session");
        let params = telegram.session();
        let home_dc = params.dcs.iter().find(|dc| dc.id == params.home_dc).expect("its home datacentre");
        let real = SocketAddr::V4(home_dc.ipv4);
        let changed = session.replace(&real.to_string(), &self.address.to_string());
        assert_ne!(changed, session, "the session has another address than {real}");
        std::fs::write(&path, changed).expect("write the session");
        for proxy in proxies {
            proxy.lead(self.address, real);
            for dc in &params.dcs {
                proxy.lead(format!("dc {}", dc.id), dc.ipv4.into());
            }
        }
        home
    }

    fn assert_unseen(&self) {
        assert_eq!(self.callers.load(Ordering::Relaxed), 0, "something went past the proxy");
    }
}

/// Has nobody logged in, in a home from [`Decoy::home`].
fn log_out(home: &Home, decoy: &Decoy, telegram: &Telegram) {
    let mut session = SessionParams { user: None, ..telegram.session() };
    let SocketAddr::V4(address) = decoy.address else { panic!("not IPv4") };
    session.dcs.iter_mut().filter(|dc| dc.id == session.home_dc).for_each(|dc| dc.ipv4 = address);
    write_session(&home.data().join("account.session"), &session).expect("write the session");
}

/// Nobody else has connected to `telegram`, at any of its addresses.
fn all_came_from(telegram: &Telegram, proxies: &[&ProxyServer]) {
    let callers = telegram.look(|ledger| ledger.callers().to_vec());
    let sources: Vec<SocketAddr> = proxies.iter().flat_map(|proxy| proxy.sources()).collect();
    let others: Vec<_> = callers.iter().filter(|caller| !sources.contains(caller)).collect();
    assert!(others.is_empty(), "{others:?} of {callers:?} went past the proxy");
}

/// Sends a voice message and waits for the answer.
async fn is_answered(telegram: &Telegram, home: &Home) {
    all_are_answered(telegram, home, [voice()]).await;
}

/// Sends messages and waits for the answers.
async fn all_are_answered(telegram: &Telegram, home: &Home, drafts: impl IntoIterator<Item = Draft>) {
    let messages: Vec<i32> = drafts.into_iter().map(|draft| telegram.send(FRIENDS_CHAT, draft)).collect();
    for message in messages {
        await_answer(telegram, home, message).await;
    }
}

async fn await_answer(telegram: &Telegram, home: &Home, message: i32) {
    if let Err(late) = telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await {
        panic!("{late}\n{}", home.log());
    }
}

async fn everything_goes_through(kind: Kind) {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let proxy = ProxyServer::start(kind, Some(("me", "hunter2")));
    let decoy = Decoy::new();
    let mut home = decoy.home(&telegram, &[&proxy]);
    home.set("PROXY", &proxy.url());
    Report::by(home.command()).has("login", "ok", "accepts the session", "");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    all_are_answered(&telegram, &home, (0..20).map(|_| voice())).await;
    all_are_answered(&telegram, &home, [large()]).await;
    // Cut off, it comes back by itself, and answers what was said meanwhile.
    proxy.kill();
    let message = telegram.send(FRIENDS_CHAT, voice());
    proxy.revive();
    await_answer(&telegram, &home, message).await;
    let target = match kind {
        Kind::MtProxy(_) => "dc 2".to_owned(),
        Kind::Socks5 | Kind::Http => decoy.address.to_string(),
    };
    assert!(proxy.asked().contains(&target), "{:?}", proxy.asked());
    decoy.assert_unseen();
    all_came_from(&telegram, &[&proxy]);
    let log = home.log();
    for secret in ["hunter2", &Disguise::None.secret(), &Disguise::Tls.secret()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    // What is stored is the address that Telegram has announced meanwhile, not that of a bridge.
    let session = std::fs::read_to_string(home.data().join("account.session")).expect("the session");
    let real = telegram.session().dcs[0].ipv4.to_string();
    assert!(session.contains(&real), "{session}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_a_socks5_proxy() {
    everything_goes_through(Kind::Socks5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_an_http_proxy() {
    everything_goes_through(Kind::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_an_mtproxy() {
    everything_goes_through(Kind::MtProxy(Disguise::None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_an_mtproxy_with_padding() {
    everything_goes_through(Kind::MtProxy(Disguise::Padding)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_an_mtproxy_that_looks_like_tls() {
    everything_goes_through(Kind::MtProxy(Disguise::Tls)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_through_the_proxy() {
    for kind in kinds() {
        let telegram =
            Telegram::builder().logged_out().login_code("70707").start().await.expect("start Telegram");
        let proxy = ProxyServer::start(kind, Some(("me", "hunter2")));
        let decoy = Decoy::new();
        let mut home = decoy.home(&telegram, &[&proxy]);
        log_out(&home, &decoy, &telegram);
        home.set("PROXY", &proxy.url());
        let mut command = home.command();
        let mut terminal = Terminal::start(command.arg("login"));
        terminal.shows("Phone number with country code", 1);
        terminal.types("+4915112345678");
        terminal.shows("Code (not shown): ", 1);
        terminal.types_secretly("70707");
        assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.shown());
        terminal.shows("Logged in as user 1000.", 1);
        decoy.assert_unseen();
    }
}

/// On a machine without a way over IPv4.
#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_used_where_ipv4_leads_nowhere() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        support::skipped("no IPv6 on loopback");
        return;
    };
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let home = Home::new(&telegram);
    let mut session = telegram.session();
    let SocketAddr::V6(ipv6) = listener.local_addr().expect("its address") else { panic!("not IPv6") };
    for dc in session.dcs.iter_mut().filter(|dc| dc.id == session.home_dc) {
        forward(listener.try_clone().expect("the listener"), dc.ipv4.into());
        dc.ipv6 = Some(ipv6);
        dc.ipv4.set_port(nobody().port());
    }
    write_session(&home.data().join("account.session"), &session).expect("write the session");
    let report = Report::by(home.command());
    report.has("Telegram", "ok", &format!("{ipv6} answers"), "");
    report.has("login", "ok", "accepts the session", "");
    let mut daemon = home.start();
    daemon.event("connected", DEADLINE).await;
    is_answered(&telegram, &home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_proxy_takes_over() {
    // Each kind comes first once, and second once.
    for (first, second) in kinds().zip(kinds().skip(1).chain(kinds())) {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let [first, second] = [first, second].map(|kind| ProxyServer::start(kind, None));
        let decoy = Decoy::new();
        let mut home = decoy.home(&telegram, &[&first, &second]);
        home.set("PROXY", &format!("{},{}", first.url(), second.url()));
        let mut daemon = home.start();
        daemon.event("connected", DEADLINE).await;
        is_answered(&telegram, &home).await;
        assert_eq!(second.asked(), [""; 0], "the first one works");
        first.kill();
        daemon.event("proxy_changed", DEADLINE).await;
        is_answered(&telegram, &home).await;
        decoy.assert_unseen();
        all_came_from(&telegram, &[&first, &second]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_which_proxy_fails_and_why() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let [socks, http] = BOTH.map(|kind| ProxyServer::start(kind, Some(("me", "hunter2"))));
    let decoy = Decoy::new();
    let mut home = decoy.home(&telegram, &[&socks, &http]);
    let nobody = nobody();
    let wrong = |proxy: &ProxyServer| proxy.url().replace("hunter2", "wrong");
    home.set("PROXY", &format!("{},{},socks5://{nobody}", wrong(&socks), wrong(&http)));
    let report = Report::by(home.command());
    for says in [
        format!("socks5://{}: it refuses the user or the password", socks.address()),
        format!("http://{}: it wants another user or password", http.address()),
        format!("socks5://{nobody}: Connection refused"),
    ] {
        report.has("Telegram", "fail", &says, "PROXY");
    }
    decoy.assert_unseen();
}

/// A port on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_with_an_mtproxy() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let [plain, tls, works] = [Disguise::None, Disguise::Tls, Disguise::Padding]
        .map(|it| ProxyServer::start(Kind::MtProxy(it), None));
    let decoy = Decoy::new();
    let mut home = decoy.home(&telegram, &[&plain, &tls, &works]);
    let shown = |proxy: &ProxyServer| format!("tg://proxy?server=127.0.0.1&port={}", proxy.address().port());
    let strangers_key = "00".repeat(KEY.len());
    let domain: String = DOMAIN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let wrong = [
        format!("{}&secret={strangers_key}", shown(&plain)),
        format!("{}&secret=ee{strangers_key}{domain}", shown(&tls)),
        format!("tg://proxy?server=127.0.0.1&port={}&secret=dd{strangers_key}", nobody().port()),
    ];
    let says = [
        format!("{}: it takes the connection, but Telegram does not answer through it", shown(&plain)),
        "an MTProxy that does not know the secret does not answer either".to_owned(),
        format!("{}: what answers there is not the MTProxy of this secret", shown(&tls)),
        "Connection refused".to_owned(),
    ];
    home.set("PROXY", &wrong.join(","));
    let report = Report::by(home.command());
    for says in &says {
        report.has("Telegram", "fail", says, "PROXY");
    }
    // The clock is not to blame where Telegram was reached and said the time.
    home.set("PROXY", &format!("{},{}", wrong.join(","), works.url()));
    let report = Report::by(home.command());
    for says in &says {
        report.has("Telegram", "warn", says, "PROXY");
    }
    report.has("Telegram", "warn", &format!("through {}, but", shown(&works)), "PROXY");
    report.has("login", "ok", "accepts the session", "");
    decoy.assert_unseen();
}

/// A proxy in Python that nobody here wrote; ended when dropped.
struct Foreign {
    process: Child,
    output: BufReader<ChildStdout>,
    first_line: String,
}

impl Foreign {
    /// Starts `command`, which says something once it listens.
    fn start(command: &mut Command) -> Self {
        let command = command.env("PYTHONUNBUFFERED", "1").stdout(Stdio::piped());
        let mut process = command.spawn().expect("start the proxy");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut first_line = String::new();
        output.read_line(&mut first_line).expect("its first line");
        Self { process, output, first_line }
    }

    /// Ends it, and returns what it has said.
    fn end(mut self) -> String {
        self.process.kill().expect("end the proxy");
        let mut said = String::new();
        self.output.read_to_string(&mut said).expect("what it has said");
        said
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// pproxy from PyPI, which speaks both on one port.
#[tokio::test(flavor = "multi_thread")]
async fn socks5_and_http_proxies_that_others_wrote_are_understood() {
    let python = match python::with_packages(env!("CARGO_TARGET_TMPDIR"), &["pproxy==2.7.9"]) {
        Ok(python) => python,
        Err(why) => return support::skipped(format!("pproxy cannot be installed: {why}")),
    };
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let params = telegram.session();
    let home_dc = params.dcs.iter().find(|dc| dc.id == params.home_dc).expect("its home datacentre");
    for scheme in ["socks5", "http"] {
        let address = nobody();
        let listen = format!("{scheme}://{address}#me:hunter2");
        let proxy = Foreign::start(Command::new(&python).args(["-m", "pproxy", "-v", "-l", &listen]));
        let mut home = Home::new(&telegram);
        home.set("PROXY", &format!("{scheme}://me:hunter2@{address}"));
        Report::by(home.command()).has("login", "ok", "accepts the session", "");
        let mut daemon = home.start();
        daemon.event("connected", DEADLINE).await;
        all_are_answered(&telegram, &home, (0..20).map(|_| voice())).await;
        all_are_answered(&telegram, &home, [large()]).await;
        assert!(daemon.stop().await.0.success());
        let (target, said) = (format!("-> {}", home_dc.ipv4), proxy.end());
        assert!(said.contains(&target), "{said}");
    }
}

/// mtprotoproxy from PyPI, which implements MTProto's side itself, and all three disguises.
#[tokio::test(flavor = "multi_thread")]
async fn an_mtproxy_that_others_wrote_is_understood() {
    let packages = ["mtprotoproxy==1.0.6", "pycryptodome==3.24.1"];
    let python = match python::with_packages(env!("CARGO_TARGET_TMPDIR"), &packages) {
        Ok(python) => python,
        Err(why) => return support::skipped(format!("mtprotoproxy cannot be installed: {why}")),
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let params = telegram.session();
    let address = |id: i32| {
        let dc = params.dcs.iter().find(|dc| dc.id == id);
        dc.map_or_else(|| nobody().to_string(), |dc| dc.ipv4.to_string())
    };
    let proxy = Foreign::start(
        Command::new(python)
            .arg("tests/proxies/serve_mtprotoproxy.py")
            .args([hex(&KEY), DOMAIN.to_owned()])
            .args((1..=5).map(address)),
    );
    let port: u16 = proxy.first_line.trim().parse().expect("its port");
    let secrets =
        [hex(&KEY), format!("dd{}", hex(&KEY)), format!("ee{}{}", hex(&KEY), hex(DOMAIN.as_bytes()))];
    for secret in secrets {
        let decoy = Decoy::new();
        let mut home = decoy.home(&telegram, &[]);
        let link = format!("https://t.me/proxy?server=127.0.0.1&port={port}&secret={secret}");
        home.set("PROXY", &link);
        let mut daemon = home.start();
        daemon.event("connected", DEADLINE).await;
        all_are_answered(&telegram, &home, (0..20).map(|_| voice())).await;
        // From the home datacentre and from another one.
        all_are_answered(&telegram, &home, [2, 4].map(|dc| large().in_dc(dc))).await;
        assert!(daemon.stop().await.0.success());
        decoy.assert_unseen();
        // With another key it hands us over to nobody, or says nothing.
        home.set("PROXY", &link.replace(&hex(&KEY), &"00".repeat(KEY.len())));
        Report::by(home.command()).has("Telegram", "fail", "secret", "PROXY");
    }
}

/// Telethon shows that the tests' own MTProxy is one. It has no disguise as TLS.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_gets_along_with_the_mtproxy_of_the_tests() {
    let python = match python::with_packages(env!("CARGO_TARGET_TMPDIR"), &["telethon==1.45.0"]) {
        Ok(python) => python,
        Err(why) => return support::skipped(format!("Telethon cannot be installed: {why}")),
    };
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let params = telegram.session();
    let home = params.dcs.iter().find(|dc| dc.id == params.home_dc).expect("its home datacentre");
    for disguise in [Disguise::None, Disguise::Padding] {
        let proxy = ProxyServer::start(Kind::MtProxy(disguise), None);
        proxy.lead(format!("dc {}", home.id), home.ipv4.into());
        let output = Command::new(&python)
            .arg("tests/proxies/check_with_telethon.py")
            .args([proxy.address().port().to_string(), disguise.secret(), home.id.to_string()])
            .arg(home.auth_key.as_deref().expect("its key"))
            .output()
            .expect("run Python");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("all is well"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_model_is_fetched_through_the_proxy_that_curl_would_take() {
    use stenogram::speech::models::SILERO_VAD;
    use support::http::{Reply, Server};
    use support::speech::VAD;

    let file = std::fs::read(VAD).expect("the weights");
    let mirror = Server::start(move |request, _| Reply::file(request, &file, "\"1\""));
    let mirror_address: SocketAddr =
        mirror.url()["http://".len()..].trim_end_matches("/models/").parse().expect("its address");
    let pull = |variables: &[(&str, &str)]| {
        let mut home = Home::empty();
        // A name that only the proxy can look up.
        home.set("MODEL_URL", "http://models.invalid:8000/");
        let mut command = home.command();
        command.envs(variables.iter().copied()).args(["models", "pull", "silero-v5.1.2"]);
        let output = command.output().expect("run stenogram");
        let is_there = SILERO_VAD.path(&home.path().join("models")).exists();
        (is_there, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let proxy = ProxyServer::start(Kind::Socks5, Some(("me", "hunter2")));
    proxy.lead("models.invalid:8000", mirror_address);
    for url in [proxy.url(), proxy.url().replace("socks5:", "socks5h:")] {
        let (is_there, stderr) = pull(&[("ALL_PROXY", &url)]);
        assert!(is_there, "{stderr}");
    }
    let (is_there, stderr) = pull(&[("ALL_PROXY", "socks9://me:hunter2@127.0.0.1:1")]);
    assert!(!is_there && stderr.contains("[download-proxy]"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
}
