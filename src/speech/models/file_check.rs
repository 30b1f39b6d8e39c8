//! Looks through a ggml Whisper model before whisper.cpp loads it.
//!
//! whisper.cpp trusts the file: a wrong magic is an error, but a Silero model, a broken header or a
//! vocabulary without `" "` ends in `abort()`, in a C++ exception that nobody can catch here, or in
//! a request for all memory. So everything it relies on is checked first, the weights themselves
//! skipped: `whisper_model_load` in whisper.cpp 1.8.3 is what this follows, field by field.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What is wrong with a model file. Reads on from "the model FILE".
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no ggml file (it begins with {0:02x?}); Whisper models here are ggml-*.bin")]
    Magic([u8; 4]),
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

/// What the engine wants to know about a model whose file is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Languages it was trained for, by whisper.cpp's numbers: all those below this one.
    /// One, English, for an English-only model.
    pub languages: usize,
    /// Whether its decoder is one that was cut down. Those of large-v3-turbo and the distilled
    /// models, 4 and 2 layers behind an encoder of 32, were trained anew afterwards, to transcribe
    /// only. Every other model has as many layers in its decoder as in its encoder.
    pub is_pruned: bool,
}

/// Checks the file; an `Ok` promises that whisper.cpp loads and runs it if there is memory enough,
/// which is the size of the file and some tens to hundreds of MB.
pub fn check(path: &Path) -> Result<Header, HeaderError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = Reader { inner: BufReader::new(file), left: length };

    let magic = reader.array("its magic")?;
    // 0x67676d6c, "ggml" read as a big-endian number.
    if &magic != b"lmgg" {
        return Err(HeaderError::Magic(magic));
    }
    let shape = Shape::read(&mut reader)?;
    skip_filters(&mut reader, &shape)?;
    check_vocabulary(&mut reader, &shape)?;
    check_tensors(&mut reader, &shape)?;
    Ok(Header { languages: shape.languages(), is_pruned: shape.is_pruned() })
}

/// Counts what is left of the file, so that no length in it is believed beyond its end.
struct Reader {
    inner: BufReader<File>,
    left: u64,
}

impl Reader {
    fn claim(&mut self, bytes: u64, what: &str) -> Result<(), HeaderError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| HeaderError::Truncated(what.to_owned()))?;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], HeaderError> {
        self.claim(N as u64, what)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn i32(&mut self, what: &str) -> Result<i32, HeaderError> {
        self.array(what).map(i32::from_le_bytes)
    }

    /// `length` bytes; callers have bounded it.
    fn bytes(&mut self, length: usize, what: &str) -> Result<Vec<u8>, HeaderError> {
        self.claim(length as u64, what)?;
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, bytes: u64, what: &str) -> Result<(), HeaderError> {
        self.claim(bytes, what)?;
        // Below the file's length, which the system keeps in an i64.
        self.inner.seek_relative(bytes as i64)?;
        Ok(())
    }
}

fn parameter(ok: bool, field: &'static str, value: i32, allowed: &'static str) -> Result<(), HeaderError> {
    if ok { Ok(()) } else { Err(HeaderError::Parameter { field, value: value.into(), allowed }) }
}

/// The hyper-parameters.
struct Shape {
    vocabulary: i32,
    audio_context: i32,
    audio_layers: i32,
    text_context: i32,
    text_layers: i32,
    /// Width of encoder and decoder, which is one number in every Whisper.
    state: i32,
    mels: i32,
    weights: Type,
}

/// What GPT-2's vocabulary holds; a file has at least that many tokens in words.
const PLAIN_TOKENS: i32 = 50_256;

