//! Quiet speech after loud speech: somebody turns away from the phone, or hands it on.
//!
//! The voice activity model is given a recording at one level, at which it takes speech 30 dB below
//! the rest for silence. So the silences of a recording are looked at again, each half second at
//! its own level.

use std::ops::Range;

use super::silero::{BATCH, BLOCK, FRAME, TARGET_RMS, Vad, gain};
use super::voice::{SILENCE, phrases, voices};

/// Frames of the shortest silence that is looked at again, 0.8 s.
const SHORTEST: usize = 25;
/// A silence is looked at again if some of it needs so much more gain than the recording, 10 dB.
/// With less, the model has heard it well enough.
const LEAST: f32 = 3.16;
/// What needs even more gain than this, 46 dB, is silence, and is not amplified.
const MOST: f32 = 200.0;

/// What is found in a silence is speech if it has so many frames of voice, half a second, one of
/// them as likely as this. The model is less sure of noise.
const VOICED_FRAMES: usize = 16;
const PEAK: f32 = 0.9;

/// Replaces the probabilities of voice in the frames of those silences of `pcm` that turn out to be
/// speech. A recording without any speech at its own level is left alone. None if `aborted`, or if
/// whisper.cpp fails, which it logs.
pub(super) fn look_again(
    vad: &mut Vad,
    pcm: &[f32],
    probabilities: &mut [f32],
    aborted: &dyn Fn() -> bool,
) -> Option<()> {
    // Where nobody speaks at all, noise would be taken for quiet speech.
    if phrases(voices(probabilities, pcm.len())).is_empty() {
        return Some(());
    }
    let gain = gain(pcm);
    for frames in silences(probabilities, BATCH) {
        let samples = &pcm[frames.start * FRAME..(frames.end * FRAME).min(pcm.len())];
        let Some(amplified) = amplified(samples, gain) else { continue };
        if aborted() {
            return None;
        }
        let again = vad.probabilities_as_is(&amplified)?;
        if is_speech(&again) {
            probabilities[frames].copy_from_slice(&again);
        }
    }
    Some(())
}

/// The frames of the silences that are not too short, in parts of at most `longest` frames.
fn silences(probabilities: &[f32], longest: usize) -> Vec<Range<usize>> {
    let (mut silences, mut start) = (Vec::new(), 0);
    for run in probabilities.chunk_by(|a, b| (*a < SILENCE) == (*b < SILENCE)) {
        let end = start + run.len();
        if run[0] < SILENCE {
            silences.extend((start..end).step_by(longest).map(|start| start..(start + longest).min(end)));
        }
        start = end;
    }
    silences.retain(|frames| frames.len() >= SHORTEST);
    silences
}

/// A silence of a recording that was amplified by `gain`, each half second at its own level. None
/// if nothing in it needs much more gain.
fn amplified(pcm: &[f32], gain: f32) -> Option<Vec<f32>> {
    let gains = gains(pcm, gain);
    gains.iter().any(|&needed| needed >= gain * LEAST).then(|| amplify(pcm, &gains))
}

/// The gain of each [`BLOCK`] that makes it, and its neighbours, at most as loud as the model knows
/// speech: at least that of the recording, which is given.
fn gains(pcm: &[f32], gain: f32) -> Vec<f32> {
    let power = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
    let levels: Vec<f32> = pcm.chunks(BLOCK).map(|block| power(block).sqrt()).collect();
    let gain_at = |block: usize| {
        let around = &levels[block.saturating_sub(1)..(block + 2).min(levels.len())];
        let needed = TARGET_RMS / around.iter().copied().fold(0.0, f32::max);
        if needed > gain * MOST { gain } else { needed.max(gain) }
    };
    (0..levels.len()).map(gain_at).collect()
}

/// Multiplies each block by its gain, which changes linearly from the middle of one block to the
/// middle of the next.
fn amplify(pcm: &[f32], gains: &[f32]) -> Vec<f32> {
    let gain_at = |sample: usize| {
        let place = (sample as f32 / BLOCK as f32 - 0.5).clamp(0.0, (gains.len() - 1) as f32);
        let (before, after) = (gains[place as usize], gains[place.ceil() as usize]);
        before + (after - before) * place.fract()
    };
    pcm.iter().enumerate().map(|(n, sample)| sample * gain_at(n)).collect()
}

