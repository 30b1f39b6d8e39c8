//! `stenogram bench --eval`: recognises recordings whose texts are known, as the daemon does, and
//! counts the mistakes.

mod manifest;
mod table;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde::Serialize;

use self::manifest::{Clip, Other};
use self::table::{Group, Scored, System};
use super::difference::differences;
use super::machine::Machine;
use super::measured::{Memory, value};
use crate::app::RunError;
use crate::cli::{Bench, Input};
use crate::commands::transcribe::{self, InputError};
use crate::commands::{CommandError, progress, report_error};
use crate::config::Config;
use crate::decoding::DecoderProgram;
use crate::domain::score::{Heard, words};
use crate::domain::{LanguageChoice, Progress, Settings};
use crate::runtime::process;
use crate::setup;
use crate::speech::{Engine, EngineOptions};
use crate::transcribe::recording::{Recording, RecordingOptions};

/// How long the engine may take to stop.
const ENGINE_GRACE: Duration = Duration::from_secs(60);

/// Everything, as `--json` writes it.
#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    manifest: String,
    /// A code or `auto`.
    language: String,
    systems: &'a [System],
    groups: &'a [Group],
    clips: Vec<ClipReport<'a>>,
}

#[derive(Serialize)]
struct ClipReport<'a> {
    audio: &'a str,
    said: &'a str,
    language: Option<&'a str>,
    /// In the order of the systems.
    heard: Vec<HeardReport<'a>>,
}

#[derive(Serialize)]
struct HeardReport<'a> {
    text: &'a str,
    language: Option<&'a str>,
    /// In seconds; 0 if it is not known.
    took: f64,
}

