//! `stenogram bench`: measures how much time and memory recognition takes on this machine, for each
//! model and setting.
//!
//! It measures the engine with samples in memory and without voice activity detection, so a clip
//! costs what uninterrupted speech of its length costs.

mod advice;
mod clips;
mod difference;
mod eval;
mod machine;
mod measured;
mod report;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use self::machine::Machine;
use self::measured::{Clip, Measured, Memory, Row, Setting, value};
use self::report::{Report, Table};
use super::{CommandError, progress, report_error, transcribe};
use crate::cli::Bench;
use crate::config::Config;
use crate::domain::{AudioContext, LanguageChoice};
use crate::runtime::process;
use crate::setup;
use crate::speech::models::{SILERO_VAD, file_check};
use crate::speech::problems::MODEL_UNUSABLE;
use crate::speech::{Engine, EngineOptions, RecogniseOptions, SpeechError, cores};

/// A clip is not recognised again once its runs have taken this long in total.
const ENOUGH: Duration = Duration::from_secs(10);
/// How long the engine may take to stop.
const ENGINE_GRACE: Duration = Duration::from_secs(60);

/// Measures. Returns how many recordings and models failed.
pub async fn run(config: &Config, args: &Bench, out: &mut impl Write) -> Result<usize, CommandError> {
    if let Some(manifest) = &args.eval {
        return eval::run(config, args, manifest, out).await;
    }
    let machine = Machine::detect();
    let language = args.language.unwrap_or(config.language);
    let (audio, bad_inputs) = audio(config, args);
    let (models, bad_models) = models(config, args, language)?;
    let flash = flash_attention(config, &args.flash_attention, machine.gpu.is_some());
    let settings = settings(&args.threads, &args.contexts, &flash, cores());
    let mut failed = bad_inputs + bad_models;
    if audio.is_empty() || models.is_empty() || settings.is_empty() {
        return Ok(failed.max(1));
    }

    let bench = Run::new(args, &audio, settings, &models);
    if !args.json {
        write!(out, "{}", heading(&machine, args, language))?;
        bench.table.head(out)?;
    }
    let mut measured = Vec::new();
    for options in models {
        let name = options.name();
        let model = bench.model(config, options, out).await?;
        let Measured { settings, .. } = &model.measured;
        if let Some(error) = model.failed {
            failed += 1;
            bench.bar.suspend(|| report_error(format_args!("{name}: {error}")));
        }
        if !settings.is_empty() {
            measured.push(model.measured);
        }
    }
    bench.bar.finish_and_clear();

    let advice = advice::advise(&measured, machine.gpu.is_some());
    if args.json {
        let (recordings, language) = (names(args), language.to_string());
        let report = Report {
            machine: &machine,
            recordings: &recordings,
            language: &language,
            models: &measured,
            advice: advice.as_ref(),
        };
        serde_json::to_writer(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        if args.compare {
            report::compare(&measured, out)?;
        }
        if let Some(advice) = advice {
            writeln!(out, "\n{advice}")?;
        }
    }
    out.flush()?;
    Ok(failed)
}

/// The audio that clips are cut from, and how many recordings cannot be used.
fn audio(config: &Config, args: &Bench) -> (Vec<f32>, usize) {
    if args.inputs.is_empty() {
        return (clips::built_in(), 0);
    }
    let (mut audio, mut failed) = (Vec::new(), 0);
    for input in &args.inputs {
        let decoded = transcribe::read(input, config.max_file_size)
            .and_then(|bytes| Ok(clips::decode(&bytes, &setup::limits(config))?));
        let problem = match decoded {
            Ok(samples) if !samples.is_empty() => {
                audio.extend(samples);
                continue;
            }
            Ok(_) => "there is nothing to hear in it".to_owned(),
            Err(error) => error.to_string(),
        };
        failed += 1;
        report_error(format_args!("{}: {problem}", transcribe::name(input)));
    }
    (audio, failed)
}

/// The models that are asked for, or all installed ones from small to large, and how many of them
/// cannot be used.
fn models(
    config: &Config,
    args: &Bench,
    language: LanguageChoice,
) -> Result<(Vec<EngineOptions>, usize), CommandError> {
    let paths = match args.models.as_slice() {
        [] => installed(config),
        named => named.iter().map(|model| setup::model_path(config, model)).collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        let folder = config.model_dir.display();
        report_error(MODEL_UNUSABLE.with(format_args!("no model is in {folder}")).fill("name", "base"));
    }
    let settings = setup::settings(language, config.task);
    let (mut models, mut failed) = (Vec::new(), 0);
    for path in paths {
        // Without voice activity detection every clip costs what speech of its length costs.
        let options = EngineOptions { vad: None, ..setup::engine_options(config, path, &settings) };
        match options.check_size() {
            Ok(()) => models.push(options),
            Err(error) => {
                failed += 1;
                report_error(error);
            }
        }
    }
    Ok((models, failed))
}

/// All models in MODEL_DIR, and the configured one.
fn installed(config: &Config) -> Vec<PathBuf> {
    let folder = fs::read_dir(&config.model_dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let is = |part: Option<&OsStr>, name: &str| part.is_some_and(|part| part == name);
        is(path.extension(), "bin") && !is(path.file_name(), SILERO_VAD.file)
    });
    // An unknown name in MODEL is no error here, because there are other models to measure.
    let configured = setup::model_path(config, &config.model).ok();
    // Only whisper.cpp is measured.
    let is_new = |path: &PathBuf| path.exists() && !file_check::is_gguf(path) && !paths.contains(path);
    let configured = configured.filter(is_new);
    paths.extend(configured);
    paths.sort_by_cached_key(|path| (path.metadata().map_or(0, |metadata| metadata.len()), path.clone()));
    paths
}

