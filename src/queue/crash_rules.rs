//! What becomes of jobs that a process had in hand when it died: the limits, the pauses, and what
//! the owner is told. The module's text has the rules as a whole.

use std::fmt::Display;
use std::time::Duration;

use super::problems::JOB_GIVEN_UP;

/// A job over whose recording this many processes died is dead: after its
/// [`begin`](super::Checkpoints::begin), before what came of it was stored. Deaths in quick
/// succession count as one, see [`CrashRules`].
pub const MAX_DEATHS: u32 = 3;

/// A job handed out this many times by processes that died, whatever they did then, is dead.
pub const MAX_DELIVERIES: u32 = 20;

/// A job handed out this many times by processes that died is put off before each further delivery.
pub const MAX_DELIVERIES_AT_ONCE: u32 = 5;

/// How attempts at a job are spaced after processes died that had it in hand.
#[derive(Clone, Copy, Debug)]
pub struct CrashRules {
    /// Deaths over one recording that lie closer together than this count as one.
    pub together: Duration,
    /// How long a job is put off: after deaths that count as one, and after the second that counts.
    /// Whenever the queue is opened, a job that is put off waits for the first of these at least.
    pub pauses: [Duration; 2],
}

impl CrashRules {
    const MINUTE: Duration = Duration::from_secs(60);

    /// Every death counts, and no job is put off: for tests that are not about these rules.
    pub const STRICT: Self = Self { together: Duration::ZERO, pauses: [Duration::ZERO; 2] };
}

impl Default for CrashRules {
    fn default() -> Self {
        Self { together: Self::MINUTE, pauses: [Self::MINUTE, 10 * Self::MINUTE] }
    }
}

/// The reasons of jobs that the queue itself puts off or gives up.
pub mod reason {
    use super::{MAX_DEATHS, MAX_DELIVERIES};

    pub fn died_over_recording() -> String {
        "the process died while it decoded or recognised this recording".to_owned()
    }

    pub fn died_repeatedly() -> String {
        "the process died again and again while it had this job".to_owned()
    }

    pub fn too_many_deaths() -> String {
        format!("the process died {MAX_DEATHS} times while it decoded or recognised this recording")
    }

    pub fn too_many_deliveries() -> String {
        format!("the process died {MAX_DELIVERIES} times while it had this job")
    }

    /// To be followed by the id of the job that showed the recording to be poisonous.
    pub fn copy_of_poisonous() -> String {
        format!("the process died {MAX_DEATHS} times over the same recording in ")
    }

    pub fn copy_of_suspect() -> String {
        "another message with the same recording is tried first".to_owned()
    }
}

/// Logs that the queue itself moved a job to the dead letters.
pub fn log_dead_letter(job: impl Display, reason: &str) {
    // Under the job's span, as all its lines are.
    tracing::info_span!("job", id = %job).in_scope(|| {
        tracing::error!(event = "dead_letter", reason, "{}", JOB_GIVEN_UP.tag(JOB_GIVEN_UP.title))
    });
}

/// Logs that the queue itself put a job off because of the processes that died.
pub fn log_put_off(job: impl Display, reason: &str, pause: Duration) {
    tracing::info_span!("job", id = %job).in_scope(|| {
        let seconds = pause.as_secs();
        tracing::warn!(
            event = "delayed",
            reason,
            "Put off for {seconds} s; later messages of this chat wait for it"
        );
    });
}
