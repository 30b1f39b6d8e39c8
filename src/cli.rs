//! The command line: commands, flags and their help.

mod bench;
mod input;

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::Needs;
use crate::domain::{ChatKind, JobId, LanguageChoice, ModelName, Task};

pub use self::bench::Bench;
pub use self::input::Input;

/// The exit status. Supervisors rely on these numbers, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or stopped on request.
    Done = 0,
    Failed = 1,
    /// Wrong usage, for which clap uses this number too, or a wrong configuration.
    Usage = 2,
    /// Not logged in, or logged out. A restart does not help.
    LoggedOut = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const ABOUT: &str = "\
Answers the voice messages of your Telegram account with their transcripts,
recognised on this machine by whisper.cpp, or by a server that you name.";

const AFTER_HELP: &str = "\
Configuration:
  Comes from environment variables and from the file `.env` in the working
  directory (or the one that ENV_FILE names). The environment takes precedence.
  `.env.example` lists every variable. API_ID and API_HASH, which `run`,
  `gateway`, `login` and `logout` need, come from https://my.telegram.org.
  `stenogram config` shows the values in force.

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
  stenogram models pull                     download the configured model, or one that suits
  stenogram login                           once, with phone and code
  stenogram                                 answer voice messages until stopped
  stenogram queue                           list the jobs that are not finished
  stenogram transcripts                     print what was recognised lately
  stenogram rules                           which messages are answered
  stenogram health                          ask the running daemon if it works
  stenogram doctor                          find problems and how to solve them
  stenogram explain redis-unreachable       what a code in a message means
  stenogram bench                           measure the models on this machine
  stenogram transcribe --format srt a.ogg   one recording, without Telegram
  cat a.ogg | stenogram transcribe -        the same from a pipe
  stenogram serve                           recognise for other programs and machines
  stenogram gateway                         answer, and have workers elsewhere recognise
  stenogram worker                          recognise for gateways that share a Redis";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "stenogram", version, about = ABOUT, after_long_help = AFTER_HELP, max_term_width = 100)]
#[command(after_help = "`stenogram --help` says more: configuration, files, exit codes, examples.")]
#[command(disable_help_subcommand = true, propagate_version = false)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Answer voice messages until stopped; this is the default
    #[default]
    Run,
    /// Answer voice messages until stopped, and have them recognised by workers on other machines
    ///
    /// Does what `run` does, without a model: whoever runs `stenogram worker` with the same Redis
    /// recognises. Needs REDIS_URL or REDIS_HOST. If MODEL is set, only workers with that model do.
    Gateway,
    /// Recognise for gateways, until stopped
    ///
    /// Takes recordings out of the Redis that it shares with any number of gateways, and puts their
    /// texts there. Needs REDIS_URL or REDIS_HOST and a model, but no Telegram account, no API_ID
    /// and no DATA_DIR. Any number of workers may come and go.
    Worker,
    /// Log in to Telegram: asks at the terminal for phone, code and password
    Login,
    /// Log out of Telegram and delete the session
    Logout,
    /// Print the transcript of recordings, without Telegram
    ///
    /// With several files, a line `==> FILE <==` precedes each transcript, except in JSON. A
    /// recording that cannot be transcribed is reported on standard error, and the others are
    /// transcribed all the same; the exit code is then 1.
    Transcribe(Transcribe),
    /// Recognise for other programs and other machines, until stopped
    ///
    /// Serves OpenAI's interface for speech at SERVE_ADDRESS: POST /v1/audio/transcriptions and
    /// /v1/audio/translations, GET /v1/models and /health. Needs no Telegram account. Another
    /// stenogram uses it with RECOGNISER=http://HOST:9465/v1.
    Serve,
    /// Measure recognition on this machine, and recommend a model and a number of threads
    ///
    /// Shows, for each model and number of threads, how many seconds of work a second of audio
    /// takes in clips of several lengths, and the memory of the whole program.
    Bench(Bench),
    /// List, download and check the models
    #[command(subcommand)]
    Models(Models),
    /// List the jobs that are not finished; put them back or drop them
    Queue(Queue),
    /// Print the transcripts that are kept, the newest last
    ///
    /// They are kept for RESULT_TTL, 10,000 at most, and not beyond the time at which their chat
    /// deletes the message. With ANSWER_IN=nowhere this is where they appear. A copy of a recording
    /// is not listed again. A running daemon is not disturbed.
    Transcripts(Transcripts),
    /// Show which messages are answered, or say why one would be answered or not
    ///
    /// It shows what the configuration says. A running daemon reads that at its start and on
    /// SIGHUP.
    #[command(args_conflicts_with_subcommands = true, after_help = AFTER_RULES_HELP)]
    Rules(Rules),
    /// Ask the running daemon whether it can answer voice messages; if not, say why and exit with 1
    Health(Health),
    /// Show the configuration in force and where each value comes from
    Config,
    /// Find problems, and say how to solve them
    ///
    /// Checks the configuration, the session, Telegram, the queue, the recognisers and models,
    /// memory, CPU, disk and clock, and changes nothing. A running daemon is not disturbed. The
    /// exit code is 1 if a check failed, else 0, even with warnings.
    Doctor(Doctor),
    /// Say why a problem arises and what to do about it
    ///
    /// Messages about the surroundings end in a code in brackets, such as [redis-unreachable].
    /// Takes such a code, words to search for, or a whole line of the log; without any it lists
    /// what is known. It needs no configuration.
    Explain(Explain),
}

