//! Raises quiet speech after loud speech: somebody turns away from the phone, or hands it on.
//! Whisper leaves out what is 30 dB below the rest of its window, though it understands the same
//! words alone.
//!
//! The level is that of stretches of speech, so the melody of a sentence stays. What is no speech
//! keeps its own.

use std::ops::Range;

use super::whisper::RATE;

/// Samples of a frame, 50 ms.
const FRAME: usize = RATE / 20;
/// Frames on either side whose loudest counts, half a second: words and the pauses between them are
/// one stretch.
const AROUND: usize = 10;
/// Frames beside voice that are raised with it, 0.4 s: voice activity detection leaves out quiet
/// beginnings and ends.
const BESIDE: usize = 8;
/// Stretches of speech below this share of the loudest, 20 dB below it, are raised to the loudest.
/// Whisper hears nearer ones, and raising them raises the noise that they stand in.
const QUIET: f32 = 0.1;
/// They are raised so many times at most, by 40 dB.
const MOST: f32 = 100.0;
/// Samples in which one gain goes over to the next, 20 ms: a jump would click.
const RAMP: usize = RATE / 50;
/// Speech is this much above the quietest frames, 10 dB: voice activity alone would take in the
/// noise between words and beside them, and raised noise is heard as words.
const ABOVE_NOISE: f32 = 3.16;
/// The share of the frames that are the quietest,
const QUIETEST: f32 = 0.05;
/// without those below -90 dBFS: digital silence is no noise.
const NOTHING: f32 = 3e-5;

/// Raises the quiet stretches of speech in `pcm` to the loudest. Speech is what is clearly louder
/// than the noise and, where that is known, in or beside the ranges `voiced`, which are in order.
pub(super) fn raise_quiet_speech(pcm: &mut [f32], voiced: Option<&[Range<usize>]>) {
    let loudness: Vec<f32> = pcm.chunks(FRAME).map(root_mean_square).collect();
    let levels = loudest_around(&loudness, AROUND);
    let mut speech = above_noise(&levels, &loudness);
    if let Some(voiced) = voiced {
        let voiced = beside_voice(voiced, levels.len());
        speech.iter_mut().zip(voiced).for_each(|(speech, voiced)| *speech &= voiced);
    }
    let loudest = levels.iter().zip(&speech).filter(|(_, speech)| **speech).map(|(level, _)| *level);
    let loudest = loudest.fold(0.0, f32::max);
    let gain = |(&level, &speech): (&f32, &bool)| {
        if speech && level < loudest * QUIET { (loudest / level).min(MOST) } else { 1.0 }
    };
    let gains: Vec<f32> = levels.iter().zip(&speech).map(gain).collect();
    amplify(pcm, &gains);
}

fn root_mean_square(frame: &[f32]) -> f32 {
    (frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32).sqrt()
}

/// The loudest of each frame and so many on either side.
fn loudest_around(loudness: &[f32], around: usize) -> Vec<f32> {
    let around = |frame: usize| frame.saturating_sub(around)..(frame + around + 1).min(loudness.len());
    (0..loudness.len()).map(|frame| loudness[around(frame)].iter().copied().fold(0.0, f32::max)).collect()
}

/// Which of so many frames have voice in them or just beside them.
fn beside_voice(voiced: &[Range<usize>], frames: usize) -> Vec<bool> {
    let mut speech = vec![false; frames];
    for voice in voiced {
        let end = (voice.end.div_ceil(FRAME) + BESIDE).min(frames);
        let start = (voice.start / FRAME).saturating_sub(BESIDE).min(end);
        speech[start..end].fill(true);
    }
    speech
}

fn above_noise(levels: &[f32], loudness: &[f32]) -> Vec<bool> {
    let mut quietest: Vec<f32> = loudness.iter().copied().filter(|&loudness| loudness > NOTHING).collect();
    quietest.sort_by(f32::total_cmp);
    let noise = quietest.get((quietest.len() as f32 * QUIETEST) as usize).copied().unwrap_or(0.0);
    levels.iter().map(|&level| level > noise * ABOVE_NOISE).collect()
}

