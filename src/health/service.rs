//! Notifies systemd when the daemon is ready, of what it does, and that it makes progress:
//! sd_notify(3).
//!
//! Ready means that the queue is open, the model is loaded, and the connection to Telegram is being
//! made. Until then systemd is asked for more time, because the daemon waits for a Redis that is
//! away, however long that takes. While a loop is stuck the watchdog is not fed, and systemd
//! restarts the daemon.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::readiness;
use super::state::HealthState;

/// How often the loops are checked, unless the watchdog wants to be fed more often.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The connection to systemd. Without one, which is when systemd did not start the daemon, nothing
/// is sent.
#[derive(Debug)]
pub struct Service {
    socket: Option<UnixDatagram>,
    check_interval: Duration,
    watchdog: bool,
    ready: AtomicBool,
}

impl Service {
    /// By NOTIFY_SOCKET and WATCHDOG_USEC.
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Self::new(socket.as_deref(), watchdog)
    }

    /// With a `watchdog`, systemd restarts the daemon after this time without a message.
    pub fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let socket = socket.and_then(|path| {
            connect(path).inspect_err(|error| debug!(%error, "systemd cannot be notified")).ok()
        });
        Self {
            socket,
            check_interval: watchdog.map_or(CHECK_INTERVAL, |limit| (limit / 2).min(CHECK_INTERVAL)),
            watchdog: watchdog.is_some(),
            ready: AtomicBool::new(false),
        }
    }

    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.notify(&[NotifyState::Ready]);
    }

    /// Runs `reload`, which reads the configuration again, and notifies systemd before and after.
    /// That makes sense only once the daemon was ready.
    pub fn reloading(&self, reload: impl FnOnce()) {
        let was_ready = self.ready.load(Ordering::Relaxed);
        if was_ready && let Ok(now) = NotifyState::monotonic_usec_now() {
            self.notify(&[NotifyState::Reloading, now]);
        }
        reload();
        if was_ready {
            self.ready();
        }
    }

    pub fn stopping(&self) {
        self.notify(&[NotifyState::Stopping]);
    }

    /// Reports every change of the status, and feeds the watchdog while every loop makes progress.
    /// Returns at once if there is no systemd.
    pub async fn follow(&self, health: &HealthState) {
        if self.socket.is_none() {
            return;
        }
        let mut last_status = String::new();
        let mut ticks = interval(self.check_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_tick = tokio::select! {
                _ = ticks.tick() => true,
                () = health.changed() => false,
            };
            let status = readiness::status(health);
            if status != last_status {
                self.notify(&[NotifyState::Status(&status)]);
                last_status = status;
            }
            if !is_tick || !health.stuck().is_empty() {
                continue;
            }
            if !self.ready.load(Ordering::Relaxed) {
                let microseconds = u32::try_from((self.check_interval * 6).as_micros()).unwrap_or(u32::MAX);
                self.notify(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
            } else if self.watchdog {
                self.notify(&[NotifyState::Watchdog]);
            }
        }
    }

    fn notify(&self, states: &[NotifyState]) {
        let Some(socket) = &self.socket else { return };
        let lines: Vec<String> = states.iter().map(NotifyState::to_string).collect();
        if let Err(error) = socket.send(lines.join("\n").as_bytes()) {
            debug!(%error, "systemd was not notified");
        }
    }
}

/// Connects to a socket, whose name is abstract if it begins with `@` (unix(7)).
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A message is dropped rather than waited for.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
