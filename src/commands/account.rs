//! `stenogram login` and `stenogram logout`.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};

use crate::config::Config;
use crate::domain::Credentials;
use crate::setup;
use crate::telegram::{Account, LoginError, Prompt, SessionFile};

/// Logs in. Asks at the terminal for what it needs.
pub async fn login(
    config: &Config,
    credentials: &Credentials,
    out: &mut impl Write,
) -> Result<(), LoginError> {
    // First of all, because without a terminal nothing should be changed.
    let terminal = Terminal::open()?;
    let file = SessionFile::lock(&config.data_dir)?;
    let path = file.path().to_owned();
    let user = Account::login(file, credentials, setup::account_options(config), &terminal).await?;
    // The login has succeeded even if standard output is closed.
    let _ = writeln!(
        out,
        "Logged in as user {user}. The session is in {}:\nit gives full access to the account, so keep it to \
         yourself.",
        path.display()
    );
    Ok(())
}

/// Logs out and deletes the session.
pub async fn logout(
    config: &Config,
    credentials: &Credentials,
    out: &mut impl Write,
) -> Result<(), LoginError> {
    let file = SessionFile::lock(&config.data_dir)?;
    let path = file.path().to_owned();
    let account = Account::open(file, credentials.api_id, setup::account_options(config)).await?;
    account.logout().await?;
    let _ = writeln!(out, "Logged out; {} is deleted.", path.display());
    Ok(())
}

const TERMINAL: &str = "/dev/tty";

/// The terminal of the process, even if its standard input and output are redirected.
struct Terminal {
    device: File,
    /// Whether SIGINT ends the process at once.
    interruptible: Arc<AtomicBool>,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open(TERMINAL);
        let device = device.map_err(|_| io::Error::other("there is none"))?;
        let interruptible = Arc::new(AtomicBool::new(true));
        flag::register_conditional_default(SIGINT, Arc::clone(&interruptible))?;
        Ok(Self { device, interruptible })
    }

    /// Asks until the answer is not empty.
    fn ask(&self, question: &str, read: impl Fn() -> io::Result<String>) -> io::Result<String> {
        loop {
            write!(&self.device, "{question}: ")?;
            let answer = read();
            if answer.is_err() {
                let _ = writeln!(&self.device);
            }
            match answer {
                Ok(answer) if answer.trim().is_empty() => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(io::Error::new(error.kind(), "the input was ended"));
                }
                answer => return answer,
            }
        }
    }

    /// On Ctrl-C rpassword raises SIGINT before it turns the terminal's echo on again. So SIGINT is
    /// ignored until it has.
    fn read_secret(&self) -> io::Result<String> {
        self.interruptible.store(false, Ordering::Relaxed);
        let answer = rpassword::read_password();
        self.interruptible.store(true, Ordering::Relaxed);
        if answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            let _ = writeln!(&self.device);
            low_level::emulate_default_handler(SIGINT)?;
        }
        answer
    }

    fn read_line(&self) -> io::Result<String> {
        let mut line = String::new();
        // A terminal returns at most one line at a time, so nothing is left in the buffer.
        match BufReader::new(&self.device).read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

impl Prompt for Terminal {
    fn phone(&self) -> io::Result<String> {
        self.ask("Phone number with country code (as +4915112345678)", || self.read_line())
    }

    fn code(&self) -> io::Result<String> {
        self.ask("Code (not shown)", || self.read_secret())
    }

    fn password(&self, hint: Option<&str>) -> io::Result<String> {
        let hint = hint.map(|hint| format!(", hint: {hint}")).unwrap_or_default();
        self.ask(&format!("Password of the two-step verification (not shown{hint})"), || self.read_secret())
    }

    fn say(&self, text: &str) {
        // If this fails, the next question fails too and reports it.
        let _ = writeln!(&self.device, "{text}");
    }
}
