//! `stenogram transcribe`: recordings to text, without Telegram.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::watch;

use crate::app;
use crate::cli::{Format, Input, Transcribe};
use crate::config::{Config, Language};
use crate::domain::Transcript;
use crate::speech::{Engine, RecogniseOptions};

/// How long the engine may take to end.
const ENGINE_GRACE: Duration = Duration::from_secs(10);

/// One transcript as `--format json` writes it, on a line of its own.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    /// Seconds.
    duration: f64,
    text: String,
    #[serde(flatten)]
    transcript: &'a Transcript,
}

/// Transcribes every input, going on after a failure. How many failed.
pub async fn run(config: &Config, what: &Transcribe, out: &mut impl Write) -> anyhow::Result<usize> {
    let model = app::model_path(config, what.model.as_ref().unwrap_or(&config.model))?;
    let mut options = app::engine_options(config, model)?;
    match what.language {
        None => {}
        // The candidates are what LANGUAGES says; a fixed LANGUAGE is no candidate list.
        Some(Language::Auto) if config.languages.len() == 1 => options.languages.clear(),
        Some(Language::Auto) => {}
        Some(Language::Fixed(code)) => options.languages = vec![code.as_str().to_owned()],
    }
    let engine = Engine::start(options).await?;
    let mut failed = 0;
    for (n, input) in what.inputs.iter().enumerate() {
        let name = name(input);
        match transcript(config, &engine, input, &name).await {
            Ok((transcript, duration)) => {
                if what.inputs.len() > 1 && what.format != Format::Json {
                    writeln!(out, "{}==> {name} <==", if n > 0 { "\n" } else { "" })?;
                }
                write(out, what.format, &name, duration, &transcript)?;
                out.flush()?;
            }
            Err(error) => {
                failed += 1;
                eprintln!("stenogram: {name}: {error:#}");
            }
        }
    }
    engine.shutdown(ENGINE_GRACE).await;
    Ok(failed)
}

fn name(input: &Input) -> String {
    match input {
        Input::Stdin => "-".to_owned(),
        Input::File(path) => path.display().to_string(),
    }
}

async fn transcript(
    config: &Config,
    engine: &Engine,
    input: &Input,
    name: &str,
) -> anyhow::Result<(Transcript, f64)> {
    let bytes = read(input, config.max_file_size)?;
    let pcm = app::decode(bytes, app::limits(config)).await?;
    if let Some(what) = &pcm.damaged {
        eprintln!("stenogram: {name}: damaged, going on with the rest: {what}");
    }
    let duration = pcm.seconds();
    let bar = progress_bar(name);
    let (progress, mut percent) = watch::channel(0);
    let show = async {
        while percent.changed().await.is_ok() {
            bar.set_position(u64::from(*percent.borrow_and_update()));
        }
        std::future::pending::<()>().await;
    };
    let options = RecogniseOptions { language: None, progress: Some(progress) };
    let result = tokio::select! {
        result = engine.recognise(pcm.samples, options) => result,
        () = show => unreachable!("it never ends"),
    };
    bar.finish_and_clear();
    Ok((result?, duration))
}

/// At most one byte more than the decoder takes, so that it can say that it is too much.
fn read(input: &Input, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match input {
        Input::Stdin => io::stdin().lock().take(most + 1).read_to_end(&mut bytes)?,
        Input::File(path) => open(path)?.take(most + 1).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}

fn write(
    out: &mut impl Write,
    format: Format,
    file: &str,
    duration: f64,
    transcript: &Transcript,
) -> io::Result<()> {
    match format {
        Format::Text if transcript.is_empty() => Ok(()),
        Format::Text => writeln!(out, "{}", transcript.text()),
        Format::Srt => write!(out, "{}", transcript.srt()),
        Format::Vtt => write!(out, "{}", transcript.vtt()),
        Format::Json => {
            let line = Line { file, duration, text: transcript.text(), transcript };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)
        }
    }
}

/// On a terminal; elsewhere it shows nothing.
fn progress_bar(name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(100).with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {percent:>3} % {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