/// The settings of flash attention: those asked for, or else both on a GPU and the configured one
/// on a CPU.
fn flash_attention(config: &Config, asked: &[bool], on_gpu: bool) -> Vec<bool> {
    match (asked, config.flash_attention) {
        ([], _) if on_gpu => vec![false, true],
        ([], configured) => vec![configured.unwrap_or(false)],
        (asked, _) => asked.to_vec(),
    }
}

/// The settings to compare: the numbers of threads that are asked for, or 1, 2, 4 and so on up to
/// the number of cores, each with every audio context and every setting of flash attention.
fn settings(
    asked: &[NonZeroUsize],
    contexts: &[AudioContext],
    flash: &[bool],
    cores: NonZeroUsize,
) -> Vec<Setting> {
    let threads: Vec<NonZeroUsize> = match asked {
        [] => {
            let powers = (0..usize::BITS).filter_map(|n| NonZeroUsize::new(1 << n));
            powers.take_while(|&threads| threads < cores).chain([cores]).collect()
        }
        asked => asked.to_vec(),
    };
    for threads in threads.iter().filter(|&&threads| threads > cores) {
        report_error(format_args!("{threads} threads are left out: there are {cores} cores for stenogram"));
    }
    let few = threads.into_iter().filter(|&threads| threads <= cores);
    let all = few.flat_map(|threads| contexts.iter().map(move |&context| (threads, context)));
    all.flat_map(|(threads, audio_context)| {
        flash.iter().map(move |&flash_attention| Setting { threads, audio_context, flash_attention })
    })
    .collect()
}

/// The text above the table.
fn heading(machine: &Machine, args: &Bench, language: LanguageChoice) -> String {
    let audio = match names(args).as_slice() {
        [] => "a built-in message, spoken by espeak-ng".to_owned(),
        names => names.join(", "),
    };
    let runs = args.runs;
    format!(
        "{machine}\nClips of {audio}; language {language}.\n\
         Seconds of work for a second of audio, by the fastest of up to {runs} runs:\n\n"
    )
}

fn names(args: &Bench) -> Vec<String> {
    args.inputs.iter().map(transcribe::name).collect()
}

/// Everything that is the same for all models.
struct Run<'a> {
    args: &'a Bench,
    settings: Vec<Setting>,
    /// Lengths in seconds, and samples.
    clips: Vec<(u32, Vec<f32>)>,
    table: Table,
    bar: ProgressBar,
}

/// The result of measuring a model.
struct Outcome {
    measured: Measured,
    /// Why some settings are missing.
    failed: Option<SpeechError>,
}

impl<'a> Run<'a> {
    fn new(args: &'a Bench, audio: &[f32], settings: Vec<Setting>, models: &[EngineOptions]) -> Self {
        let clips: Vec<_> =
            args.seconds.iter().map(|&seconds| (seconds, clips::clip(audio, seconds))).collect();
        let names: Vec<String> = models.iter().map(EngineOptions::name).collect();
        let table = Table::new(&names, args.seconds.clone());
        let bar = progress::of_steps(models.len() * settings.len() * clips.len());
        Self { args, settings, clips, table, bar }
    }

