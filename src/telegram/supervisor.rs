//! Keeps an account connected: connects, proves the connection, serves, and starts over under
//! backoff when the connection has ended.

use std::sync::Arc;
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use grammers_client::tl;
use grammers_client::tl::types::updates::State;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::account::Account;
use super::connection::clock::{self, ClockAhead, ClockError, check_clock};
use super::connection::error::CallError;
use super::connection::link::{LATE_AFTER, Link, STALL_LIMIT};
use super::connection::logout::LoggedOut;
use super::connection::pool::Pool;
use super::connection::rpc_error::Meaning;
use super::context::AccountContext;
use super::options::AccountOptions;
use super::problems::{
    CREDENTIALS_REFUSED, FLOOD_WAIT, KEY_EXCHANGE_FAILED, TELEGRAM_TROUBLE, TELEGRAM_UNREACHABLE,
};
use super::updates::error::UpdatesEnded;
use super::updates::event_sink::EventSink;
use super::updates::update_loop::UpdateLoop;

/// The clocks are not compared again within this time: over a slow line every answer may be late.
const COMPARE_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How one connection ended.
enum Outcome {
    Lost(String),
    /// Telegram demands that nothing is asked for this long.
    Wait(Duration, String),
    LoggedOut(LoggedOut),
    /// Telegram would refuse every message until this machine's clock is set.
    Clock(ClockAhead),
}

impl From<CallError> for Outcome {
    fn from(error: CallError) -> Self {
        match (error.logged_out(), error.meaning()) {
            (Some(name), _) => Self::LoggedOut(LoggedOut(name.to_owned())),
            (None, Some(Meaning::Wait { time, .. })) => Self::Wait(time, FLOOD_WAIT.tag(error)),
            (None, Some(Meaning::InvalidApplication)) => Self::Lost(CREDENTIALS_REFUSED.tag(error)),
            (None, Some(_)) => Self::Lost(TELEGRAM_TROUBLE.tag(error)),
            (None, None) if matches!(error, CallError::KeyExchange(_)) => {
                Self::Lost(KEY_EXCHANGE_FAILED.tag(error))
            }
            (None, None) => Self::Lost(TELEGRAM_UNREACHABLE.tag(error)),
        }
    }
}

/// What changes from one attempt to connect to the next.
#[derive(Clone)]
struct ReconnectState {
    pauses: ExponentialBackoff,
    /// Timeout of the first request.
    limit: Duration,
}

impl ReconnectState {
    fn new(options: &AccountOptions) -> Self {
        Self { pauses: options.reconnect.backoff(), limit: options.connect_timeout }
    }

    fn succeeded(&mut self, options: &AccountOptions) {
        self.pauses.reset();
        self.limit = options.connect_timeout;
    }

    fn failed(&mut self, options: &AccountOptions) -> Duration {
        self.limit = (self.limit * 2).min(options.call_timeout);
        self.pauses.next_backoff().unwrap_or(options.reconnect.max)
    }
}