impl Command {
    /// What this command requires of the configuration.
    pub fn needs(&self) -> Needs {
        match self {
            Self::Run | Self::Login | Self::Logout => Needs::Telegram,
            Self::Gateway => Needs::Gateway,
            Self::Worker => Needs::Worker,
            Self::Transcribe(_)
            | Self::Serve
            | Self::Bench(_)
            | Self::Models(_)
            | Self::Queue(_)
            | Self::Transcripts(_)
            | Self::Rules(_)
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
    /// Recordings: voice messages, round videos, other audio files; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub inputs: Vec<Input>,
    /// The language spoken, such as en or ru, or auto to choose from LANGUAGES [default: LANGUAGE]
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<LanguageChoice>,
    /// `transcribe` writes what was said, `translate` its translation into English [default: TASK]
    #[arg(long, value_name = "TASK")]
    pub task: Option<Task>,
    /// The format of the transcript
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The model: a name or the path of a .bin or .gguf file; this machine recognises then,
    /// whatever RECOGNISER says [default: MODEL]
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Option<ModelName>,
}

/// `stenogram doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Doctor {
    /// Print one JSON object, for programs: {"outcome", "findings": [{"check", "outcome", "says",
    /// "remedy", "code"}]}
    #[arg(long)]
    pub json: bool,
    /// For what this machine is to be checked
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
}

/// What a machine does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// `stenogram run`
    #[default]
    Run,
    /// `stenogram gateway`
    Gateway,
    /// `stenogram worker`
    Worker,
}

/// `stenogram explain`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Explain {
    /// A code, words, or a message as it was printed [default: list everything]
    #[arg(value_name = "CODE|WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// The format of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Only the text
    Text,
    /// SubRip subtitles
    Srt,
    /// WebVTT subtitles
    Vtt,
    /// A line of JSON per file: length, text, task, language, and segments with their times
    Json,
}

/// `stenogram models`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Models {
    /// List the catalogue with sizes, and which models are installed
    List,
    /// Say which model suits this machine, and why; changes nothing
    ///
    /// small-q8_0 where it recognises 10 s within 3 s and there is memory enough for it, else
    /// base-q8_0. The time is measured here, in some seconds, with a model of that shape whose
    /// weights are zeros, so nothing is downloaded for it. Where MODEL is not set and no model is
    /// installed, `models pull` asks for this recommendation, downloads that model and keeps to it.
    Recommend,
    /// Download models; an interrupted download is resumed
    Pull {
        /// Names from the list [default: MODEL, or what suits this machine if it is not set and no
        /// model is installed; and silero-v5.1.2 for voice activity]
        #[arg(value_name = "NAME")]
        names: Vec<ModelName>,
        /// Do nothing if MODEL is complete, judged by its size, or is a file of your own: for
        /// scripts that start the daemon
        #[arg(long, conflicts_with = "names")]
        missing: bool,
    },
    /// Check models against their SHA-256
    ///
    /// The exit code is 0 only if there was something to check and all of it is good.
    Verify {
        /// Names from the list, or paths of files [default: all installed models]
        #[arg(value_name = "NAME|PATH")]
        names: Vec<ModelName>,
    },
}

const AFTER_QUEUE_HELP: &str = "\
States:
  claimed   in work
  waiting   until a worker takes it
  delayed   until it is due, after a failure or because Telegram demands a pause
  dead      given up, with the reason; `retry` makes it a new job, `drop` ends it

Listing never disturbs the daemon. With Redis, `retry` and `drop` work while the daemon runs. The
embedded queue can be changed by one process at a time only, so stop the daemon first.

Examples:
  stenogram queue                           list all jobs
  stenogram queue retry 1000:2000:42        put one job back
  stenogram queue drop --all-dead           end all dead jobs";

/// `stenogram queue`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_QUEUE_HELP)]
pub struct Queue {
    /// Print one JSON object per line, for programs
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub change: Option<QueueChange>,
}

/// `stenogram transcripts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Transcripts {
    /// How many are printed at most
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub last: usize,
    /// Print one JSON object per line, for programs: {"job", "sent", "text"}
    #[arg(long)]
    pub json: bool,
}

const AFTER_RULES_HELP: &str = "\
The settings are ANSWER_MINE, ANSWER_THEIRS, ANSWER_GROUPS, CHATS_ALLOW, CHATS_DENY and MIN_DURATION.

