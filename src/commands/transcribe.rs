//! `stenogram transcribe`: recordings to text, without Telegram.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::{CommandError, progress, report_error};
use crate::app::RunError;
use crate::audio::AudioError;
use crate::cli::{Format, Input, Transcribe};
use crate::config::Config;
use crate::decoding::DecoderProgram;
use crate::domain::{Progress, RecogniserAddress, Settings, Transcript};
use crate::setup;
use crate::speech::models::UnknownModel;
use crate::speech::{Recogniser, Recognisers, RecognisersOptions, SpeechError};
use crate::transcribe::recording::{Recording, RecordingError, RecordingOptions};

/// How long the engine may take to stop.
const ENGINE_GRACE: Duration = Duration::from_secs(10);

/// Why one input has no transcript.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    #[error("{0} (MAX_FILE_SIZE)")]
    TooLarge(AudioError),
    #[error("{0} (MAX_DURATION)")]
    TooLong(AudioError),
    #[error(transparent)]
    Audio(AudioError),
    #[error(transparent)]
    Speech(SpeechError),
    #[error(transparent)]
    NoDecoder(RecordingError),
}

impl From<AudioError> for InputError {
    fn from(error: AudioError) -> Self {
        match error {
            AudioError::TooManyBytes { .. } => Self::TooLarge(error),
            AudioError::TooLong { .. } => Self::TooLong(error),
            error => Self::Audio(error),
        }
    }
}

impl From<RecordingError> for InputError {
    fn from(error: RecordingError) -> Self {
        match error {
            RecordingError::Audio(error) => error.into(),
            RecordingError::Speech(error) => Self::Speech(error),
            error @ RecordingError::NoDecoder(_) => Self::NoDecoder(error),
        }
    }
}

/// A transcript as `--format json` writes it, one per line.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    /// In seconds.
    duration: f64,
    text: String,
    #[serde(flatten)]
    transcript: &'a Transcript,
}

/// Transcribes all inputs, and goes on after a failure. Returns how many failed.
pub async fn run(config: &Config, args: &Transcribe, out: &mut impl Write) -> Result<usize, CommandError> {
    let settings =
        setup::settings(args.language.unwrap_or(config.language), args.task.unwrap_or(config.task));
    let recognisers = Recognisers::start(recognisers(config, args, &settings)?).await;
    let recognisers = recognisers.map_err(RunError::from)?;
    let failed = all(config, &recognisers, &settings, args, out).await;
    // Also if the output failed, because whisper.cpp must not be running when the process ends.
    recognisers.shutdown(ENGINE_GRACE).await;
    Ok(failed?)
}

/// The configured recognisers; this machine alone if a model is named.
fn recognisers(
    config: &Config,
    args: &Transcribe,
    settings: &Settings,
) -> Result<RecognisersOptions, UnknownModel> {
    let mut config = config.clone();
    config.idle_unload = None;
    if let Some(model) = &args.model {
        (config.model, config.recognisers) = (model.clone(), vec![RecogniserAddress::Local]);
        config.models.clear();
    }
    setup::recognisers(&config, settings)
}

async fn all(
    config: &Config,
    recogniser: &dyn Recogniser,
    settings: &Settings,
    args: &Transcribe,
    out: &mut impl Write,
) -> io::Result<usize> {
    // Headings like those of `head` and `tail`. A line of JSON contains the file's name.
    let headings = args.inputs.len() > 1 && args.format != Format::Json;
    let (mut failed, mut printed) = (0, 0);
    for input in &args.inputs {
        let name = name(input);
        match transcript(config, recogniser, settings, input, &name).await {
            Ok((transcript, duration)) => {
                if headings {
                    writeln!(out, "{}==> {name} <==", if printed > 0 { "\n" } else { "" })?;
                }
                write(out, args.format, &name, duration, &transcript)?;
                out.flush()?;
                printed += 1;
            }
            Err(error) => {
                failed += 1;
                report_error(format_args!("{name}: {error}"));
            }
        }
    }
    Ok(failed)
}

pub(super) fn name(input: &Input) -> String {
    match input {
        Input::Stdin => "-".to_owned(),
        Input::File(path) => path.display().to_string(),
    }
}

/// The transcript and the recording's length in seconds.
async fn transcript(
    config: &Config,
    recogniser: &dyn Recogniser,
    settings: &Settings,
    input: &Input,
    name: &str,
) -> Result<(Transcript, f64), InputError> {
    let bytes = read(input, config.max_file_size)?;
    let bar = progress::of_percent(name);
    let (progress, mut percent) = watch::channel(0);
    let settings = settings.clone();
    let options = RecordingOptions { settings, progress: Some(progress), ..Default::default() };
    let mut recording =
        Recording::open(recogniser, &DecoderProgram::own()?, bytes, setup::limits(config), options).await?;
    if let Some(damage) = recording.damaged() {
        bar.suspend(|| report_error(format_args!("{name}: damaged, going on with the rest: {damage}")));
    }
    let duration = recording.seconds();
    let recognise = async {
        let mut so_far = Progress::default();
        while let Some(stretch) = recording.next().await? {
            so_far.add(stretch);
        }
        // Drops `progress`, which ends `show`.
        drop(recording);
        Ok::<_, RecordingError>(so_far.transcript)
    };
    let show = async {
        while percent.changed().await.is_ok() {
            bar.set_position(u64::from(*percent.borrow_and_update()));
        }
    };
    let (transcript, ()) = tokio::join!(recognise, show);
    bar.finish_and_clear();
    Ok((transcript?, duration))
}

/// Reads a whole file of at most `limit` bytes.
pub(super) fn read(input: &Input, limit: u64) -> Result<Vec<u8>, InputError> {
    match input {
        Input::Stdin => read_all(io::stdin().lock(), limit),
        Input::File(path) => read_file(path, limit),
    }
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, InputError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > limit {
        return Err(AudioError::TooManyBytes { bytes: metadata.len(), limit }.into());
    }
    read_all(file, limit)
}

/// Reads one byte more than the decoder accepts at most, so that the decoder reports the error.
fn read_all(input: impl io::Read, limit: u64) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    input.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
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
