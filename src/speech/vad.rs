//! Voice activity: how likely somebody speaks, by Silero's model in whisper.cpp.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use super::checksum::{self, Verdict};
use super::log;
use super::models::SILERO_VAD;

/// Samples that one probability stands for, 32 ms: what the model was trained on.
pub(super) const WINDOW: usize = 512;
/// Windows given to whisper.cpp at once, 96 s: about a second of work, which nothing can break off.
const STRETCH: usize = 3000;
/// Windows heard once more before a stretch, 4 s: whisper.cpp empties the model's memory at its beginning.
const WARM_UP: usize = 125;

/// How loud speech is that the model knows well, as the root mean square of its loudest [`BLOCK`].
const USUAL: f32 = 0.1;
/// Quiet recordings are amplified so many times at most, by 40 dB.
const MOST: f32 = 100.0;
/// Samples, half a second.
const BLOCK: usize = 8000;

/// Why voice activity is not detected. Reads on from "the voice activity model FILE".
#[derive(Debug, thiserror::Error)]
pub(super) enum VadError {
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

pub(super) struct Vad {
    context: WhisperVadContext,
}

impl Vad {
    /// Only a file with the catalogue's bytes is given to whisper.cpp.
    pub(super) fn load(path: &Path) -> Result<Self, VadError> {
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
        let mut parameters = WhisperVadContextParams::default();
        // A window is too little work to share: threads would only wait for each other.
        parameters.set_n_threads(1);
        Ok(Self { context: WhisperVadContext::new(path, parameters).map_err(|_| VadError::Load)? })
    }

    /// The probability of speech, 0 to 1, in each [`WINDOW`] of `pcm`, the last one filled up with
    /// silence. What is quiet is amplified for this: the model takes a whisper into a far microphone for silence. None when `aborted`, or when whisper.cpp fails, which it logs.
    pub(super) fn probabilities(&mut self, pcm: &[f32], aborted: &dyn Fn() -> bool) -> Option<Vec<f32>> {
        let mut probabilities = Vec::with_capacity(pcm.len().div_ceil(WINDOW));
        let gain = gain(pcm);
        let mut amplified = Vec::new();
        while probabilities.len() * WINDOW < pcm.len() {
            if aborted() {
                return None;
            }
            let next = probabilities.len();
            let first = next.saturating_sub(WARM_UP);
            let end = ((next + STRETCH) * WINDOW).min(pcm.len());
            let mut heard = &pcm[first * WINDOW..end];
            if gain > 1.0 {
                amplified.clear();
                amplified.extend(heard.iter().map(|sample| sample * gain));
                heard = &amplified;
            }
            self.context.detect_speech(heard).ok()?;
            probabilities.extend_from_slice(self.context.probabilities().get(next - first..)?);
        }
        Some(probabilities)
    }
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
        for samples in [0, 1, WINDOW, WINDOW + 1, boundary - 1, boundary, boundary + 1] {
            let probabilities = vad.probabilities(&vec![0.01; samples], &|| false).unwrap();
            assert_eq!(probabilities.len(), samples.div_ceil(WINDOW), "{samples} samples");
            assert!(probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)));
        }
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
