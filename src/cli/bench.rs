//! The flags of `stenogram bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::input::Input;
use crate::domain::{AudioContext, LanguageChoice, ModelName};

const AFTER_BENCH_HELP: &str = "\
Columns:
  CONTEXT   WHISPER_AUDIO_CTX: auto, which saves work for clips shorter than 27 s, full or careful
  FLASH     FLASH_ATTENTION: whether attention is computed block by block
  LOAD      time to load the model; a model's first row may have to read it from disk
  3 s, …    seconds of work per second of audio, in clips of that length. 0.25 is four times
            as fast as speech. With full, short clips cost more: Whisper processes 30 s.
  MEMORY    memory of the whole program after the last clip; a small part may be left over
            from earlier rows
  PEAK      the most memory that was in use

Voice activity detection is off, so a clip costs what uninterrupted speech costs. Most of the
silence at the start of a recording is removed, and a recording that is too short is repeated.
The built-in message is spoken by espeak-ng. It is good enough to measure times; to see how
well a model understands you, use --eval with recordings of your voice.

Stop the daemon first: on a busy machine everything takes longer. A row of a large model may
take minutes.

Evaluation: --eval MANIFEST recognises recordings as the daemon does, and counts the mistakes.
The manifest has one JSON object per line. Paths are relative to the manifest's folder; `language`
may be left out; an empty text means that nobody speaks; other fields are ignored:
  {\"audio\": \"a.ogg\", \"text\": \"I am still on the train.\", \"language\": \"en\"}
  {\"audio\": \"street.ogg\", \"text\": \"\"}
--beside TEXTS adds another program's texts for the same recordings, one JSON object per line, such
as `stenogram transcribe --format json` writes; `language` and `seconds`, the time it took, may be
left out:
  {\"file\": \"a.ogg\", \"text\": \"I'm still on a train.\", \"language\": \"en\", \"seconds\": 1.9}
Its columns, for each language and length of recordings:
  WER, CER    wrong, missing and added words, or characters, per word or character that was said;
              case and punctuation do not count. For languages without spaces only CER is useful
  LANGUAGE    recordings that were not recognised in their language
  INVENTED    recordings in which nobody speaks that have a text
  UNANSWERED  recordings in which somebody speaks that have none
  TIME, CPU   seconds that recognition took, with decoding; CPU seconds of all cores together
  FACTOR      seconds of work per second of audio

Examples:
  stenogram bench                           all installed models
  stenogram bench --seconds 10 --runs 1     a quick estimate
  stenogram bench --compare --model small --model small-q5_1 a.ogg b.ogg
  stenogram bench --eval voices/manifest.jsonl --model base --model small-q5_1";

/// `stenogram bench`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(after_help = AFTER_BENCH_HELP)]
pub struct Bench {
    /// Recordings, which are joined and cut into clips; `-` is standard input [default: a built-in
    /// message]
    #[arg(value_name = "FILE")]
    pub inputs: Vec<Input>,
    /// A model: a name or the path of a .bin file; may be given several times [default: all models
    /// in MODEL_DIR, and MODEL; with --eval only MODEL]
    #[arg(long = "model", value_name = "NAME|PATH")]
    pub models: Vec<ModelName>,
    /// The language spoken, such as en or ru, or auto to choose from LANGUAGES [default: LANGUAGE]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<LanguageChoice>,
    /// Lengths of the clips, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "3,10,30,120", value_parser = seconds())]
    pub seconds: Vec<u32>,
    /// Numbers of threads, separated by commas [default: 1, 2, 4 and so on up to the cores]
    #[arg(long, value_delimiter = ',')]
    pub threads: Vec<NonZeroUsize>,
    /// Audio contexts as in WHISPER_AUDIO_CTX, separated by commas
    #[arg(long = "context", value_name = "CONTEXTS", value_delimiter = ',', default_value = "auto")]
    #[arg(value_parser = audio_context())]
    pub contexts: Vec<AudioContext>,
    /// Flash attention: on, off, or both, separated by commas [default: both where a GPU
    /// recognises, else as FLASH_ATTENTION has it]
    #[arg(long = "flash-attention", value_name = "ON,OFF", value_delimiter = ',')]
    #[arg(value_parser = on_or_off())]
    pub flash_attention: Vec<bool>,
    /// How many times each clip is recognised, unless that takes over 10 s; the fastest time counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Show how the texts differ between settings; with --eval, from those of the manifest
    #[arg(long)]
    pub compare: bool,
    /// Print one JSON object, for programs
    #[arg(long)]
    pub json: bool,
    /// Count the mistakes in recordings whose texts are known, instead of measuring clips
    #[arg(long, value_name = "MANIFEST")]
    #[arg(conflicts_with_all = ["inputs", "seconds", "threads", "contexts", "flash_attention", "runs"])]
    pub eval: Option<PathBuf>,
    /// Another program's texts for the same recordings, to be counted too; may be given several
    /// times
    #[arg(long, value_name = "TEXTS", requires = "eval")]
    pub beside: Vec<PathBuf>,
}

fn audio_context() -> impl TypedValueParser<Value = AudioContext> {
    PossibleValuesParser::new(["auto", "full", "careful"]).try_map(|name| name.parse::<AudioContext>())
}

fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|text| text == "on")
}

/// At most an hour, because the samples are kept in memory.
fn seconds() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=3600)
}
