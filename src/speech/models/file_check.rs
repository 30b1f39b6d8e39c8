//! Checks a ggml Whisper model before whisper.cpp loads it.
//!
//! whisper.cpp trusts the file. It reports a wrong magic as an error, but a Silero model, a broken
//! header or a vocabulary without `" "` ends in `abort()`, in a C++ exception that Rust cannot
//! catch, or in an allocation of all memory. So everything but the values of the weights is checked
//! first, field by field as `whisper_model_load` of whisper.cpp 1.8.3 reads them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::tensors::{Shape, Type, size, tensors};

/// What is wrong with a model file. The text continues "the model FILE".
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no ggml file, nor a GGUF file (it begins with {0:02x?})")]
    Magic([u8; 4]),
    #[error("is a GGUF file, which whisper.cpp does not read")]
    Gguf,
    #[error("is a Silero voice activity model, no speech model")]
    Silero,
    #[error("ends in the middle of {0}: it was not downloaded or copied whole")]
    Truncated(String),
    #[error("is broken or no Whisper model: {field} is {value}, not {allowed}")]
    Parameter { field: &'static str, value: i64, allowed: &'static str },
    #[error("is broken: its vocabulary has no token for a space")]
    NoSpace,
    #[error("is broken: {0:?} is no tensor of such a model, or is there twice")]
    UnknownTensor(String),
    #[error("is broken: the tensor {name} is {found}, not {expected}")]
    Tensor { name: String, found: String, expected: String },
    #[error("has no weights: {missing} of {expected} tensors are missing, {example} among them")]
    MissingTensors { missing: usize, expected: usize, example: String },
}

/// What the engine needs to know about a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The number of languages that it was trained for: those whose number in whisper.cpp is
    /// smaller than this. 1 for an English-only model.
    pub languages: usize,
    /// Whether its decoder was pruned. The decoders of large-v3-turbo and the distilled models have
    /// 4 and 2 layers behind an encoder of 32, and were trained again afterwards to transcribe
    /// only. All other models have as many layers in the decoder as in the encoder.
    pub is_pruned: bool,
}

impl ModelInfo {
    /// Whether the model was trained to translate into English.
    pub fn can_translate(&self) -> bool {
        self.languages > 1 && !self.is_pruned
    }
}

/// What a GGUF file begins with.
const GGUF: [u8; 4] = *b"GGUF";

/// Whether the file is for transcribe.cpp: by what it begins with, or by its name if it cannot be
/// read.
pub fn is_gguf(path: &Path) -> bool {
    match magic(path) {
        Ok(magic) => magic == GGUF,
        Err(_) => path.extension().is_some_and(|extension| extension == "gguf"),
    }
}

/// Checks the beginning of a GGUF file. transcribe.cpp checks the rest when it loads the file; it
/// reports what is wrong, and runs in a process of its own.
pub fn check_gguf(path: &Path) -> Result<(), ModelFileError> {
    match magic(path)? {
        GGUF => Ok(()),
        other => Err(ModelFileError::Magic(other)),
    }
}

fn magic(path: &Path) -> io::Result<[u8; 4]> {
    let mut magic = [0; 4];
    File::open(path)?.read_exact(&mut magic)?;
    Ok(magic)
}

/// Checks the file. `Ok` means that whisper.cpp can load and run it with enough memory, which is
/// the size of the file and some tens to hundreds of MB.
pub fn check(path: &Path) -> Result<ModelInfo, ModelFileError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = Reader { inner: BufReader::new(file), left: length };

    let magic = reader.array("its magic")?;
    if magic == GGUF {
        return Err(ModelFileError::Gguf);
    }
    // 0x67676d6c, "ggml" read as a big-endian number.
    if &magic != b"lmgg" {
        return Err(ModelFileError::Magic(magic));
    }
    let shape = read_shape(&mut reader)?;
    skip_filters(&mut reader, &shape)?;
    check_vocabulary(&mut reader, &shape)?;
    check_tensors(&mut reader, &shape)?;
    Ok(ModelInfo { languages: shape.languages(), is_pruned: shape.is_pruned() })
}

/// Reads the file, and rejects lengths in it that reach beyond its end.
struct Reader {
    inner: BufReader<File>,
    /// The bytes that have not been read.
    left: u64,
}

impl Reader {
    /// Counts `bytes` as read.
    fn claim(&mut self, bytes: u64, what: &str) -> Result<(), ModelFileError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| ModelFileError::Truncated(what.to_owned()))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelFileError> {
        self.claim(N as u64, what)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn i32(&mut self, what: &str) -> Result<i32, ModelFileError> {
        self.array(what).map(i32::from_le_bytes)
    }

    /// Reads `length` bytes. The caller must have checked that this is not too much memory.
    fn bytes(&mut self, length: usize, what: &str) -> Result<Vec<u8>, ModelFileError> {
        self.claim(length as u64, what)?;
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64, what: &str) -> Result<(), ModelFileError> {
        self.claim(bytes, what)?;
        // Less than the file's length, which fits an i64.
        self.inner.seek_relative(bytes as i64)?;
        Ok(())
    }
}

/// Fails unless the value is `ok`.
fn parameter(ok: bool, field: &'static str, value: i32, allowed: &'static str) -> Result<(), ModelFileError> {
    if ok { Ok(()) } else { Err(ModelFileError::Parameter { field, value: value.into(), allowed }) }
}

/// The size of GPT-2's vocabulary. A file lists at least its tokens.
const PLAIN_TOKENS: i32 = 50_256;