/// Evaluates. Returns how many recordings and lines of files cannot be used.
pub async fn run(
    config: &Config,
    args: &Bench,
    manifest: &Path,
    out: &mut impl Write,
) -> Result<usize, CommandError> {
    let (clips, others) = match read(manifest, args) {
        Ok(read) => read,
        Err(errors) => {
            errors.iter().for_each(report_error);
            return Ok(errors.len());
        }
    };
    let language = args.language.unwrap_or(config.language);
    let settings = setup::settings(language, config.task);
    let named = if args.models.is_empty() { std::slice::from_ref(&config.model) } else { &args.models };
    let models = named.iter().map(|model| setup::model_path(config, model)).collect::<Result<Vec<_>, _>>()?;

    let machine = Machine::detect();
    let bar = progress::of_steps(models.len() * clips.len());
    // What each model heard in each clip; nothing where it failed.
    let (mut systems, mut all_heard, mut failed) = (Vec::new(), Vec::new(), 0);
    for path in models {
        let options = setup::engine_options(config, path, &settings);
        let options = EngineOptions { idle_unload: None, ..options };
        let (system, heard) = model(config, options, &settings, &clips, &bar).await?;
        failed += heard.iter().filter(|heard| heard.is_none()).count();
        systems.push(system);
        all_heard.push(heard);
    }
    bar.finish_and_clear();
    for other in others {
        let Other { name, texts, tells_language } = other;
        let lengths =
            all_heard.first().into_iter().flatten().map(|heard| heard.as_ref().map(|it| it.seconds));
        let with_length = |(text, seconds): (Heard, Option<f64>)| {
            Some(Heard { seconds: seconds.unwrap_or_default(), ..text })
        };
        let heard = texts.into_iter().zip(lengths).map(with_length).collect::<Vec<_>>();
        all_heard.push(heard);
        systems.push(System { name, value: None, load: None, memory: None, tells_language });
    }

    // A clip that a model could not recognise is left out for all, so that the same are compared.
    let scored: Vec<Scored<'_>> = clips
        .iter()
        .enumerate()
        .filter_map(|(n, clip)| {
            let heard = all_heard.iter().map(|heard| heard[n].as_ref()).collect::<Option<Vec<_>>>()?;
            Some(Scored { name: &clip.name, said: &clip.said, heard })
        })
        .collect();
    let groups = table::groups(&systems, &scored);
    if args.json {
        let (systems, groups) = (&*systems, &*groups);
        let clips = scored.iter().map(ClipReport::from).collect();
        let (manifest, language) = (manifest.display().to_string(), language.to_string());
        let report = Report { machine: &machine, manifest, language, systems, groups, clips };
        serde_json::to_writer(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", heading(&machine, manifest, &scored, language))?;
        table::write(&systems, &groups, out)?;
        if args.compare {
            mistakes(&systems, &scored, out)?;
        }
    }
    out.flush()?;
    Ok(failed)
}

/// The recordings, and the other programs' texts for them, or everything that is wrong with these
/// files.
fn read(manifest: &Path, args: &Bench) -> Result<(Vec<Clip>, Vec<Other>), Vec<String>> {
    let clips = manifest::clips(manifest)?;
    let (mut others, mut errors) = (Vec::new(), Vec::new());
    for file in &args.beside {
        match manifest::other(file, &clips) {
            Ok(other) => others.push(other),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() { Ok((clips, others)) } else { Err(errors) }
}

/// What a model hears in each clip; nothing where that fails.
async fn model(
    config: &Config,
    options: EngineOptions,
    settings: &Settings,
    clips: &[Clip],
    bar: &ProgressBar,
) -> Result<(System, Vec<Option<Heard>>), CommandError> {
    let (name, value) = (options.name(), value(config, &options.model));
    process::Memory::reset_peak();
    let started = Instant::now();
    let engine = Engine::start(options).await.map_err(RunError::from)?;
    let load = Some(started.elapsed().as_secs_f64());
    let mut all_heard = Vec::new();
    for clip in clips {
        bar.set_message(format!("{name}, {}", clip.name));
        let heard = hear(config, &engine, settings, clip).await;
        if let Err(error) = &heard {
            bar.suspend(|| report_error(format_args!("{}: {error}", clip.path.display())));
        }
        all_heard.push(heard.ok());
        bar.inc(1);
    }
    let memory = process::Memory::sample().map(Memory::from);
    // whisper.cpp must not be running when the process ends.
    engine.shutdown(ENGINE_GRACE).await;
    Ok((System { name, value: Some(value), load, memory, tells_language: true }, all_heard))
}

/// Recognises a recording as the daemon does, except that nothing is known of its chat.
async fn hear(
    config: &Config,
    engine: &Engine,
    settings: &Settings,
    clip: &Clip,
) -> Result<Heard, InputError> {
    let bytes = transcribe::read(&Input::File(clip.path.clone()), config.max_file_size)?;
    let (started, cpu) = (Instant::now(), process::cpu_time());
    let options = RecordingOptions { settings: settings.clone(), ..RecordingOptions::default() };
    let mut recording =
        Recording::open(engine, &DecoderProgram::own()?, bytes, setup::limits(config), options).await?;
    let (mut so_far, seconds) = (Progress::default(), recording.seconds());
    while let Some(stretch) = recording.next().await? {
        so_far.add(stretch);
    }
    let transcript = so_far.transcript;
    Ok(Heard {
        text: transcript.text(),
        language: transcript.language.map(|code| code.to_string()),
        seconds,
        took: started.elapsed().as_secs_f64(),
        cpu: (process::cpu_time().saturating_sub(cpu)).as_secs_f64(),
    })
}

/// The text above the table.
fn heading(machine: &Machine, manifest: &Path, scored: &[Scored<'_>], language: LanguageChoice) -> String {
    let seconds: f64 = scored.iter().filter_map(|clip| Some(clip.heard.first()?.seconds)).sum();
    let (count, manifest) = (scored.len(), manifest.display());
    format!("{machine}\n{count} recordings of {manifest}, {seconds:.0} s; language {language}.\n\n")
}

/// Shows where texts differ from what was said.
fn mistakes(systems: &[System], scored: &[Scored<'_>], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nMistakes, as changes from what was said, [-missing-] and {{+heard+}}:")?;
    for Scored { name, said, heard } in scored {
        let plain = |text: &str| words(text).join(" ");
        let said = plain(said.text.as_deref().unwrap_or_default());
        for (system, heard) in systems.iter().zip(heard) {
            if let Some(difference) = differences(&said, &plain(&heard.text)) {
                writeln!(out, "  {name}, {}: {difference}", system.name)?;
            }
        }
    }
    Ok(())
}

impl<'a> From<&'a Scored<'a>> for ClipReport<'a> {
    fn from(scored: &'a Scored<'a>) -> Self {
        let heard = |heard: &&'a Heard| HeardReport {
            text: &heard.text,
            language: heard.language.as_deref(),
            took: heard.took,
        };
        Self {
            audio: scored.name,
            said: scored.said.text.as_deref().unwrap_or_default(),
            language: scored.said.language.as_deref(),
            heard: scored.heard.iter().map(heard).collect(),
        }
    }
}
