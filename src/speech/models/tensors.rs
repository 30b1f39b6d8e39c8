//! The tensors of a Whisper model of a given shape, and how ggml stores them.

use std::collections::HashMap;

/// A model's hyper-parameters.
pub(super) struct Shape {
    pub(super) vocabulary: i32,
    pub(super) audio_context: i32,
    pub(super) audio_layers: i32,
    pub(super) text_context: i32,
    pub(super) text_layers: i32,
    /// The width of encoder and decoder, which is the same in every Whisper model.
    pub(super) state: i32,
    pub(super) mels: i32,
    /// How the matrices are stored.
    pub(super) weights: Type,
}

impl Shape {
    /// The shape of one of OpenAI's multilingual models, such as `small`, whose weights are stored
    /// as the header's `ftype` says.
    pub(super) fn of_family(family: &str, ftype: i32) -> Option<Self> {
        let (state, audio_layers, text_layers) = match family {
            "tiny" => (384, 4, 4),
            "base" => (512, 6, 6),
            "small" => (768, 12, 12),
            "medium" => (1024, 24, 24),
            "large-v3" => (1280, 32, 32),
            "large-v3-turbo" => (1280, 32, 4),
            _ => return None,
        };
        let v3 = family.starts_with("large-v3");
        Some(Self {
            vocabulary: if v3 { 51_866 } else { 51_865 },
            audio_context: 1500,
            audio_layers,
            text_context: 448,
            text_layers,
            state,
            mels: if v3 { 128 } else { 80 },
            weights: Type::of_ftype(ftype)?,
        })
    }

    pub(super) fn is_pruned(&self) -> bool {
        2 * self.text_layers < self.audio_layers
    }

    /// The same as `whisper_vocab::num_languages`, except for an English-only model, for which that
    /// has no meaning.
    pub(super) fn languages(&self) -> usize {
        if self.vocabulary == 51_864 { 1 } else { (self.vocabulary - 51_766) as usize }
    }
}

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Type {
    /// The `ggml_type`.
    pub(super) id: i32,
    /// Numbers in a block.
    pub(super) block: i32,
    /// Bytes of a block.
    bytes: i32,
}

const F32: Type = Type { id: 0, block: 1, bytes: 4 };
const F16: Type = Type { id: 1, block: 1, bytes: 2 };

/// Every `ggml_ftype` that has a type in ggml, without the version of the quantisation
/// (`ggml_ftype_to_ggml_type`; the sizes are in ggml-common.h).
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
    /// The type for a header's `ftype`, which is a `ggml_ftype` plus 1000 times the version of the
    /// quantisation.
    ///
    /// Like whisper.cpp, this ignores the version. The catalogue's files of May 2023 (tiny-q5_1,
    /// base-q5_1, small-q5_1, medium-q5_0) have version 1, the later ones version 2. In version 2
    /// the blocks of q4_0, q4_1 and q8_0 became smaller, so older files of these types fail the
    /// check of the tensors' sizes; q5_0 and q5_1 did not change. Files from before version 1, from
    /// two weeks of 2023, have their bits in another order, and whisper.cpp writes nonsense with
    /// them. They cannot be told from the files of programs that write no version.
    pub(super) fn of_ftype(ftype: i32) -> Option<Self> {
        TYPES.iter().find(|(known, _)| *known == ftype % 1000).map(|(_, kind)| *kind)
    }
}

/// The extents of a tensor, innermost first and filled up with ones, and how it is stored.
pub(super) type Layout = ([i32; 3], Type);

/// The bytes of a tensor's data. It has at most 2048 * 4 * 2048 or 2048 * 51866 numbers, so this
/// does not overflow.
pub(super) fn size((extents, kind): Layout) -> u64 {
    let numbers: u64 = extents.iter().map(|&extent| extent as u64).product();
    numbers / kind.block as u64 * kind.bytes as u64
}

/// All tensors of a model of this shape (`whisper_model_load`, whisper-arch.h).
pub(super) fn tensors(shape: &Shape) -> HashMap<String, Layout> {
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

    /// The size of the multilingual vocabulary with its 50,257 tokens, as in the micro model.
    const VOCABULARY_BYTES: u64 = 508_089;

    // ggml's own functions, linked with whisper.cpp.
    unsafe extern "C" {
        fn ggml_ftype_to_ggml_type(ftype: c_int) -> c_int;
        fn ggml_blck_size(kind: c_int) -> i64;
        fn ggml_type_size(kind: c_int) -> usize;
    }

    /// The `ftype` in the header of the published file. Those quantised in May 2023 have version 1.
    fn official_ftype(name: &str) -> i32 {
        match name {
            "tiny-q5_1" | "base-q5_1" | "small-q5_1" => 1009,
            "medium-q5_0" => 1008,
            "large-v3-q5_0" | "large-v3-turbo-q5_0" => 2008,
            name if name.ends_with("-q8_0") => 2007,
            _ => 1,
        }
    }

    #[test]
    fn types_are_those_of_ggml() {
        for (ftype, expected) in TYPES {
            // SAFETY: these are functions of a number. They abort on a type that ggml does not
            // know, which would fail the test as well.
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
        // ggml aborts on these: q4_1_some_f16, two removed types, one past the last, and negative
        // ones.
        for ftype in [4, 5, 6, 26, 999, 1004, 2006, 2026, -1, -1001, i32::MIN, i32::MAX] {
            assert_eq!(Type::of_ftype(ftype), None, "{ftype}");
        }
    }

    /// The published files have exactly the size that follows from these lists of tensors, types
    /// and headers, which therefore are those of the real models.
    #[test]
    fn the_catalogue_has_the_sizes_of_these_layouts() {
        for spec in &SPEECH_MODELS {
            let shape = Shape::of_family(spec.family(), official_ftype(spec.name)).unwrap();
            let filters = 8 + shape.mels as u64 * 201 * 4;
            let tensors: u64 = tensors(&shape)
                .into_iter()
                .map(|(name, layout)| {
                    // The number of dimensions is that of torch, and two for the biases of
                    // convolutions.
                    let dimensions = match layout.0 {
                        [_, 1, 1] => 1,
                        [_, _, 1] => 2,
                        _ => 3,
                    };
                    12 + 4 * dimensions + name.len() as u64 + size(layout)
                })
                .sum();
            assert_eq!(48 + filters + VOCABULARY_BYTES + tensors, spec.bytes, "{}", spec.name);
            assert_eq!(shape.is_pruned(), spec.family() == "large-v3-turbo", "{}", spec.name);
        }
    }
}
