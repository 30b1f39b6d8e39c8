//! Keeps an account connected: connect, prove it, serve, and when it ends, again under backoff.

use std::sync::Arc;
use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use grammers_client::tl;
use grammers_client::tl::types::updates::State;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::account::{Account, AccountOptions};
use super::clock::{self, ClockAhead, ClockError};
use super::connection::{CallError, DOUBT, Link, Pool, STEP};
use super::recipient::Recipient;
use super::updates::{UpdateLoop, UpdatesEnded};
use crate::home::typed;

/// How long a comparison of the clocks holds. Over a slow line every answer may be late.
const COMPARED_FOR: Duration = Duration::from_secs(30);

/// Pauses between tries to connect: from `first`, doubling, up to `max`.
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
    /// A tenth of jitter either way, so that many daemons do not come back in one moment.
    fn backoff(self) -> ExponentialBackoff {
        ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_max_interval(self.max)
            .with_multiplier(2.0)
            .with_randomization_factor(0.1)
            .with_max_elapsed_time(None)
            .build()
    }
}

/// Telegram does not accept the session any more; holds the name of its error.
#[derive(Debug, thiserror::Error)]
#[error("{}", logged_out_message(.0))]
pub struct LoggedOut(pub String);

fn logged_out_message(error: &str) -> String {
    let what = match error {
        "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN" | "PHONE_NUMBER_BANNED" => return account_is_gone(error),
        "AUTH_KEY_DUPLICATED" => {
            "the session was used from two places at once, and Telegram has ended it. \
             Make sure that only one copy of it is in use"
        }
        "SESSION_PASSWORD_NEEDED" => {
            "the login was not finished: Telegram still wants the account's password"
        }
        "AUTH_KEY_PERM_EMPTY" => "Telegram does not accept the session's key as a permanent one",
        _ => "the account is logged out: the session was ended under Settings > Devices, or it expired",
    };
    format!("{what} ({error}). Then run `{}`; what was queued is kept", typed("login"))
}

/// What the owner of an account can do that Telegram has deleted or banned.
pub(super) fn account_is_gone(error: &str) -> String {
    let what = match error {
        "USER_DEACTIVATED" => "the account was deleted",
        _ => "Telegram has banned the account for breaking its rules",
    };
    format!(
        "{what} ({error}). If that is a mistake, write to recover@telegram.org with the phone number; afterwards, or \
         for another account, run `{}`",
        typed("login")
    )
}

/// How one connection ended.
enum Outcome {
    Lost(String),
    /// Telegram wants us to stay away for so long.
    Wait(Duration, String),
    LoggedOut(LoggedOut),
    /// Telegram would refuse everything until somebody sets the clock.
    Clock(ClockAhead),
}

impl From<CallError> for Outcome {
    fn from(error: CallError) -> Self {
        match (error.logged_out(), error.wait()) {
            (Some(name), _) => Self::LoggedOut(LoggedOut(name.to_owned())),
            (None, Some(wait)) => Self::Wait(wait, error.to_string()),
            (None, None) => Self::Lost(error.to_string()),
        }
    }
}

/// What is tried differently after a failure.
#[derive(Clone)]
struct Tries {
    pauses: ExponentialBackoff,
    /// How long the first request may take.
    limit: Duration,
}

