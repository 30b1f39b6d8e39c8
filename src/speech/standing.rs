//! How a recogniser has done, and whether it is left alone.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::error::SpeechError;
use super::recogniser::Recognised;
use super::server::{ServerError, ServerErrorKind};
use crate::runtime::lock;

/// How long a recogniser is left alone after its first failure. It doubles with every further one
/// in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest such pause, and the one after a refusal, which the owner has to put right.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One that wants to be asked later so many times in a row is as good as away.
const MOST_BUSY: u32 = 3;

/// How a recogniser has done.
#[derive(Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// How many times it wanted to be asked later since it recognised something last.
    busy: u32,
    /// Until when it is left alone, and why.
    held: Option<(Instant, ServerError)>,
}

/// That a recogniser is left alone.
pub(super) struct Hold {
    pub until: Instant,
    /// It asked for that itself, and is worth waiting for.
    pub is_busy: bool,
    /// What stretches get that would be for it.
    pub error: ServerError,
}

impl Standing {
    /// Whether it is left alone now.
    pub fn held(&self) -> Option<Hold> {
        let state = lock(&self.0);
        let (until, error) = state.held.as_ref()?;
        let after = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        let is_busy = matches!(error.kind, ServerErrorKind::Busy(_)) && state.busy < MOST_BUSY;
        let error = ServerError { kind: ServerErrorKind::LeftAlone, after, ..error.clone() };
        Some(Hold { until: *until, is_busy, error })
    }

    /// Whether it has not failed since it recognised something last.
    pub fn is_well(&self) -> bool {
        lock(&self.0).failures == 0
    }

    /// Remembers how the recogniser of this name has done, and logs when that changes. An error is
    /// told when the recogniser will be asked again.
    pub fn note(
        &self,
        name: &str,
        result: Result<Recognised, SpeechError>,
    ) -> Result<Recognised, SpeechError> {
        let mut state = lock(&self.0);
        match result {
            Ok(recognised) => {
                if state.failures > 0 {
                    info!(event = "recogniser_back", recogniser = name, "This recogniser is back");
                }
                *state = State::default();
                Ok(recognised)
            }
            Err(SpeechError::Server(error)) => {
                let after = state.failed(name, &error);
                Err(SpeechError::Server(ServerError { after, ..error }))
            }
            Err(error) => Err(error),
        }
    }
}

impl State {
    /// Holds it as the error demands, and returns for how long.
    fn failed(&mut self, name: &str, error: &ServerError) -> Duration {
        let now = Instant::now();
        let held = self.held.as_ref().map(|(until, _)| *until).filter(|until| *until > now);
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(5)).min(LONGEST_PAUSE);
        if matches!(error.kind, ServerErrorKind::Busy(_)) && held.is_none() {
            self.busy += 1;
        }
        let pause = match error.kind {
            ServerErrorKind::Rejected | ServerErrorKind::LeftAlone => return error.after,
            ServerErrorKind::Busy(pause) if self.busy < MOST_BUSY => {
                debug!(recogniser = name, ?pause, "this recogniser wants to be asked later");
                self.held = Some((now + pause, error.clone()));
                return pause;
            }
            ServerErrorKind::Busy(pause) => pause.max(doubled),
            ServerErrorKind::Refuses => LONGEST_PAUSE,
            ServerErrorKind::Away | ServerErrorKind::Failed | ServerErrorKind::Slow => doubled,
        };
        // Several stretches that it was sent at once may fail together: that is one failure.
        if let Some(until) = held.filter(|_| self.failures > 0) {
            return until - now;
        }
        if self.failures == 0 {
            warn!(event = "recogniser_away", recogniser = name, "{error}");
        }
        self.failures += 1;
        self.held = Some((now + pause, error.clone()));
        pause
    }
}