Examples:
  stenogram rules                                  a table of who is answered where
  stenogram rules why group voice --mine           your own voice message in some group
  stenogram rules why -1001234567890 voice         somebody else's in this supergroup
  stenogram rules why private round --contact      a round video note of a contact";

/// `stenogram rules`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Rules {
    #[command(subcommand)]
    pub question: Option<RulesQuestion>,
}

/// What is asked about the rules.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RulesQuestion {
    /// Say why such a message would be answered or not
    Why(Why),
}

/// A message to ask about.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Why {
    /// saved, private, bot, group or channel; or a chat's id or public @name
    #[arg(value_name = "CHAT", allow_hyphen_values = true)]
    pub chat: AskedChat,
    /// What kind of message it is
    #[arg(value_name = "KIND", value_enum)]
    pub kind: MessageKind,
    /// It is your own message
    #[arg(long, conflicts_with = "contact")]
    pub mine: bool,
    /// It is a message of somebody in your list of contacts
    #[arg(long)]
    pub contact: bool,
    /// How long the recording is, in seconds [default: neither too short nor too long]
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u32>,
}

/// A chat that the owner asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskedChat {
    /// Some chat of this kind.
    Kind(ChatKind),
    /// A Bot API dialog id.
    Id(i64),
    /// A public name, without the @ and in lower case.
    Name(String),
}

impl FromStr for AskedChat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "saved" => Self::Kind(ChatKind::SavedMessages),
            "private" => Self::Kind(ChatKind::Private),
            "bot" => Self::Kind(ChatKind::Bot),
            "group" => Self::Kind(ChatKind::Group),
            "channel" => Self::Kind(ChatKind::Channel),
            _ => match (text.strip_prefix('@'), text.parse()) {
                (Some(name), _) if !name.is_empty() => Self::Name(name.to_ascii_lowercase()),
                (None, Ok(id)) if id != 0 => Self::Id(id),
                _ => return Err("it must be saved, private, bot, group, channel, an id or a @name".into()),
            },
        })
    }
}

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MessageKind {
    Voice,
    /// A round video note
    Round,
    /// An audio file
    Audio,
    /// A video file
    Video,
}

/// `stenogram health`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Health {
    /// Check liveness only; ignore outages of Telegram and the queue
    #[arg(long)]
    pub live: bool,
}

/// A change to jobs of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum QueueChange {
    /// Put dead jobs back as new ones, and make delayed ones due now
    Retry(Jobs),
    /// End jobs without an answer; their messages are not answered later either
    Drop(Jobs),
}

/// The jobs to change.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Jobs {
    /// Jobs as `stenogram queue` lists them: account:chat:message
    #[arg(value_name = "JOB", required_unless_present = "all_dead", conflicts_with = "all_dead")]
    pub ids: Vec<JobId>,
    /// All dead jobs
    #[arg(long)]
    pub all_dead: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AudioContext;
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
        assert_eq!(args.model, Some(ModelName::Path("own.bin".into())));
    }

    #[test]
    fn bench_takes_lists() {
        let line = "stenogram bench --model base --model own.bin --seconds 3,10 --threads 1,2 a.ogg";
        let Some(Command::Bench(bench)) = command(line) else { panic!() };
        assert_eq!(bench.models, [ModelName::Catalogue("base".into()), ModelName::Path("own.bin".into())]);
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
    fn jobs_are_named_or_all_dead_ones_are_selected() {
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
    fn rules_are_asked_about_a_kind_of_chat_or_a_certain_one() {
        assert_eq!(command("stenogram rules"), Some(Command::Rules(Rules { question: None })));
        for (word, chat) in [
            ("group", AskedChat::Kind(ChatKind::Group)),
            ("2000", AskedChat::Id(2000)),
            ("-1001234567890", AskedChat::Id(-1_001_234_567_890)),
            ("@Anna", AskedChat::Name("anna".into())),
        ] {
            let parsed = command(&format!("stenogram rules why {word} round --mine --seconds 7"));
            let why = Why { chat, kind: MessageKind::Round, mine: true, contact: false, seconds: Some(7) };
            assert_eq!(parsed, Some(Command::Rules(Rules { question: Some(RulesQuestion::Why(why)) })));
        }
        for wrong in ["why", "why group", "why 0 voice", "why @ voice", "why anna voice", "why group text"] {
            let words = ["stenogram", "rules"].into_iter().chain(wrong.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_talks_to_telegram_needs_its_credentials() {
        assert_eq!(command("stenogram gateway").map(|c| c.needs()), Some(Needs::Gateway));
        assert_eq!(command("stenogram worker").map(|c| c.needs()), Some(Needs::Worker));
        for line in ["run", "login", "logout"] {
            assert_eq!(command(&format!("stenogram {line}")).map(|c| c.needs()), Some(Needs::Telegram));
        }
        for line in [
            "transcribe -",
            "serve",
            "bench",
            "models list",
            "models pull base",
            "models verify",
            "queue",
            "transcripts --last 3",
            "rules",
            "rules why group voice",
            "health",
            "doctor",
            "doctor --role worker",
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
