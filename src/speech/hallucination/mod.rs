//! Hallucinations: text that Whisper writes although nobody said it. They are recognised by weak
//! evidence, by lists of known phrases, and by repetition.

pub(super) mod candidates;
pub(super) mod echo;
pub(super) mod guard;
mod phrases;
pub(super) mod repetition;
pub(super) mod words;