    /// Measures all settings of a model, up to the first one that fails.
    async fn model(
        &self,
        config: &Config,
        options: EngineOptions,
        out: &mut impl Write,
    ) -> io::Result<Outcome> {
        let (model, value) = (options.name(), value(config, &options.model));
        let mut measured = Measured { model, value, settings: Vec::new() };
        for &setting in &self.settings {
            let options = EngineOptions {
                threads: Some(setting.threads),
                audio_context: setting.audio_context,
                flash_attention: Some(setting.flash_attention),
                ..options.clone()
            };
            match self.row(options, setting).await {
                Ok(row) => {
                    if !self.args.json {
                        self.bar.suspend(|| self.table.row(&measured.model, &row, out))?;
                    }
                    measured.settings.push(row);
                }
                Err(error) => return Ok(Outcome { measured, failed: Some(error) }),
            }
        }
        Ok(Outcome { measured, failed: None })
    }

    async fn row(&self, options: EngineOptions, setting: Setting) -> Result<Row, SpeechError> {
        let name = options.name();
        let (language, task) = (options.only_language, options.task);
        let recognise = RecogniseOptions { language, task, ..RecogniseOptions::default() };
        self.bar.set_message(format!("{name}, {setting}"));
        process::Memory::reset_peak();
        let started = Instant::now();
        let engine = Engine::start(options).await?;
        let load = started.elapsed().as_secs_f64();
        let clips = self.clips(&engine, &recognise).await;
        let memory = process::Memory::sample().map(Memory::from);
        // Also after a failure, because whisper.cpp must not be running when the process ends.
        engine.shutdown(ENGINE_GRACE).await;
        Ok(Row { setting, load, clips: clips?, memory })
    }

    async fn clips(&self, engine: &Engine, options: &RecogniseOptions) -> Result<Vec<Clip>, SpeechError> {
        let recognise = |samples: &[f32]| engine.recognise(samples.to_vec(), options.clone());
        // The first recognition allocates memory that the later ones reuse, so it is not measured.
        if let Some((_, shortest)) = self.clips.iter().min_by_key(|(seconds, _)| seconds) {
            recognise(shortest).await?;
        }
        let mut clips = Vec::new();
        for (seconds, samples) in &self.clips {
            let (mut runs, mut took, mut all) = (0, Duration::MAX, Duration::ZERO);
            let mut text = String::new();
            while runs < self.args.runs && all < ENOUGH {
                let started = Instant::now();
                text = recognise(samples).await?.text();
                let run = started.elapsed();
                (runs, took, all) = (runs + 1, took.min(run), all + run);
            }
            let took = took.as_secs_f64();
            let ratio = took / f64::from(*seconds);
            let text = self.args.compare.then_some(text);
            clips.push(Clip { seconds: *seconds, took, ratio, runs, text });
            self.bar.inc(1);
        }
        Ok(clips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(asked: &[usize], cores: usize) -> Vec<usize> {
        let number = |n: &usize| NonZeroUsize::new(*n).unwrap();
        let asked: Vec<_> = asked.iter().map(number).collect();
        settings(&asked, &[AudioContext::Full], &[false], number(&cores))
            .iter()
            .map(|setting| setting.threads.get())
            .collect()
    }

    #[test]
    fn threads_double_up_to_the_cores() {
        for (cores, expected) in
            [(1, &[1][..]), (2, &[1, 2]), (3, &[1, 2, 3]), (4, &[1, 2, 4]), (12, &[1, 2, 4, 8, 12])]
        {
            assert_eq!(threads(&[], cores), expected);
        }
        assert_eq!(threads(&[2, 3, 4], 3), [2, 3]);
        assert_eq!(threads(&[8], 2), [0; 0]);
        let contexts = [AudioContext::Full, AudioContext::Auto];
        let both = settings(&[], &contexts, &[false], NonZeroUsize::new(2).unwrap());
        let shown: Vec<String> = both.iter().map(Setting::to_string).collect();
        let expected = [
            "1 thread, full context",
            "1 thread, auto context",
            "2 threads, full context",
            "2 threads, auto context",
        ];
        assert_eq!(shown, expected);
        let flash = settings(&[], &contexts[..1], &[false, true], NonZeroUsize::MIN);
        let shown: Vec<String> = flash.iter().map(Setting::to_string).collect();
        assert_eq!(shown, ["1 thread, full context", "1 thread, full context, flash attention"]);
    }
}
