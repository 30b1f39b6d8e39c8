//! `stenogram bench`: what recognition costs on this machine, model by model and setting by
//! setting.
//!
//! Measured is what the engine does with samples in memory, without voice activity: a clip costs
//! what it does where somebody speaks all the time.

mod advice;
mod clips;
mod difference;
mod machine;
mod report;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use self::machine::{Machine, Memory};
use self::report::{Clip, Measured, Report, Row, Setting, Table};
use super::{CommandError, complain, progress, transcribe};
use crate::app;
use crate::cli::Bench;
use crate::config::{AudioContext, Config, Language};
use crate::speech::models::{ModelSpec, SILERO_VAD};
use crate::speech::problems::MODEL_UNUSABLE;
use crate::speech::{Engine, EngineOptions, RecogniseOptions, SpeechError, cores};

/// A clip is not recognised once more when all its runs have taken so long.
const ENOUGH: Duration = Duration::from_secs(10);
/// A load from which on the numbers are those of a busy machine.
const BUSY: f64 = 0.5;
/// How long the engine may take to end.
const ENGINE_GRACE: Duration = Duration::from_secs(60);

/// Measures; how many recordings and models failed.
pub async fn run(config: &Config, what: &Bench, out: &mut impl Write) -> Result<usize, CommandError> {
    let machine = Machine::look();
    let language = what.language.unwrap_or(config.language);
    let (audio, bad_inputs) = audio(config, what);
    let (models, bad_models) = models(config, what, language)?;
    let flash = flash_attention(config, &what.flash_attention, machine.gpu.is_some());
    let settings = settings(&what.threads, &what.contexts, &flash, cores());
    let mut failed = bad_inputs + bad_models;
    if audio.is_empty() || models.is_empty() || settings.is_empty() {
        return Ok(failed.max(1));
    }

    let bench = Run::new(what, &audio, settings, &models);
    if !what.json {
        write!(out, "{}", heading(&machine, what, language))?;
        bench.table.head(out)?;
    }
    let mut measured = Vec::new();
    for options in models {
        let name = options.name();
        let model = bench.model(config, options, out).await?;
        let Measured { settings, .. } = &model.measured;
        if let Some(error) = model.failed {
            failed += 1;
            bench.bar.suspend(|| complain(format_args!("{name}: {error}")));
        }
        if !settings.is_empty() {
            measured.push(model.measured);
        }
    }
    bench.bar.finish_and_clear();

    let advice = advice::advise(&measured, machine.gpu.is_some());
    if what.json {
        let (recordings, language) = (names(what), name_of(language));
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
        if what.compare {
            report::compare(&measured, out)?;
        }
        if let Some(advice) = advice {
            writeln!(out, "\n{advice}")?;
        }
    }
    out.flush()?;
    Ok(failed)
}

/// What clips are made of, and how many recordings cannot be used.
fn audio(config: &Config, what: &Bench) -> (Vec<f32>, usize) {
    if what.inputs.is_empty() {
        return (clips::built_in(), 0);
    }
    let (mut audio, mut failed) = (Vec::new(), 0);
    for input in &what.inputs {
        let decoded = transcribe::read(input, config.max_file_size)
            .and_then(|bytes| Ok(clips::decode(&bytes, &app::limits(config))?));
        let problem = match decoded {
            Ok(samples) if !samples.is_empty() => {
                audio.extend(samples);
                continue;
            }
            Ok(_) => "there is nothing to hear in it".to_owned(),
            Err(error) => error.to_string(),
        };
        failed += 1;
        complain(format_args!("{}: {problem}", transcribe::name(input)));
    }
    (audio, failed)
}

/// The models that are asked for, or all that are here, from small to large; and how many cannot be
/// used.
fn models(
    config: &Config,
    what: &Bench,
    language: Language,
) -> Result<(Vec<EngineOptions>, usize), CommandError> {
    let paths = match what.models.as_slice() {
        [] => installed(config),
        named => named.iter().map(|model| app::model_path(config, model)).collect::<Result<_, _>>()?,
    };
    if paths.is_empty() {
        let folder = config.model_dir.display();
        complain(MODEL_UNUSABLE.with(format_args!("no model is in {folder}")).fill("name", "base"));
    }
    let settings = app::settings(language, config.task);
    let (mut models, mut failed) = (Vec::new(), 0);
    for path in paths {
        match app::engine_options(config, path, &settings) {
            // Every clip is to cost what speech of its length costs.
            Ok(options) => models.push(EngineOptions { vad: None, ..options }),
            Err(error) => {
                failed += 1;
                complain(error);
            }
        }
    }
    Ok((models, failed))
}

/// Every model in the models' folder, and the configured one.
fn installed(config: &Config) -> Vec<PathBuf> {
    let folder = fs::read_dir(&config.model_dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let is = |part: Option<&OsStr>, name: &str| part.is_some_and(|part| part == name);
        is(path.extension(), "bin") && !is(path.file_name(), SILERO_VAD.file)
    });
    // A name that the catalogue has not is said by every other command; here there are others to
    // measure.
    let configured = app::model_path(config, &config.model).ok();
    paths.extend(configured.filter(|path| path.exists() && !paths.contains(path)));
    paths.sort_by_cached_key(|path| (path.metadata().map_or(0, |metadata| metadata.len()), path.clone()));
    paths
}

/// What is asked for; else both on a GPU, where they have to be measured, and on a CPU as it is
/// configured.
fn flash_attention(config: &Config, asked: &[bool], on_gpu: bool) -> Vec<bool> {
    match (asked, config.flash_attention) {
        ([], _) if on_gpu => vec![false, true],
        ([], configured) => vec![configured.unwrap_or(false)],
        (asked, _) => asked.to_vec(),
    }
}

