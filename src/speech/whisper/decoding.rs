//! How much is done for a text.

use std::ffi::c_int;
use std::num::NonZeroUsize;

use whisper_rs::{FullParams, SamplingStrategy};

use crate::domain::Task;
use crate::speech::language::Language;

/// How whisper.cpp looks for the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Decoding {
    /// Takes the likeliest token each time, once: a try, whose text may be doubtful.
    Quick,
    /// The same, and tries again at higher temperatures where Whisper's own limits say that it
    /// failed.
    Greedy,
    /// Follows several texts side by side (beam search) and takes the likeliest, once. With a
    /// shortened window it repeats itself, so it is given the whole one.
    Careful,
}

/// One pass over a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub decoding: Decoding,
    /// Positions that the encoder takes at once; none: all that it has.
    pub positions: Option<c_int>,
}

/// Texts that are followed side by side, as OpenAI's and faster-whisper's programs do.
const BEAM: c_int = 5;
/// What whisper_full does when decoding at temperature 0 has failed: tries so many at each higher
/// one.
const BEST_OF: c_int = 5;
/// A probability that is never reached. whisper.cpp 1.8.3 takes the one for no speech from logits
/// that it has not computed in this call (whisper.cpp#3945, #4068): after a glimpse at the language
/// they are those of the glimpse. Above its default of 0.6 it does not decode again at a higher
/// temperature and drops the window, and with it what somebody said.
const NEVER: f32 = 2.0;

impl Decoding {
    /// whisper_full's defaults: temperature 0, then by 0.2 up to 1 while a window's entropy is
    /// below 2.4 or its average log probability below -1; but nothing is decided by the probability
    /// of no speech.
    pub(super) fn params(
        self,
        language: Language,
        threads: NonZeroUsize,
        task: Task,
    ) -> FullParams<'static, 'static> {
        let mut params = FullParams::new(match self {
            Self::Quick | Self::Greedy => SamplingStrategy::Greedy { best_of: BEST_OF },
            Self::Careful => SamplingStrategy::BeamSearch { beam_size: BEAM, patience: -1.0 },
        });
        if self != Self::Greedy {
            params.set_temperature_inc(0.0);
        }
        params.set_n_threads(threads.get() as c_int);
        params.set_language(Some(language.code()));
        params.set_translate(task == Task::Translate);
        // The state is reused: no recording may be prompted with the text of the one before.
        params.set_no_context(true);
        params.set_no_speech_thold(NEVER);
        params.set_print_progress(false);
        params.set_print_timestamps(false);
        params
    }
}
