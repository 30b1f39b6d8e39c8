//! Logging in and out.

use std::path::Path;
use std::sync::Arc;

use grammers_client::client::PasswordToken;
use grammers_client::{Client, InvocationError, SignInError, tl};
use grammers_session::updates::MessageBoxes;
use tokio::task::JoinError;

use super::account::Account;
use super::connection::clock::{ClockAhead, ClockError, check_clock};
use super::connection::error::CallError;
use super::connection::logout::LoggedOut;
use super::connection::pool::Pool;
use super::connection::rpc_error::Meaning;
use super::context::AccountContext;
use super::options::AccountOptions;
use super::problems::{
    ALREADY_LOGGED_IN, CREDENTIALS_REFUSED, FLOOD_WAIT, KEY_EXCHANGE_FAILED, LOGIN_CODE_WRONG, LOGIN_REFUSED,
    PHONE_NUMBER_WRONG, TELEGRAM_TROUBLE, TELEGRAM_UNREACHABLE, TERMINAL_MISSING,
};
use super::session::contents::Contents;
use super::session::error::SessionError;
use super::session::file::SessionFile;
use super::session::grammers::AccountSession;
use super::store::UpdateStore;
use super::store::position::LastMessages;
use super::updates::dialogs;
use crate::domain::Credentials;
use crate::runtime::problem::Diagnosis;

/// How many codes or passwords are accepted at most. Telegram itself allows only a few.
const MAX_ATTEMPTS: usize = 3;

/// The person who logs in.
pub trait Prompt: Send + Sync {
    /// The phone number in international form.
    fn phone(&self) -> std::io::Result<String>;
    /// The code that Telegram sent. It must not be echoed.
    fn code(&self) -> std::io::Result<String>;
    /// The password of two-step verification. It must not be echoed.
    fn password(&self, hint: Option<&str>) -> std::io::Result<String>;
    /// Tells the person something.
    fn say(&self, what: &str);
}

/// Why a login or logout failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The session file could not be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Somebody is logged in with this session.
    #[error("{}", ALREADY_LOGGED_IN.with(format_args!("already logged in as user {}", .0)))]
    AlreadyLoggedIn(i64),
    /// Telegram refused.
    #[error("Telegram refuses: {0}")]
    Refused(Diagnosis),
    /// There was no answer from Telegram.
    #[error("{}", TELEGRAM_UNREACHABLE.with(format_args!("Telegram cannot be reached: {}", .0)))]
    Unreachable(String),
    #[error("{0}")]
    KeyExchange(Diagnosis),
    #[error(transparent)]
    Clock(ClockAhead),
    /// The person could not be asked.
    #[error("{}", TERMINAL_MISSING.with(format_args!("cannot read from the terminal: {}", .0)))]
    Terminal(#[from] std::io::Error),
    /// Too many wrong codes or passwords.
    #[error("{}", LOGIN_CODE_WRONG.with("three wrong tries"))]
    TooManyTries,
}

impl From<CallError> for LoginError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Lost(why) => Self::Unreachable(why),
            CallError::KeyExchange(_) => Self::KeyExchange(KEY_EXCHANGE_FAILED.with(error)),
            CallError::Rpc { ref name, .. } => Self::Refused(explain(&error, name)),
        }
    }
}

impl From<ClockError> for LoginError {
    fn from(error: ClockError) -> Self {
        match error {
            ClockError::Ahead(ahead) => Self::Clock(ahead),
            ClockError::Unreachable(error) => Self::Unreachable(error.to_string()),
        }
    }
}

impl From<InvocationError> for LoginError {
    fn from(error: InvocationError) -> Self {
        CallError::from(error).into()
    }
}

/// grammers panics over two kinds of answers that it does not expect.
impl From<JoinError> for LoginError {
    fn from(_: JoinError) -> Self {
        Self::Refused(LOGIN_REFUSED.with("it wants a kind of login that stenogram does not know"))
    }
}

/// What Telegram's error of this name means at a login.
fn explain(error: &CallError, name: &str) -> Diagnosis {
    match (error.meaning(), name) {
        (Some(Meaning::Wait { time, .. }), _) => {
            FLOOD_WAIT.with(format_args!("too many tries; wait {} s", time.as_secs()))
        }
        (Some(Meaning::ServerTrouble), _) => {
            TELEGRAM_TROUBLE.with(format_args!("it has trouble of its own ({name})"))
        }
        (Some(Meaning::InvalidApplication), _) => CREDENTIALS_REFUSED
            .with(format_args!("API_ID and API_HASH do not belong together or are blocked ({name})")),
        (Some(Meaning::Deactivated), _) => LoggedOut(name.to_owned()).diagnosis(),
        (_, "PHONE_NUMBER_INVALID") => PHONE_NUMBER_WRONG.with("that is no phone number of an account"),
        (_, "UPDATE_APP_TO_LOGIN") => LOGIN_REFUSED.with("it wants a newer program for logins"),
        (_, "PHONE_NUMBER_FLOOD" | "PHONE_PASSWORD_FLOOD") => {
            FLOOD_WAIT.with("too many logins with this number today")
        }
        (_, "PHONE_CODE_EXPIRED") => LOGIN_CODE_WRONG.with("the code has expired"),
        (_, "SESSION_PASSWORD_NEEDED") => LOGIN_REFUSED.with("the account wants its password"),
        _ => LOGIN_REFUSED.with(error),
    }
}

