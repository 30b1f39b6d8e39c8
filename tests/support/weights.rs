//! Models in the shapes of the real ones, with weights of no meaning: time does not depend on what they are, only on how
//! many. They say the same words to any recording, in English and surely, so that nothing is decoded twice.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// As in OpenAI's table: width, heads, layers of each side.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub name: &'static str,
    state: usize,
    heads: usize,
    layers: usize,
    matrices: Format,
}

/// What matrices are made of; the quantised ones in blocks of [`BLOCK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    F16,
    /// As the large ones of the catalogue: five bits each and a step.
    Q5_0,
    /// As the small ones: five bits each, a step and a least number.
    Q5_1,
    /// Eight bits each and a step.
    Q8_0,
}

impl Format {
    /// ggml's number for it.
    fn kind(self) -> i32 {
        match self {
            Self::F16 => 1,
            Self::Q5_0 => 6,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
        }
    }

    /// What the header of a published model says whose matrices are mostly this. The small ones were
    /// quantised by the first version, the large ones by the second.
    fn header(self) -> usize {
        match self {
            Self::F16 => 1,
            Self::Q5_0 => 2008,
            Self::Q5_1 => 1009,
            Self::Q8_0 => 2007,
        }
    }
}

impl Shape {
    const fn new(name: &'static str, state: usize, layers: usize) -> Self {
        Self { name, state, heads: state / 64, layers, matrices: Format::F16 }
    }

    const fn quantised(self, name: &'static str, matrices: Format) -> Self {
        Self { name, matrices, ..self }
    }
}

const TINY: Shape = Shape::new("tiny", 384, 4);
const BASE: Shape = Shape::new("base", 512, 6);
const SMALL: Shape = Shape::new("small", 768, 12);

/// From small to large. `small-q5_0` is none of the catalogue, and stands for the larger ones, which are that.
pub const SHAPES: [Shape; 10] = [
    TINY,
    TINY.quantised("tiny-q5_1", Format::Q5_1),
    TINY.quantised("tiny-q8_0", Format::Q8_0),
    BASE,
    BASE.quantised("base-q5_1", Format::Q5_1),
    BASE.quantised("base-q8_0", Format::Q8_0),
    SMALL,
    SMALL.quantised("small-q5_0", Format::Q5_0),
    SMALL.quantised("small-q5_1", Format::Q5_1),
    SMALL.quantised("small-q8_0", Format::Q8_0),
];

const VOCABULARY: usize = 51_865;
const AUDIO_CONTEXT: usize = 1500;
const TEXT_CONTEXT: usize = 448;
const MELS: usize = 80;

// Tokens of the multilingual vocabulary.
const END: usize = 50_257;
const ENGLISH: usize = 50_259;
const ZERO_SECONDS: usize = 50_364;
/// Where the prompt ends that whisper.cpp gives: start, language, task.
const PROMPT: usize = 3;
/// How quickly people speak, about.
const WORDS_PER_SECOND: f64 = 2.7;

/// ggml's number for single precision.
const F32: i32 = 0;
/// Numbers that share a step where they are quantised.
const BLOCK: usize = 32;

