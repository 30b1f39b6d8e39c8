//! Commands and flags: what was typed, and nothing of what it does.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{AudioContext, Language, Model, Needs};
use crate::domain::{JobId, Task};

/// How the program ends. Supervisors read these numbers: they stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped because it was asked to.
    Done = 0,
    Failed = 1,
    /// Wrong usage (which clap reports under this number too) or a wrong configuration.
    Usage = 2,
    /// Not logged in, or logged out: nothing that a restart would change.
    LoggedOut = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const ABOUT: &str = "\
Answers the voice messages of your Telegram account with their transcripts,
recognised on this machine by whisper.cpp: no recording leaves it.";

const AFTER_HELP: &str = "\
Configuration:
  Comes from environment variables and from a file `.env` in the working
  directory (or the one that ENV_FILE names); the environment wins.
  `.env.example` lists every variable. API_ID and API_HASH, which `run`,
  `login` and `logout` need, come from https://my.telegram.org.
  `stenogram config` shows what is in force.

Files:
  ./data     the session, the embedded queue and their lock (DATA_DIR).
             The session is the key to your account: keep it to yourself.
  ./models   the models (MODEL_DIR)

Exit codes:
  0  done, or stopped by SIGTERM or SIGINT
  1  failed; trying again may help
  2  wrong usage or configuration
  3  not logged in: run `stenogram login`. A supervisor must not restart it.

Examples:
  stenogram models pull                     fetch the configured model
  stenogram login                           once, with phone and code
  stenogram                                 answer voice messages until stopped
  stenogram queue                           what waits, is delayed or given up
  stenogram health                          is the running daemon well?
  stenogram doctor                          what is wrong, and what to do
  stenogram explain redis-unreachable       what a code in a message means
  stenogram bench                           how fast the models are on this machine
  stenogram transcribe --format srt a.ogg   one recording, without Telegram
  cat a.ogg | stenogram transcribe -        the same from a pipe";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "stenogram", version, about = ABOUT, after_long_help = AFTER_HELP, max_term_width = 100)]
#[command(after_help = "`stenogram --help` says more: configuration, files, exit codes, examples.")]
#[command(disable_help_subcommand = true, propagate_version = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Answer voice messages until stopped; this is the default
    #[default]
    Run,
    /// Log in to Telegram: asks at the terminal for phone, code and password
    Login,
    /// Log out of Telegram and delete the session
    Logout,
    /// Print the transcript of recordings, without Telegram
    ///
    /// Each of several transcripts stands below a line `==> FILE <==`, except in JSON. A recording
    /// that cannot be transcribed is named on the standard error, and the others are gone on with;
    /// the exit code is then 1.
    Transcribe(Transcribe),
    /// Measure recognition on this machine, and say which model and how many threads suit it
    ///
    /// Shows, for each model and number of threads, the seconds of work that a second of audio
    /// takes, in clips of several lengths, and the memory of the whole program.
    Bench(Bench),
    /// List, fetch and check the models
    #[command(subcommand)]
    Models(Models),
    /// List the jobs that are not finished; put them back or drop them
    Queue(Queue),
    /// Ask the running daemon whether it can answer voice messages; exit code 1 and why, if not
    Health(Health),
    /// Show the configuration in force and where each value came from
    Config,
    /// Look for what is wrong, and say what to do about it
    ///
    /// Checks the configuration, the session, Telegram, the queue, the models, memory, CPU, disk
    /// and clock, and changes nothing. A daemon that runs is not disturbed. The exit code is 1 if
    /// something failed, else 0, warnings included.
    Doctor(Doctor),
    /// Say why a problem arises and what to do about it
    ///
    /// Messages about the surroundings end in a code in brackets, such as [redis-unreachable].
    /// Takes such a code, words to search for, or a whole line of the log; without any it lists
    /// what is known. It needs no configuration.
    Explain(Explain),
}

impl Command {
    /// What the configuration must hold for this command.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Run | Self::Login | Self::Logout => Needs::Telegram,
            Self::Transcribe(_)
            | Self::Bench(_)
            | Self::Models(_)
            | Self::Queue(_)
            | Self::Health(_)
            | Self::Doctor(_)
            | Self::Explain(_)
            | Self::Config => Needs::Nothing,
        }
    }
}

/// `stenogram transcribe`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Transcribe {
    /// Recordings: voice messages, round videos, other audio files; `-` is the standard input
    #[arg(value_name = "FILE", required = true)]
    pub inputs: Vec<Input>,
    /// The language spoken, such as en or ru, or auto to choose from LANGUAGES [default: LANGUAGE]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<Language>,
    /// What is written down: transcribe, what was said, or translate, that in English [default:
    /// TASK]
    #[arg(long, value_name = "TASK")]
    pub task: Option<Task>,
    /// How the transcript is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The model: a name or the path of a .bin file [default: MODEL]
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<Model>,
}