/// Multiplies the samples of each frame by its gain, to which that of the frame before goes over.
fn amplify(pcm: &mut [f32], gains: &[f32]) {
    for (n, frame) in pcm.chunks_mut(FRAME).enumerate() {
        let (before, gain) = (gains[n.saturating_sub(1)], gains[n]);
        if before == 1.0 && gain == 1.0 {
            continue;
        }
        for (place, sample) in frame.iter_mut().enumerate() {
            let share = (place as f32 / RAMP as f32).min(1.0);
            *sample *= before + (gain - before) * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something like syllables, so many seconds and so loud, with 4 pauses a second.
    fn speech(seconds: f32, level: f32) -> Vec<f32> {
        let samples = 0..(seconds * RATE as f32) as usize;
        let syllable = |n: usize| if n % (RATE / 4) < RATE / 6 { 1.0 } else { 0.05 };
        samples.map(|n| level * syllable(n) * if n % 160 < 80 { 1.0 } else { -1.0 }).collect()
    }

    fn noise(seconds: f32, level: f32) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..(seconds * RATE as f32) as usize).map(|_| level * next()).collect()
    }

    fn peak(pcm: &[f32]) -> f32 {
        pcm.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
    }

    /// In decibels.
    fn gain(before: &[f32], after: &[f32]) -> f32 {
        20.0 * (peak(after) / peak(before)).log10()
    }

    /// Loud speech, a pause, and speech so many decibels below, in noise 70 dB below; and where
    /// they are.
    fn pair(below: f32) -> (Vec<f32>, [Range<usize>; 3]) {
        let quiet = 0.3 * 10.0_f32.powf(-below / 20.0);
        let parts = [speech(3.0, 0.3), vec![0.0; 2 * RATE], speech(3.0, quiet)];
        let pcm =
            parts.concat().iter().zip(noise(8.0, 0.0001)).map(|(sample, noise)| sample + noise).collect();
        (pcm, [0..3 * RATE, 3 * RATE..5 * RATE, 5 * RATE..8 * RATE])
    }

    #[test]
    fn speech_20_db_below_the_loudest_is_raised_to_it_by_40_db_at_most() {
        for voice_is_known in [true, false] {
            for (below, expected) in
                [(0.0, 0.0), (8.0, 0.0), (18.0, 0.0), (25.0, 25.0), (40.0, 40.0), (50.0, 40.0)]
            {
                let (before, [loud, pause, quiet]) = pair(below);
                let mut after = before.clone();
                let voiced = [loud.clone(), quiet.clone()];
                raise_quiet_speech(&mut after, voice_is_known.then_some(&voiced));
                assert!(after[loud.clone()] == before[loud], "{below}");
                let raised = gain(&before[quiet.clone()], &after[quiet]);
                assert!((raised - expected).abs() < 0.5, "{below}, {voice_is_known}: {raised}");
                // What is no speech keeps its level.
                let middle = pause.start + RATE..pause.end - RATE / 2;
                assert!(after[middle.clone()] == before[middle], "{below}, {voice_is_known}");
            }
        }
    }

    #[test]
    fn noise_alone_is_not_raised() {
        // A knock, and a quiet room.
        let knock = [noise(2.0, 0.001), noise(0.1, 0.5), noise(4.0, 0.001)].concat();
        for before in [noise(5.0, 0.01), knock, vec![0.0; RATE], vec![0.1], vec![]] {
            for voiced in [None, Some(&[][..])] {
                let mut after = before.clone();
                raise_quiet_speech(&mut after, voiced);
                assert!(after == before, "of {} samples", before.len());
            }
        }
    }

    /// Voice activity's ranges hold pauses, too, and their ends.
    #[test]
    fn noise_between_and_beside_words_is_not_raised() {
        let words = [speech(2.0, 0.3), vec![0.0; 2 * RATE], speech(2.0, 0.3), vec![0.0; RATE]].concat();
        // 15 dB below the words.
        let before: Vec<f32> =
            words.iter().zip(noise(7.0, 0.05)).map(|(sample, noise)| sample + noise).collect();
        for voiced in [None, Some(&[0..7 * RATE][..])] {
            let mut after = before.clone();
            raise_quiet_speech(&mut after, voiced);
            assert!(after == before);
        }
    }

    #[test]
    fn the_gain_does_not_jump() {
        let mut pcm = vec![1.0; 10 * FRAME];
        amplify(&mut pcm, &[1.0, 1.0, 10.0, 10.0, 10.0, 1.0, 1.0, 30.0, 1.0, 1.0]);
        assert!(pcm.is_sorted_by(|a, b| (a - b).abs() < 0.2), "{pcm:?}");
        assert_eq!((pcm[FRAME], pcm[4 * FRAME], pcm[10 * FRAME - 1]), (1.0, 10.0, 1.0));
    }
}
