//! Raises quiet speech after loud speech to the level of the loud speech. Whisper leaves out what
//! is 30 dB below the rest of its window, although alone it understands it.
//!
//! Only what is voice by the voice activity model is raised, with a little of the silence beside
//! it. Noise keeps its level.

use std::ops::Range;

use super::voice::MS;

/// Samples of the blocks by which loudness is measured, 0.25 s.
const BLOCK: usize = 250 * MS;
/// Voices below this share of the loudest, 20 dB below it, are raised. Whisper hears louder ones.
const QUIET: f32 = 0.1;
/// Quiet voices are raised if they last this long together. A shorter sound may be a breath.
const SHORTEST: usize = 400 * MS;
/// The most by which they are raised, 40 dB.
const MAX_GAIN: f32 = 100.0;
/// What is raised of a silence beside a quiet voice, at most.
const BESIDE: usize = 300 * MS;
/// How much louder than the loudest voice a moment may become, 6 dB. Moments of a voice differ by
/// that much from a quarter of a second of it.
const HEADROOM: f32 = 2.0;
/// Samples of 10 ms, for which there is one gain. It changes linearly from one to the next, because
/// a jump would click.
const FRAME: usize = 10 * MS;

/// Raises the voices in `pcm` that are far below the loudest one, and returns how many samples that
/// are. `voices` are their ranges, in order.
pub(super) fn raise_quiet_voices(pcm: &mut [f32], voices: &[Range<usize>]) -> usize {
    let levels: Vec<f32> = voices.iter().map(|voice| level(&pcm[voice.clone()])).collect();
    let loudest = levels.iter().copied().fold(0.0, f32::max);
    let (mut first, mut raised) = (0, 0);
    // Neighbours that are quiet are raised together, so the melody of a sentence stays.
    for group in levels.chunk_by(|a, b| (*a < loudest * QUIET) == (*b < loudest * QUIET)) {
        let last = first + group.len() - 1;
        let level = group.iter().copied().fold(0.0, f32::max);
        let voiced: usize = voices[first..=last].iter().map(|voice| voice.len()).sum();
        if level < loudest * QUIET && level > 0.0 && voiced >= SHORTEST {
            let start = match first.checked_sub(1) {
                Some(before) => beside(voices[before].end, voices[first].start).1,
                None => voices[first].start.saturating_sub(BESIDE),
            };
            let end = match voices.get(last + 1) {
                Some(after) => beside(voices[last].end, after.start).0,
                None => (voices[last].end + BESIDE).min(pcm.len()),
            };
            raised += end - start;
            raise(&mut pcm[start..end], (loudest / level).min(MAX_GAIN), loudest * HEADROOM);
        }
        first = last + 1;
    }
    raised
}

/// Where what is raised ends after a voice that ends at `end`, and begins before one that starts at
/// `start`.
fn beside(end: usize, start: usize) -> (usize, usize) {
    let half = ((start - end) / 2).min(BESIDE);
    (end + half, start - half)
}

/// The root mean square of the loudest [`BLOCK`], or of all if it is shorter.
fn level(pcm: &[f32]) -> f32 {
    let mean = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
    pcm.chunks(BLOCK).filter(|block| block.len() == BLOCK.min(pcm.len())).map(mean).fold(0.0, f32::max).sqrt()
}

/// Multiplies by `gain`, or by less where the result would be louder than `limit`: a knock, or what
/// is left of a loud voice.
fn raise(pcm: &mut [f32], gain: f32, limit: f32) {
    let mut before = 1.0;
    let frames = pcm.len().div_ceil(FRAME);
    for (n, frame) in pcm.chunks_mut(FRAME).enumerate() {
        let next = if n + 1 == frames {
            1.0
        } else {
            gain.min(limit / level(frame).max(f32::MIN_POSITIVE)).max(1.0)
        };
        let length = frame.len() as f32;
        for (place, sample) in frame.iter_mut().enumerate() {
            *sample *= before + (next - before) * (place + 1) as f32 / length;
        }
        before = next;
    }
}

#[cfg(test)]
mod tests {
    use support::noise::hiss;
    use support::speech::Random;

    use super::*;

    const SECOND: usize = 1000 * MS;

    /// Something like syllables, four a second, with the loudness `level`.
    fn syllables(samples: usize, level: f32) -> Vec<f32> {
        let syllable = |n: usize| if n % (SECOND / 4) < SECOND / 6 { 1.0 } else { 0.1 };
        (0..samples).map(|n| level * syllable(n) * if n % 160 < 80 { 1.0 } else { -1.0 }).collect()
    }

