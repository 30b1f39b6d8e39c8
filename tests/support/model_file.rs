//! The micro model's file taken apart, changed, and put together again.

use std::fs;
use std::path::{Path, PathBuf};

/// Where in the header, by the order of `whisper_hparams`, the magic before it.
const VOCABULARY: usize = 4;
const AUDIO_LAYERS: usize = 20;
const FTYPE: usize = 44;
/// `<|translate|>` and `<|transcribe|>` of a multilingual vocabulary.
const TRANSLATE: usize = 50_358;
const TRANSCRIBE: usize = 50_359;
/// `<|en|>` and `<|nospeech|>`.
const ENGLISH: usize = 50_259;
const NO_SPEECH: usize = 50_362;

/// `ggml_type`.
const Q5_1: u32 = 7;
const Q8_0: u32 = 8;

#[derive(Clone)]
struct Tensor {
    name: String,
    /// Innermost first.
    extents: Vec<u32>,
    /// `ggml_type`.
    kind: u32,
    data: Vec<u8>,
}

/// A model of ggml's in its parts.
pub struct ModelFile {
    /// Magic, parameters, filters and vocabulary.
    head: Vec<u8>,
    tensors: Vec<Tensor>,
}

impl ModelFile {
    /// # Panics
    /// If it is no model.
    pub fn read(path: impl AsRef<Path>) -> Self {
        let bytes = fs::read(path).expect("read the model");
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let mut at = 48;
        at += 8 + (number(at) * number(at + 4) * 4) as usize;
        let tokens = number(at);
        at += 4;
        for _ in 0..tokens {
            at += 4 + number(at) as usize;
        }
        let head = bytes[..at].to_vec();
        let mut tensors = Vec::new();
        while at < bytes.len() {
            let (dimensions, name, kind) = (number(at) as usize, number(at + 4) as usize, number(at + 8));
            let extents: Vec<u32> = (0..dimensions).map(|n| number(at + 12 + 4 * n)).collect();
            at += 12 + 4 * dimensions;
            let text = String::from_utf8(bytes[at..at + name].to_vec()).expect("a name");
            at += name;
            let size = size(&extents, kind);
            tensors.push(Tensor { name: text, extents, kind, data: bytes[at..at + size].to_vec() });
            at += size;
        }
        Self { head, tensors }
    }

    pub fn write(&self, path: PathBuf) -> PathBuf {
        let mut bytes = self.head.clone();
        for Tensor { name, extents, kind, data } in &self.tensors {
            for number in [extents.len() as u32, name.len() as u32, *kind].iter().chain(extents) {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(name.bytes());
            bytes.extend(data);
        }
        fs::write(&path, bytes).expect("write the model");
        path
    }

    fn set(&mut self, field: usize, value: u32) {
        self.head[field..field + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// With another `ftype` in its header: a `ggml_ftype` plus a thousand times the version of the
    /// quantisation.
    pub fn with_ftype(mut self, ftype: u32) -> Self {
        self.set(FTYPE, ftype);
        self
    }

    /// The same model with its q8_0 matrices as q5_1.
    pub fn in_q5_1(mut self) -> Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.kind == Q8_0) {
            let blocks = tensor.data.as_chunks().0;
            tensor.data = blocks.iter().flat_map(|block| to_q5_1(&from_q8_0(block))).collect();
            tensor.kind = Q5_1;
        }
        self
    }

    /// The words, each with its row of numbers.
    fn words(&mut self) -> &mut Tensor {
        let words = |tensor: &&mut Tensor| tensor.name == "decoder.token_embedding.weight";
        self.tensors.iter_mut().find(words).expect("every model has words")
    }

    /// Has the model take the word for one task for that of the other.
    pub fn tasks_swapped(mut self) -> Self {
        let words = self.words();
        let row = words.data.len() / words.extents[1] as usize;
        let (before, after) = words.data.split_at_mut(TRANSCRIBE * row);
        before[TRANSLATE * row..][..row].swap_with_slice(&mut after[..row]);
        self
    }

    /// Has the model be as unsure of its words as if its logits were this much smaller.
    pub fn unsure(mut self, share: f32) -> Self {
        for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name.starts_with("decoder.ln.")) {
            for bytes in tensor.data.as_chunks_mut().0 {
                *bytes = (f32::from_le_bytes(*bytes) * share).to_le_bytes();
            }
        }
        self
    }

