//! Voice activity: how likely somebody speaks, by Silero's model in whisper.cpp.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::thread;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use crate::speech::models::SILERO_VAD;
use crate::speech::models::checksum::{self, Verdict};
use crate::speech::whisper::log;

/// Samples that one probability stands for, 32 ms: what the model was trained on.
pub(crate) const WINDOW: usize = 512;
/// Windows heard at once, 96 s: less than a second of work, which nothing can break off.
const STRETCH: usize = 3000;
/// Windows heard once more before a part, 2 s: whisper.cpp empties the model's memory at its
/// beginning. With more there are no fewer windows that are taken for speech in the one case and
/// not in the other (docs/BENCHMARKS.md).
const WARM_UP: usize = 62;

/// How loud speech is that the model knows well, as the root mean square of its loudest [`BLOCK`].
const USUAL: f32 = 0.1;
/// Quiet recordings are amplified so many times at most, by 40 dB.
const MOST: f32 = 100.0;
/// Samples, half a second.
const BLOCK: usize = 8000;

/// Why voice activity is not detected. Reads on from "the voice activity model FILE".
#[derive(Debug, thiserror::Error)]
pub(crate) enum VadError {
    #[error("is not there")]
    Missing,
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// A tampered one can abort the process inside ggml.
    #[error("is not {}, the one that is known here", SILERO_VAD.name)]
    Unknown,
    #[error("cannot be loaded by whisper.cpp")]
    Load,
}

pub(crate) struct Vad {
    /// One for each half of a stretch.
    contexts: [WhisperVadContext; 2],
}

impl Vad {
    /// Only a file with the catalogue's bytes is given to whisper.cpp.
    pub(crate) fn load(path: &Path) -> Result<Self, VadError> {
        log::install();
        let verdict = checksum::verify_as(&SILERO_VAD, path, &mut |_, _| ControlFlow::Continue(()));
        match verdict {
            Ok(Verdict::Ok) => {}
            Ok(_) => return Err(VadError::Unknown),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VadError::Missing),
            Err(error) => return Err(VadError::Io(error)),
        }
        // whisper-rs takes text, and panics on a NUL byte, which no path that was just read has.
        let path = path.to_str().ok_or(VadError::Load)?;
        let context = || {
            let mut parameters = WhisperVadContextParams::default();
            // A window is too little work to share: threads would only wait for each other.
            parameters.set_n_threads(1);
            WhisperVadContext::new(path, parameters).map_err(|_| VadError::Load)
        };
        Ok(Self { contexts: [context()?, context()?] })
    }

    /// The probability of speech, 0 to 1, in each [`WINDOW`] of `pcm`, the last one filled up with
    /// silence. What is quiet is amplified for this: the model takes a whisper into a far
    /// microphone for silence. None when `aborted`, or when whisper.cpp fails, which it logs.
    pub(crate) fn probabilities(&mut self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<Vec<f32>> {
        let windows = pcm.len().div_ceil(WINDOW);
        let mut probabilities = Vec::with_capacity(windows);
        let gain = gain(pcm);
        while probabilities.len() < windows {
            if aborted() {
                return None;
            }
            let next = probabilities.len();
            probabilities.extend(self.stretch(pcm, next..(next + STRETCH).min(windows), gain)?);
        }
        Some(probabilities)
    }

    /// The probabilities of `windows` of `pcm`, both halves at the same time. They are the same
    /// ones on a single core.
    fn stretch(&mut self, pcm: &[f32], windows: Range<usize>, gain: f32) -> Option<Vec<f32>> {
        let [first, second] = &mut self.contexts;
        let Some(half) = half(&windows) else { return hear(first, pcm, windows, gain) };
        thread::scope(|scope| {
            let rest = thread::Builder::new()
                .name("listener".to_owned())
                .spawn_scoped(scope, || hear(second, pcm, half..windows.end, gain));
            let mut heard = hear(first, pcm, windows.start..half, gain)?;
            heard.extend(match rest {
                Ok(rest) => rest.join().ok().flatten()?,
                // There may be no more threads.
                Err(_) => hear(first, pcm, half..windows.end, gain)?,
            });
            Some(heard)
        })
    }
}

/// Where to part `windows` so that both parts take as long, warming up included. None where that
/// gains too little to be worth it.
fn half(windows: &Range<usize>) -> Option<usize> {
    let warming_up = WARM_UP - windows.start.min(WARM_UP);
    (windows.len() >= 2 * WARM_UP).then(|| windows.start + (windows.len() + warming_up) / 2)
}

/// The probabilities of `windows` of `pcm`. None when whisper.cpp fails.
fn hear(context: &mut WhisperVadContext, pcm: &[f32], windows: Range<usize>, gain: f32) -> Option<Vec<f32>> {
    let first = windows.start.saturating_sub(WARM_UP);
    let mut heard = &pcm[first * WINDOW..(windows.end * WINDOW).min(pcm.len())];
    let amplified: Vec<f32>;
    if gain > 1.0 {
        amplified = heard.iter().map(|sample| sample * gain).collect();
        heard = &amplified;
    }
    context.detect_speech(heard).ok()?;
    context.probabilities().get(windows.start - first..).map(<[f32]>::to_vec)
}

