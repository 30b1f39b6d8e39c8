//! From the probability of speech in each frame to phrases and pauses. Numbers are samples at 16
//! kHz.

use std::ops::Range;

use super::silero::FRAME;

/// Samples per millisecond.
pub(super) const MS: usize = 16;

// The thresholds and durations are those of faster-whisper. Silero's own, 30 ms of padding and
// 100 ms of silence, cut words.

/// Speech begins with a frame of at least this probability.
const SPEECH: f32 = 0.5;
/// Speech ends with the first frame below this probability.
pub(super) const SILENCE: f32 = 0.35;
/// A silence of at least this length is shortened; shorter ones are kept. It must be longer than
/// two paddings.
pub(super) const LONG_SILENCE: usize = 2000 * MS;
/// A phrase with less voice than this is kept only if one of its frames reaches
/// [`LONE_WORD_PEAK`].
const MIN_PHRASE: usize = 500 * MS;
/// Lone words ("да", "ok", "stop") reach 0.97 at any usual speed. Plucked notes, which the model
/// takes for voice, reach 0.5 to 0.93.
const LONE_WORD_PEAK: f32 = 0.95;
/// A phrase with no more voice than this is a click.
const MAX_CLICK: usize = FRAME;

/// Frames of the shortest pause in which a recording is cut, 0.3 s: more than the closure of any
/// consonant.
const PAUSE: usize = 10;

/// A run of frames with voice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Voice {
    pub(super) range: Range<usize>,
    /// The highest probability in it.
    peak: f32,
}

/// All runs of voice, in order.
pub(super) fn voices(probabilities: &[f32], samples: usize) -> Vec<Voice> {
    let mut voices = Vec::new();
    let mut begun: Option<(usize, f32)> = None;
    for (frame, &probability) in probabilities.iter().enumerate() {
        begun = match begun {
            None if probability >= SPEECH => Some((frame * FRAME, probability)),
            Some((start, peak)) if probability < SILENCE => {
                voices.push(Voice { range: start..frame * FRAME, peak });
                None
            }
            Some((start, peak)) => Some((start, peak.max(probability))),
            None => None,
        };
    }
    voices.extend(begun.map(|(start, peak)| Voice { range: start..samples, peak }));
    voices
}

/// Groups of voices without a long silence in between. Clicks and other sounds that are not words
/// are left out.
pub(super) fn phrases(voices: Vec<Voice>) -> Vec<Vec<Voice>> {
    let mut phrases: Vec<Vec<Voice>> = Vec::new();
    for voice in voices {
        match phrases.last_mut() {
            Some(phrase)
                if phrase.last().is_some_and(|last| voice.range.start - last.range.end < LONG_SILENCE) =>
            {
                phrase.push(voice);
            }
            _ => phrases.push(vec![voice]),
        }
    }
    phrases.retain(|phrase| {
        let length: usize = phrase.iter().map(|voice| voice.range.len()).sum();
        let has_peak = || phrase.iter().any(|voice| voice.peak >= LONE_WORD_PEAK);
        length >= MIN_PHRASE || (length > MAX_CLICK && has_peak())
    });
    phrases
}

/// The sample in the middle of the longest pause between words, a multiple of [`FRAME`]. None if
/// there is no pause.
pub(super) fn longest_pause(probabilities: &[f32]) -> Option<usize> {
    let mut at = 0;
    let pauses = probabilities.chunk_by(|a, b| (*a < SILENCE) == (*b < SILENCE)).filter_map(|run| {
        let start = at;
        at += run.len();
        (run[0] < SILENCE && run.len() >= PAUSE).then_some((run.len(), start))
    });
    // Of equal pauses the last, which makes the stretch before it longer.
    pauses.max().map(|(length, start)| (start + length / 2) * FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_continues_while_it_is_merely_doubtful() {
        let probabilities = [0.1, 0.6, 0.4, 0.4, 0.36, 0.34, 0.4, 0.1];
        assert_eq!(voices(&probabilities, 8 * FRAME), [Voice { range: FRAME..5 * FRAME, peak: 0.6 }]);
        assert_eq!(
            voices(&probabilities[..3], 2 * FRAME + 7),
            [Voice { range: FRAME..2 * FRAME + 7, peak: 0.6 }]
        );
    }

    #[test]
    fn the_longest_pause_is_found() {
        let speech = |lengths: &[usize]| -> Vec<f32> {
            lengths.iter().enumerate().flat_map(|(n, &length)| vec![[0.9, 0.1][n % 2]; length]).collect()
        };
        for (lengths, pause) in [
            (&[][..], None),
            (&[300], None),
            (&[20, 9, 20], None),
            (&[20, 10, 20], Some(25)),
            (&[20, 10, 20, 40, 20, 30], Some(70)),
            (&[20, 10, 20, 10, 20], Some(55)),
            (&[0, 40, 20], Some(20)),
            (&[0, 400], Some(200)),
        ] {
            assert_eq!(longest_pause(&speech(lengths)), pause.map(|frames| frames * FRAME), "{lengths:?}");
        }
    }
}
