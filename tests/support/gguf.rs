//! GGUF files in the shape of GigaAM v3, small and with random weights. The encoder computes what it
//! would; what is written down is in the biases of the last layer.

use std::fs;
use std::path::Path;

/// In the file every tensor begins at a multiple of this.
const ALIGNMENT: usize = 32;
const LAYERS: usize = 2;
const STATE: usize = 64;
const HEADS: usize = 2;
const FEED_FORWARD: usize = 128;
const KERNEL: usize = 5;
const MELS: usize = 64;
const FFT: usize = 320;
const PREDICTOR: usize = 32;

/// A file in the making.
#[derive(Default)]
struct Gguf {
    values: Vec<u8>,
    value_count: u64,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
    seed: u32,
}

impl Gguf {
    fn value(&mut self, key: &str, kind: u32, bytes: &[u8]) {
        push_text(&mut self.values, key);
        self.values.extend(kind.to_le_bytes());
        self.values.extend(bytes);
        self.value_count += 1;
    }

    fn number(&mut self, key: &str, number: usize) {
        self.value(key, 4, &(number as u32).to_le_bytes());
    }

    fn float(&mut self, key: &str, number: f32) {
        self.value(key, 6, &number.to_le_bytes());
    }

    fn text(&mut self, key: &str, text: &str) {
        let mut bytes = Vec::new();
        push_text(&mut bytes, text);
        self.value(key, 8, &bytes);
    }

    fn texts(&mut self, key: &str, texts: &[&str]) {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend((texts.len() as u64).to_le_bytes());
        texts.iter().for_each(|text| push_text(&mut bytes, text));
        self.value(key, 9, &bytes);
    }

    fn tensor(&mut self, name: &str, extents: &[usize], values: Vec<f32>) {
        assert_eq!(values.len(), extents.iter().product::<usize>(), "{name}");
        self.tensors.push((name.to_owned(), extents.to_vec(), values));
    }

