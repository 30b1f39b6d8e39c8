//! A shortened audio context for short recordings, and whether its result can be trusted.
//!
//! The encoder computes a window of 30 s, however short the recording is, and spends most of its
//! time on the silence that fills the window up. It can compute less, and is then faster in about
//! the same ratio. But the models were not trained for this: some repeat themselves, or do not find
//! an end (voxtype#124). So the result is checked, and if there is any sign of trouble, the
//! recording is recognised again with the whole window, and more carefully; if that leaves no text,
//! once more at higher temperatures.

use std::collections::HashMap;
use std::ffi::c_int;

use whisper_rs::WhisperTokenId;

use super::decoding::{Decoding, Pass};
use super::{POSITION, WINDOW, Whisper};
use crate::domain::{AudioContext, Segment};
use crate::speech::hallucination::repetition;

/// Positions for the silence that Whisper expects after speech, 2.6 s (whisper.cpp#1855), rounded
/// to a whole [`STEP`] in total.
const MARGIN: usize = 128;
/// ggml multiplies this many numbers of a row at once with AVX2 (twice as many with AVX-512), and
/// the rest one by one. The rows of the attention are as long as the audio context.
const STEP: usize = 32;
/// The whole steps in the window of 1500 positions, 29.4 s. They take a fifth less time than all.
const WHOLE: usize = WINDOW / POSITION / STEP * STEP;

/// Text with a lower average log probability was guessed: more than half of its words are wrong
/// (docs/BENCHMARKS.md). Whisper's own limit is -1.
const LOGPROB: f32 = -0.6;

/// Whisper's own limit: text with a lower entropy repeats itself.
const ENTROPY: f32 = 2.4;
/// The entropy is that of the last tokens, and is not checked if there are no more than this.
const ENTROPY_TOKENS: usize = 32;

/// The first pass over this many samples. Its result may be rejected if it is a quick one.
pub(crate) fn first_pass(context: AudioContext, samples: usize) -> Pass {
    let needed = (samples.div_ceil(POSITION) + MARGIN - STEP / 2).next_multiple_of(STEP);
    match context {
        AudioContext::Auto if samples.div_ceil(POSITION) <= WHOLE => {
            Pass { decoding: Decoding::Quick, positions: Some(needed.min(WHOLE) as c_int) }
        }
        AudioContext::Auto | AudioContext::Full => default_pass(samples),
        AudioContext::Careful => careful_pass(samples),
    }
}

/// A pass over this many samples that decodes as whisper.cpp does by default.
pub(crate) fn default_pass(samples: usize) -> Pass {
    Pass { decoding: Decoding::Greedy, positions: whole_window(samples) }
}

/// The pass over this many samples for the fewest mistakes, as after a rejected result.
pub(crate) fn careful_pass(samples: usize) -> Pass {
    Pass { decoding: Decoding::Careful, positions: whole_window(samples) }
}

/// The whole window, in whole steps if the samples fit into them.
fn whole_window(samples: usize) -> Option<c_int> {
    (samples.div_ceil(POSITION) <= WHOLE).then_some(WHOLE as c_int)
}

/// A token, which is text, a time or the end, and its log probability.
type Token = (WhisperTokenId, f32);

/// Why the result of the last call of `whisper`, a quick pass, cannot be trusted.
/// `kept` are its segments without hallucinations, and `hallucinated` says whether there were any.
pub(crate) fn rejection_reason(
    whisper: &Whisper,
    kept: &[Segment],
    hallucinated: bool,
) -> Option<&'static str> {
    let tokens = |segment: whisper_rs::WhisperSegment| -> Vec<Token> {
        let tokens = (0..segment.n_tokens()).filter_map(|n| segment.get_token(n));
        tokens.map(|token| token.token_data()).map(|data| (data.id, data.plog)).collect()
    };
    if whisper.segments().any(|segment| segment.end_timestamp() < segment.start_timestamp()) {
        return Some("its times go back");
    }
    if hallucinated {
        return Some("some of it was dropped");
    }
    let text = kept.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
    reason_in_text(&whisper.segments().flat_map(tokens).collect::<Vec<_>>(), whisper.eot(), &text)
}

