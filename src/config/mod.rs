//! Configuration, in two stages. [`RawConfig`] holds what the environment and the `.env` file say.
//! [`Config`] holds the parsed and checked values. All errors are reported at once.

mod error;
mod misspelt;
mod origin;
mod parse;
mod raw;
mod redis_address;
mod values;
mod variables;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use crate::domain::budget::Budgets;
use crate::domain::pacing::SendLimits;
use crate::domain::rules::Rules;
use crate::domain::{
    AudioContext, CommandPrefix, Credentials, Documents, LanguageChoice, LanguageCode, Languages, ModelName,
    Proxy, RecogniserAddress, Secret, Task, Vocabulary,
};

pub use error::{ConfigError, ConfigErrors, PROBLEMS, VARIABLE_UNKNOWN};
pub use origin::Origin;
pub use raw::{CHOSEN_MODEL, Entry, RawConfig};
pub use redis_address::{Redis, RedisTls, Sentinel};
pub use values::{HealthAddress, LogFormat, Notify};
pub use variables::{VARIABLES, Variable};

/// What a command requires of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    /// API_ID and API_HASH, without which one cannot talk to Telegram.
    Telegram,
}

/// Every setting, checked.
#[derive(Clone, Debug)]
pub struct Config {
    api_id: Option<i32>,
    api_hash: Option<Secret>,
    /// The folder of the session, the state of the updates, the embedded queue, and the lock.
    pub data_dir: PathBuf,
    pub model_dir: PathBuf,
    /// The model for every language that has none of its own.
    pub model: ModelName,
    /// The models of single languages.
    pub models: Vec<(LanguageCode, ModelName)>,
    /// Whether `model` is neither set by the owner nor chosen for this machine.
    pub model_is_default: bool,
    /// A mirror to download models from, instead of the catalogue's own source.
    pub model_url: Option<String>,
    pub language: LanguageChoice,
    /// The languages that [`LanguageChoice::Auto`] chooses from.
    pub languages: Languages,
    pub task: Task,
    pub vocabulary: Vocabulary,
    pub audio_context: AudioContext,
    /// `None`: on for a GPU, off for a CPU.
    pub flash_attention: Option<bool>,
    /// `None`: one thread per core.
    pub threads: Option<NonZeroUsize>,
    /// `None`: the model stays in memory.
    pub idle_unload: Option<Duration>,
    /// Who recognises, in the order in which they are asked; not empty, and none twice.
    pub recognisers: Vec<RecogniserAddress>,
    /// The model that servers are asked for.
    pub recogniser_model: String,
    /// The key that servers are sent.
    pub recogniser_key: Option<Secret>,
    /// How long a server may take for one stretch.
    pub recogniser_timeout: Duration,
    /// How long a stretch waits for one recogniser if there is another one.
    pub recogniser_patience: Duration,
    /// `None`: the embedded queue is used.
    pub redis: Option<Redis>,
    /// The ways to Telegram, in the order in which they are tried; empty for the direct one.
    pub proxies: Vec<Proxy>,
    pub reconnect_delay: Duration,
    /// Not less than `reconnect_delay`.
    pub max_reconnect_delay: Duration,
    /// Not less than `catch_up_max_age`.
    pub dedupe_ttl: Duration,
    /// Zero: no transcript is kept.
    pub result_ttl: Duration,
    pub catch_up_max_age: Duration,
    /// Which recordings are answered.
    pub rules: Rules,
    /// From this length on, in UTF-16 code units, a text is folded; `u32::MAX` for never.
    pub fold_from: u32,
    /// Which answers are documents.
    pub documents: Documents,
    /// With what commands begin; `None`: there are none.
    pub command_prefix: Option<CommandPrefix>,
    /// Whether the answer to a recording of the owner is deleted with it.
    pub delete_answers: bool,
    /// In bytes.
    pub max_file_size: u64,
    /// How many bytes the large files that are kept over a restart may have together; zero for
    /// none.
    pub spool_limit: u64,
    pub max_duration: Duration,
    /// How many messages the account sends.
    pub sends: SendLimits,
    /// How much is answered in the private chat with a stranger, and in every other chat.
    pub stranger_budgets: Budgets,
    pub chat_budgets: Budgets,
    /// How many jobs may be unfinished until a stranger's recording is refused.
    pub queue_limit: u64,
    /// How many messages in a row that follow answers at once are a loop; 0 for never.
    pub loop_after: u32,
    /// `None`: no status page and no metrics.
    pub health: Option<HealthAddress>,
    /// Where `stenogram serve` listens.
    pub serve_address: SocketAddr,
    /// The key that it demands; there is one unless the address is this machine's own.
    pub serve_key: Option<Secret>,
    /// How the owner is told of troubles.
    pub notify: Notify,
    /// As the owner wrote it. `runtime::logging` adds its limits for other crates.
    pub log_filter: Targets,
    pub log_format: LogFormat,
    /// `None`: no log files.
    pub log_dir: Option<PathBuf>,
    /// How many files of earlier days are kept.
    pub log_keep_days: usize,
}

impl Config {
    /// Checks every value, whatever the command, and that everything it `needs` is set.
    pub fn check(raw: &RawConfig, needs: Needs) -> Result<Self, ConfigErrors> {
        parse::config(raw, needs)
    }

    /// Whether this machine recognises, so that MODEL and MODELS are needed.
    pub fn recognises_locally(&self) -> bool {
        self.recognisers.contains(&RecogniserAddress::Local)
    }

    /// The models of MODEL and MODELS, each once.
    pub fn named_models(&self) -> Vec<&ModelName> {
        let mut named = vec![&self.model];
        for (_, model) in &self.models {
            if !named.contains(&model) {
                named.push(model);
            }
        }
        named
    }

    /// The credentials. They are set after a check with [`Needs::Telegram`].
    pub fn credentials(&self) -> Result<Credentials, ConfigErrors> {
        let missing = |name| ConfigError::Missing(variables::variable(name));
        match (self.api_id, &self.api_hash) {
            (Some(api_id), Some(api_hash)) => Ok(Credentials { api_id, api_hash: api_hash.clone() }),
            (api_id, api_hash) => {
                let id = api_id.is_none().then(|| missing("API_ID"));
                let hash = api_hash.is_none().then(|| missing("API_HASH"));
                Err(ConfigErrors { errors: id.into_iter().chain(hash).collect(), warnings: Vec::new() })
            }
        }
    }
}
