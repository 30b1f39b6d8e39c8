//! Why a server has not recognised a stretch, and what that means for it and for the job.

use std::fmt;
use std::time::Duration;

use crate::domain::Fault;
use crate::runtime::problem::{Diagnosis, Problem};
use crate::speech::problems::{RECOGNISER_AWAY, RECOGNISER_FAILED, RECOGNISER_REFUSES};

/// Until another attempt at a stretch that a server failed at. It doubles with each one.
const RETRY_SECONDS: u64 = 30;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerErrorKind {
    /// There is no server: no connection, one that broke before the server had the whole request,
    /// 502 or 504. The server is asked again when it is back, and that is no failed attempt of the
    /// job.
    Away,
    /// The server wants to be asked later (429, or 503 with Retry-After): the same.
    Busy(Duration),
    /// The server takes nothing from us: a refused key, an unknown model or address, a redirect.
    /// The same, for the owner has to put it right.
    Refuses,
    /// The server failed at this stretch: no answer in time, 500, half an answer, or one that makes
    /// no sense. Other stretches have to wait as if it were away. This one may be to blame, so it
    /// is a failed attempt of the job.
    Failed,
    /// It, or whisper.cpp here, gave no answer before the next recogniser in the list was asked:
    /// the same.
    Slow,
    /// It was not asked, because it failed shortly before. That was said then, and holds for all
    /// jobs.
    LeftAlone,
    /// The server will not have this stretch (400, 413, 422): a failed attempt of the job. Nothing
    /// speaks against sending it another one.
    Rejected,
}

/// Why a server has not recognised a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    pub kind: ServerErrorKind,
    /// The server's address without the scheme.
    pub server: String,
    pub why: String,
    /// When the server will be asked again; set by the list of recognisers.
    pub after: Duration,
}

impl ServerError {
    pub fn diagnosis(&self) -> Diagnosis {
        self.problem().with(format_args!("the recogniser {} {}", self.server, self.why))
    }

    /// What it means for the job. A failed attempt is tried again, less and less often, and in the
    /// end becomes a dead letter with this reason.
    pub fn fault(self) -> Fault {
        let why = self.to_string();
        match self.kind {
            ServerErrorKind::Away | ServerErrorKind::Busy(_) | ServerErrorKind::Refuses => {
                Fault::Later { after: self.after.max(Duration::from_secs(1)), why }
            }
            ServerErrorKind::LeftAlone => Fault::Held { after: self.after.max(Duration::from_secs(1)), why },
            ServerErrorKind::Failed | ServerErrorKind::Slow | ServerErrorKind::Rejected => {
                Fault::retry_in(RETRY_SECONDS, why)
            }
        }
    }

    fn problem(&self) -> &'static Problem {
        match self.kind {
            ServerErrorKind::Away | ServerErrorKind::Busy(_) | ServerErrorKind::LeftAlone => &RECOGNISER_AWAY,
            ServerErrorKind::Refuses => &RECOGNISER_REFUSES,
            ServerErrorKind::Failed | ServerErrorKind::Slow | ServerErrorKind::Rejected => &RECOGNISER_FAILED,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnosis().fmt(f)
    }
}
