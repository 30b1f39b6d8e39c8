//! The micro model's file taken apart, changed, and put together again.
// Every test file compiles this for itself and takes only what it needs.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// Where in the header, by the order of `whisper_hparams`, the magic before it.
const VOCABULARY: usize = 4;
const AUDIO_LAYERS: usize = 20;
/// `<|translate|>` and `<|transcribe|>` of a multilingual vocabulary.
const TRANSLATE: usize = 50_358;
const TRANSCRIBE: usize = 50_359;

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

/// Bytes of a tensor's data: f32, f16 or q8_0.
fn size(extents: &[u32], kind: u32) -> usize {
    let numbers: usize = extents.iter().map(|&extent| extent as usize).product();
    match kind {
        0 => numbers * 4,
        1 => numbers * 2,
        8 => numbers / 32 * 34,
        other => panic!("which type is {other}?"),
    }
}
