//! Cuts a long recording where it is quiet, so that it can be recognised piece by piece.

use std::mem;

use crate::audio::{AudioError, SAMPLE_RATE};

/// Samples in the longest stretch, 4 MB: two of Whisper's windows of 30 s, each of which ends with
/// a sentence and so leaves a few seconds. A little more would cost a third, as long as the others.
pub(super) const LONGEST_STRETCH: usize = 56 * SAMPLE_RATE as usize;
/// A stretch that has to be cut is at least so long.
const SHORTEST: usize = 42 * SAMPLE_RATE as usize;
/// The grid of the cuts, 32 ms.
const FRAME: usize = 512;
/// Frames that are quiet together: half a second, more than the closure of any consonant.
const PAUSE: usize = 16;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    /// The place of the first sample; a whole number of milliseconds.
    pub(super) start: u64,
    /// Mono at [`SAMPLE_RATE`], at most [`LONGEST_STRETCH`] of them.
    pub(super) samples: Vec<f32>,
}

/// Joins chunks of PCM, and cuts them again within the last quarter whenever a [`LONGEST_STRETCH`]
/// has come together. Where the cuts fall depends on the samples alone, not on the chunks.
pub(super) struct Stretches<I, P> {
    chunks: I,
    pause: P,
    held: Vec<f32>,
    /// The place of the first sample held.
    start: u64,
    /// Samples still to be left out.
    skip: u64,
}

impl<I, P: FnMut(&[f32]) -> Option<usize>> Stretches<I, P> {
    /// Begins with the sample `from`: with the end of a stretch, those after it are the same again.
    ///
    /// `pause` finds a place to cut the samples that it is given, a multiple of 16; where it does
    /// not, that is done at the quietest half second.
    pub(super) fn new(chunks: I, from: u64, pause: P) -> Self {
        Self { chunks, pause, held: Vec::new(), start: from, skip: from }
    }

    /// Takes the first samples of what is held.
    fn take(&mut self, count: usize) -> Stretch {
        let rest = self.held.split_off(count);
        let stretch = Stretch { start: self.start, samples: mem::replace(&mut self.held, rest) };
        self.start += count as u64;
        stretch
    }
}

impl<I, P> Iterator for Stretches<I, P>
where
    I: Iterator<Item = Result<Vec<f32>, AudioError>>,
    P: FnMut(&[f32]) -> Option<usize>,
{
    type Item = Result<Stretch, AudioError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.held.len() <= LONGEST_STRETCH {
            match self.chunks.next() {
                Some(Ok(chunk)) => {
                    let skipped = self.skip.min(chunk.len() as u64);
                    self.skip -= skipped;
                    self.held.extend_from_slice(&chunk[skipped as usize..]);
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.held.is_empty() => return None,
                None => return Some(Ok(self.take(self.held.len()))),
            }
        }
        let last = &self.held[SHORTEST..LONGEST_STRETCH];
        let cut = SHORTEST + (self.pause)(last).unwrap_or_else(|| quietest(last));
        Some(Ok(self.take(cut)))
    }
}

/// The middle of the quietest half second.
fn quietest(samples: &[f32]) -> usize {
    let energy = |frame: &[f32]| frame.iter().map(|sample| f64::from(sample * sample)).sum::<f64>();
    let energies: Vec<f64> = samples.chunks_exact(FRAME).map(energy).collect();
    let sums = energies.windows(PAUSE).map(|pause| pause.iter().sum::<f64>());
    let pause = sums.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(pause, _)| pause);
    (pause + PAUSE / 2) * FRAME
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = SAMPLE_RATE as usize;

    fn cut(recording: &[f32], chunk: usize) -> Vec<Stretch> {
        let chunks = recording.chunks(chunk).map(|chunk| Ok(chunk.to_vec()));
        Stretches::new(chunks, 0, |_| None).map(Result::unwrap).collect()
    }

    /// A tone of so many seconds, quiet for one second from each of `pauses` on.
    fn tone(seconds: usize, pauses: &[usize]) -> Vec<f32> {
        let mut tone: Vec<f32> = (0..seconds * SECOND).map(|n| (n as f32 * 0.3).sin() * 0.5).collect();
        for pause in pauses {
            tone[pause * SECOND..(pause + 1) * SECOND].iter_mut().for_each(|sample| *sample *= 0.01);
        }
        tone
    }

    #[test]
    fn what_fits_is_not_cut() {
        for seconds in [1, 55, 56] {
            let recording = tone(seconds, &[]);
            assert_eq!(cut(&recording, 7000), [Stretch { start: 0, samples: recording }]);
        }
        assert_eq!(cut(&[], 1), []);
    }

    #[test]
    fn a_long_recording_is_cut_in_its_pauses_and_nothing_of_it_is_lost() {
        let recording = tone(200, &[20, 48, 98, 110, 150]);
        let stretches = cut(&recording, SECOND);
        let starts: Vec<_> = stretches.iter().map(|stretch| stretch.start as usize / SECOND).collect();
        assert_eq!(starts, [0, 48, 98, 150]);
        assert!(stretches.iter().all(|stretch| stretch.start % 16 == 0), "whole milliseconds");
        let joined: Vec<f32> = stretches.into_iter().flat_map(|stretch| stretch.samples).collect();
        assert_eq!(joined, recording);
    }

    #[test]
    fn the_cuts_do_not_depend_on_the_chunks() {
        let recording = tone(150, &[45, 95]);
        assert_eq!(cut(&recording, 999), cut(&recording, 5 * SECOND));
    }

    #[test]
    fn from_the_end_of_any_stretch_on_the_others_are_the_same() {
        let recording = tone(200, &[20, 48, 98, 110, 150]);
        let stretches = cut(&recording, SECOND);
        for (n, Stretch { start, .. }) in stretches.iter().enumerate() {
            let chunks = recording.chunks(7000).map(|chunk| Ok(chunk.to_vec()));
            let rest: Vec<_> = Stretches::new(chunks, *start, |_| None).map(Result::unwrap).collect();
            assert_eq!(rest, stretches[n..]);
        }
        let beyond = Stretches::new([Ok(recording)].into_iter(), 200 * SECOND as u64, |_| None).next();
        assert_eq!(beyond, None);
    }

    #[test]
    fn without_any_pause_it_is_cut_all_the_same() {
        for level in [0.0, 0.5] {
            let stretches = cut(&vec![level; 250 * SECOND], SECOND);
            assert!(stretches.iter().all(|stretch| stretch.samples.len() <= LONGEST_STRETCH));
            assert_eq!(stretches.iter().map(|stretch| stretch.samples.len()).sum::<usize>(), 250 * SECOND);
        }
    }

    #[test]
    fn an_error_comes_where_it_came() {
        let chunks = [Ok(vec![0.1; SECOND]), Err(AudioError::Aborted)];
        assert_eq!(Stretches::new(chunks.into_iter(), 0, |_| None).next(), Some(Err(AudioError::Aborted)));
    }

    #[test]
    fn who_knows_a_better_place_is_listened_to() {
        let recording = tone(90, &[50]);
        let mut asked = 0;
        let pause = |samples: &[f32]| {
            asked += 1;
            assert_eq!(samples, &recording[SHORTEST..LONGEST_STRETCH]);
            Some(16)
        };
        let stretches: Vec<_> =
            Stretches::new(recording.chunks(SECOND).map(|chunk| Ok(chunk.to_vec())), 0, pause).collect();
        let starts: Vec<_> = stretches.iter().map(|stretch| stretch.as_ref().unwrap().start).collect();
        assert_eq!((starts, asked), (vec![0, SHORTEST as u64 + 16], 1));
    }
}