/// What makes the loudest half second as loud as usual; 1 where it is already.
fn gain(pcm: &[f32]) -> f32 {
    let power = |block: &[f32]| block.iter().map(|sample| sample * sample).sum::<f32>() / BLOCK as f32;
    let loudest = pcm.chunks(BLOCK).map(power).fold(0.0, f32::max).sqrt();
    (USUAL / loudest).clamp(1.0, MOST)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vad/ggml-silero-v5.1.2.bin");

    #[test]
    fn every_window_has_one_probability() {
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let boundary = STRETCH * WINDOW;
        let halved = 2 * WARM_UP * WINDOW;
        for samples in [0, 1, WINDOW, WINDOW + 1, halved, halved + 1, boundary - 1, boundary, boundary + 1] {
            let probabilities = vad.probabilities(&vec![0.01; samples], &|| false).unwrap();
            assert_eq!(probabilities.len(), samples.div_ceil(WINDOW), "{samples} samples");
            assert!(probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)));
        }
    }

    #[test]
    fn both_halves_take_as_long() {
        let heard = |windows: Range<usize>| windows.end - windows.start.saturating_sub(WARM_UP);
        for windows in [0..2 * WARM_UP, 0..313, 0..STRETCH, STRETCH..2 * STRETCH, STRETCH..STRETCH + 313] {
            let half = half(&windows).unwrap();
            let (first, second) = (heard(windows.start..half), heard(half..windows.end));
            assert!(first.abs_diff(second) <= 1, "{windows:?}: {first}, {second}");
        }
        assert_eq!(half(&(0..2 * WARM_UP - 1)), None);
        assert_eq!(half(&(STRETCH..STRETCH + 1)), None);
    }

    /// How far apart two opinions of the first second are on average.
    fn apart(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).take(31).map(|(a, b)| (a - b).abs()).sum::<f32>() / 31.0
    }

    #[test]
    fn a_second_half_knows_what_came_before() {
        let spoken = include_bytes!("../../../tests/fixtures/micro/one-two.s16");
        let sample = |bytes: &[u8]| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32768.0;
        let spoken: Vec<f32> = spoken.chunks_exact(2).map(sample).collect();
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let (mut warmed_up, mut unprepared) = (0.0, 0.0);
        for pause in 0..12 {
            let pcm = [&spoken[..], &vec![0.0; pause * 1000]].concat().repeat(6);
            let all = 0..pcm.len().div_ceil(WINDOW);
            let half = half(&all).unwrap();
            let whole = hear(&mut vad.contexts[0], &pcm, all.clone(), 1.0).unwrap();
            let by_halves = vad.stretch(&pcm, all.clone(), 1.0).unwrap();
            assert_eq!(by_halves[..half], whole[..half]);
            let rest = hear(&mut vad.contexts[1], &pcm[half * WINDOW..], 0..all.end - half, 1.0).unwrap();
            warmed_up += apart(&by_halves[half..], &whole[half..]);
            unprepared += apart(&rest, &whole[half..]);
        }
        assert!(warmed_up * 3.0 < unprepared, "{warmed_up}, {unprepared}");
    }

    #[test]
    fn quiet_recordings_are_amplified_by_their_loudest_half_second() {
        let tone = |level: f32| vec![level; 3 * BLOCK];
        assert_eq!(gain(&tone(0.5)), 1.0);
        assert!((gain(&tone(0.01)) - 10.0).abs() < 0.01);
        assert_eq!(gain(&tone(1e-5)), MOST);
        assert_eq!(gain(&[]), MOST);
        // A knock in a quiet room is no loud recording.
        let knock = [tone(0.002), vec![1.0; 16], tone(0.002)].concat();
        assert!((2.0..3.0).contains(&gain(&knock)), "{}", gain(&knock));
        let word = [tone(0.0001), vec![0.05; 4000], tone(0.0001)].concat();
        assert!((2.0..3.0).contains(&gain(&word)), "{}", gain(&word));
    }

    #[test]
    fn it_can_be_broken_off_between_stretches() {
        let mut vad = Vad::load(Path::new(MODEL)).unwrap();
        let pcm = vec![0.0; 2 * STRETCH * WINDOW];
        let asked = Cell::new(0);
        let aborted = || {
            asked.set(asked.get() + 1);
            asked.get() == 2
        };
        assert_eq!(vad.probabilities(&pcm, &aborted), None);
        assert_eq!(asked.get(), 2);
        assert!(vad.probabilities(&pcm[..WINDOW], &|| false).is_some(), "and goes on");
    }

    #[test]
    fn only_the_known_file_is_given_to_whisper_cpp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vad.bin");
        assert!(matches!(Vad::load(&path), Err(VadError::Missing)));
        assert!(matches!(Vad::load(folder.path()), Err(VadError::Unknown | VadError::Io(_))));
        let good = fs::read(MODEL).unwrap();
        // The length of the model's name, then everywhere.
        for place in (4..8).chain((0..good.len()).step_by(good.len() / 8)) {
            let mut bad = good.clone();
            bad[place] ^= 0x80;
            fs::write(&path, bad).unwrap();
            assert!(matches!(Vad::load(&path), Err(VadError::Unknown)), "byte {place}");
        }
        for length in [0, 4, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(Vad::load(&path), Err(VadError::Unknown)), "{length} bytes");
        }
        fs::write(&path, good).unwrap();
        assert!(Vad::load(&path).is_ok(), "under any name");
    }
}