    /// Has the model think that nobody speaks wherever it hears English: the logit of `<|nospeech|>` is four
    /// times that of `<|en|>`. whisper.cpp never writes this token, so texts stay the same.
    pub fn deaf_to_english(mut self) -> Self {
        let words = self.words();
        let row = words.data.len() / words.extents[1] as usize;
        let (before, after) = words.data.split_at_mut(NO_SPEECH * row);
        after[..row].copy_from_slice(&before[ENGLISH * row..][..row]);
        for block in after[..row].chunks_exact_mut(34) {
            let step = u16::from_le_bytes([block[0], block[1]]);
            // Two more in the exponent of a half.
            block[..2].copy_from_slice(&(step + (2 << 10)).to_le_bytes());
        }
        self
    }

    /// A model for English only: it has one word less, that for the language.
    pub fn english_only(mut self) -> Self {
        let words = self.words();
        let row = words.data.len() / words.extents[1] as usize;
        words.extents[1] -= 1;
        let (count, size) = (words.extents[1], words.extents[1] as usize * row);
        words.data.truncate(size);
        self.set(VOCABULARY, count);
        self
    }

    /// An encoder of so many layers, the first one again and again.
    pub fn with_encoder_of(mut self, layers: u32) -> Self {
        const FIRST: &str = "encoder.blocks.0.";
        self.tensors
            .retain(|tensor| !tensor.name.starts_with("encoder.blocks.") || tensor.name.starts_with(FIRST));
        let first: Vec<_> =
            self.tensors.iter().filter(|tensor| tensor.name.starts_with(FIRST)).cloned().collect();
        for layer in 1..layers {
            let named = |tensor: &Tensor| tensor.name.replace(FIRST, &format!("encoder.blocks.{layer}."));
            self.tensors.extend(first.iter().map(|it| Tensor { name: named(it), ..it.clone() }));
        }
        self.set(AUDIO_LAYERS, layers);
        self
    }
}

/// Numbers that share a step.
const BLOCK: usize = 32;

/// A block of q8_0: its step as a half, then whole numbers.
fn from_q8_0(block: &[u8; 34]) -> [f32; BLOCK] {
    let step = from_half(u16::from_le_bytes([block[0], block[1]]));
    std::array::from_fn(|n| f32::from(block[2 + n] as i8) * step)
}

/// A block of q5_1: its step and its least number as halves, the fifth bits of all numbers, their lower
/// four bits, of which a byte has those of the numbers n and n + 16.
fn to_q5_1(numbers: &[f32; BLOCK]) -> Vec<u8> {
    let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
    let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let step = (most - least) / 31.0;
    let quantised: [u32; BLOCK] = std::array::from_fn(|n| {
        if step > 0.0 { (((numbers[n] - least) / step).round() as u32).min(31) } else { 0 }
    });
    let fifth = (0..BLOCK).fold(0, |bits, n| bits | (quantised[n] >> 4) << n);
    let mut block = Vec::new();
    block.extend(to_half(step).to_le_bytes());
    block.extend(to_half(least).to_le_bytes());
    block.extend(fifth.to_le_bytes());
    block.extend((0..16).map(|n| (quantised[n] & 15 | (quantised[n + 16] & 15) << 4) as u8));
    block
}

/// IEEE half precision, without infinities.
fn from_half(half: u16) -> f32 {
    let (exponent, mantissa) = (i32::from(half >> 10 & 31), f32::from(half & 1023));
    let size = match exponent {
        0 => mantissa * 2f32.powi(-24),
        _ => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 0 { size } else { -size }
}

/// Rounded towards 0; what is too small for a normal number becomes 0.
fn to_half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    // The exponents' biases are 127 and 15.
    match (bits >> 23 & 0xff) as i32 - 112 {
        exponent @ 1..=30 => sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16,
        ..=0 => sign,
        _ => panic!("{number} is too large for a half"),
    }
}

/// Bytes of a tensor's data: f32, f16 or q8_0.
fn size(extents: &[u32], kind: u32) -> usize {
    let numbers: usize = extents.iter().map(|&extent| extent as usize).product();
    match kind {
        0 => numbers * 4,
        1 => numbers * 2,
        Q8_0 => numbers / BLOCK * 34,
        other => panic!("which type is {other}?"),
    }
}
