//! Checks a model file against the catalogue, and whether the engine accepts it.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::catalogue::{ModelSpec, SILERO_VAD};
use super::file_check;
use super::hex::hex;

/// Called with the bytes done and the bytes in all. It may cancel the work.
pub type Progress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    WrongSize {
        found: u64,
        expected: u64,
    },
    /// The SHA-256 of the file, in hexadecimal.
    WrongHash {
        found: String,
    },
    /// The catalogue has no file of this name, but the engine accepts it. The SHA-256 of the file.
    Unknown {
        found: String,
    },
    /// [`file_check::check`] rejects it, as the engine would. The text continues "the model FILE".
    Refused {
        why: String,
    },
}

/// Compares the file with the catalogue's entry for its name, and checks a speech model as the
/// engine does before it loads one.
///
/// Fails with [`io::ErrorKind::Interrupted`] if `progress` cancels it.
pub fn verify(path: &Path, progress: &mut Progress) -> io::Result<Verdict> {
    let spec = ModelSpec::of_file(path);
    let verdict = match spec {
        Some(spec) => verify_as(spec, path, progress)?,
        None => Verdict::Unknown { found: hex(&sha256_of(path, progress)?) },
    };
    let is_speech_model = spec != Some(&SILERO_VAD);
    Ok(match verdict {
        Verdict::Ok | Verdict::Unknown { .. } if is_speech_model => {
            let checked = match file_check::is_gguf(path) {
                true => file_check::check_gguf(path),
                false => file_check::check(path).map(drop),
            };
            checked.map_or_else(|error| Verdict::Refused { why: error.to_string() }, |()| verdict)
        }
        _ => verdict,
    })
}

/// Compares the file with `spec`.
pub fn verify_as(spec: &ModelSpec, path: &Path, progress: &mut Progress) -> io::Result<Verdict> {
    let found = std::fs::metadata(path)?.len();
    if found != spec.bytes {
        return Ok(Verdict::WrongSize { found, expected: spec.bytes });
    }
    let found = sha256_of(path, progress)?;
    Ok(if found == spec.sha256 { Verdict::Ok } else { Verdict::WrongHash { found: hex(&found) } })
}

fn sha256_of(path: &Path, progress: &mut Progress) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    hash_into(&mut hasher, &mut file, progress)?;
    Ok(hasher.finalize().into())
}

/// Feeds the rest of `file` to `hasher` and returns its length. Fails with `Interrupted` if
/// cancelled.
pub(crate) fn hash_into(hasher: &mut Sha256, file: &mut File, progress: &mut Progress) -> io::Result<u64> {
    let total = file.metadata()?.len();
    let (mut buffer, mut done) = (vec![0; 1 << 16], 0);
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => return Ok(done),
            Ok(n) => n,
            // A signal. This function returns `Interrupted` only if it is cancelled, below.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..n]);
        done += n as u64;
        if progress(done, total).is_break() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "broken off"));
        }
    }
}
