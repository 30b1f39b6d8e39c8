//! `cargo bench --bench eval -- …`: how well recordings are recognised, see README.md beside this file.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use eval::ears::Equipment;
use eval::trials::{self, Findings};
use stenogram::domain::score::Tally;
use stenogram::domain::{AudioContext, LanguageCode};
use stenogram::speech::default_threads;
use support::official;
use support::speech::{self, Random};

/// Word and character error rate, inventions, languages, time.
#[derive(Parser)]
#[command(name = "eval")]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// A ggml model [default: OpenAI's base in MODEL_DIR or target/models, else the test model]
    #[arg(long, global = true)]
    model: Option<PathBuf>,
    /// Silero's model, or none
    #[arg(long, global = true, default_value = speech::VAD)]
    vad: PathBuf,
    /// Languages to choose from; all that the model knows where there are none
    #[arg(long, global = true, value_delimiter = ',')]
    languages: Vec<LanguageCode>,
    #[arg(long, global = true)]
    threads: Option<NonZeroUsize>,
    /// stenogram with WHISPER_AUDIO_CTX=full
    #[arg(long, global = true)]
    full_context: bool,
    /// Makes the same clips again
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// One JSON object a line: what was heard, and its sums
    #[arg(long, global = true)]
    json: bool,
    /// cargo says so
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Recordings of yours with their texts
    Folder {
        folder: PathBuf,
        /// Bare whisper.cpp hears them too
        #[arg(long)]
        bare: bool,
        /// Show what was heard wrongly
        #[arg(long)]
        show: bool,
    },
    /// Spoken digits: clean, through Opus, in noise, in silence
    Digits {
        #[arg(long, default_value_t = 400)]
        count: usize,
        /// Bare whisper.cpp hears them in every condition, not only clean
        #[arg(long)]
        bare: bool,
    },
    /// Noises, and the recordings of a folder
    Noises {
        #[arg(long, default_value_t = 200)]
        count: usize,
        #[arg(long)]
        recordings: Option<PathBuf>,
    },
    /// Clips of one to three words, in English or Russian
    Languages {
        #[arg(long, default_value_t = 400)]
        count: usize,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `cargo bench` alone runs every benchmark there is; this one takes an hour.
    let Some(what) = &arguments.what else {
        println!("cargo bench --bench eval -- folder|digits|noises|languages: see tests/eval/README.md");
        return ExitCode::SUCCESS;
    };
    match run(&arguments, what) {
        Ok(findings) => show(&findings, arguments.json),
        Err(error) => {
            eprintln!("eval: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, what: &What) -> Result<Findings, String> {
    let Arguments { model, vad, languages, threads, seed, full_context, .. } = arguments;
    let equipment = Equipment {
        model: model.clone().unwrap_or_else(default_model),
        vad: (vad.as_os_str() != "none").then(|| vad.clone()),
        languages: languages.clone(),
        threads: threads.unwrap_or_else(default_threads),
        audio_context: if *full_context { AudioContext::Full } else { AudioContext::Auto },
    };
    let mut random = seed.map_or_else(Random::new, Random::seeded);
    match what {
        What::Folder { folder, bare, show } => trials::recordings(&equipment, folder, *bare, *show),
        What::Digits { count, bare } => trials::digits(&equipment, *count, *bare, &mut random),
        What::Noises { count, recordings } => {
            trials::noises(&equipment, *count, recordings.as_deref(), &mut random)
        }
        What::Languages { count } => trials::languages(&equipment, *count, &mut random),
    }
}

/// Says which one it is, because what it knows decides what can be measured with it.
fn default_model() -> PathBuf {
    let official = official::model_path("ggml-base.bin");
    let model = if official.exists() { official.clone() } else { speech::MODEL.into() };
    let missing =
        if model == official { String::new() } else { format!(", as there is no {}", official.display()) };
    eprintln!("model: {}{missing}", model.display());
    model
}

fn show(findings: &Findings, json: bool) -> ExitCode {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        name: &'a str,
        #[serde(flatten)]
        tally: &'a Tally,
    }
    if json {
        for (name, tally) in &findings.tallies {
            println!("{}", serde_json::to_string(&Line { name, tally }).expect("numbers and names"));
        }
    } else {
        print!("{}", findings.text());
    }
    if findings.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
