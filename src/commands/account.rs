//! `stenogram login` and `stenogram logout`.

use std::io::{self, Write as _};

use crate::app;
use crate::config::{self, Config};
use crate::telegram::{Account, Credentials, LoginError, Prompt, SessionFile};

/// Logs in, asking at the terminal.
pub async fn login(config: &Config, credentials: &config::Credentials) -> Result<(), LoginError> {
    let file = SessionFile::lock(&config.data_dir)?;
    let path = file.path().to_owned();
    let credentials =
        Credentials { api_id: credentials.api_id, api_hash: credentials.api_hash.expose().to_owned() };
    let user = Account::login(file, &credentials, app::account_options(config), &Terminal).await?;
    println!("Logged in as user {user}. The session is in {}:", path.display());
    println!("it gives full access to the account, so keep it to yourself.");
    Ok(())
}

/// Logs out and deletes the session.
pub async fn logout(config: &Config, credentials: &config::Credentials) -> Result<(), LoginError> {
    let file = SessionFile::lock(&config.data_dir)?;
    let path = file.path().to_owned();
    let account = Account::open(file, credentials.api_id, app::account_options(config))?;
    account.logout().await?;
    println!("Logged out; {} is deleted.", path.display());
    Ok(())
}

struct Terminal;

impl Prompt for Terminal {
    fn phone(&self) -> io::Result<String> {
        print!("Phone number with country code (as +4915112345678): ");
        io::stdout().flush()?;
        let mut line = String::new();
        match io::stdin().read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }

    fn code(&self) -> io::Result<String> {
        rpassword::prompt_password("Code (not shown): ")
    }

    fn password(&self, hint: Option<&str>) -> io::Result<String> {
        let hint = hint.map(|hint| format!(", hint: {hint}")).unwrap_or_default();
        rpassword::prompt_password(format!("Password of the two-step verification (not shown{hint}): "))
    }

    fn say(&self, what: &str) {
        println!("{what}");
    }
}
