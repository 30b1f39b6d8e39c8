//! What systemd hears, on a real socket.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_telegram::Telegram;
use stenogram::health::HealthState;
use stenogram::health::service::Service;
use stenogram::runtime::pulse::Pulse;
use support::daemon::Home;

use super::DEADLINE;

/// systemd's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(at: &Path) -> Self {
        let socket = UnixDatagram::bind(at).expect("bind the socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
        Self(socket)
    }

    /// What comes next.
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).expect("a message in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Everything up to the first message that is as `holds` wants it, this included.
    fn until(&self, what: &str, holds: impl Fn(&str) -> bool) -> Vec<String> {
        let (start, mut heard) = (Instant::now(), Vec::new());
        loop {
            heard.push(self.next());
            if holds(&heard[heard.len() - 1]) {
                return heard;
            }
            assert!(start.elapsed() < DEADLINE, "no {what:?} in {heard:?}");
        }
    }

    fn until_told(&self, message: &str) -> Vec<String> {
        self.until(message, |heard| heard == message)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_tells_of_its_start_its_work_a_reload_and_its_end() {
    let telegram = Telegram::start().await.expect("start the loopback Telegram");
    let mut home = Home::new(&telegram);
    let socket = home.path().join("notify");
    let manager = Manager::listen(&socket);
    home.set("NOTIFY_SOCKET", socket.to_str().expect("UTF-8"));
    home.set("WATCHDOG_USEC", "400000");
    let mut daemon = home.start();

    let before = manager.until_told("READY=1");
    assert!(!before.contains(&"WATCHDOG=1".to_owned()), "{before:?}");
    assert!(before.iter().any(|heard| heard.starts_with("EXTEND_TIMEOUT_USEC=")), "{before:?}");
    manager.until_told("STATUS=Connected, waiting for voice messages");
    manager.until_told("WATCHDOG=1");

    // An outage is no reason to be ended.
    telegram.go_down().await;
    manager.until_told("STATUS=Not connected to Telegram, trying");
    manager.until_told("WATCHDOG=1");
    telegram.come_back().await.expect("come back");
    manager.until_told("STATUS=Connected, waiting for voice messages");

    daemon.signal(1);
    let reloading = manager.until("RELOADING=1", |heard| heard.starts_with("RELOADING=1\n"));
    let (_, clock) = reloading[reloading.len() - 1].split_once("\nMONOTONIC_USEC=").expect("a time");
    assert!(clock.trim().parse::<u64>().is_ok_and(|clock| clock > 0), "{clock}");
    manager.until_told("READY=1");

    daemon.signal(15);
    manager.until_told("STOPPING=1");
    let status = daemon.ends(DEADLINE).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_hears_nothing_while_something_is_stuck() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = folder.path().join("notify");
    let manager = Manager::listen(&socket);
    let service = Arc::new(Service::new(Some(socket.as_os_str()), Some(Duration::from_millis(100))));
    let (health, pulse) = (Arc::new(HealthState::new(&[])), Pulse::default());
    health.watch("worker", pulse.clone());
    service.ready();
    let (follower, facts) = (Arc::clone(&service), Arc::clone(&health));
    tokio::spawn(async move { follower.follow(&facts).await });
    manager.until_told("WATCHDOG=1");

    pulse.beat(Duration::ZERO);
    manager.until_told("STATUS=The worker is stuck");
    // Tells and is looked at again, in vain.
    for name in ["one", "two", "three"] {
        health.model_loaded(name.into());
    }
    manager.0.set_read_timeout(Some(Duration::from_secs(1))).expect("set a deadline");
    let mut bytes = [0; 4096];
    let silence =
        manager.0.recv(&mut bytes).map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned());
    assert!(silence.is_err(), "{silence:?}");

    manager.0.set_read_timeout(Some(DEADLINE)).expect("set a deadline");
    pulse.beat(Duration::from_secs(3600));
    manager.until_told("WATCHDOG=1");
}

#[tokio::test]
async fn without_systemd_there_is_nothing_to_follow() {
    let ended = Service::new(None, None).follow(&HealthState::new(&[])).await;
    assert_eq!(ended, ());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nobody = folder.path().join("nobody");
    Service::new(Some(nobody.as_os_str()), Some(Duration::from_secs(1))).follow(&HealthState::new(&[])).await;
}