    /// Small numbers that are the same in every run.
    fn random(&mut self, name: &str, extents: &[usize]) {
        let count = extents.iter().product();
        let values = (0..count).map(|_| {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.seed >> 8) as f32 / (1 << 24) as f32 * 0.2 - 0.1
        });
        let values = values.collect();
        self.tensor(name, extents, values);
    }

    fn filled(&mut self, name: &str, extent: usize, value: f32) {
        self.tensor(name, &[extent], vec![value; extent]);
    }

    /// A layer's weight and bias.
    fn linear(&mut self, name: &str, extents: &[usize]) {
        self.random(&format!("{name}.weight"), extents);
        self.filled(&format!("{name}.bias"), extents[extents.len() - 1], 0.0);
    }

    fn norm(&mut self, name: &str) {
        self.filled(&format!("{name}.weight"), STATE, 1.0);
        self.filled(&format!("{name}.bias"), STATE, 0.0);
    }

    fn write(self, path: &Path) {
        let mut head = b"GGUF".to_vec();
        head.extend(3_u32.to_le_bytes());
        head.extend((self.tensors.len() as u64).to_le_bytes());
        head.extend(self.value_count.to_le_bytes());
        head.extend(self.values);
        let mut data: Vec<u8> = Vec::new();
        for (name, extents, values) in self.tensors {
            data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
            push_text(&mut head, &name);
            head.extend((extents.len() as u32).to_le_bytes());
            extents.iter().for_each(|&extent| head.extend((extent as u64).to_le_bytes()));
            // 32-bit floats.
            head.extend(0_u32.to_le_bytes());
            head.extend((data.len() as u64).to_le_bytes());
            data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        head.resize(head.len().next_multiple_of(ALIGNMENT), 0);
        head.extend(data);
        fs::write(path, head).expect("write the model");
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A model with the head `e2e_ctc` that hears `word` in everything.
pub fn gigaam_that_says(word: &str, path: &Path) {
    let tokens = ["<unk>", &format!("\u{2581}{word}"), "<blank>"];
    let mut file = gigaam("ctc", "gigaam-v3-e2e-ctc", &tokens);
    file.number("stt.gigaam.head.feat_in", STATE);
    file.number("stt.gigaam.head.num_classes", tokens.len());
    file.tensor("head.ctc.weight", &[1, STATE, tokens.len()], vec![0.0; STATE * tokens.len()]);
    file.tensor("head.ctc.bias", &[tokens.len()], vec![0.0, 9.0, 0.0]);
    file.write(path);
}

/// A model with the head `e2e_rnnt`, that of the catalogue, whose text means nothing.
pub fn gigaam_rnnt(path: &Path) {
    let tokens = ["<unk>", "\u{2581}да", "\u{2581}не", "т", ".", "<blank>"];
    let (classes, gates) = (tokens.len(), 4 * PREDICTOR);
    let mut file = gigaam("rnnt", "gigaam-v3-e2e-rnnt", &tokens);
    file.number("stt.gigaam.predictor.hidden", PREDICTOR);
    file.number("stt.gigaam.predictor.n_layers", 1);
    file.number("stt.gigaam.predictor.vocab", classes);
    file.number("stt.gigaam.joint.hidden", PREDICTOR);
    file.number("stt.gigaam.joint.num_classes", classes);
    file.text("stt.gigaam.joint.activation", "relu");
    file.random("pred.embed.weight", &[PREDICTOR, classes]);
    file.random("pred.lstm.0.Wx", &[PREDICTOR, gates]);
    file.random("pred.lstm.0.Wh", &[PREDICTOR, gates]);
    file.filled("pred.lstm.0.bias", gates, 0.0);
    file.linear("joint.enc", &[STATE, PREDICTOR]);
    file.linear("joint.pred", &[PREDICTOR, PREDICTOR]);
    file.linear("joint.out", &[PREDICTOR, classes]);
    file.write(path);
}

/// All but the head.
fn gigaam(head: &str, variant: &str, tokens: &[&str]) -> Gguf {
    let mut file = Gguf { seed: 7, ..Gguf::default() };
    file.text("general.architecture", "gigaam");
    file.text("stt.variant", variant);
    file.texts("general.languages", &["ru"]);
    file.text("tokenizer.ggml.model", "unigram");
    file.texts("tokenizer.ggml.tokens", tokens);
    file.text("stt.gigaam.head_kind", head);
    for (key, number) in [
        ("n_layers", LAYERS),
        ("d_model", STATE),
        ("n_heads", HEADS),
        ("d_ff", FEED_FORWARD),
        ("conv_kernel", KERNEL),
        ("subsampling_factor", 4),
        ("subs_kernel_size", KERNEL),
        ("pos_emb_max_len", 5000),
        ("feat_in", MELS),
    ] {
        file.number(&format!("stt.gigaam.encoder.{key}"), number);
    }
    file.text("stt.gigaam.encoder.self_attention_model", "rotary");
    file.text("stt.gigaam.encoder.conv_norm_type", "layer_norm");
    for (key, number) in [
        ("num_mels", MELS),
        ("sample_rate", 16_000),
        ("n_fft", FFT),
        ("win_length", FFT),
        ("hop_length", 160),
    ] {
        file.number(&format!("stt.frontend.{key}"), number);
    }
    for (key, text) in
        [("type", "mel"), ("window", "hann_periodic"), ("normalize", "none"), ("mel_norm", "htk")]
    {
        file.text(&format!("stt.frontend.{key}"), text);
    }
    for (key, number) in [
        ("dither", 0.0),
        ("pre_emphasis", 0.0),
        ("f_min", 0.0),
        ("f_max", 8000.0),
        ("log_clamp_min", 1e-9),
        ("log_clamp_max", 1e9),
    ] {
        file.float(&format!("stt.frontend.{key}"), number);
    }

    file.random("frontend.mel_filterbank", &[FFT / 2 + 1, MELS]);
    file.filled("frontend.window", FFT, 0.5);
    file.linear("enc.pre_encode.conv.0", &[KERNEL, MELS, STATE]);
    file.linear("enc.pre_encode.conv.2", &[KERNEL, STATE, STATE]);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("enc.blocks.{layer}.{part}");
        for norm in ["norm_ff1", "norm_conv", "conv.ln", "norm_attn", "norm_ff2", "norm_out"] {
            file.norm(&name(norm));
        }
        for part in ["ff1", "ff2"] {
            file.linear(&name(&format!("{part}.linear1")), &[STATE, FEED_FORWARD]);
            file.linear(&name(&format!("{part}.linear2")), &[FEED_FORWARD, STATE]);
        }
        file.linear(&name("conv.pointwise1"), &[1, STATE, 2 * STATE]);
        file.linear(&name("conv.depthwise"), &[KERNEL, 1, STATE]);
        file.linear(&name("conv.pointwise2"), &[1, STATE, STATE]);
        for part in ["q", "k", "v", "out"] {
            file.linear(&name(&format!("attn.linear_{part}")), &[STATE, STATE]);
        }
    }
    file
}
