//! `demo`: the real daemon against this server, for people without an account.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fake_telegram::{Chat, Draft, FRIEND, SAVED_MESSAGES, SECOND_FRIEND, Telegram, write_session};
use tokio::process::{Child, Command};

/// From the start of the daemon to its connection: it loads a model before.
const START: Duration = Duration::from_secs(60);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub struct Args {
    /// The daemon's binary.
    #[arg(long, value_name = "FILE")]
    daemon: PathBuf,
    /// The model with which it recognises.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// A folder of voice messages and the list of what is said in them, voices.tsv.
    #[arg(long, value_name = "FOLDER", default_value = "tests/fixtures/voices")]
    voices: PathBuf,
}

/// A voice message and what is said in it.
struct Voice {
    bytes: Vec<u8>,
    seconds: u32,
    text: String,
}

#[tokio::main]
pub async fn run(args: Args) -> anyhow::Result<()> {
    let voices = read_voices(&args.voices)?;
    let telegram = Telegram::start().await.context("cannot listen on 127.0.0.1")?;
    let home = tempfile::tempdir().context("cannot make a temporary folder")?;
    println!("A Telegram of our own listens on this machine. No account is used, nothing leaves it.");
    let log = home.path().join("daemon.log");
    let mut daemon = start(&args, &telegram, home.path(), &log)?;
    let outcome = tokio::select! {
        outcome = converse(&telegram, &voices) => outcome,
        ended = daemon.wait() => Err(anyhow::anyhow!("the daemon ended: {}", ended?)),
        // The folder is removed on the way out.
        _ = tokio::signal::ctrl_c() => bail!("stopped"),
    };
    if outcome.is_err() {
        eprintln!("{}", fs::read_to_string(&log).unwrap_or_default());
    }
    // Killed when dropped; there is nothing in it to be kept.
    outcome
}

fn start(args: &Args, telegram: &Telegram, home: &Path, log: &Path) -> anyhow::Result<Child> {
    let data = home.join("data");
    fs::create_dir(&data)?;
    write_session(&data.join("account.session"), &telegram.session())?;
    let program = args.daemon.canonicalize().with_context(|| format!("no {}", args.daemon.display()))?;
    let model = args.model.canonicalize().with_context(|| format!("no {}", args.model.display()))?;
    println!("Starting the real daemon, {} …", args.daemon.display());
    Command::new(program)
        .env_clear()
        .current_dir(home)
        .env("API_ID", "1")
        .env("API_HASH", "0".repeat(32))
        .env("DATA_DIR", &data)
        .env("MODEL", model)
        .env("OMP_WAIT_POLICY", "passive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log)?)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the daemon")
}

/// Sends every voice message and shows each answer as it comes.
async fn converse(telegram: &Telegram, voices: &[Voice]) -> anyhow::Result<()> {
    // From its first request on nothing is missed.
    telegram.wait_until(START, |ledger| ledger.count("updates.getState") > 0).await?;
    let chats = [
        ("a friend", Chat::User(FRIEND), false),
        ("another friend", Chat::User(SECOND_FRIEND), false),
        ("you, to a friend", Chat::User(FRIEND), true),
        ("you, to yourself", SAVED_MESSAGES, true),
    ];
    let width = voices.iter().map(|voice| voice.text.chars().count()).max().unwrap_or(0);
    println!();
    println!("{:<18} {:<width$}   reply", "from", "what the voice message says");
    let mut wrong = 0;
    for (voice, (from, chat, own)) in voices.iter().zip(chats.into_iter().cycle()) {
        let draft = Draft::voice(voice.bytes.clone(), voice.seconds);
        let sent = Instant::now();
        let message = telegram.send(chat, if own { draft.own() } else { draft });
        print!("{from:<18} {:<width$}   ", voice.text);
        io::stdout().flush()?;
        let reply = telegram.wait_for_reply(chat, message, ANSWER).await?;
        let right = reply.text == voice.text;
        let verdict = if right { "ok" } else { "DIFFERS" };
        println!("{:<width$}   {verdict}, {:.1} s", reply.text, sent.elapsed().as_secs_f32());
        wrong += usize::from(!right);
    }
    println!();
    if wrong > 0 {
        bail!("{wrong} of {} answers differ from what was said", voices.len());
    }
    println!("All {} voice messages were answered word for word.", voices.len());
    println!("The model of this demo knows digits only; `./start.sh models list` shows the real ones.");
    Ok(())
}

fn read_voices(folder: &Path) -> anyhow::Result<Vec<Voice>> {
    let list = folder.join("voices.tsv");
    let lines = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [file, seconds, _language, text] = fields[..] else {
                bail!("{}: not four fields: {line:?}", list.display());
            };
            let path = folder.join(file);
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Voice { bytes, seconds: seconds.parse()?, text: text.to_owned() })
        })
        .collect()
}
