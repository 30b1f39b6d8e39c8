//! How much of its window Whisper is given for a short recording, and whether what came of less can
//! be trusted.
//!
//! The encoder takes 30 s, of which a short recording is filled up with silence: most of the time
//! that it takes goes into that. It can be given less, and is about as many times quicker. The
//! models never met that in their training: some then repeat themselves, or do not find an end
//! (voxtype#124). So what comes is looked at, and where anything speaks against it the recording is
//! recognised again with the whole window.

use std::collections::HashMap;
use std::ffi::c_int;

use whisper_rs::WhisperTokenId;

use super::{POSITION, WINDOW, Whisper};
use crate::domain::{AudioContext, Segment};
use crate::speech::hallucination::repetition;

/// Positions for the silence that Whisper expects after speech, 2.6 s (whisper.cpp#1855), give or
/// take half a step.
const MARGIN: usize = 128;
/// ggml multiplies so many numbers of a row at once (with AVX2; twice as many with AVX-512), and
/// one by one what is left over. Rows of the attention are as long as the window.
const STEP: usize = 32;

/// Whisper's own limit: text below it was guessed.
const LOGPROB: f32 = -1.0;
/// Whisper's own limit, for the last 32 tokens of more: text below it says the same again and
/// again.
const ENTROPY: f32 = 2.4;
const MEASURED: usize = 32;

/// The positions that the encoder computes for a recording of `samples`; `None` for all.
pub(crate) fn positions(context: AudioContext, samples: usize) -> Option<c_int> {
    let needed = (samples.div_ceil(POSITION) + MARGIN - STEP / 2).next_multiple_of(STEP);
    (context == AudioContext::Auto && needed < WINDOW / POSITION).then_some(needed as c_int)
}

/// A token, be it text, a time or the end, and the natural logarithm of its probability.
type Token = (WhisperTokenId, f32);

/// What speaks against a result with a shortened window: what `whisper` has heard, and what the
/// guard left of it, `held`, where it dropped nothing unless it `invented`. Nothing does where it
/// is as with the whole window.
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
    use crate::speech::whisper::RATE;

    const EOT: WhisperTokenId = 50_257;
    const TIME: WhisperTokenId = 50_400;

    #[test]
    fn a_short_recording_needs_few_positions_and_a_long_one_all() {
        let positions = |seconds: f32| positions(AudioContext::Auto, (seconds * RATE as f32) as usize);
        assert_eq!(positions(1.0), Some(192));
        assert_eq!(positions(3.0), Some(288));
        assert_eq!(positions(10.0), Some(640));
        assert_eq!(positions(27.2), Some(1_472));
        assert_eq!(positions(27.3), None);
        assert_eq!(positions(300.0), None);
        assert_eq!(super::positions(AudioContext::Full, RATE), None);
    }

    #[test]
    fn positions_are_whole_steps_with_the_margin_give_or_take_half_a_step() {
        for samples in (RATE..27 * RATE).step_by(1_234) {
            let positions = positions(AudioContext::Auto, samples).unwrap() as usize;
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
            assert_eq!(doubt_of(&tokens(count, -0.2), EOT, "eight eight nine"), None, "{count}");
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
            (tokens(5, -1.1), "one", "it was guessed"),
            (same, "one", "it says the same again and again"),
            (tokens(5, -0.2), "well no no no", "it repeats itself"),
        ] {
            assert_eq!(doubt_of(&tokens, EOT, text), Some(reason));
        }
    }
}
