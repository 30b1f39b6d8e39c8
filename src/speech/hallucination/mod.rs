//! What Whisper writes though nobody said it: found by its evidence, by lists of known phrases, and
//! by repetition.

pub(super) mod guard;
mod phrases;
pub(super) mod repetition;