    /// Loud speech, a pause, and speech this many decibels below, in a quiet room; and where the
    /// voices are.
    fn pair(below: f32, pause: usize) -> (Vec<f32>, [Range<usize>; 2]) {
        let quiet = 0.3 * 10.0_f32.powf(-below / 20.0);
        let parts =
            [syllables(3 * SECOND, 0.3), vec![0.0; pause], syllables(3 * SECOND, quiet), vec![0.0; SECOND]];
        let mut pcm = parts.concat();
        let room = hiss(pcm.len(), 0.000_05, &mut Random::seeded(1));
        pcm.iter_mut().zip(room).for_each(|(sample, noise)| *sample += noise);
        (pcm, [0..3 * SECOND, 3 * SECOND + pause..6 * SECOND + pause])
    }

    /// In decibels.
    fn gain(before: &[f32], after: &[f32]) -> f32 {
        20.0 * (level(after) / level(before)).log10()
    }

    #[test]
    fn voices_20_db_below_the_loudest_are_raised_to_it_by_40_db_at_most() {
        for pause in [40 * MS, 2 * SECOND] {
            for (below, expected) in
                [(0.0, 0.0), (10.0, 0.0), (18.0, 0.0), (25.0, 25.0), (40.0, 40.0), (50.0, 40.0)]
            {
                let (before, [loud, quiet]) = pair(below, pause);
                let mut after = before.clone();
                let raised = raise_quiet_voices(&mut after, &[loud.clone(), quiet.clone()]);
                assert_eq!(raised > 0, expected > 0.0);
                assert!(after[loud.clone()] == before[loud], "{below}: the loud voice changes");
                let raised = gain(&before[quiet.clone()], &after[quiet]);
                assert!((raised - expected).abs() < 0.5, "{below}, {pause}: {raised}");
            }
        }
    }

    #[test]
    fn what_is_no_voice_keeps_its_level() {
        let (before, [loud, quiet]) = pair(40.0, 2 * SECOND);
        let mut after = before.clone();
        raise_quiet_voices(&mut after, &[loud.clone(), quiet.clone()]);
        for silence in [loud.end..quiet.start - BESIDE, quiet.end + BESIDE..before.len()] {
            assert!(after[silence.clone()] == before[silence.clone()], "{silence:?}");
        }
        for voices in [&[][..], &[loud]] {
            let mut after = before.clone();
            raise_quiet_voices(&mut after, voices);
            assert!(after == before, "{voices:?}");
        }
    }

    #[test]
    fn a_breath_is_not_raised() {
        let (before, [loud, quiet]) = pair(30.0, 2 * SECOND);
        for (samples, is_raised) in [(SHORTEST - 1, false), (SHORTEST, true)] {
            let breath = quiet.start..quiet.start + samples;
            let raised = raise_quiet_voices(&mut before.clone(), &[loud.clone(), breath]);
            assert_eq!(raised > 0, is_raised, "{samples}");
        }
    }

    #[test]
    fn quiet_voices_side_by_side_are_raised_together() {
        let parts = [0.3, 0.006, 0.003].map(|level| syllables(SECOND, level));
        let before = parts.concat();
        let voices: Vec<_> = (0..3).map(|n| n * SECOND..(n + 1) * SECOND - 40 * MS).collect();
        let mut after = before.clone();
        raise_quiet_voices(&mut after, &voices);
        for voice in &voices[1..] {
            let raised = gain(&before[voice.clone()], &after[voice.clone()]);
            assert!((raised - 34.0).abs() < 0.5, "{voice:?}: {raised}");
        }
    }

    #[test]
    fn nothing_becomes_louder_than_the_loudest_voice_and_the_gain_does_not_jump() {
        let (mut before, [loud, quiet]) = pair(40.0, 40 * MS);
        // The loud voice dies away within the quiet one.
        for (n, sample) in before[loud.end..loud.end + SECOND / 2].iter_mut().enumerate() {
            *sample += 0.2 * (-(n as f32) / 1000.0).exp() * (n as f32).sin();
        }
        let mut after = before.clone();
        raise_quiet_voices(&mut after, &[loud.clone(), quiet]);
        let peak = |pcm: &[f32]| pcm.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(peak(&after) < 2.0 * peak(&before), "{}", peak(&after));

        let mut ones = vec![1.0; 10 * FRAME];
        raise(&mut ones, 10.0, 100.0);
        assert!(ones.windows(2).all(|two| (two[1] - two[0]).abs() < 0.1));
        assert_eq!((ones[5 * FRAME], ones[10 * FRAME - 1]), (10.0, 1.0));
    }
}
