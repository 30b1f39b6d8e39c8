//! systemd is told when the daemon is ready, what it does, and that it gets on: sd_notify(3).
//!
//! Ready means that the queue is open, the model loaded, and the connection to Telegram being made.
//! Before that a Redis that is away may be waited for as long as it takes, so systemd is asked for
//! more time. The watchdog is told nothing while a loop is stuck, and systemd then ends and
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
use super::vitals::Vitals;

/// How often it is looked whether all gets on, where no watchdog wants to know more often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What systemd hears of the daemon; nothing where it was not started by systemd.
#[derive(Debug)]
pub struct Service {
    socket: Option<UnixDatagram>,
    look_every: Duration,
    watchdog: bool,
    ready: AtomicBool,
}

impl Service {
    /// As NOTIFY_SOCKET and WATCHDOG_USEC say.
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Self::new(socket.as_deref(), watchdog)
    }

    /// `watchdog`: after so long without news the daemon counts as dead.
    pub fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let socket = socket.and_then(|path| {
            connect(path).inspect_err(|error| debug!(%error, "systemd cannot be told anything")).ok()
        });
        Self {
            socket,
            look_every: watchdog.map_or(LOOK_EVERY, |limit| (limit / 2).min(LOOK_EVERY)),
            watchdog: watchdog.is_some(),
            ready: AtomicBool::new(false),
        }
    }

    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
        self.tell(&[NotifyState::Ready]);
    }

    /// The configuration is read again by `reload`. Before it was ever ready that is nobody's
    /// business.
    pub fn reloading(&self, reload: impl FnOnce()) {
        let was_ready = self.ready.load(Ordering::Relaxed);
        if was_ready && let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
        reload();
        if was_ready {
            self.ready();
        }
    }

    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Tells of changes, and that all gets on while it does; ends at once where nobody listens.
    pub async fn follow(&self, vitals: &Vitals) {
        if self.socket.is_none() {
            return;
        }
        let mut told = String::new();
        let mut ticks = interval(self.look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_tick = tokio::select! {
                _ = ticks.tick() => true,
                () = vitals.changed() => false,
            };
            let stuck = vitals.stuck();
            let status = readiness::status(&vitals.facts(), &stuck);
            if status != told {
                self.tell(&[NotifyState::Status(&status)]);
                told = status;
            }
            if !is_tick {
            } else if !self.ready.load(Ordering::Relaxed) && stuck.is_empty() {
                let microseconds = u32::try_from((self.look_every * 6).as_micros()).unwrap_or(u32::MAX);
                self.tell(&[NotifyState::ExtendTimeoutUsec(microseconds)]);
            } else if self.watchdog && stuck.is_empty() {
                self.tell(&[NotifyState::Watchdog]);
            }
        }
    }

    fn tell(&self, states: &[NotifyState]) {
        let Some(socket) = &self.socket else { return };
        let lines: Vec<String> = states.iter().map(NotifyState::to_string).collect();
        if let Err(error) = socket.send(lines.join("\n").as_bytes()) {
            debug!(%error, "systemd was not told");
        }
    }
}

/// A name that begins with `@` is an abstract one (unix(7)).
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // Rather say nothing than wait for whoever should listen.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