/// What is set side by side: the numbers of threads that are asked for, or 1, 2, 4 and so on up to
/// the cores that there are for us, each with every audio context, and with and without flash
/// attention.
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
        complain(format_args!("{threads} threads are left out: there are {cores} cores for stenogram"));
    }
    let few = threads.into_iter().filter(|&threads| threads <= cores);
    let all = few.flat_map(|threads| contexts.iter().map(move |&context| (threads, context)));
    all.flat_map(|(threads, audio_context)| {
        flash.iter().map(move |&flash_attention| Setting { threads, audio_context, flash_attention })
    })
    .collect()
}

/// What is said above the table.
fn heading(machine: &Machine, what: &Bench, language: Language) -> String {
    let Machine { cores, cpu, gpu, load } = machine;
    let mut text = format!("{cores} cores");
    text.extend(cpu.iter().map(|cpu| format!(" of {cpu}")));
    text.extend(gpu.iter().map(|gpu| format!(", GPU {gpu}")));
    text.extend(load.iter().map(|load| format!(", load {load:.1}")));
    if load.is_some_and(|load| load > BUSY) {
        text += ": something else is at work, so times are upper bounds";
    }
    let audio = match names(what).as_slice() {
        [] => "a built-in message, spoken by espeak-ng".to_owned(),
        names => names.join(", "),
    };
    let (language, runs) = (name_of(language), what.runs);
    text + &format!(
        "\nClips of {audio}; language {language}.\n\
         Seconds of work for a second of audio, by the fastest of up to {runs} runs:\n\n"
    )
}

fn names(what: &Bench) -> Vec<String> {
    what.inputs.iter().map(transcribe::name).collect()
}

fn name_of(language: Language) -> String {
    match language {
        Language::Auto => "auto".to_owned(),
        Language::Fixed(code) => code.to_string(),
    }
}

/// What MODEL is to be for this file.
fn value(config: &Config, path: &Path) -> String {
    let spec = ModelSpec::of_file(path).filter(|spec| spec.path(&config.model_dir) == path);
    spec.map_or_else(|| path.display().to_string(), |spec| spec.name.to_owned())
}

/// All that stays the same from model to model.
struct Run<'a> {
    what: &'a Bench,
    settings: Vec<Setting>,
    /// Length in seconds, and samples.
    clips: Vec<(u32, Vec<f32>)>,
    table: Table,
    bar: ProgressBar,
}

/// What became of a model.
struct Outcome {
    measured: Measured,
    /// Why there is no more.
    failed: Option<SpeechError>,
}

impl<'a> Run<'a> {
    fn new(what: &'a Bench, audio: &[f32], settings: Vec<Setting>, models: &[EngineOptions]) -> Self {
        let clips: Vec<_> =
            what.seconds.iter().map(|&seconds| (seconds, clips::clip(audio, seconds))).collect();
        let names: Vec<String> = models.iter().map(EngineOptions::name).collect();
        let table = Table::new(&names, what.seconds.clone());
        let bar = progress::of_steps(models.len() * settings.len() * clips.len());
        Self { what, settings, clips, table, bar }
    }

    /// Every setting of a model, up to the first that fails.
    async fn model(
        &self,
        config: &Config,
        options: EngineOptions,
        out: &mut impl Write,
    ) -> io::Result<Outcome> {
        let (model, value) = (options.name(), value(config, &options.model));
        let mut measured = Measured { model, value, settings: Vec::new() };
        for &setting in &self.settings {
            let audio_context = app::audio_context(setting.audio_context);
            let options = EngineOptions {
                threads: Some(setting.threads),
                audio_context,
                flash_attention: Some(setting.flash_attention),
                ..options.clone()
            };
            match self.row(options, setting).await {
                Ok(row) => {
                    if !self.what.json {
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
        let (language, task) = (options.only_language.clone(), options.task);
        let recognise = RecogniseOptions { language, task, ..RecogniseOptions::default() };
        self.bar.set_message(format!("{name}, {setting}"));
        Memory::forget_peak();
        let started = Instant::now();
        let engine = Engine::start(options).await?;
        let load = started.elapsed().as_secs_f64();
        let clips = self.clips(&engine, &recognise).await;
        let memory = Memory::look();
        // Also after a failure: whisper.cpp must not be at work while the process ends.
        engine.shutdown(ENGINE_GRACE).await;
        Ok(Row { setting, load, clips: clips?, memory })
    }

    async fn clips(&self, engine: &Engine, options: &RecogniseOptions) -> Result<Vec<Clip>, SpeechError> {
        let recognise = |samples: &[f32]| engine.recognise(samples.to_vec(), options.clone());
        // The first recognition takes the memory that the others use again.
        if let Some((_, shortest)) = self.clips.iter().min_by_key(|(seconds, _)| seconds) {
            recognise(shortest).await?;
        }
        let mut clips = Vec::new();
        for (seconds, samples) in &self.clips {
            let (mut runs, mut took, mut all) = (0, Duration::MAX, Duration::ZERO);
            let mut text = String::new();
            while runs < self.what.runs && all < ENOUGH {
                let started = Instant::now();
                text = recognise(samples).await?.text();
                let run = started.elapsed();
                (runs, took, all) = (runs + 1, took.min(run), all + run);
            }
            let took = took.as_secs_f64();
            let ratio = took / f64::from(*seconds);
            let text = self.what.compare.then_some(text);
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
