//! Cuts a long recording in its pauses, so that it can be recognised stretch by stretch.

use std::mem;

use crate::audio::{AudioError, SAMPLE_RATE};

/// A long recording is cut in the last so many samples of the longest stretch, 8 s.
const CUT_WITHIN: usize = 8 * SAMPLE_RATE as usize;
/// Cuts at the quietest point are multiples of this, 32 ms.
const FRAME: usize = 512;
/// Frames of half a second, which is longer than the closure of any consonant.
const PAUSE: usize = 16;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    /// The position of its first sample, a whole number of milliseconds.
    pub(super) start: u64,
    /// Mono at [`SAMPLE_RATE`], at most what [`Stretches::new`] is given.
    pub(super) samples: Vec<f32>,
}

/// Joins chunks of PCM and cuts them into stretches, each in the last 8 s of the longest that is
/// allowed. The cuts depend only on the samples, not on the chunks.
pub(super) struct Stretches<I, P> {
    chunks: I,
    /// Samples of the longest stretch.
    longest: usize,
    pause: P,
    buffer: Vec<f32>,
    /// The position of the first sample in the buffer.
    start: u64,
    /// Samples that are still to be skipped.
    skip: u64,
}

impl<I, P: FnMut(&[f32]) -> Option<usize>> Stretches<I, P> {
    /// Begins with the sample `from`. If that is the end of a stretch, the stretches after it are
    /// the same as those of the whole recording. No stretch is longer than `longest`, which is more
    /// than 8 s.
    ///
    /// `pause` returns where to cut the samples that it is given, a multiple of 16. If it returns
    /// None, they are cut in the quietest half second.
    pub(super) fn new(chunks: I, from: u64, longest: usize, pause: P) -> Self {
        let longest = longest.max(CUT_WITHIN + FRAME * PAUSE);
        Self { chunks, longest, pause, buffer: Vec::new(), start: from, skip: from }
    }

    /// Takes the first samples out of the buffer.
    fn take(&mut self, count: usize) -> Stretch {
        let rest = self.buffer.split_off(count);
        let stretch = Stretch { start: self.start, samples: mem::replace(&mut self.buffer, rest) };
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
        while self.buffer.len() <= self.longest {
            match self.chunks.next() {
                Some(Ok(chunk)) => {
                    let skipped = self.skip.min(chunk.len() as u64);
                    self.skip -= skipped;
                    self.buffer.extend_from_slice(&chunk[skipped as usize..]);
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.buffer.is_empty() => return None,
                None => return Some(Ok(self.take(self.buffer.len()))),
            }
        }
        let earliest = self.longest - CUT_WITHIN;
        let last = &self.buffer[earliest..self.longest];
        let cut = earliest + (self.pause)(last).unwrap_or_else(|| quietest(last));
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
    const LONGEST: usize = 29 * SECOND;
    const EARLIEST_CUT: usize = 21 * SECOND;

    fn cut(recording: &[f32], chunk: usize) -> Vec<Stretch> {
        let chunks = recording.chunks(chunk).map(|chunk| Ok(chunk.to_vec()));
        Stretches::new(chunks, 0, LONGEST, |_| None).map(Result::unwrap).collect()
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
    fn a_short_recording_is_not_cut() {
        for seconds in [1, 28, 29] {
            let recording = tone(seconds, &[]);
            assert_eq!(cut(&recording, 7000), [Stretch { start: 0, samples: recording }]);
        }
        assert_eq!(cut(&[], 1), []);
    }

    #[test]
    fn a_long_recording_is_cut_in_its_pauses_and_nothing_is_lost() {
        let recording = tone(100, &[10, 24, 49, 55, 75]);
        let stretches = cut(&recording, SECOND);
        let starts: Vec<_> = stretches.iter().map(|stretch| stretch.start as usize / SECOND).collect();
        assert_eq!(starts, [0, 24, 49, 75]);
        assert!(stretches.iter().all(|stretch| stretch.start % 16 == 0), "whole milliseconds");
        let joined: Vec<f32> = stretches.into_iter().flat_map(|stretch| stretch.samples).collect();
        assert_eq!(joined, recording);
    }

    #[test]
    fn the_cuts_do_not_depend_on_the_chunks() {
        let recording = tone(75, &[22, 47]);
        assert_eq!(cut(&recording, 999), cut(&recording, 5 * SECOND));
    }

    #[test]
    fn continuing_after_any_stretch_gives_the_same_stretches() {
        let recording = tone(100, &[10, 24, 49, 55, 75]);
        let stretches = cut(&recording, SECOND);
        for (n, Stretch { start, .. }) in stretches.iter().enumerate() {
            let chunks = recording.chunks(7000).map(|chunk| Ok(chunk.to_vec()));
            let rest: Vec<_> =
                Stretches::new(chunks, *start, LONGEST, |_| None).map(Result::unwrap).collect();
            assert_eq!(rest, stretches[n..]);
        }
        let beyond =
            Stretches::new([Ok(recording)].into_iter(), 100 * SECOND as u64, LONGEST, |_| None).next();
        assert_eq!(beyond, None);
    }

    #[test]
    fn a_recording_without_pauses_is_cut_too() {
        for level in [0.0, 0.5] {
            let stretches = cut(&vec![level; 125 * SECOND], SECOND);
            assert!(stretches.iter().all(|stretch| stretch.samples.len() <= LONGEST));
            assert_eq!(stretches.iter().map(|stretch| stretch.samples.len()).sum::<usize>(), 125 * SECOND);
        }
    }

    #[test]
    fn a_model_that_takes_less_gets_shorter_stretches() {
        let recording = tone(60, &[18, 23, 40]);
        let chunks = recording.chunks(7000).map(|chunk| Ok(chunk.to_vec()));
        let stretches = Stretches::new(chunks, 0, 25 * SECOND, |_| None).map(Result::unwrap);
        let starts: Vec<_> = stretches.map(|stretch| stretch.start as usize / SECOND).collect();
        assert_eq!(starts, [0, 18, 40]);
    }

    #[test]
    fn errors_are_passed_on() {
        let chunks = [Ok(vec![0.1; SECOND]), Err(AudioError::Aborted)];
        assert_eq!(
            Stretches::new(chunks.into_iter(), 0, LONGEST, |_| None).next(),
            Some(Err(AudioError::Aborted))
        );
    }

    #[test]
    fn the_given_pause_is_where_it_is_cut() {
        let recording = tone(45, &[25]);
        let mut asked = 0;
        let pause = |samples: &[f32]| {
            asked += 1;
            assert_eq!(samples, &recording[EARLIEST_CUT..LONGEST]);
            Some(16)
        };
        let stretches: Vec<_> =
            Stretches::new(recording.chunks(SECOND).map(|chunk| Ok(chunk.to_vec())), 0, LONGEST, pause)
                .collect();
        let starts: Vec<_> = stretches.iter().map(|stretch| stretch.as_ref().unwrap().start).collect();
        assert_eq!((starts, asked), (vec![0, EARLIEST_CUT as u64 + 16], 1));
    }
}
