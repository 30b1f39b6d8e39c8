//! Voice activity: where in a recording somebody speaks, and what of it is worth recognising.

pub(super) mod activity;
pub(super) mod detector;
pub(super) mod silero;