impl Account {
    /// Logs in by phone number, code and password, if one is set. Stores the session, and the
    /// position in the stream of updates from which the account is followed.
    pub async fn login(
        file: SessionFile,
        credentials: &Credentials,
        options: AccountOptions,
        prompt: &dyn Prompt,
    ) -> Result<i64, LoginError> {
        let state_path = file.state_path();
        let contents = match file.read() {
            Ok(contents) => contents,
            Err(SessionError::Missing(_)) => Contents::fresh(),
            Err(error) => return Err(error.into()),
        };
        let session = Arc::new(AccountSession::new(file, contents, None, options.dialer.clone()));
        check_clock(session.home_addresses(), options.call_timeout, &options.dialer).await?;
        let (pool, _, _) =
            Pool::open(Arc::clone(&session), credentials.api_id, options.call_timeout, &options.dialer);
        // If Telegram cannot be reached, this fails before the person is asked anything.
        let home = session.home_dc();
        match (session.user(), pool.call(home, &tl::functions::updates::GetState {}).await) {
            (Some(user), Ok(_)) => return Err(LoginError::AlreadyLoggedIn(user.id)),
            (Some(_), Err(error)) if error.logged_out().is_some() => {
                // The position in the stream of updates stays, so that messages since then are
                // answered.
                session.forget_login(error.is("AUTH_KEY_DUPLICATED"))?;
            }
            (None, Err(CallError::Rpc { .. })) | (None, Ok(_)) => {}
            (_, Err(error)) => return Err(error.into()),
        }
        let user = sign_in(&Client::new(pool.handle()), credentials, prompt).await?;
        if let Err(error) = record_start_position(&pool, session.home_dc(), &state_path, user).await {
            prompt.say(&format!(
                "What is said before the first start will not be answered, for where to begin could not be noted: {error}"
            ));
        }
        Ok(user)
    }

    /// Ends the session at Telegram, and deletes the stored session and the spool. The queue is
    /// kept.
    pub async fn logout(self) -> Result<(), LoginError> {
        let AccountContext { session, api_id, options, .. } = &*self.context;
        check_clock(session.home_addresses(), options.call_timeout, &options.dialer).await?;
        let (pool, _, _) = Pool::open(Arc::clone(session), *api_id, options.call_timeout, &options.dialer);
        match pool.call(session.home_dc(), &tl::functions::auth::LogOut {}).await {
            Err(error) if error.logged_out().is_none() => return Err(error.into()),
            // The session may have been ended already.
            _ => {}
        }
        self.downloads.clear_spool();
        Ok(session.remove()?)
    }
}

/// Stores the position at the login, so that messages from before the daemon's first start are
/// answered too. A position that is stored already stays.
async fn record_start_position(pool: &Pool, home: i32, path: &Path, user: i64) -> Result<(), LoginError> {
    let store = UpdateStore::open(path, user).await?;
    if store.has_position() {
        return Ok(());
    }
    let tl::enums::updates::State::State(state) =
        pool.call_with_retries(home, &tl::functions::updates::GetState {}).await?;
    let mut boxes = MessageBoxes::new();
    boxes.set_state(state);
    // Messages from before the login are not answered, also not from a history.
    let last = LastMessages { account: dialogs::last_message(pool, home).await?, ..store.last_messages() };
    Ok(store.set_position(boxes.session_state(), last).await?)
}

/// What an unofficial program risks, and how not to be noticed
/// (<https://core.telegram.org/api/obtaining_api_id>).
const RISK: &str = "\
Telegram watches accounts that use an unofficial program like this one, and bans those that spam.
Use an account that is months old, and leave SENDS_PER_MINUTE and SENDS_PER_DAY as they are.
";

async fn sign_in(client: &Client, credentials: &Credentials, prompt: &dyn Prompt) -> Result<i64, LoginError> {
    prompt.say(RISK);
    let phone = prompt.phone()?;
    let (client_, hash) = (client.clone(), credentials.api_hash.expose().to_owned());
    let token = tokio::spawn(async move { client_.request_login_code(phone.trim(), &hash).await }).await??;
    prompt.say("Telegram has sent a code: look into your other Telegram apps first, then for an SMS.");
    for _ in 0..MAX_ATTEMPTS {
        let code = prompt.code()?;
        match client.sign_in(&token, code.trim()).await {
            Ok(user) => return Ok(user.id().bare_id().unwrap_or_default()),
            Err(SignInError::InvalidCode) => prompt.say("That is not the code."),
            Err(SignInError::PasswordRequired(token)) => {
                return check_password(client, token, prompt).await;
            }
            Err(SignInError::SignUpRequired) => {
                let refused = PHONE_NUMBER_WRONG.with("there is no account with this number");
                return Err(LoginError::Refused(refused));
            }
            Err(SignInError::Other(error)) => return Err(error.into()),
            Err(error) => return Err(LoginError::Refused(LOGIN_REFUSED.with(error))),
        }
    }
    Err(LoginError::TooManyTries)
}

async fn check_password(
    client: &Client,
    token: PasswordToken,
    prompt: &dyn Prompt,
) -> Result<i64, LoginError> {
    let mut token = token;
    for _ in 0..MAX_ATTEMPTS {
        let password = prompt.password(token.hint())?;
        let client_ = client.clone();
        // The key derivation computes for a second, and panics over parameters that it rejects.
        let result = tokio::spawn(async move { client_.check_password(token, password).await }).await?;
        token = match result {
            Ok(user) => return Ok(user.id().bare_id().unwrap_or_default()),
            Err(SignInError::InvalidPassword(_)) => {
                prompt.say("That is not the password.");
                // The parameters are valid for one attempt.
                let request = tl::functions::account::GetPassword {};
                PasswordToken::new(client.invoke(&request).await?.into())
            }
            Err(SignInError::Other(error)) => return Err(error.into()),
            Err(error) => return Err(LoginError::Refused(LOGIN_REFUSED.with(error))),
        };
    }
    Err(LoginError::TooManyTries)
}