impl Account {
    /// Keeps the account connected until `shutdown`, and hands every event to `sink`. The position
    /// in the stream of updates is stored as [`EventSink::take`] describes.
    pub async fn run(&self, sink: &impl EventSink, shutdown: CancellationToken) -> Result<(), LoggedOut> {
        let options = &self.context.options;
        let mut attempts = ReconnectState::new(options);
        loop {
            self.context.pulses.updates.beat(STALL_LIMIT);
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => None,
                outcome = self.connect_and_serve(sink, &mut attempts) => Some(outcome),
            };
            self.clock.send_replace(match &outcome {
                Some(Outcome::Clock(ahead)) => Some(*ahead),
                _ => None,
            });
            if let Some(link) = self.link.send_replace(None) {
                // Calls in progress would otherwise wait for their timeouts.
                link.close();
            }
            let (at_least, why) = match outcome {
                None => return Ok(()),
                Some(Outcome::LoggedOut(error)) => {
                    return Err(self.context.logout.name().map_or(error, LoggedOut));
                }
                Some(Outcome::Wait(wait, why)) => (wait, why),
                Some(Outcome::Lost(why)) => (Duration::ZERO, why),
                Some(Outcome::Clock(ahead)) => (Duration::ZERO, ahead.to_string()),
            };
            let delay = attempts.failed(options).max(at_least);
            warn!(
                event = "disconnected",
                reason = why,
                "Connection lost, next try in {:.0} s",
                delay.as_secs_f32()
            );
            self.context.pulses.updates.beat(delay + STALL_LIMIT);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(delay) => {}
            }
        }
    }

    async fn connect_and_serve(&self, sink: &impl EventSink, attempts: &mut ReconnectState) -> Outcome {
        let AccountContext { session, options, api_id, .. } = &*self.context;
        match check_clock(session.home_addresses(), attempts.limit, &options.dialer).await {
            Ok(Some(clock)) => clock.warn(),
            Ok(None) => {}
            Err(ClockError::Ahead(ahead)) => return Outcome::Clock(ahead),
            Err(ClockError::Unreachable(error)) => return Outcome::Lost(TELEGRAM_UNREACHABLE.tag(error)),
        }
        let (pool, runner, updates) =
            Pool::open(Arc::clone(session), *api_id, options.call_timeout, &options.dialer);
        let link = Arc::new(Link::new(Arc::clone(&self.context), pool));
        // This proves the login, and makes the server push updates to this connection.
        let asked = Instant::now();
        let request = tl::functions::updates::GetState {};
        let state = match link.call_within(attempts.limit, &request).await {
            Ok(tl::enums::updates::State::State(state)) => state,
            Err(error) => return error.into(),
        };
        let before = attempts.clone();
        attempts.succeeded(options);
        self.context.logout.refute(asked);
        info!(event = "connected", "Connection established");
        self.link.send_replace(Some(Arc::clone(&link)));

        let states = watch::Sender::new(None);
        let updates = UpdateLoop::new(&link, sink, updates, states.subscribe(), state);
        tokio::select! {
            ended = updates.run() => match ended {
                UpdatesEnded::Call(error) => {
                    if error.is_refusal() {
                        // Every new connection would end in the same way, so the pauses grow.
                        *attempts = before;
                    }
                    error.into()
                }
                UpdatesEnded::Closed => Outcome::Lost("the server closed the connection".into()),
                UpdatesEnded::SinkRejected => Outcome::Lost("new recordings could not be queued".into()),
                // For example a full disk. Nothing is lost, because the batch comes again.
                UpdatesEnded::Session(error) => Outcome::Lost(error.to_string()),
            },
            outcome = self.keep_alive(&link, &states) => outcome,
            seconds = clock::wait_for_forward_jump() => {
                Outcome::Lost(format!("this machine's clock was put forward by {seconds} s, or the machine was asleep"))
            }
            never = async {
                link.ask_whether_frozen().await;
                std::future::pending().await
            } => never,
            _ = runner => Outcome::Lost("the connection's task ended unexpectedly".into()),
        }
    }

    /// Asks for the server's state at intervals, and passes it on to `states`. Returns once the
    /// connection is dead or the session has ended. A ping would not do: the server answers it
    /// without a login too.
    async fn keep_alive(&self, link: &Link, states: &watch::Sender<Option<State>>) -> Outcome {
        let options = &self.context.options;
        let mut ask_from = Instant::now();
        let mut compared = None;
        let mut next = Instant::now() + options.ping_every;
        loop {
            let compare_after = tokio::select! {
                () = sleep_until(next) => LATE_AFTER,
                () = link.recheck.notified() => LATE_AFTER,
                () = link.late.notified() => Duration::ZERO,
            };
            if compare_after.is_zero() && is_recent(compared) {
                continue;
            }
            let asked = Instant::now();
            next = asked + options.ping_every;
            let answer = tokio::select! {
                answer = ask(link, options.ping_timeout, asked >= ask_from) => answer,
                ahead = self.clock_ahead(compare_after, &mut compared) => return Outcome::Clock(ahead),
            };
            match answer {
                Ok(None) => {}
                Ok(state) => {
                    self.context.logout.refute(asked);
                    states.send_replace(state);
                }
                // Every answer other than "logged out" shows that the connection works.
                Err(error @ CallError::Rpc { .. }) if error.logged_out().is_none() => {
                    ask_from = Instant::now() + error.wait().unwrap_or_default();
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Compares the clocks after `compare_after`, unless they were `compared` recently. Returns
    /// only if ours is so far ahead that Telegram refuses it. A clock without NTP can gain seconds
    /// every day, and grammers would repeat a refused request with every round trip.
    async fn clock_ahead(&self, compare_after: Duration, compared: &mut Option<Instant>) -> ClockAhead {
        sleep(compare_after).await;
        if !is_recent(*compared) {
            *compared = Some(Instant::now());
            let AccountContext { session, options, .. } = &*self.context;
            let clock = check_clock(session.home_addresses(), options.ping_timeout, &options.dialer).await;
            if let Err(ClockError::Ahead(ahead)) = clock {
                return ahead;
            }
        }
        std::future::pending().await
    }
}

/// Whether the clocks were compared so recently that they are not compared again.
fn is_recent(compared: Option<Instant>) -> bool {
    compared.is_some_and(|compared| compared.elapsed() < COMPARE_AGAIN_AFTER)
}

/// Asks for the server's state, or only pings the server.
async fn ask(link: &Link, limit: Duration, for_state: bool) -> Result<Option<State>, CallError> {
    if for_state {
        let request = tl::functions::updates::GetState {};
        let tl::enums::updates::State::State(state) =
            link.pool.call_within(limit, link.home, &request).await?;
        Ok(Some(state))
    } else {
        let request = tl::functions::Ping { ping_id: 0 };
        link.pool.call_within(limit, link.home, &request).await?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_gets_more_time_with_every_failure() {
        let options = AccountOptions::default();
        let mut attempts = ReconnectState::new(&options);
        let mut limits = Vec::new();
        for _ in 0..5 {
            limits.push(attempts.limit.as_secs());
            attempts.failed(&options);
        }
        assert_eq!(limits, [4, 8, 16, 30, 30]);
        attempts.succeeded(&options);
        assert_eq!(attempts.limit, options.connect_timeout);
    }
}