const AFTER_BENCH_HELP: &str = "\
Columns:
  CONTEXT   WHISPER_AUDIO_CTX: auto, which spares clips below 27 s a part of the work, or full
  FLASH     FLASH_ATTENTION: whether attention is computed in one go, block by block
  LOAD      from the model's file to the first clip; a model's first row may read it from disk
  3 s, …    seconds of work for a second of audio, in clips of that length: at 0.25 it is four
            times as fast as the audio. With full, short clips cost more: Whisper hears 30 s.
  MEMORY    of the whole program when the last clip was recognised; a little of it may be
            what an earlier row left
  PEAK      the most it was

Voice activity is left out: a clip costs what it does where somebody speaks all the time.
A recording loses most of the silence before it, and begins anew where it is too short.
The built-in message is spoken by espeak-ng. That is good for times; to see what a model
makes of your voice, give it recordings of yours.

Stop the daemon meanwhile, or times are those of a busy machine. A row of a large model takes
minutes.

Examples:
  stenogram bench                           every model that is here
  stenogram bench --seconds 10 --runs 1     quickly
  stenogram bench --compare --model small --model small-q5_1 a.ogg b.ogg";

/// `stenogram bench`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(after_help = AFTER_BENCH_HELP)]
pub struct Bench {
    /// Recordings that clips are cut from, one after the other; `-` is the standard input [default:
    /// a message that is built in]
    #[arg(value_name = "FILE")]
    pub inputs: Vec<Input>,
    /// A model: a name or the path of a .bin file; may be given several times [default: all in
    /// MODEL_DIR, and MODEL]
    #[arg(long = "model", value_name = "NAME|PATH")]
    pub models: Vec<Model>,
    /// The language spoken, such as en or ru, or auto to choose from LANGUAGES [default: LANGUAGE]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<Language>,
    /// Lengths of the clips, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "3,10,30,120", value_parser = seconds())]
    pub seconds: Vec<u32>,
    /// Numbers of threads, separated by commas [default: 1, 2, 4 and so on up to the cores]
    #[arg(long, value_delimiter = ',')]
    pub threads: Vec<NonZeroUsize>,
    /// Audio contexts as in WHISPER_AUDIO_CTX, separated by commas
    #[arg(long = "context", value_name = "CONTEXTS", value_delimiter = ',', default_value = "auto")]
    #[arg(value_parser = audio_context())]
    pub contexts: Vec<AudioContext>,
    /// Flash attention: on, off, or both, separated by commas [default: both where a GPU
    /// recognises, else as FLASH_ATTENTION has it]
    #[arg(long = "flash-attention", value_name = "ON,OFF", value_delimiter = ',')]
    #[arg(value_parser = on_or_off())]
    pub flash_attention: Vec<bool>,
    /// Recognise each clip so often, unless that takes over 10 s, and count the fastest
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Show where the texts differ between settings
    #[arg(long)]
    pub compare: bool,
    /// One JSON object, for programs
    #[arg(long)]
    pub json: bool,
}

fn audio_context() -> impl TypedValueParser<Value = AudioContext> {
    let context = |name: String| if name == "auto" { AudioContext::Auto } else { AudioContext::Full };
    PossibleValuesParser::new(["full", "auto"]).map(context)
}

fn on_or_off() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|text| text == "on")
}

/// An hour at most: the samples are in memory.
fn seconds() -> impl TypedValueParser<Value = u32> {
    clap::value_parser!(u32).range(1..=3600)
}

/// `stenogram doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Doctor {
    /// One JSON object, for programs: {"outcome", "findings": [{"check", "outcome", "says",
    /// "remedy", "code"}]}
    #[arg(long)]
    pub json: bool,
}

/// `stenogram explain`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Explain {
    /// A code, words, or a message as it was printed [default: list everything]
    #[arg(value_name = "CODE|WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// Where a recording comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Stdin,
    File(PathBuf),
}

impl From<OsString> for Input {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

/// How a transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The words alone
    Text,
    /// SubRip subtitles
    Srt,
    /// WebVTT subtitles
    Vtt,
    /// A line of JSON for each file: length, text, task, language, segments and their times
    Json,
}

/// `stenogram models`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Models {
    /// List the catalogue with sizes, and what of it is here
    List,
    /// Fetch models; one broken off goes on where it stopped
    Pull {
        /// Names of the list [default: MODEL, and silero-v5.1.2 for voice activity]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Nothing where MODEL is there in its full size, or is a file of your own: for scripts,
        /// before a start
        #[arg(long, conflicts_with = "names")]
        missing: bool,
    },
    /// Check models against their SHA-256
    ///
    /// The exit code is 0 only if there was something to check and all of it is as it should be.
    Verify {
        /// Names of the list, or files that are called as there [default: all that are here]
        #[arg(value_name = "NAME|PATH")]
        names: Vec<String>,
    },
}

const AFTER_QUEUE_HELP: &str = "\
States:
  claimed   being worked on
  waiting   for its turn
  delayed   until it is due: after a failure, or because Telegram wants a pause
  dead      given up, with the reason; `retry` makes it a new job, `drop` ends it

