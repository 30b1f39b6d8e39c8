//! Silero's voice activity model, run by whisper.cpp: the probability of speech, frame by frame.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::thread;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use crate::speech::models::SILERO_VAD;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::whisper::log;

/// Samples of a frame, 32 ms, for which the model gives one probability. It was trained on this
/// size.
pub(crate) const FRAME: usize = 512;
/// Frames between two checks for an abort, 96 s: less than a second of work.
pub(super) const BATCH: usize = 3000;
/// Frames of context, 2 s, that are run again before a part, because whisper.cpp resets the model's
/// state with every call. With more context, just as many frames are classified differently than in
/// a single run (docs/BENCHMARKS.md).
const WARM_UP: usize = 62;

/// The loudness of speech that the model knows well: the root mean square of the loudest [`BLOCK`].
pub(super) const TARGET_RMS: f32 = 0.1;
/// The most by which a quiet recording is amplified, 40 dB.
const MAX_GAIN: f32 = 100.0;
/// Samples of half a second.
pub(super) const BLOCK: usize = 8000;

/// Why voice activity is not detected. The text continues "the voice activity model FILE".
#[derive(Debug, thiserror::Error)]
pub(crate) enum VadError {
    #[error("is not there")]
    Missing,
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// A manipulated file can make ggml abort the process.
    #[error("is not {}, the one that is known here", SILERO_VAD.name)]
    Unknown,
    #[error("cannot be loaded by whisper.cpp")]
    Load,
}

pub(crate) struct Vad {
    /// One for each half of a batch.
    contexts: [WhisperVadContext; 2],
}

impl Vad {
    /// Loads the model. whisper.cpp only sees a file with the catalogue's SHA-256.
    pub(crate) fn load(path: &Path) -> Result<Self, VadError> {
        log::install();
        let verdict = checksum::verify_as(&SILERO_VAD, path, &mut |_, _| ControlFlow::Continue(()));
        match verdict {
            Ok(Verdict::Ok) => {}
            Ok(_) => return Err(VadError::Unknown),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VadError::Missing),
            Err(error) => return Err(VadError::Io(error)),
        }
        // whisper-rs takes text and panics on a NUL byte. A path that was just read has none.
        let path = path.to_str().ok_or(VadError::Load)?;
        let context = || {
            let mut parameters = WhisperVadContextParams::default();
            // A frame is too little work to share: threads would only wait for each other.
            parameters.set_n_threads(1);
            WhisperVadContext::new(path, parameters).map_err(|_| VadError::Load)
        };
        Ok(Self { contexts: [context()?, context()?] })
    }

    /// The probability of speech, 0 to 1, in each [`FRAME`] of `pcm`; the last one is filled up
    /// with silence. Quiet recordings are amplified first, because the model takes whispering into
    /// a distant microphone for silence. None if `aborted`, or if whisper.cpp fails, which it logs.
    pub(crate) fn probabilities(&mut self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<Vec<f32>> {
        let frames = pcm.len().div_ceil(FRAME);
        let mut probabilities = Vec::with_capacity(frames);
        let gain = gain(pcm);
        while probabilities.len() < frames {
            if aborted() {
                return None;
            }
            let next = probabilities.len();
            probabilities.extend(self.batch(pcm, next..(next + BATCH).min(frames), gain)?);
        }
        Some(probabilities)
    }

    /// The same of at most [`BATCH`] frames, which are not amplified, in one run.
    pub(super) fn probabilities_as_is(&mut self, pcm: &[f32]) -> Option<Vec<f32>> {
        run_model(&mut self.contexts[0], pcm, 0..pcm.len().div_ceil(FRAME), 1.0)
    }

    /// The probabilities of a range of `frames` of `pcm`, with both halves run in parallel. The
    /// result does not depend on the number of cores.
    fn batch(&mut self, pcm: &[f32], frames: Range<usize>, gain: f32) -> Option<Vec<f32>> {
        let [first, second] = &mut self.contexts;
        let Some(split) = split_point(&frames) else { return run_model(first, pcm, frames, gain) };
        thread::scope(|scope| {
            let rest = thread::Builder::new()
                .name("vad".to_owned())
                .spawn_scoped(scope, || run_model(second, pcm, split..frames.end, gain));
            let mut probabilities = run_model(first, pcm, frames.start..split, gain)?;
            probabilities.extend(match rest {
                Ok(rest) => rest.join().ok().flatten()?,
                // The system gives us no more threads.
                Err(_) => run_model(first, pcm, split..frames.end, gain)?,
            });
            Some(probabilities)
        })
    }
}

/// Where to split `frames` so that both parts take equally long, warming up included. None if there
/// are too few to gain anything.
fn split_point(frames: &Range<usize>) -> Option<usize> {
    let warming_up = WARM_UP - frames.start.min(WARM_UP);
    (frames.len() >= 2 * WARM_UP).then(|| frames.start + (frames.len() + warming_up) / 2)
}

/// The probabilities of a range of `frames` of `pcm`. None if whisper.cpp fails.
fn run_model(
    context: &mut WhisperVadContext,
    pcm: &[f32],
    frames: Range<usize>,
    gain: f32,
) -> Option<Vec<f32>> {
    let first = frames.start.saturating_sub(WARM_UP);
    let mut samples = &pcm[first * FRAME..(frames.end * FRAME).min(pcm.len())];
    let amplified: Vec<f32>;
    if gain > 1.0 {
        amplified = samples.iter().map(|sample| sample * gain).collect();
        samples = &amplified;
    }
    context.detect_speech(samples).ok()?;
    context.probabilities().get(frames.start - first..).map(<[f32]>::to_vec)
}