fn read_shape(reader: &mut Reader) -> Result<Shape, ModelFileError> {
    let mut fields = [0; 11];
    for field in &mut fields {
        *field = reader.i32("its header")?;
    }
    let [
        vocabulary,
        audio_context,
        audio_state,
        audio_heads,
        audio_layers,
        text_context,
        text_state,
        text_heads,
        text_layers,
        mels,
        ftype,
    ] = fields;
    // The voice activity models of whisper.cpp begin with the name "silero-16k" and its length.
    if vocabulary == 10 && audio_context.to_le_bytes() == *b"sile" {
        return Err(ModelFileError::Silero);
    }
    // With any other number of languages, whisper.cpp would read past the end of its table.
    parameter(
        (51_864..=51_866).contains(&vocabulary),
        "n_vocab",
        vocabulary,
        "51864 (English), 51865 or 51866",
    )?;
    parameter(audio_context == 1500, "n_audio_ctx", audio_context, "1500")?;
    parameter(text_context == 448, "n_text_ctx", text_context, "448")?;
    parameter((1..=64).contains(&audio_layers), "n_audio_layer", audio_layers, "1 to 64")?;
    parameter((1..=64).contains(&text_layers), "n_text_layer", text_layers, "1 to 64")?;
    let state_ok = (64..=2048).contains(&audio_state) && audio_state % 64 == 0;
    parameter(state_ok, "n_audio_state", audio_state, "a multiple of 64 up to 2048")?;
    parameter(text_state == audio_state, "n_text_state", text_state, "the same as n_audio_state")?;
    let heads_ok = |heads| (1..=64).contains(&heads) && audio_state % (heads * 32) == 0;
    let allowed = "such that a head is a multiple of 32 wide";
    parameter(heads_ok(audio_heads), "n_audio_head", audio_heads, allowed)?;
    parameter(heads_ok(text_heads), "n_text_head", text_heads, allowed)?;
    parameter(mels == 80 || mels == 128, "n_mels", mels, "80 or 128")?;
    let weights = Type::of_ftype(ftype).ok_or(ModelFileError::Parameter {
        field: "ftype",
        value: ftype.into(),
        allowed: "a type that whisper.cpp knows, such as 1 (f16), 1009 or 2009 (q5_1) or 2007 (q8_0)",
    })?;
    parameter(
        audio_state % weights.block == 0,
        "ftype",
        ftype,
        "a quantisation whose blocks fit n_audio_state",
    )?;
    Ok(Shape {
        vocabulary,
        audio_context,
        audio_layers,
        text_context,
        text_layers,
        state: audio_state,
        mels,
        weights,
    })
}

fn skip_filters(reader: &mut Reader, shape: &Shape) -> Result<(), ModelFileError> {
    let what = "its mel filters";
    let (mels, bins) = (reader.i32(what)?, reader.i32(what)?);
    parameter(mels == shape.mels, "the number of mel filters", mels, "n_mels")?;
    // 1 + WHISPER_N_FFT / 2.
    parameter(bins == 201, "the width of a mel filter", bins, "201")?;
    reader.skip(mels as u64 * bins as u64 * 4, what)
}

fn check_vocabulary(reader: &mut Reader, shape: &Shape) -> Result<(), ModelFileError> {
    let what = "its vocabulary";
    let tokens = reader.i32(what)?;
    // With more tokens, whisper.cpp would read past the logits. Special tokens need not be listed.
    parameter(
        (PLAIN_TOKENS..=shape.vocabulary).contains(&tokens),
        "the size of the vocabulary",
        tokens,
        "50256 to n_vocab",
    )?;
    let mut space = false;
    for _ in 0..tokens {
        let length = reader.i32(what)?;
        parameter((0..=1024).contains(&length), "the length of a token", length, "0 to 1024")?;
        space |= reader.bytes(length as usize, what)? == b" ";
    }
    if space { Ok(()) } else { Err(ModelFileError::NoSpace) }
}

fn check_tensors(reader: &mut Reader, shape: &Shape) -> Result<(), ModelFileError> {
    let mut missing = tensors(shape);
    let expected = missing.len();
    while reader.left > 0 {
        let what = "the head of a tensor";
        let (dimensions, length, id) = (reader.i32(what)?, reader.i32(what)?, reader.i32(what)?);
        parameter((1..=3).contains(&dimensions), "a tensor's number of dimensions", dimensions, "1 to 3")?;
        parameter((1..=128).contains(&length), "the length of a tensor's name", length, "1 to 128")?;
        let mut extents = [1; 3];
        for extent in &mut extents[..dimensions as usize] {
            *extent = reader.i32(what)?;
        }
        let name = String::from_utf8_lossy(&reader.bytes(length as usize, what)?).into_owned();
        let Some(layout) = missing.remove(&name) else {
            return Err(ModelFileError::UnknownTensor(name));
        };
        let (wanted, kind) = layout;
        if (extents, id) != (wanted, kind.id) {
            let describe = |extents: [i32; 3], id| format!("{extents:?} of type {id}");
            return Err(ModelFileError::Tensor {
                name,
                found: describe(extents, id),
                expected: describe(wanted, kind.id),
            });
        }
        reader.skip(size(layout), &format!("the tensor {name}"))?;
    }
    match missing.keys().min() {
        None => Ok(()),
        Some(example) => {
            Err(ModelFileError::MissingTensors { missing: missing.len(), expected, example: example.clone() })
        }
    }
}
