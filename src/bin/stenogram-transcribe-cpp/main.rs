//! Recognises speech with transcribe.cpp for a stenogram that has started it: GigaAM, Parakeet, and
//! whatever else that library reads.
//!
//! It is a program of its own because it brings a ggml of its own. Whisper.cpp, in the daemon, was
//! made for another version of ggml, and the linker would give one of the two libraries the
//! functions of the other. It also means that a crash in here is no crash of the daemon, and that
//! the memory of an idle model is gone with the process.
//!
//! `speech/transcribe_cpp/wire.rs` says what it reads and writes. It ends when its input does, even
//! in the middle of a recognition, so it never outlives the daemon.

#[path = "../../speech/transcribe_cpp/wire.rs"]
mod wire;

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::{env, thread};

use transcribe_cpp::{
    Error, Feature, Model, ModelOptions, RunExtension, RunOptions, Session, SessionOptions, Task, Token,
    Transcript, WhisperRunOptions,
};
use wire::{About, Heard, Message, Piece, Request};

// ggml is built with OpenMP, because threads of its own spin while they wait for one another. The
// crate leaves it to the program to link the library.
#[cfg(target_os = "linux")]
#[link(name = "gomp")]
unsafe extern "C" {}

/// Nobody sends more than a stretch of a recording; in samples.
const MOST_SAMPLES: usize = 16_000 * 60;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [model, threads] = &arguments[..] else {
        eprintln!(
            "stenogram-transcribe-cpp is started by stenogram: it takes a model and a number of threads"
        );
        return ExitCode::from(2);
    };
    let threads = threads.to_str().and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let outcome = match load(Path::new(model), threads) {
        Ok(engine) => engine.serve(),
        Err(error) => say(&Message::Failed(error.to_string())),
    };
    // A closed pipe means that the daemon has lost interest.
    outcome.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// A loaded model.
struct Engine {
    session: Session,
    about: About,
}

fn load(path: &Path, threads: i32) -> Result<Engine, Error> {
    let model = Model::load_with(path, &ModelOptions::default())?;
    let can = model.capabilities()?;
    let arch = model.arch();
    // Of the models for many languages, those that detect the language also take it. Parakeet
    // neither takes nor tells it.
    let takes_language = can.supports_language_detect && can.languages.len() > 1 && arch != "parakeet";
    let about = About {
        device: model.backend(),
        takes_language,
        takes_prompt: model.supports(Feature::InitialPrompt),
        languages: can.languages,
        translates: can.supports_translate,
        longest_ms: can.max_audio_ms.try_into().unwrap_or_default(),
        arch,
    };
    let session = model.session_with(&SessionOptions { n_threads: threads, ..SessionOptions::default() })?;
    Ok(Engine { session, about })
}

impl Engine {
    fn serve(mut self) -> io::Result<()> {
        say(&Message::Ready(self.about.clone()))?;
        for (request, samples) in requests() {
            let message = match self.session.run(&samples, &options(request)) {
                Ok(transcript) => Message::Heard(heard(transcript)),
                // It began to repeat itself, or did not come to an end: the guard judges what there
                // is.
                Err(
                    Error::OutputTruncated { partial: Some(partial), .. }
                    | Error::OutputRepetition { partial: Some(partial), .. },
                ) => Message::Heard(heard(*partial)),
                Err(error) => Message::Failed(error.to_string()),
            };
            say(&message)?;
        }
        Ok(())
    }
}

fn options(request: Request) -> RunOptions {
    let prompt = Some(request.prompt).filter(|prompt| !prompt.is_empty());
    let family = prompt.map(|prompt| {
        RunExtension::Whisper(WhisperRunOptions {
            initial_prompt: Some(prompt),
            ..WhisperRunOptions::default()
        })
    });
    let (task, target_language) =
        if request.translate { (Task::Translate, Some("en".to_owned())) } else { (Task::Transcribe, None) };
    RunOptions { task, target_language, language: request.language, family, ..RunOptions::default() }
}

fn heard(transcript: Transcript) -> Heard {
    let Transcript { text, language, segments, words, tokens, .. } = transcript;
    let piece = |start_ms, end_ms, text| Piece { start_ms, end_ms, text, probability: None };
    Heard {
        text,
        language,
        segments: segments.into_iter().map(|it| piece(it.t0_ms, it.t1_ms, it.text)).collect(),
        words: words.into_iter().map(|it| piece(it.t0_ms, it.t1_ms, it.text)).collect(),
        tokens: tokens.into_iter().map(token).collect(),
    }
}

/// A family without probabilities leaves them 0 or no number.
fn token(Token { t0_ms, t1_ms, text, p, .. }: Token) -> Piece {
    Piece { start_ms: t0_ms, end_ms: t1_ms, text, probability: Some(p).filter(|p| *p > 0.0 && *p <= 1.0) }
}

/// The requests, read by a thread of their own. When there will be no more, it ends the process,
/// whatever is being recognised; C++ has nothing to put in order at the end.
fn requests() -> Receiver<(Request, Vec<f32>)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(request)) = read(&mut input) {
            if sender.send(request).is_err() {
                break;
            }
        }
        end()
    });
    receiver
}

/// Ends the process at once: the handlers of C++ for the end would run beside ggml's threads.
fn end() -> ! {
    #[cfg(target_os = "linux")]
    // SAFETY: it takes a number, and does not return.
    unsafe {
        libc::_exit(0)
    }
    #[cfg(not(target_os = "linux"))]
    std::process::exit(0)
}

/// The next request; none at the end of the input.
fn read(input: &mut io::StdinLock<'_>) -> io::Result<Option<(Request, Vec<f32>)>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let request: Request = serde_json::from_str(&line)?;
    if request.samples > MOST_SAMPLES {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = vec![0; request.samples * size_of::<f32>()];
    input.read_exact(&mut bytes)?;
    let samples = bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    Ok(Some((request, samples.collect())))
}

fn say(message: &Message) -> io::Result<()> {
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, message)?;
    output.write_all(b"\n")?;
    output.flush()
}
