//! Crash points, and a stand-in for recognition: what `tests/chaos` needs inside the daemon.
//!
//! Compiled with the feature `chaos` only, and without effect until [`arm`] is called, which the
//! program that is released never does, whatever features it was built with.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use signal_hook::consts::SIGKILL;

use crate::domain::{Segment, Transcript};

/// Where the process may die, in the order in which a job passes them.
pub const POINTS: [&str; 6] = ["before-C1", "C1-C2", "C2-C3", "C3-send", "send-C4", "after-C4"];

/// Recordings shorter than this, in samples at 16 kHz, are for the stand-in: one second.
pub const STUBBED_BELOW: usize = 16_000;

static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    /// The point, and how many passes of it are survived.
    crash: Option<(String, AtomicU64)>,
    stub: bool,
}

/// Takes its orders from the environment: `CHAOS_CRASH=C1-C2@17` dies at the 17th pass of that
/// point, `CHAOS_RECOGNISER=stub` has short recordings "recognised" by [`text_of`].
///
/// # Panics
/// When an order is not understood: the harness is wrong then.
pub fn arm() {
    let crash = std::env::var("CHAOS_CRASH").ok().map(|order| {
        let (point, pass) = order.split_once('@').expect("CHAOS_CRASH is POINT@PASS");
        assert!(POINTS.contains(&point), "CHAOS_CRASH names no point: {point}");
        let pass: u64 = pass.parse().expect("CHAOS_CRASH ends in a number");
        (point.to_owned(), AtomicU64::new(pass.saturating_sub(1)))
    });
    let stub = std::env::var("CHAOS_RECOGNISER").is_ok_and(|name| name == "stub");
    let _ = ARMED.set(Armed { crash, stub });
}

/// Passes a crash point.
pub fn pass(point: &str) {
    let Some((at, survived)) = ARMED.get().and_then(|armed| armed.crash.as_ref()) else { return };
    let spare = |left: u64| left.checked_sub(1);
    if point == at && survived.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spare).is_err() {
        // As kill -9 does: nothing is flushed, closed or said.
        let _ = signal_hook::low_level::raise(SIGKILL);
    }
}

/// The stand-in's transcript, if this recording is for it.
pub fn transcript(samples: &[f32]) -> Option<Transcript> {
    let stub = ARMED.get().is_some_and(|armed| armed.stub) && samples.len() < STUBBED_BELOW;
    stub.then(|| {
        let text = text_of(samples);
        Transcript { segments: vec![Segment { start_ms: 0, end_ms: 0, text }], ..Transcript::default() }
    })
}

/// A text that only these samples have. One in sixteen is too long for one message.
pub fn text_of(samples: &[f32]) -> String {
    let mut hash = Sha256::new();
    samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
    let digest = hash.finalize();
    let word: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let words = if digest[31] < 16 { 300 } else { 1 };
    vec![word; words].join(" ")
}