/// The gain that makes the loudest half second as loud as [`TARGET_RMS`]; 1 if it already is.
pub(super) fn gain(pcm: &[f32]) -> f32 {
    let power = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / BLOCK as f32;
    let loudest = pcm.chunks(BLOCK).map(power).fold(0.0, f32::max).sqrt();
    (TARGET_RMS / loudest).clamp(1.0, MAX_GAIN)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vad/ggml-silero-v5.1.2.bin");

    #[test]
    fn every_frame_has_one_probability() {
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let boundary = BATCH * FRAME;
        let halved = 2 * WARM_UP * FRAME;
        for samples in [0, 1, FRAME, FRAME + 1, halved, halved + 1, boundary - 1, boundary, boundary + 1] {
            let probabilities = vad.probabilities(&vec![0.01; samples], &|| false).unwrap();
            assert_eq!(probabilities.len(), samples.div_ceil(FRAME), "{samples} samples");
            assert!(probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)));
        }
    }

    #[test]
    fn both_halves_take_equally_long() {
        let run = |frames: Range<usize>| frames.end - frames.start.saturating_sub(WARM_UP);
        for frames in [0..2 * WARM_UP, 0..313, 0..BATCH, BATCH..2 * BATCH, BATCH..BATCH + 313] {
            let split = split_point(&frames).unwrap();
            let (first, second) = (run(frames.start..split), run(split..frames.end));
            assert!(first.abs_diff(second) <= 1, "{frames:?}: {first}, {second}");
        }
        assert_eq!(split_point(&(0..2 * WARM_UP - 1)), None);
        assert_eq!(split_point(&(BATCH..BATCH + 1)), None);
    }

    /// The mean difference of the probabilities in the first second.
    fn difference(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).take(31).map(|(a, b)| (a - b).abs()).sum::<f32>() / 31.0
    }

    #[test]
    fn the_second_half_has_context() {
        let spoken = include_bytes!("../../../tests/fixtures/micro/one-two.s16");
        let sample = |bytes: &[u8]| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32768.0;
        let spoken: Vec<f32> = spoken.chunks_exact(2).map(sample).collect();
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let (mut warmed_up, mut unprepared) = (0.0, 0.0);
        for pause in 0..12 {
            let pcm = [&spoken[..], &vec![0.0; pause * 1000]].concat().repeat(6);
            let all = 0..pcm.len().div_ceil(FRAME);
            let half = split_point(&all).unwrap();
            let whole = run_model(&mut vad.contexts[0], &pcm, all.clone(), 1.0).unwrap();
            let by_halves = vad.batch(&pcm, all.clone(), 1.0).unwrap();
            assert_eq!(by_halves[..half], whole[..half]);
            let rest = run_model(&mut vad.contexts[1], &pcm[half * FRAME..], 0..all.end - half, 1.0).unwrap();
            warmed_up += difference(&by_halves[half..], &whole[half..]);
            unprepared += difference(&rest, &whole[half..]);
        }
        assert!(warmed_up * 3.0 < unprepared, "{warmed_up}, {unprepared}");
    }

    #[test]
    fn quiet_recordings_are_amplified_by_their_loudest_half_second() {
        let tone = |level: f32| vec![level; 3 * BLOCK];
        assert_eq!(gain(&tone(0.5)), 1.0);
        assert!((gain(&tone(0.01)) - 10.0).abs() < 0.01);
        assert_eq!(gain(&tone(1e-5)), MAX_GAIN);
        assert_eq!(gain(&[]), MAX_GAIN);
        // A knock in a quiet room does not make the recording a loud one.
        let knock = [tone(0.002), vec![1.0; 16], tone(0.002)].concat();
        assert!((2.0..3.0).contains(&gain(&knock)), "{}", gain(&knock));
        let word = [tone(0.0001), vec![0.05; 4000], tone(0.0001)].concat();
        assert!((2.0..3.0).contains(&gain(&word)), "{}", gain(&word));
    }

    #[test]
    fn it_can_be_aborted_between_batches() {
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let pcm = vec![0.0; 2 * BATCH * FRAME];
        let asked = Cell::new(0);
        let aborted = || {
            asked.set(asked.get() + 1);
            asked.get() == 2
        };
        assert_eq!(vad.probabilities(&pcm, &aborted), None);
        assert_eq!(asked.get(), 2);
        assert!(vad.probabilities(&pcm[..FRAME], &|| false).is_some(), "and can be used again");
    }

    #[test]
    fn only_the_file_of_the_catalogue_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vad.bin");
        assert!(matches!(Vad::load(&path), Err(VadError::Missing)));
        assert!(matches!(Vad::load(folder.path()), Err(VadError::Unknown | VadError::Io(_))));
        let good = fs::read(MODEL).unwrap();
        // Bytes in the length of the model's name, then all over the file.
        for at in (4..8).chain((0..good.len()).step_by(good.len() / 8)) {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            fs::write(&path, bad).unwrap();
            assert!(matches!(Vad::load(&path), Err(VadError::Unknown)), "byte {at}");
        }
        for length in [0, 4, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(Vad::load(&path), Err(VadError::Unknown)), "{length} bytes");
        }
        fs::write(&path, good).unwrap();
        assert!(Vad::load(&path).is_ok(), "the file may have any name");
    }
}