fn reason_in_text(tokens: &[Token], eot: WhisperTokenId, text: &str) -> Option<&'static str> {
    let Some(&(last, _)) = tokens.last() else { return Some("it has no text") };
    // The text ends with a time or the end token, unless the decoder reached its limit.
    if last < eot {
        return Some("it does not end");
    }
    let logprob = tokens.iter().map(|(_, logprob)| logprob).sum::<f32>() / tokens.len() as f32;
    if logprob < LOGPROB {
        return Some("it was guessed");
    }
    if tokens.len() > ENTROPY_TOKENS && entropy(&tokens[tokens.len() - ENTROPY_TOKENS..]) < ENTROPY {
        return Some("it says the same again and again");
    }
    if repetition::collapse(text, |_| true).is_some() {
        return Some("it repeats itself");
    }
    None
}

/// The entropy of the distribution of tokens, in nats.
fn entropy(tokens: &[Token]) -> f32 {
    let mut counts: HashMap<WhisperTokenId, f32> = HashMap::new();
    tokens.iter().for_each(|(id, _)| *counts.entry(*id).or_default() += 1.0);
    counts.values().map(|count| count / tokens.len() as f32).map(|share| -share * share.ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::whisper::RATE;

    const EOT: WhisperTokenId = 50_257;
    const TIME: WhisperTokenId = 50_400;

    #[test]
    fn a_short_recording_needs_few_positions_and_a_long_one_the_whole_window() {
        let pass = |seconds: f32| first_pass(AudioContext::Auto, (seconds * RATE as f32) as usize);
        let quick = |positions| Pass { decoding: Decoding::Quick, positions: Some(positions) };
        let greedy = |positions| Pass { decoding: Decoding::Greedy, positions };
        assert_eq!(pass(1.0), quick(192));
        assert_eq!(pass(3.0), quick(288));
        assert_eq!(pass(10.0), quick(640));
        assert_eq!(pass(27.2), quick(1_472));
        assert_eq!(pass(29.44), quick(1_472));
        assert_eq!(pass(29.45), greedy(None));
        assert_eq!(pass(300.0), greedy(None));
        assert_eq!(first_pass(AudioContext::Full, RATE), greedy(Some(1_472)));
        let careful = |positions| Pass { decoding: Decoding::Careful, positions };
        assert_eq!(first_pass(AudioContext::Careful, RATE), careful(Some(1_472)));
        assert_eq!(first_pass(AudioContext::Careful, 300 * RATE), careful(None));
    }

    #[test]
    fn positions_are_whole_steps_with_the_margin_give_or_take_half_a_step() {
        for samples in (RATE..27 * RATE).step_by(1_234) {
            let positions = first_pass(AudioContext::Auto, samples).positions.unwrap() as usize;
            assert_eq!(positions % STEP, 0, "{samples}");
            let margin = positions - samples.div_ceil(POSITION);
            assert!(margin.abs_diff(MARGIN) <= STEP / 2, "{samples}: {margin}");
        }
    }

    /// `count` different tokens of text, and a time at the end.
    fn tokens(count: i32, logprob: f32) -> Vec<Token> {
        (0..count).chain([TIME]).map(|id| (id, logprob)).collect()
    }

    #[test]
    fn a_good_text_is_not_rejected() {
        for count in [1, 5, 31, 32, 100] {
            assert_eq!(reason_in_text(&tokens(count, -0.55), EOT, "eight eight nine"), None, "{count}");
        }
        let ended: Vec<_> = [(1, -0.1), (EOT, -0.1)].into();
        assert_eq!(reason_in_text(&ended, EOT, "one"), None);
    }

    #[test]
    fn each_reason_for_rejection_is_found() {
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
            assert_eq!(reason_in_text(&tokens, EOT, text), Some(reason));
        }
    }
}
