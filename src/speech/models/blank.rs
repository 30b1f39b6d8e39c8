//! A file in the shape of a model of the catalogue, with zeros for weights. whisper.cpp takes as
//! long with it as with the real one, so that the time is known before anything is downloaded.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::ModelSpec;
use super::tensors::{Shape, size, tensors};

/// GPT-2's tokens of text. A vocabulary that leaves out the special tokens has these.
const TOKENS: i32 = 50_257;
/// whisper.cpp looks for the token of a space.
const SPACE: i32 = 220;
/// The bins of a spectrum, to which the mel filters are applied.
const BINS: i32 = 201;
/// The width of an attention head in all of OpenAI's models.
const HEAD: i32 = 64;

/// The file. It is deleted when this is dropped.
pub(crate) struct BlankModel(PathBuf);

impl BlankModel {
    /// Writes the file into the system's folder for temporary files. The weights are a hole in it,
    /// so it takes little space on most file systems.
    pub(crate) fn write(spec: &ModelSpec) -> io::Result<Self> {
        let shape = Shape::of_family(spec.family(), ftype(spec.name));
        let shape = shape.ok_or_else(|| io::Error::other(format!("{} is no speech model", spec.name)))?;
        let name = format!("stenogram-{}-{}.bin", std::process::id(), spec.name);
        let path = std::env::temp_dir().join(name);
        // It fails if the file exists, which may be another user's.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let this = Self(path);
        write(&shape, ftype(spec.name), file)?;
        Ok(this)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for BlankModel {
    fn drop(&mut self) {
        // If this fails, the file stays in a folder that the system empties.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The number in a header for the type of the matrices.
fn ftype(name: &str) -> i32 {
    match name.rsplit_once('-').map(|(_, kind)| kind) {
        Some("q8_0") => 2007,
        Some("q5_0") => 2008,
        Some("q5_1") => 2009,
        _ => 1,
    }
}

fn write(shape: &Shape, ftype: i32, file: File) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let int = |out: &mut BufWriter<File>, number: i32| out.write_all(&number.to_le_bytes());
    out.write_all(b"lmgg")?;
    let heads = shape.state / HEAD;
    for field in [
        shape.vocabulary,
        shape.audio_context,
        shape.state,
        heads,
        shape.audio_layers,
        shape.text_context,
        shape.state,
        heads,
        shape.text_layers,
        shape.mels,
        ftype,
        shape.mels,
        BINS,
    ] {
        int(&mut out, field)?;
    }
    let filters = i64::from(shape.mels) * i64::from(BINS) * 4;
    out.seek(SeekFrom::Current(filters))?;
    int(&mut out, TOKENS)?;
    for token in 0..TOKENS {
        let text = if token == SPACE { " ".to_owned() } else { token.to_string() };
        int(&mut out, text.len() as i32)?;
        out.write_all(text.as_bytes())?;
    }
    for (name, layout) in tensors(shape) {
        let (extents, kind) = layout;
        // Trailing extents of 1 may be left out, except of the biases of convolutions.
        let dimensions = match extents {
            [_, 1, 1] => 1,
            [_, _, 1] => 2,
            _ => 3,
        };
        for number in [dimensions as i32, name.len() as i32, kind.id] {
            int(&mut out, number)?;
        }
        extents[..dimensions].iter().try_for_each(|&extent| int(&mut out, extent))?;
        out.write_all(name.as_bytes())?;
        out.seek(SeekFrom::Current(size(layout) as i64))?;
    }
    let end = out.stream_position()?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.set_len(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::models::{SILERO_VAD, SPEECH_MODELS, file_check};

    #[test]
    fn each_model_of_the_catalogue_has_its_shape_and_the_file_is_gone_afterwards() {
        for spec in &SPEECH_MODELS {
            let blank = BlankModel::write(spec).unwrap();
            let path = blank.path().to_owned();
            let info = file_check::check(&path).unwrap_or_else(|error| panic!("{}: {error}", spec.name));
            assert_eq!(info.languages, if spec.name.starts_with("large") { 100 } else { 99 });
            // It differs from the real one by the texts of the vocabulary only.
            let bytes = path.metadata().unwrap().len();
            assert!(bytes.abs_diff(spec.bytes) < 100_000, "{}: {bytes}", spec.name);
            drop(blank);
            assert!(!path.exists());
        }
        assert!(BlankModel::write(&SILERO_VAD).is_err());
    }
}
