//! Voice activity: where in a recording somebody speaks, and what Whisper is given of it.

pub(super) mod activity;
pub(super) mod detector;
mod level;
mod quiet;
pub(super) mod silero;
mod voice;