Listing never disturbs the daemon. With Redis, `retry` and `drop` work while it runs; the embedded
queue is open to one process at a time, so stop the daemon for them and start it again.

Examples:
  stenogram queue                           what is there
  stenogram queue retry 1000:2000:42        one job
  stenogram queue drop --all-dead           forget what was given up";

/// `stenogram queue`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_QUEUE_HELP)]
pub struct Queue {
    /// One JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub change: Option<QueueChange>,
}

/// `stenogram health`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Health {
    /// Ask only whether it gets on, also where Telegram or the queue is away
    #[arg(long)]
    pub live: bool,
}

/// What is to be done to jobs of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum QueueChange {
    /// Put dead jobs back as new ones, and let delayed ones run now
    Retry(Jobs),
    /// End jobs without an answer; their messages stay known and are not answered later
    Drop(Jobs),
}

/// Which jobs are meant.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Jobs {
    /// Jobs as `stenogram queue` lists them: account:chat:message
    #[arg(value_name = "JOB", required_unless_present = "all_dead", conflicts_with = "all_dead")]
    pub ids: Vec<JobId>,
    /// Every dead one
    #[arg(long)]
    pub all_dead: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn command(line: &str) -> Option<Command> {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        cli.command
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_runs() {
        assert_eq!(command("stenogram").unwrap_or_default(), Command::Run);
        assert_eq!(command("stenogram run"), Some(Command::Run));
    }

    #[test]
    fn transcribe_takes_files_and_the_standard_input() {
        let parsed = command(
            "stenogram transcribe --language ru --task translate --format vtt --model own.bin a.ogg -",
        );
        let Some(Command::Transcribe(args)) = parsed else { panic!("{parsed:?}") };
        assert_eq!(args.inputs, [Input::File("a.ogg".into()), Input::Stdin]);
        assert_eq!(args.language, "ru".parse().ok());
        assert_eq!(args.task, Some(Task::Translate));
        assert_eq!(args.format, Format::Vtt);
        assert_eq!(args.model, Some(Model::Path("own.bin".into())));
    }

    #[test]
    fn bench_takes_lists() {
        let line = "stenogram bench --model base --model own.bin --seconds 3,10 --threads 1,2 a.ogg";
        let Some(Command::Bench(bench)) = command(line) else { panic!() };
        assert_eq!(bench.models, [Model::Name("base".into()), Model::Path("own.bin".into())]);
        let threads: Vec<_> = bench.threads.iter().map(|threads| threads.get()).collect();
        assert_eq!((bench.seconds, threads, bench.runs), (vec![3, 10], vec![1, 2], 3));
        let Some(Command::Bench(bench)) = command("stenogram bench") else { panic!() };
        assert_eq!((bench.seconds, bench.inputs), (vec![3, 10, 30, 120], vec![]));
        assert_eq!(bench.contexts, [AudioContext::Auto]);
        let Some(Command::Bench(bench)) = command("stenogram bench --context auto") else { panic!() };
        assert_eq!((bench.contexts, bench.flash_attention), (vec![AudioContext::Auto], vec![]));
        let Some(Command::Bench(bench)) = command("stenogram bench --flash-attention off,on") else {
            panic!()
        };
        assert_eq!(bench.flash_attention, [false, true]);
        for wrong in
            ["--seconds 0", "--seconds 3601", "--threads 0", "--runs 0", "--seconds 1,", "--context half"]
        {
            let words = ["stenogram", "bench"].into_iter().chain(wrong.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jobs_are_named_or_all_the_dead_are_meant() {
        let id = "1000:-5:7";
        let Some(Command::Queue(queue)) = command(&format!("stenogram queue retry {id}")) else { panic!() };
        assert_eq!(
            queue.change,
            Some(QueueChange::Retry(Jobs { ids: vec![id.parse().unwrap()], all_dead: false }))
        );
        let Some(Command::Queue(queue)) = command("stenogram queue drop --all-dead") else { panic!() };
        assert_eq!(queue.change, Some(QueueChange::Drop(Jobs { ids: vec![], all_dead: true })));
        for wrong in ["retry", "drop 7", "drop 1:2:3 --all-dead", "--json drop --all-dead"] {
            let words = ["stenogram", "queue"].into_iter().chain(wrong.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_talks_to_telegram_needs_its_credentials() {
        for line in ["run", "login", "logout"] {
            assert_eq!(command(&format!("stenogram {line}")).map(|c| c.needs()), Some(Needs::Telegram));
        }
        for line in [
            "transcribe -",
            "bench",
            "models list",
            "models pull base",
            "models verify",
            "queue",
            "health",
            "doctor",
            "explain",
            "config",
        ] {
            assert_eq!(command(&format!("stenogram {line}")).map(|c| c.needs()), Some(Needs::Nothing));
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        for exit in [Exit::Done, Exit::Failed, Exit::Usage, Exit::LoggedOut] {
            assert!(AFTER_HELP.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