/// Whether a part with these probabilities is speech.
pub(super) fn is_speech(probabilities: &[f32]) -> bool {
    let samples = probabilities.len() * FRAME;
    let voiced: usize = voices(probabilities, samples).iter().map(|voice| voice.range.len()).sum();
    voiced >= VOICED_FRAMES * FRAME && probabilities.iter().any(|&probability| probability >= PEAK)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use support::noise::hiss;
    use support::speech::Random;

    use super::*;

    #[test]
    fn silences_10_to_46_db_below_are_amplified_to_the_level_of_speech() {
        for gain in [1.0, 5.0] {
            for (level, is_quiet) in
                [(0.05, false), (0.03, true), (0.01, true), (0.001, true), (0.000_4, false), (0.0, false)]
            {
                let found = amplified(&[level / gain; 3 * BLOCK + 100], gain);
                assert_eq!(found.is_some(), is_quiet, "{level}");
                if let Some(pcm) = found {
                    assert_eq!(pcm.len(), 3 * BLOCK + 100);
                    assert!(pcm.iter().all(|sample| (sample - 0.1).abs() < 0.001), "{level}");
                }
            }
        }
        assert_eq!(amplified(&[], 1.0), None);
    }

    #[test]
    fn what_dies_away_at_the_beginning_of_a_silence_does_not_hide_what_follows() {
        let mut silence = vec![0.001; 8 * BLOCK];
        silence[..4000].fill(0.1);
        let pcm = amplified(&silence, 1.0).unwrap();
        assert!(pcm[..4000].iter().all(|&sample| sample < 0.2));
        assert!(pcm[3 * BLOCK..].iter().all(|sample| (sample - 0.1).abs() < 0.001));
    }

    #[test]
    fn silences_are_taken_in_parts_and_short_ones_left_out() {
        let probabilities = |parts: &[(usize, f32)]| -> Vec<f32> {
            parts.iter().flat_map(|&(frames, probability)| vec![probability; frames]).collect()
        };
        let found = |parts: &[(usize, f32)]| silences(&probabilities(parts), 1000);
        assert!(found(&[(30, 0.9), (24, 0.1), (30, 0.9)]).is_empty());
        assert_eq!(found(&[(30, 0.9), (25, 0.1), (30, 0.4)]), std::slice::from_ref(&(30..55)));
        assert_eq!(found(&[(30, 0.9), (1900, 0.3)]), [30..1030, 1030..1930]);
        assert!(found(&[]).is_empty());
    }

    /// One and two, spoken.
    fn one_two() -> Vec<f32> {
        let spoken = include_bytes!("../../../tests/fixtures/micro/one-two.s16");
        spoken.as_chunks().0.iter().map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32768.0).collect()
    }

    #[test]
    fn speech_40_db_below_the_rest_is_found_and_noise_is_not() {
        const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vad/ggml-silero-v5.1.2.bin");
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let mut voiced = |quiet: &[f32]| {
            let loud = [one_two(), vec![0.0; BLOCK]].concat();
            let mut pcm = [&loud[..], quiet, &[0.0; BLOCK]].concat();
            let room = hiss(pcm.len(), 0.000_05, &mut Random::seeded(1));
            pcm.iter_mut().zip(room).for_each(|(sample, noise)| *sample += noise);
            let mut probabilities = vad.probabilities(&pcm, &|| false).unwrap();
            let first_look = voices(&probabilities, pcm.len());
            look_again(&mut vad, &pcm, &mut probabilities, &|| false).unwrap();
            let second_look = voices(&probabilities, pcm.len());
            [first_look, second_look]
                .map(|voices| voices.iter().filter(|voice| voice.range.end > loud.len()).count())
        };
        let quiet: Vec<f32> = one_two().iter().map(|sample| sample * 0.01).collect();
        let [first, second] = voiced(&quiet);
        assert!(first == 0 && second > 0, "{first} {second}");
        for level in [0.01, 0.001] {
            assert_eq!(voiced(&hiss(6 * BLOCK, level, &mut Random::seeded(2))), [0, 0], "{level}");
        }
    }

    #[test]
    fn speech_has_half_a_second_of_voice_and_a_likely_frame() {
        let probabilities =
            |voiced: usize, peak: f32| [vec![0.1; 30], vec![peak; voiced], vec![0.1; 9]].concat();
        assert!(is_speech(&probabilities(16, 0.9)));
        assert!(!is_speech(&probabilities(15, 0.99)));
        assert!(!is_speech(&probabilities(40, 0.85)));
        assert!(!is_speech(&[]));
    }
}