impl Tries {
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
    /// Keeps the account connected until `shutdown`, and hands every recording to `to`, whose
    /// documentation says when the position in the stream of updates is stored.
    pub async fn run(&self, to: &impl Recipient, shutdown: CancellationToken) -> Result<(), LoggedOut> {
        let mut tries = Tries::new(&self.options);
        loop {
            self.pulses.updates.beat(STEP);
            let outcome = tokio::select! {
                biased;
                () = shutdown.cancelled() => None,
                outcome = self.connect_and_serve(to, &mut tries) => Some(outcome),
            };
            self.clock.send_replace(match &outcome {
                Some(Outcome::Clock(ahead)) => Some(*ahead),
                _ => None,
            });
            if let Some(link) = self.link.send_replace(None) {
                // Whoever still holds it would wait for its timeout.
                link.close();
            }
            let (at_least, why) = match outcome {
                None => return Ok(()),
                Some(Outcome::LoggedOut(error)) => return Err(self.logout.name().map_or(error, LoggedOut)),
                Some(Outcome::Wait(wait, why)) => (wait, why),
                Some(Outcome::Lost(why)) => (Duration::ZERO, why),
                Some(Outcome::Clock(ahead)) => (Duration::ZERO, ahead.to_string()),
            };
            let delay = tries.failed(&self.options).max(at_least);
            warn!(reason = why, "Connection lost, next try in {:.0} s", delay.as_secs_f32());
            self.pulses.updates.beat(delay + STEP);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(delay) => {}
            }
        }
    }

    async fn connect_and_serve(&self, to: &impl Recipient, tries: &mut Tries) -> Outcome {
        match self.session.check_clock(tries.limit).await {
            Ok(Some(clock)) => clock.warn(),
            Ok(None) => {}
            Err(ClockError::Ahead(ahead)) => return Outcome::Clock(ahead),
            Err(ClockError::Unreachable(error)) => return Outcome::Lost(error.to_string()),
        }
        let (pool, runner, updates) =
            Pool::open(Arc::clone(&self.session), self.api_id, self.options.call_timeout);
        let link = Arc::new(Link::new(self, pool));
        // Proves the login, and makes the server push updates to this connection.
        let asked = Instant::now();
        let request = tl::functions::updates::GetState {};
        let state = match link.call_within(tries.limit, &request).await {
            Ok(tl::enums::updates::State::State(state)) => state,
            Err(error) => return error.into(),
        };
        let before = tries.clone();
        tries.succeeded(&self.options);
        self.logout.refute(asked);
        info!("Connection established");
        self.link.send_replace(Some(Arc::clone(&link)));

        let states = watch::Sender::new(None);
        let updates = UpdateLoop::new(self, &link, updates, states.subscribe(), state);
        tokio::select! {
            ended = updates.run(to) => match ended {
                UpdatesEnded::Call(error) => {
                    if error.is_refusal() {
                        // Each new connection would come as far as this one.
                        *tries = before;
                    }
                    error.into()
                }
                UpdatesEnded::Closed => Outcome::Lost("the server closed the connection".into()),
                UpdatesEnded::NotTaken => Outcome::Lost("the recordings heard could not be queued".into()),
                // A full disk, say: nothing is lost, the batch comes again.
                UpdatesEnded::Session(error) => Outcome::Lost(error.to_string()),
            },
            outcome = self.keep_alive(&link, &states) => outcome,
            seconds = clock::put_forward() => {
                Outcome::Lost(format!("this machine's clock was put forward by {seconds} s, or the machine was asleep"))
            }
            never = async {
                link.ask_whether_frozen().await;
                std::future::pending().await
            } => never,
            _ = runner => Outcome::Lost("the connection's task ended unexpectedly".into()),
        }
    }

    /// Asks for the server's state again and again, and passes it on to `states`. Returns once the
    /// connection has proved dead, or the session has ended: the server would answer a ping without
    /// a login too.
    async fn keep_alive(&self, link: &Link, states: &watch::Sender<Option<State>>) -> Outcome {
        let options = &self.options;
        let mut ask_from = Instant::now();
        let mut compared = None;
        let mut next = Instant::now() + options.ping_every;
        loop {
            let doubt_after = tokio::select! {
                () = sleep_until(next) => DOUBT,
                () = link.suspect.notified() => DOUBT,
                () = link.late.notified() => Duration::ZERO,
            };
            if doubt_after.is_zero() && is_recent(compared) {
                continue;
            }
            let asked = Instant::now();
            next = asked + options.ping_every;
            let answer = tokio::select! {
                answer = ask(link, options.ping_timeout, asked >= ask_from) => answer,
                ahead = self.clock_is_refused(doubt_after, &mut compared) => return Outcome::Clock(ahead),
            };
            match answer {
                Ok(None) => {}
                Ok(state) => {
                    self.logout.refute(asked);
                    states.send_replace(state);
                }
                // Any other answer than "logged out" is a sign of life.
                Err(error @ CallError::Rpc { .. }) if error.logged_out().is_none() => {
                    ask_from = Instant::now() + error.wait().unwrap_or_default();
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Compares the clocks after `doubt_after`, unless they were `compared` a moment ago. Returns only
    /// if ours is so far ahead that Telegram refuses it. A clock that is not kept right gains seconds
    /// every day, and grammers would repeat a refused request with each round trip.
    async fn clock_is_refused(&self, doubt_after: Duration, compared: &mut Option<Instant>) -> ClockAhead {
        sleep(doubt_after).await;
        if !is_recent(*compared) {
            *compared = Some(Instant::now());
            let clock = self.session.check_clock(self.options.ping_timeout).await;
            if let Err(ClockError::Ahead(ahead)) = clock {
                return ahead;
            }
        }
        std::future::pending().await
    }
}

/// Whether the clocks were compared so recently that it need not be done again.
fn is_recent(compared: Option<Instant>) -> bool {
    compared.is_some_and(|compared| compared.elapsed() < COMPARED_FOR)
}

/// Asks for the server's state, or else for a sign of life.
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
        let mut tries = Tries::new(&options);
        let mut limits = Vec::new();
        for _ in 0..5 {
            limits.push(tries.limit.as_secs());
            tries.failed(&options);
        }
        assert_eq!(limits, [4, 8, 16, 30, 30]);
        tries.succeeded(&options);
        assert_eq!(tries.limit, options.connect_timeout);
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
