//! Who listens: stenogram as it is, and whisper.cpp alone.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stenogram::audio::{self, Limits, SAMPLE_RATE};
use stenogram::decoding::DecoderProgram;
use stenogram::domain::score::Heard;
use stenogram::domain::{AudioContext, LanguageCode, Languages, Progress, Transcript, UnknownLanguage};
use stenogram::speech::{Engine, EngineOptions, RecogniseOptions, Speech};
use stenogram::transcribe::recording::{Recording, RecordingOptions};
use tokio::runtime::Runtime;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

/// With what both hear.
#[derive(Clone, Debug)]
pub struct Equipment {
    pub model: PathBuf,
    /// For stenogram only.
    pub vad: Option<PathBuf>,
    /// That stenogram chooses from; all where there are none.
    pub languages: Vec<LanguageCode>,
    pub threads: NonZeroUsize,
    /// For stenogram only.
    pub audio_context: AudioContext,
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

/// stenogram's engine, and what leads to it.
pub struct Stenogram {
    engine: Option<Engine>,
    runtime: Runtime,
}

impl Stenogram {
    pub fn start(equipment: &Equipment) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let Equipment { model, vad, languages, threads, audio_context } = equipment.clone();
        let threads = Some(threads);
        let languages = Languages { listed: languages, others: false };
        let options = EngineOptions { model, vad, languages, threads, audio_context, ..Default::default() };
        let engine = runtime.block_on(Engine::start(options)).map_err(|error| error.to_string())?;
        Ok(Self { engine: Some(engine), runtime })
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it is there until it is dropped")
    }

    /// Samples at 16 kHz.
    pub fn hear(&self, pcm: &[f32], language: Option<&str>) -> Result<Heard, String> {
        let language =
            language.map(str::parse).transpose().map_err(|error: UnknownLanguage| error.to_string())?;
        self.hear_with(pcm, RecogniseOptions { language, ..Default::default() })
    }

    pub fn hear_with(&self, pcm: &[f32], options: RecogniseOptions) -> Result<Heard, String> {
        let started = Instant::now();
        let transcript = self.runtime.block_on(self.engine().recognise(pcm.to_vec(), options));
        let took = started.elapsed().as_secs_f64();
        Ok(heard(transcript.map_err(|error| error.to_string())?, seconds(pcm.len()), took))
    }

    /// What [`Self::hear_with`] does first: voice activity.
    pub fn listen(&self, pcm: &[f32]) -> Result<Speech, String> {
        self.engine().detector().detect(pcm.to_vec(), &|| false).map_err(|error| error.to_string())
    }

    /// And then: recognition.
    pub fn recognise(&self, speech: Speech, options: RecogniseOptions) -> Result<String, String> {
        let transcript = self.runtime.block_on(self.engine().recognise_speech(speech, options));
        Ok(transcript.map_err(|error| error.to_string())?.text())
    }

    /// A file from its bytes on, as the daemon does it.
    pub fn hear_file(&self, bytes: Vec<u8>) -> Result<Heard, String> {
        let started = Instant::now();
        let (transcript, seconds) = self
            .runtime
            .block_on(async {
                let options = RecordingOptions::default();
                let decoder = DecoderProgram::at(support::stenogram());
                let mut recording =
                    Recording::open(self.engine(), &decoder, bytes, Limits::default(), options).await?;
                let (mut so_far, seconds) = (Progress::default(), recording.seconds());
                while let Some(stretch) = recording.next().await? {
                    so_far.add(stretch);
                }
                Ok::<_, stenogram::transcribe::recording::RecordingError>((so_far.transcript, seconds))
            })
            .map_err(|error| error.to_string())?;
        Ok(heard(transcript, seconds, started.elapsed().as_secs_f64()))
    }
}

impl Drop for Stenogram {
    fn drop(&mut self) {
        // whisper.cpp must not be at work while the process ends.
        if let Some(engine) = self.engine.take() {
            self.runtime.block_on(engine.shutdown(Duration::from_secs(60)));
        }
    }
}

fn heard(transcript: Transcript, seconds: f64, took: f64) -> Heard {
    Heard {
        text: transcript.text(),
        language: transcript.language.map(|code| code.to_string()),
        seconds,
        took,
        ..Default::default()
    }
}

/// whisper.cpp through its bindings, with its own defaults and nothing around it.
pub struct Bare {
    state: WhisperState,
    threads: NonZeroUsize,
}

impl Bare {
    pub fn start(model: &Path, threads: NonZeroUsize) -> Result<Self, String> {
        Self::with(model, threads, WhisperContextParameters::default())
    }

    pub fn with_flash_attention(model: &Path, threads: NonZeroUsize) -> Result<Self, String> {
        let mut parameters = WhisperContextParameters::default();
        parameters.flash_attn(true);
        Self::with(model, threads, parameters)
    }

    fn with(
        model: &Path,
        threads: NonZeroUsize,
        parameters: WhisperContextParameters,
    ) -> Result<Self, String> {
        whisper_rs::install_logging_hooks();
        let load = || {
            let context = WhisperContext::new_with_params(model, parameters)?;
            let state = context.create_state()?;
            Ok(Self { state, threads })
        };
        load().map_err(|error: whisper_rs::WhisperError| format!("{}: {error}", model.display()))
    }

    /// Samples at 16 kHz, in this language or in the likeliest of all.
    pub fn hear(&mut self, pcm: &[f32], language: Option<&str>) -> Result<Heard, String> {
        let mut params = FullParams::new(SamplingStrategy::Greedy { best_of: 5 });
        params.set_n_threads(self.threads.get() as i32);
        params.set_language(Some(language.unwrap_or("auto")));
        params.set_print_progress(false);
        params.set_print_timestamps(false);
        let started = Instant::now();
        self.state.full(params, pcm).map_err(|error| error.to_string())?;
        let took = started.elapsed().as_secs_f64();
        let mut bytes = Vec::new();
        for segment in self.state.as_iter() {
            bytes.extend_from_slice(segment.to_bytes().unwrap_or_default());
            bytes.push(b' ');
        }
        let language = whisper_rs::get_lang_str(self.state.full_lang_id_from_state()).map(str::to_owned);
        Ok(Heard {
            text: String::from_utf8_lossy(&bytes).into_owned(),
            language,
            seconds: seconds(pcm.len()),
            took,
            ..Default::default()
        })
    }

    pub fn hear_file(&mut self, bytes: &[u8]) -> Result<Heard, String> {
        let started = Instant::now();
        let abort = std::sync::atomic::AtomicBool::new(false);
        let pcm = audio::decode(bytes, &Limits::default(), &abort).map_err(|error| error.to_string())?;
        let decoded = started.elapsed().as_secs_f64();
        let heard = self.hear(&pcm.samples, None)?;
        Ok(Heard { took: heard.took + decoded, ..heard })
    }

    /// Which of these languages the model ranks first for the whole clip.
    pub fn likelier<'a>(&mut self, pcm: &[f32], languages: &[&'a str]) -> Result<&'a str, String> {
        let threads = self.threads.get();
        self.state.pcm_to_mel(pcm, threads).map_err(|error| error.to_string())?;
        let (_, probabilities) = self.state.lang_detect(0, threads).map_err(|error| error.to_string())?;
        let of = |code: &&str| whisper_rs::get_lang_id(code).map_or(0.0, |id| probabilities[id as usize]);
        let best = languages.iter().copied().max_by(|a, b| of(a).total_cmp(&of(b)));
        best.ok_or_else(|| "no languages to choose from".to_owned())
    }
}
