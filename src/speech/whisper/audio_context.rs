//! How much of its window Whisper is given for a short recording, and whether what came of less can
//! be trusted.
//!
//! The encoder takes 30 s, of which a short recording is filled up with silence: most of the time
//! that it takes goes into that. It can be given less, and is about as many times quicker. The
//! models never met that in their training: some then repeat themselves, or do not find an end
//! (voxtype#124). So what comes is looked at, and where anything speaks against it the recording is
//! recognised again with the whole window and with more care.

use std::collections::HashMap;
use std::ffi::c_int;

use whisper_rs::WhisperTokenId;

use super::decoding::{Decoding, Pass};
use super::{POSITION, WINDOW, Whisper};
use crate::domain::Segment;
use crate::speech::hallucination::repetition;

/// What the encoder is given of its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioContext {
    /// What a short recording needs, and all of it, with care, where that gives a doubtful text.
    #[default]
    Auto,
    /// All of it at once, as whisper.cpp does by itself.
    Full,
}

/// Positions for the silence that Whisper expects after speech, 2.6 s (whisper.cpp#1855), give or
/// take half a step.
const MARGIN: usize = 128;
/// ggml multiplies so many numbers of a row at once (with AVX2; twice as many with AVX-512), and
/// one by one what is left over. Rows of the attention are as long as the window.
const STEP: usize = 32;
/// The whole steps that there are in the window, 29.4 s. The encoder takes a fifth less time for
/// them than for all of its 1500 positions.
const WHOLE: usize = WINDOW / POSITION / STEP * STEP;

/// Text below it was guessed. Whisper's own limit is -1; measured with `base`, what is below this
/// has every third word wrong, and it is a sixth of all recordings (docs/BENCHMARKS.md).
const LOGPROB: f32 = -0.6;
/// Whisper's own limit, for the last 32 tokens of more: text below it says the same again and
/// again.
const ENTROPY: f32 = 2.4;
const MEASURED: usize = 32;

impl AudioContext {
    /// How so many samples are recognised at first.
    pub(crate) fn first_pass(self, samples: usize) -> Pass {
        let needed = (samples.div_ceil(POSITION) + MARGIN - STEP / 2).next_multiple_of(STEP);
        if self == Self::Auto && needed <= WHOLE {
            return Pass { decoding: Decoding::Quick, positions: Some(needed as c_int) };
        }
        Pass { decoding: Decoding::Greedy, positions: whole_window(samples) }
    }
}

/// The pass that gives the best text of so many samples.
pub(crate) fn careful(samples: usize) -> Pass {
    Pass { decoding: Decoding::Careful, positions: whole_window(samples) }
}

/// The positions that the encoder takes where so many samples are given the whole window; none: all
/// that it has. Those of whole steps, where all samples are in them.
fn whole_window(samples: usize) -> Option<c_int> {
    (samples.div_ceil(POSITION) <= WHOLE).then_some(WHOLE as c_int)
}

/// A token, be it text, a time or the end, and the natural logarithm of its probability.
type Token = (WhisperTokenId, f32);

/// What speaks against the result of a quick pass: what `whisper` has heard, and what the guard left
/// of it, `held`, where it dropped nothing unless it `invented`.
pub(crate) fn doubt(whisper: &Whisper, held: &[Segment], invented: bool) -> Option<&'static str> {
    let tokens = |segment: whisper_rs::WhisperSegment| -> Vec<Token> {
        let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
        tokens.map(|token| token.token_data()).map(|data| (data.id, data.plog)).collect()
    };
    if whisper.segments().any(|segment| segment.end_timestamp() < segment.start_timestamp()) {
        return Some("its times go back");
    }
    if invented {
        return Some("some of it was dropped");
    }
    let text = held.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
    doubt_of(&whisper.segments().flat_map(tokens).collect::<Vec<_>>(), whisper.eot(), &text)
}

