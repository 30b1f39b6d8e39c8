//! What an account is opened with.

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use super::connection::dialer::Dialer;
use super::jobs::spool::SpoolOptions;
use crate::domain::Restriction;
use crate::domain::pacing::SendLimits;

/// How patient an account is with its connection.
#[derive(Clone, Debug)]
pub struct AccountOptions {
    /// The ways to Telegram.
    pub dialer: Dialer,
    pub reconnect: ReconnectDelays,
    /// A request without an answer for this long has failed.
    pub call_timeout: Duration,
    /// The timeout of the first request on a new connection. It is short, because an attempt that
    /// began while the network dropped every packet delays the next one. It doubles with every
    /// failure, up to `call_timeout`, for lines so slow that they need longer.
    pub connect_timeout: Duration,
    /// Pause between two requests when many chats are read, so that they bring no FLOOD_WAIT.
    pub pace: Duration,
    /// Pause between two requests for the server's state. A connection that died silently, a
    /// session that was ended and an update that was lost are noticed after this and
    /// `ping_timeout`.
    pub ping_every: Duration,
    pub ping_timeout: Duration,
    /// Largest recording fetched, in bytes.
    pub max_file_size: u64,
    /// How many bytes the recordings that are being fetched and recognised, and the unfinished
    /// files, may have in memory, all together.
    pub memory: u64,
    /// Where large files are kept over a restart, if they are.
    pub spool: Option<SpoolOptions>,
    /// How many messages are sent.
    pub sends: SendLimits,
    /// How often a send is tried while Telegram does not let the account send.
    pub trials: TrialPauses,
    /// Whether it is stored what users call themselves.
    pub names: bool,
}

impl Default for AccountOptions {
    fn default() -> Self {
        Self {
            dialer: Dialer::default(),
            reconnect: ReconnectDelays::default(),
            call_timeout: Duration::from_secs(30),
            // TCP repeats a lost first packet after 1 s and 3 s. With a pause of 5 s before the
            // next attempt, a link that came back is found within 6 s.
            connect_timeout: Duration::from_secs(4),
            pace: Duration::from_millis(500),
            ping_every: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(15),
            max_file_size: 200 << 20,
            memory: 200 << 20,
            spool: None,
            sends: SendLimits::default(),
            trials: TrialPauses::default(),
            names: false,
        }
    }
}

/// Pauses between attempts to connect: from `first`, doubling, up to `max`.
#[derive(Clone, Copy, Debug)]
pub struct ReconnectDelays {
    pub first: Duration,
    pub max: Duration,
}

impl Default for ReconnectDelays {
    fn default() -> Self {
        Self { first: Duration::from_secs(5), max: Duration::from_secs(300) }
    }
}

impl ReconnectDelays {
    /// A tenth of jitter either way keeps many daemons from reconnecting at the same moment.
    pub(super) fn backoff(self) -> ExponentialBackoff {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_max_interval(self.max)
            .with_multiplier(2.0)
            .with_randomization_factor(0.1)
            .with_max_elapsed_time(None)
            .build()
    }
}

/// Pauses before a send is tried again while the account is restricted.
#[derive(Clone, Copy, Debug)]
pub struct TrialPauses {
    /// The first pause for a frozen account; the next ones double.
    pub first: Duration,
    /// The longest pause, and the only one for an account that is limited for spam: trying more
    /// often prolongs that limit.
    pub max: Duration,
}

impl Default for TrialPauses {
    fn default() -> Self {
        Self { first: Duration::from_secs(3600), max: Duration::from_secs(6 * 3600) }
    }
}

impl TrialPauses {
    pub(super) fn after(self, why: Restriction, failures: u32) -> Duration {
        match why {
            Restriction::Frozen => self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.max),
            Restriction::SpamLimited => self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use backoff::backoff::Backoff as _;

    use super::*;

    #[test]
    fn a_connection_that_died_silently_is_noticed_within_a_minute() {
        let options = AccountOptions::default();
        assert!(options.ping_every + options.ping_timeout <= Duration::from_secs(60));
    }

    #[test]
    fn delays_double_from_the_first_to_the_longest_and_start_over() {
        let mut backoff = ReconnectDelays::default().backoff();
        let mut next = || backoff.next_backoff().expect("never gives up").as_secs_f64();
        for expected in [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0] {
            let delay = next();
            assert!((expected * 0.9..=expected * 1.1).contains(&delay), "{delay} for {expected}");
        }
        backoff.reset();
        assert!(backoff.next_backoff().expect("never gives up").as_secs_f64() < 6.0);
    }
}