/// Writes a model that says as much to any recording as is said in so many seconds; mel filters and vocabulary are those
/// of `like`, a multilingual one of 80 mels.
pub fn write(shape: Shape, seconds: usize, like: &Path, path: &Path) -> io::Result<()> {
    let like = fs::read(like)?;
    let mut out = BufWriter::new(File::create(path)?);
    let Shape { state, heads, layers, matrices, .. } = shape;
    let int = |out: &mut BufWriter<File>, n: usize| out.write_all(&(n as u32).to_le_bytes());
    out.write_all(&like[..4])?;
    let fields = [
        VOCABULARY,
        AUDIO_CONTEXT,
        state,
        heads,
        layers,
        TEXT_CONTEXT,
        state,
        heads,
        layers,
        MELS,
        matrices.header(),
    ];
    for field in fields {
        int(&mut out, field)?;
    }
    let (head, words) = head(&like, (seconds as f64 * WORDS_PER_SECOND) as usize);
    out.write_all(head)?;

    let mut weights = Weights { out, random: 1, matrices };
    weights.side("encoder", layers, state, false)?;
    weights.f32s("encoder.positional_embedding", &[AUDIO_CONTEXT, state], |n| (n as f32).sin() * 0.1)?;
    weights.f16s("encoder.conv1.weight", &[state, MELS, 3], 0.05)?;
    weights.f32s("encoder.conv1.bias", &[state, 1], |_| 0.0)?;
    weights.f16s("encoder.conv2.weight", &[state, state, 3], 0.02)?;
    weights.f32s("encoder.conv2.bias", &[state, 1], |_| 0.0)?;
    weights.norm("encoder.ln_post", state)?;
    weights.side("decoder", layers, state, true)?;
    weights.norm("decoder.ln", state)?;
    let embedding = weights.matrix("decoder.token_embedding.weight", &[VOCABULARY, state], 0.08)?;
    // What is said at a place is so much like one token that nothing else matters.
    let said = |place: usize| match place {
        0 => ENGLISH,
        place if place + 1 < PROMPT => END,
        place if place + 1 == PROMPT => ZERO_SECONDS,
        place => words.get(place - PROMPT).copied().unwrap_or(END),
    };
    weights.f32s("decoder.positional_embedding", &[TEXT_CONTEXT, state], |n| {
        20.0 * embedding[said(n / state) * state + n % state]
    })?;
    weights.out.flush()
}

