//! How carefully whisper.cpp looks for the text.

use std::ffi::c_int;
use std::num::NonZeroUsize;

use whisper_rs::{FullParams, SamplingStrategy};

use crate::domain::LanguageCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Decoding {
    /// Takes the likeliest token each time, at temperature 0 only, because the text may be
    /// rejected.
    Quick,
    /// whisper.cpp's default: takes the likeliest token each time, and samples at higher
    /// temperatures if that fails. Also the last resort if a careful pass finds no text.
    Greedy,
    /// A beam search at temperature 0 only. It needs the whole window: with a shortened audio
    /// context it repeats itself. At higher temperatures it would not help: a single candidate is
    /// sampled there, and its log probabilities are too high to be evidence for the guard.
    Careful,
}

/// One pass over a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub decoding: Decoding,
    /// The audio context. None: all positions of the encoder.
    pub positions: Option<c_int>,
}

/// The width of the beam, which is that of OpenAI's program. Three hardly correct anything.
const BEAM: c_int = 5;
/// The number of candidates that are sampled at each higher temperature, if decoding at
/// temperature 0 has failed.
const BEST_OF: c_int = 5;
/// Switches off whisper.cpp's own check for windows without speech: no probability reaches this
/// threshold. whisper.cpp 1.8.3 reads the probability from logits that this call did not compute
/// (whisper.cpp#3945, #4068), for instance those of an earlier language detection. If it is above
/// the threshold, whisper.cpp drops the window, with the words that were spoken in it.
const NO_SPEECH_THRESHOLD_OFF: f32 = 2.0;

impl Decoding {
    /// whisper_full's defaults, without the check for windows without speech. `Greedy` decodes at
    /// temperature 0, then at temperatures up to 1 in steps of 0.2, while a window's entropy is
    /// below 2.4 or its average log probability is below -1.
    pub(super) fn params(
        self,
        language: LanguageCode,
        threads: NonZeroUsize,
    ) -> FullParams<'static, 'static> {
        let mut params = FullParams::new(match self {
            Self::Quick | Self::Greedy => SamplingStrategy::Greedy { best_of: BEST_OF },
            Self::Careful => SamplingStrategy::BeamSearch { beam_size: BEAM, patience: -1.0 },
        });
        if self != Self::Greedy {
            params.set_temperature_inc(0.0);
        }
        params.set_n_threads(threads.get() as c_int);
        params.set_language(Some(language.as_str()));
        // The state is reused, and the text of one recording must not prompt the next.
        params.set_no_context(true);
        params.set_no_speech_thold(NO_SPEECH_THRESHOLD_OFF);
        params.set_print_progress(false);
        params.set_print_timestamps(false);
        params
    }
}
