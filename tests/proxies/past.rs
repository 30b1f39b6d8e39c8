//! Nothing goes past a configured proxy, the look-up of a name included: strace sees every connection
//! and every packet of the program and its children.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use stenogram::speech::models::SILERO_VAD;
use support::http::{Reply, Server};
use support::speech::VAD;

use super::*;

/// To whom something was sent, other than through a connection that was listed before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Addressee {
    Host(SocketAddr),
    /// A socket in the file system, such as that of a daemon that looks up names.
    File(String),
}

/// What strace has written: calls with addresses.
struct Trace {
    addressees: BTreeSet<Addressee>,
    /// The ports on which the program itself has waited for connections.
    own_ports: BTreeSet<u16>,
}

impl Trace {
    fn of(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("what strace has seen");
        let mut trace = Self { addressees: BTreeSet::new(), own_ports: BTreeSet::new() };
        for line in text.lines() {
            let host = host(line);
            if line.contains("getsockname(") {
                trace.own_ports.extend(host.map(|host| host.port()));
            } else if let Some(host) = host {
                trace.addressees.insert(Addressee::Host(host));
            } else if let Some(path) = between(line, "sun_path=\"", "\"") {
                trace.addressees.insert(Addressee::File(path.to_owned()));
            }
        }
        trace
    }

    /// Whom else than these, and itself, the program has sent anything.
    fn others(&self, known: &[SocketAddr]) -> Vec<&Addressee> {
        let is_other = |addressee: &&Addressee| match addressee {
            Addressee::Host(host) => {
                let is_own = host.ip().is_loopback() && self.own_ports.contains(&host.port());
                !is_own && !known.contains(host)
            }
            Addressee::File(_) => true,
        };
        self.addressees.iter().filter(is_other).collect()
    }
}

/// The address in a line such as
/// `connect(9, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.1")}, 16) = 0`.
fn host(line: &str) -> Option<SocketAddr> {
    let port = between(line, "_port=htons(", ")")?.parse().ok()?;
    let ip = between(line, "inet_addr(\"", "\"").or_else(|| between(line, "inet_pton(AF_INET6, \"", "\""))?;
    Some(SocketAddr::new(ip.parse().ok()?, port))
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// The same command, watched by strace, which writes to `trace`. With `-D` among the `options` the
/// program stays the child that the command is, and strace ends after it.
fn watched(command: &Command, trace: &Path, options: &[&str]) -> Command {
    let mut watched = Command::new("strace");
    watched.args(options).args(["-f", "-q", "-e", "signal=none", "-s", "0", "-e"]);
    watched.arg("trace=connect,sendto,sendmsg,sendmmsg,getsockname").arg("-o").arg(trace).arg("--");
    watched.arg(command.get_program()).args(command.get_args()).env_clear();
    watched.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    watched.current_dir(command.get_current_dir().expect("the command has a folder"));
    watched
}

fn has_strace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        support::skipped("strace is not here, or may not watch other programs");
    }
    works
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_is_asked_through_the_proxy_alone() {
    if !has_strace() {
        return;
    }
    let plain = Kind::Socks5;
    for (kind, scheme) in kinds().map(|kind| (kind, None)).chain([(plain, Some("socks5h:"))]) {
        let telegram = Telegram::start().await.expect("start the loopback Telegram");
        let proxy = ProxyServer::start(kind, Some(("me", "hunter2")));
        let decoy = Decoy::new();
        let mut home = decoy.home(&telegram, &[&proxy]);
        let url = match scheme {
            Some(scheme) => proxy.url().replace("socks5:", scheme),
            None => proxy.url(),
        };
        home.set("PROXY", &url);
        let trace = home.path().join("trace");
        let mut daemon = home.start_as(&mut watched(&home.command(), &trace, &["-D"]));
        daemon.event("connected", DEADLINE).await;
        is_answered(&telegram, &home).await;
        let pid = daemon.pid().to_string();
        let is_end = |line: &str| line.split_whitespace().take(3).eq([&*pid, "+++", "exited"]);
        assert!(daemon.stop().await.0.success());
        let is_whole = async {
            while !fs::read_to_string(&trace).is_ok_and(|text| text.lines().any(is_end)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, is_whole).await.expect("strace writes all that it has seen");
        let trace = Trace::of(&trace);
        assert!(
            trace.addressees.contains(&Addressee::Host(proxy.address())),
            "{url}: {:?}",
            trace.addressees
        );
        let others = trace.others(&[proxy.address()]);
        assert!(others.is_empty(), "{others:?} past {url}");
        decoy.assert_unseen();
    }
}

/// A name is looked up by the proxy, and on this machine only where there is none.
#[test]
fn the_names_of_mirrors_are_looked_up_by_the_proxy_alone() {
    if !has_strace() {
        return;
    }
    let file = fs::read(VAD).expect("the weights");
    let mirror = Server::start(move |request, _| Reply::file(request, &file, "\"1\""));
    let address = mirror.url()["http://".len()..].trim_end_matches("/models/").parse().expect("its address");
    let pull = |variables: &[(&str, &str)]| {
        let mut home = Home::empty();
        home.set("MODEL_URL", "http://models.invalid:8000/");
        let mut command = home.command();
        command.envs(variables.iter().copied()).args(["models", "pull", "silero-v5.1.2"]);
        let path = home.path().join("trace");
        let output = watched(&command, &path, &[]).output().expect("run stenogram");
        let is_there = SILERO_VAD.path(&home.path().join("models")).exists();
        assert_eq!(output.status.success(), is_there, "{}", String::from_utf8_lossy(&output.stderr));
        (is_there, Trace::of(&path))
    };
    for kind in BOTH {
        let proxy = ProxyServer::start(kind, Some(("me", "hunter2")));
        proxy.lead("models.invalid:8000", address);
        for url in [proxy.url(), proxy.url().replace("socks5:", "socks5h:")] {
            let (is_there, trace) = pull(&[("ALL_PROXY", &url)]);
            assert!(is_there, "{url}");
            let others = trace.others(&[proxy.address()]);
            assert!(others.is_empty(), "{others:?} past {url}");
        }
    }
    let (is_there, trace) = pull(&[]);
    assert!(!is_there && !trace.others(&[]).is_empty(), "the look-up is seen: {:?}", trace.addressees);
}