impl Shape {
    fn read(reader: &mut Reader) -> Result<Self, HeaderError> {
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
        // whisper.cpp's VAD files begin with the length of the name "silero-16k" and the name.
        if vocabulary == 10 && audio_context.to_le_bytes() == *b"sile" {
            return Err(HeaderError::Silero);
        }
        // Any other number of languages would have whisper.cpp read past its table of them.
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
        let weights = Type::of_ftype(ftype).ok_or(HeaderError::Parameter {
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
        Ok(Self {
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

    fn is_pruned(&self) -> bool {
        2 * self.text_layers < self.audio_layers
    }

    /// As `whisper_vocab::num_languages`, which for an English-only model has no meaning.
    fn languages(&self) -> usize {
        if self.vocabulary == 51_864 { 1 } else { (self.vocabulary - 51_766) as usize }
    }
}

/// How a tensor's numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Type {
    /// `ggml_type`.
    id: i32,
    /// Numbers in a block.
    block: i32,
    /// Bytes of a block.
    bytes: i32,
}

const F32: Type = Type { id: 0, block: 1, bytes: 4 };
const F16: Type = Type { id: 1, block: 1, bytes: 2 };

/// Every `ggml_ftype` that ggml knows a type for, without the version of the quantisation
/// (`ggml_ftype_to_ggml_type`; sizes from ggml-common.h).
const TYPES: [(i32, Type); 23] = [
    (0, F32),
    (1, F16),
    (2, Type { id: 2, block: 32, bytes: 18 }),     // q4_0
    (3, Type { id: 3, block: 32, bytes: 20 }),     // q4_1
    (7, Type { id: 8, block: 32, bytes: 34 }),     // q8_0
    (8, Type { id: 6, block: 32, bytes: 22 }),     // q5_0
    (9, Type { id: 7, block: 32, bytes: 24 }),     // q5_1
    (10, Type { id: 10, block: 256, bytes: 84 }),  // q2_k
    (11, Type { id: 11, block: 256, bytes: 110 }), // q3_k
    (12, Type { id: 12, block: 256, bytes: 144 }), // q4_k
    (13, Type { id: 13, block: 256, bytes: 176 }), // q5_k
    (14, Type { id: 14, block: 256, bytes: 210 }), // q6_k
    (15, Type { id: 16, block: 256, bytes: 66 }),  // iq2_xxs
    (16, Type { id: 17, block: 256, bytes: 74 }),  // iq2_xs
    (17, Type { id: 18, block: 256, bytes: 98 }),  // iq3_xxs
    (18, Type { id: 19, block: 256, bytes: 50 }),  // iq1_s
    (19, Type { id: 20, block: 32, bytes: 18 }),   // iq4_nl
    (20, Type { id: 21, block: 256, bytes: 110 }), // iq3_s
    (21, Type { id: 22, block: 256, bytes: 82 }),  // iq2_s
    (22, Type { id: 23, block: 256, bytes: 136 }), // iq4_xs
    (23, Type { id: 29, block: 256, bytes: 56 }),  // iq1_m
    (24, Type { id: 30, block: 1, bytes: 2 }),     // bf16
    (25, Type { id: 39, block: 32, bytes: 17 }),   // mxfp4
];

impl Type {
    /// From a header's `ftype`, which is a `ggml_ftype` plus a thousand times the version of the
    /// quantisation that wrote the file.
    ///
    /// whisper.cpp does not look at the version, and neither does this. The catalogue's files of
    /// May 2023 say 1 (tiny-q5_1, base-q5_1, small-q5_1, medium-q5_0), the later ones 2. Version 2
    /// made the blocks of q4_0, q4_1 and q8_0 smaller, so older files of these types fail by their
    /// tensors' sizes; q5_0 and q5_1 stayed as they were. Of those from before version 1, made in
    /// two weeks of 2023, whisper.cpp takes the bits in another order and writes nonsense; they
    /// cannot be told from files of programs that write no version.
    fn of_ftype(ftype: i32) -> Option<Self> {
        TYPES.iter().find(|(known, _)| *known == ftype % 1000).map(|(_, kind)| *kind)
    }
}

fn skip_filters(reader: &mut Reader, shape: &Shape) -> Result<(), HeaderError> {
    let what = "its mel filters";
    let (mels, bins) = (reader.i32(what)?, reader.i32(what)?);
    parameter(mels == shape.mels, "the number of mel filters", mels, "n_mels")?;
    // 1 + WHISPER_N_FFT / 2.
    parameter(bins == 201, "the width of a mel filter", bins, "201")?;
    reader.skip(mels as u64 * bins as u64 * 4, what)
}

fn check_vocabulary(reader: &mut Reader, shape: &Shape) -> Result<(), HeaderError> {
    let what = "its vocabulary";
    let tokens = reader.i32(what)?;
    // With more, whisper.cpp would read past the logits; special tokens may or may not be listed.
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
    if space { Ok(()) } else { Err(HeaderError::NoSpace) }
}

/// A tensor's extents, innermost first, ones where it has none; and how it is stored.
type Layout = ([i32; 3], Type);

fn check_tensors(reader: &mut Reader, shape: &Shape) -> Result<(), HeaderError> {
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
            return Err(HeaderError::UnknownTensor(name));
        };
        let (wanted, kind) = layout;
        if (extents, id) != (wanted, kind.id) {
            let describe = |extents: [i32; 3], id| format!("{extents:?} of type {id}");
            return Err(HeaderError::Tensor {
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
            Err(HeaderError::MissingTensors { missing: missing.len(), expected, example: example.clone() })
        }
    }
}

/// Bytes of a tensor's data. At most 2048 * 4 * 2048 or 2048 * 51866 numbers: no overflow.
fn size((extents, kind): Layout) -> u64 {
    let numbers: u64 = extents.iter().map(|&extent| extent as u64).product();
    numbers / kind.block as u64 * kind.bytes as u64
}

/// Every tensor of such a model (`whisper_model_load`, whisper-arch.h).
fn tensors(shape: &Shape) -> HashMap<String, Layout> {
    let state = shape.state;
    let convolution = if shape.weights == F32 { F32 } else { F16 };
    let mut all = HashMap::new();
    let mut add = |name: String, extents, kind| all.insert(name, (extents, kind));

    add("encoder.positional_embedding".into(), [state, shape.audio_context, 1], F32);
    add("encoder.conv1.weight".into(), [3, shape.mels, state], convolution);
    add("encoder.conv1.bias".into(), [1, state, 1], F32);
    add("encoder.conv2.weight".into(), [3, state, state], convolution);
    add("encoder.conv2.bias".into(), [1, state, 1], F32);
    add("encoder.ln_post.weight".into(), [state, 1, 1], F32);
    add("encoder.ln_post.bias".into(), [state, 1, 1], F32);
    add("decoder.positional_embedding".into(), [state, shape.text_context, 1], F32);
    add("decoder.token_embedding.weight".into(), [state, shape.vocabulary, 1], shape.weights);
    add("decoder.ln.weight".into(), [state, 1, 1], F32);
    add("decoder.ln.bias".into(), [state, 1, 1], F32);

    let halves: [(&str, i32, &[&str]); 2] =
        [("encoder", shape.audio_layers, &["attn"]), ("decoder", shape.text_layers, &["attn", "cross_attn"])];
    for (half, layers, attentions) in halves {
        for layer in 0..layers {
            let block = format!("{half}.blocks.{layer}");
            for norm in attentions.iter().chain(&["mlp"]) {
                add(format!("{block}.{norm}_ln.weight"), [state, 1, 1], F32);
                add(format!("{block}.{norm}_ln.bias"), [state, 1, 1], F32);
            }
            add(format!("{block}.mlp.0.weight"), [state, 4 * state, 1], shape.weights);
            add(format!("{block}.mlp.0.bias"), [4 * state, 1, 1], F32);
            add(format!("{block}.mlp.2.weight"), [4 * state, state, 1], shape.weights);
            add(format!("{block}.mlp.2.bias"), [state, 1, 1], F32);
            for attention in attentions {
                for part in ["query", "key", "value", "out"] {
                    add(format!("{block}.{attention}.{part}.weight"), [state, state, 1], shape.weights);
                    if part != "key" {
                        add(format!("{block}.{attention}.{part}.bias"), [state, 1, 1], F32);
                    }
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;

    use super::*;
    use crate::speech::models::SPEECH_MODELS;

    /// The multilingual vocabulary, 50,257 tokens, as the micro model has it too.
    const VOCABULARY_BYTES: u64 = 508_089;

    // What ggml itself says; it is linked with whisper.cpp.
    unsafe extern "C" {
        fn ggml_ftype_to_ggml_type(ftype: c_int) -> c_int;
        fn ggml_blck_size(kind: c_int) -> i64;
        fn ggml_type_size(kind: c_int) -> usize;
    }

    /// What the header of the published file says. Those that were quantised in May 2023 say
    /// version 1.
    fn official_ftype(name: &str) -> i32 {
        match name {
            "tiny-q5_1" | "base-q5_1" | "small-q5_1" => 1009,
            "medium-q5_0" => 1008,
            "large-v3-q5_0" | "large-v3-turbo-q5_0" => 2008,
            _ => 1,
        }
    }

    #[test]
    fn types_are_those_of_ggml() {
        for (ftype, expected) in TYPES {
            // SAFETY: plain functions of a number. They abort on a type that ggml does not know,
            // which would fail this test too.
            let found = unsafe {
                let id = ggml_ftype_to_ggml_type(ftype);
                let (block, bytes) = (ggml_blck_size(id), ggml_type_size(id));
                Type { id, block: block as i32, bytes: bytes as i32 }
            };
            assert_eq!(found, expected, "{ftype}");
        }
    }

    #[test]
    fn the_version_of_a_quantisation_does_not_matter() {
        for (ftype, kind) in TYPES {
            for version in 0..4 {
                assert_eq!(Type::of_ftype(version * 1000 + ftype), Some(kind));
            }
        }
        // ggml aborts on these: q4_1_some_f16, two that were removed, one past the last, and below
        // zero.
        for ftype in [4, 5, 6, 26, 999, 1004, 2006, 2026, -1, -1001, i32::MIN, i32::MAX] {
            assert_eq!(Type::of_ftype(ftype), None, "{ftype}");
        }
    }

    /// The published files have exactly the size that follows from what this module expects in
    /// them: its list of tensors, their types and their heads are those of the real models.
    #[test]
    fn the_catalogue_has_the_sizes_of_these_layouts() {
        for spec in &SPEECH_MODELS {
            let name = spec.name.split("-q").next().unwrap();
            let ftype = official_ftype(spec.name);
            let (state, audio_layers, text_layers) = match name {
                "tiny" => (384, 4, 4),
                "base" => (512, 6, 6),
                "small" => (768, 12, 12),
                "medium" => (1024, 24, 24),
                "large-v3" => (1280, 32, 32),
                "large-v3-turbo" => (1280, 32, 4),
                other => panic!("which shape has {other}?"),
            };
            let v3 = name.starts_with("large-v3");
            let shape = Shape {
                vocabulary: if v3 { 51_866 } else { 51_865 },
                audio_context: 1500,
                audio_layers,
                text_context: 448,
                text_layers,
                state,
                mels: if v3 { 128 } else { 80 },
                weights: Type::of_ftype(ftype).unwrap(),
            };
            let filters = 8 + shape.mels as u64 * 201 * 4;
            let tensors: u64 = tensors(&shape)
                .into_iter()
                .map(|(name, layout)| {
                    // Written with as many dimensions as torch has, biases of convolutions with
                    // two.
                    let dimensions = match layout.0 {
                        [_, 1, 1] => 1,
                        [_, _, 1] => 2,
                        _ => 3,
                    };
                    12 + 4 * dimensions + name.len() as u64 + size(layout)
                })
                .sum();
            assert_eq!(48 + filters + VOCABULARY_BYTES + tensors, spec.bytes, "{}", spec.name);
            assert_eq!(shape.is_pruned(), name == "large-v3-turbo", "{}", spec.name);
        }
    }
}
