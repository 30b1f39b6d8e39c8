//! Groups in which the account was not allowed to write a short while ago.
//!
//! Recordings there are not even fetched: recognising them would be of no use.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::domain::{PeerKind, Recording};
use crate::runtime::lock;

/// For how long a refusal counts.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The groups, and the topics of forums, that have refused an answer.
#[derive(Default)]
pub(crate) struct RefusingChats(Mutex<HashMap<Place, Instant>>);

/// A chat's Bot API dialog id, and a topic.
type Place = (i64, Option<i32>);

impl RefusingChats {
    /// Notes that an answer to this recording was refused. In a private chat that may be because of
    /// the message, so the next one is tried.
    pub fn note(&self, recording: &Recording) {
        if recording.chat.kind != PeerKind::User {
            let mut refused = lock(&self.0);
            refused.retain(|_, since| since.elapsed() < REMEMBERED);
            refused.insert(place(recording), Instant::now());
        }
    }

    /// Whether an answer to this recording would be refused too.
    pub fn refuse(&self, recording: &Recording) -> bool {
        lock(&self.0).get(&place(recording)).is_some_and(|since| since.elapsed() < REMEMBERED)
    }
}

fn place(recording: &Recording) -> Place {
    (recording.chat.chat(), recording.thread)
}
