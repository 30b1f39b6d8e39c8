//! The measurements, as the report and the advice use them.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;

use serde::Serialize;

use crate::config::Config;
use crate::domain::AudioContext;
use crate::runtime::process;
use crate::speech::models::ModelSpec;

/// A combination of settings that is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub threads: NonZeroUsize,
    pub audio_context: AudioContext,
    pub flash_attention: bool,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.threads == NonZeroUsize::MIN { "thread" } else { "threads" };
        write!(f, "{} {threads}, {} context", self.threads, self.audio_context)?;
        if self.flash_attention { write!(f, ", flash attention") } else { Ok(()) }
    }
}

/// The measurement of one clip with one setting.
#[derive(Clone, Debug, Serialize)]
pub struct Clip {
    /// The length of the clip.
    pub seconds: u32,
    /// The time of the fastest recognition, in seconds.
    pub took: f64,
    /// `took` per second of audio.
    pub ratio: f64,
    /// How many times it was recognised.
    pub runs: u32,
    /// The text, with `--compare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The measurements of one setting of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub setting: Setting,
    /// The time to load the model, in seconds.
    pub load: f64,
    pub clips: Vec<Clip>,
    /// The memory of the whole program after the last clip.
    #[serde(flatten)]
    pub memory: Option<Memory>,
}

/// The measurements of one model.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub model: String,
    /// The value of MODEL that selects it.
    pub value: String,
    pub settings: Vec<Row>,
}

/// The value of MODEL that selects this file.
pub fn value(config: &Config, path: &Path) -> String {
    let spec = ModelSpec::of_file(path).filter(|spec| spec.path(&config.model_dir) == path);
    spec.map_or_else(|| path.display().to_string(), |spec| spec.name.to_owned())
}

/// Memory in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    pub resident_mib: u64,
    /// The most since the setting was begun. Where the kernel cannot reset the peak, it may be that
    /// of an earlier model.
    pub peak_mib: u64,
}

impl From<process::Memory> for Memory {
    fn from(memory: process::Memory) -> Self {
        let [resident_mib, peak_mib] = [memory.resident, memory.peak].map(|bytes| bytes.div_ceil(1 << 20));
        Self { resident_mib, peak_mib }
    }
}
