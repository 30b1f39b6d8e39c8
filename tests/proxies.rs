//! Telegram and models through proxies: the real binary, proxies on loopback, and addresses to
//! which only the proxies know the way.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fake_telegram::{Chat, Draft, FRIEND, Telegram, write_session};
use support::daemon::Home;
use support::doctor::Report;
use support::proxy::{Kind, ProxyServer, forward};

const DEADLINE: Duration = Duration::from_secs(90);
const FRIENDS_CHAT: Chat = Chat::User(FRIEND);
const BOTH: [Kind; 2] = [Kind::Socks5, Kind::Http];

fn voice() -> Draft {
    Draft::voice(std::fs::read("tests/fixtures/voices/en-1.ogg").expect("a voice message"), 2)
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
        }
        home
    }

    fn assert_unseen(&self) {
        assert_eq!(self.callers.load(Ordering::Relaxed), 0, "something went past the proxy");
    }
}

/// Sends a voice message and waits for the answer.
async fn is_answered(telegram: &Telegram, home: &Home) {
    let message = telegram.send(FRIENDS_CHAT, voice());
    if let Err(late) = telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await {
        panic!("{late}\n{}", home.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_through_the_proxy() {
    for kind in BOTH {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let proxy = ProxyServer::start(kind, Some(("me", "hunter2")));
        let decoy = Decoy::new();
        let mut home = decoy.home(&telegram, &[&proxy]);
        home.set("PROXY", &proxy.url());
        Report::by(home.command()).has("login", "ok", "accepts the session", "");
        let mut daemon = home.start();
        daemon.event("connected", DEADLINE).await;
        is_answered(&telegram, &home).await;
        // Cut off, it comes back by itself, and answers what was said meanwhile.
        proxy.kill();
        let message = telegram.send(FRIENDS_CHAT, voice());
        proxy.revive();
        if let Err(late) = telegram.wait_for_reply(FRIENDS_CHAT, message, DEADLINE).await {
            panic!("{late}\n{}", home.log());
        }
        assert!(proxy.asked().contains(&decoy.address.to_string()), "{:?}", proxy.asked());
        decoy.assert_unseen();
        assert!(!home.log().contains("hunter2"), "the password is in the log");
        // What is stored is the address that Telegram has announced meanwhile, not that of a bridge.
        let session = std::fs::read_to_string(home.data().join("account.session")).expect("the session");
        let real = telegram.session().dcs[0].ipv4.to_string();
        assert!(session.contains(&real), "{session}");
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
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let SocketAddr::V6(ipv6) = listener.local_addr().expect("its address") else { panic!("not IPv6") };
    for dc in session.dcs.iter_mut().filter(|dc| dc.id == session.home_dc) {
        forward(listener.try_clone().expect("the listener"), dc.ipv4.into());
        dc.ipv6 = Some(ipv6);
        dc.ipv4.set_port(nobody.port());
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
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let [first, second] = BOTH.map(|kind| ProxyServer::start(kind, None));
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
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_which_proxy_fails_and_why() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let [socks, http] = BOTH.map(|kind| ProxyServer::start(kind, Some(("me", "hunter2"))));
    let decoy = Decoy::new();
    let mut home = decoy.home(&telegram, &[&socks, &http]);
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
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