/// The mel filters and the vocabulary of a model as they are written, and the tokens of so many plain words.
fn head(model: &[u8], wanted: usize) -> (&[u8], Vec<usize>) {
    const START: usize = 4 + 11 * 4;
    let int = |at: usize| u32::from_le_bytes(model[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = START + 8 + int(START) * int(START + 4) * 4;
    let count = int(at);
    at += 4;
    let mut words = Vec::new();
    for token in 0..count {
        let text = &model[at + 4..at + 4 + int(at)];
        // From the middle of the vocabulary: words that are neither very short nor very rare.
        let plain = text.len() > 4 && text[0] == b' ' && text[1..].iter().all(u8::is_ascii_lowercase);
        if plain && token > 2000 && words.len() < wanted {
            words.push(token);
        }
        at += 4 + text.len();
    }
    (&model[START..at], words)
}

/// IEEE half precision, rounded to zero; what is too small becomes 0.
fn half(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
    if exponent <= 0 { sign } else { sign | (exponent as u16) << 10 | (bits >> 13 & 0x3ff) as u16 }
}

struct Weights {
    out: BufWriter<File>,
    random: u64,
    matrices: Format,
}

impl Weights {
    fn tensor(&mut self, name: &str, shape: &[usize], kind: i32) -> io::Result<()> {
        for n in [shape.len() as i32, name.len() as i32, kind] {
            self.out.write_all(&n.to_le_bytes())?;
        }
        for &n in shape.iter().rev() {
            self.out.write_all(&(n as i32).to_le_bytes())?;
        }
        self.out.write_all(name.as_bytes())
    }

    fn f32s(&mut self, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) -> io::Result<()> {
        self.tensor(name, shape, F32)?;
        (0..shape.iter().product()).try_for_each(|n| self.out.write_all(&value(n).to_le_bytes()))
    }

    /// Random ones with this standard deviation, about as they are read again.
    fn f16s(&mut self, name: &str, shape: &[usize], deviation: f32) -> io::Result<Vec<f32>> {
        self.tensor(name, shape, Format::F16.kind())?;
        // Evenly from -√3 to √3 deviations; drawn from a few, which is quicker than rounding each.
        let few = (0..4096).map(|n| (n as f32 / 2047.5 - 1.0) * 3f32.sqrt() * deviation);
        let few: Vec<(f32, u16)> = few.map(|number| (number, half(number))).collect();
        let mut numbers = Vec::with_capacity(shape.iter().product());
        let mut bytes = Vec::with_capacity(numbers.capacity() * 2);
        for _ in 0..numbers.capacity() {
            let (number, half) = few[self.next() as usize % few.len()];
            numbers.push(number);
            bytes.extend(half.to_le_bytes());
        }
        self.out.write_all(&bytes)?;
        Ok(numbers)
    }

    /// 24 bits of xorshift64.
    fn next(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 40
    }

    /// Random ones with this standard deviation in the model's own format, about as they are read again.
    fn matrix(&mut self, name: &str, shape: &[usize], deviation: f32) -> io::Result<Vec<f32>> {
        let format = self.matrices;
        if format == Format::F16 {
            return self.f16s(name, shape, deviation);
        }
        self.tensor(name, shape, format.kind())?;
        if format == Format::Q8_0 {
            return self.eight_bits(shape, deviation);
        }
        let step = 2.0 * 3f32.sqrt() * deviation / 31.0;
        // Without a least number of its own a block begins 16 steps below zero.
        let least = step * if format == Format::Q5_0 { -16.0 } else { -15.5 };
        let mut numbers = Vec::with_capacity(shape.iter().product());
        let mut bytes = Vec::with_capacity(numbers.capacity() / BLOCK * 24);
        for _ in 0..numbers.capacity() / BLOCK {
            bytes.extend(half(step).to_le_bytes());
            if format == Format::Q5_1 {
                bytes.extend(half(least).to_le_bytes());
            }
            let high = self.next() as u32 | (self.next() as u32) << 24;
            bytes.extend(high.to_le_bytes());
            let low: [u8; BLOCK / 2] = std::array::from_fn(|_| self.next() as u8);
            bytes.extend(low);
            // The first half has the lower four bits of each byte, the second the upper.
            numbers.extend((0..BLOCK).map(|n| {
                let four = if n < BLOCK / 2 { low[n] & 15 } else { low[n - BLOCK / 2] >> 4 };
                least + step * f32::from(four | ((high >> n & 1) as u8) << 4)
            }));
        }
        self.out.write_all(&bytes)?;
        Ok(numbers)
    }

    fn eight_bits(&mut self, shape: &[usize], deviation: f32) -> io::Result<Vec<f32>> {
        let step = 2.0 * 3f32.sqrt() * deviation / 255.0;
        let mut numbers = Vec::with_capacity(shape.iter().product());
        let mut bytes = Vec::with_capacity(numbers.capacity() / BLOCK * 34);
        for _ in 0..numbers.capacity() / BLOCK {
            bytes.extend(half(step).to_le_bytes());
            for _ in 0..BLOCK {
                let number = self.next() as i8;
                bytes.extend(number.to_le_bytes());
                numbers.push(step * f32::from(number));
            }
        }
        self.out.write_all(&bytes)?;
        Ok(numbers)
    }

    fn norm(&mut self, name: &str, width: usize) -> io::Result<()> {
        self.f32s(&format!("{name}.weight"), &[width], |_| 1.0)?;
        self.f32s(&format!("{name}.bias"), &[width], |_| 0.0)
    }

    fn linear(&mut self, name: &str, to: usize, from: usize, bias: bool) -> io::Result<()> {
        self.matrix(&format!("{name}.weight"), &[to, from], 0.01)?;
        if bias { self.f32s(&format!("{name}.bias"), &[to], |_| 0.0) } else { Ok(()) }
    }

    fn attention(&mut self, name: &str, state: usize) -> io::Result<()> {
        self.norm(&format!("{name}_ln"), state)?;
        for (part, bias) in [("query", true), ("key", false), ("value", true), ("out", true)] {
            self.linear(&format!("{name}.{part}"), state, state, bias)?;
        }
        Ok(())
    }

    /// The blocks of encoder or decoder.
    fn side(&mut self, side: &str, layers: usize, state: usize, cross: bool) -> io::Result<()> {
        for layer in 0..layers {
            let block = format!("{side}.blocks.{layer}");
            self.attention(&format!("{block}.attn"), state)?;
            if cross {
                self.attention(&format!("{block}.cross_attn"), state)?;
            }
            self.norm(&format!("{block}.mlp_ln"), state)?;
            self.linear(&format!("{block}.mlp.0"), 4 * state, state, true)?;
            self.linear(&format!("{block}.mlp.2"), state, 4 * state, true)?;
        }
        Ok(())
    }
}