fn doubt_of(tokens: &[Token], eot: WhisperTokenId, text: &str) -> Option<&'static str> {
    let Some(&(last, _)) = tokens.last() else { return Some("it has no text") };
    // A window ends with a time or the token for it, unless the decoder was stopped.
    if last < eot {
        return Some("it does not end");
    }
    let logprob = tokens.iter().map(|(_, logprob)| logprob).sum::<f32>() / tokens.len() as f32;
    if logprob < LOGPROB {
        return Some("it was guessed");
    }
    if tokens.len() > MEASURED && entropy(&tokens[tokens.len() - MEASURED..]) < ENTROPY {
        return Some("it says the same again and again");
    }
    if repetition::collapse(text, |_| true).is_some() {
        return Some("it repeats itself");
    }
    None
}

/// Of the tokens, each with its share, in nats.
fn entropy(tokens: &[Token]) -> f32 {
    let mut counts: HashMap<WhisperTokenId, f32> = HashMap::new();
    tokens.iter().for_each(|(id, _)| *counts.entry(*id).or_default() += 1.0);
    counts.values().map(|count| count / tokens.len() as f32).map(|share| -share * share.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EOT: WhisperTokenId = 50_257;
    const TIME: WhisperTokenId = 50_400;

    #[test]
    fn a_short_recording_needs_few_positions_and_a_long_one_all() {
        let pass = |seconds: f32| AudioContext::Auto.first_pass((seconds * 16_000.0) as usize);
        let quick = |positions| Pass { decoding: Decoding::Quick, positions: Some(positions) };
        let greedy = |positions| Pass { decoding: Decoding::Greedy, positions };
        assert_eq!(pass(1.0), quick(192));
        assert_eq!(pass(3.0), quick(288));
        assert_eq!(pass(10.0), quick(640));
        assert_eq!(pass(27.2), quick(1_472));
        assert_eq!(pass(27.3), greedy(Some(1_472)));
        assert_eq!(pass(29.44), greedy(Some(1_472)));
        assert_eq!(pass(29.45), greedy(None));
        assert_eq!(pass(300.0), greedy(None));
        assert_eq!(AudioContext::Full.first_pass(16_000), greedy(Some(1_472)));
    }

    #[test]
    fn positions_are_whole_steps_with_the_margin_give_or_take_half_a_step() {
        for samples in (16_000..27 * 16_000).step_by(1_234) {
            let positions = AudioContext::Auto.first_pass(samples).positions.unwrap() as usize;
            assert_eq!(positions % STEP, 0, "{samples}");
            let margin = positions - samples.div_ceil(POSITION);
            assert!(margin.abs_diff(MARGIN) <= STEP / 2, "{samples}: {margin}");
        }
    }

    /// So many tokens of text, all different, and a time at the end.
    fn tokens(count: i32, logprob: f32) -> Vec<Token> {
        (0..count).chain([TIME]).map(|id| (id, logprob)).collect()
    }

    #[test]
    fn a_good_text_is_not_doubted() {
        for count in [1, 5, 31, 32, 100] {
            assert_eq!(doubt_of(&tokens(count, -0.55), EOT, "eight eight nine"), None, "{count}");
        }
        let ended: Vec<_> = [(1, -0.1), (EOT, -0.1)].into();
        assert_eq!(doubt_of(&ended, EOT, "one"), None);
    }

    #[test]
    fn each_reason_for_doubt_is_seen() {
        let mut endless = tokens(5, -0.2);
        endless.pop();
        let same: Vec<_> = (0..40).map(|n| (n % 8, -0.2)).chain([(TIME, -0.2)]).collect();
        for (tokens, text, reason) in [
            (vec![], "", "it has no text"),
            (endless, "one", "it does not end"),
            (tokens(5, -0.65), "one", "it was guessed"),
            (same, "one", "it says the same again and again"),
            (tokens(5, -0.2), "well no no no", "it repeats itself"),
        ] {
            assert_eq!(doubt_of(&tokens, EOT, text), Some(reason));
        }
    }
}
