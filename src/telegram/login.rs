//! Logging in and out.

use std::path::Path;
use std::sync::Arc;

use grammers_client::client::PasswordToken;
use grammers_client::{Client, InvocationError, SignInError, tl};
use grammers_session::updates::MessageBoxes;
use tokio::task::JoinError;

use super::account::{Account, AccountOptions, AccountSession, Credentials};
use super::clock::{ClockAhead, ClockError};
use super::connection::{CallError, Pool};
use super::dialogs;
use super::rpc_error::Meaning;
use super::session::{Contents, SessionError, SessionFile};
use super::state::{LastMessages, UpdateStore};
use super::supervisor::account_is_gone;
use crate::home::typed;

/// Wrong codes or passwords after which the dialogue ends; Telegram itself allows few.
const TRIES: usize = 3;

/// The person who logs in.
pub trait Prompt: Send + Sync {
    /// The phone number in international form.
    fn phone(&self) -> std::io::Result<String>;
    /// The code that Telegram sent. Not to be echoed.
    fn code(&self) -> std::io::Result<String>;
    /// The password of two-step verification. Not to be echoed.
    fn password(&self, hint: Option<&str>) -> std::io::Result<String>;
    /// Something that the person should know.
    fn say(&self, what: &str);
}

/// Why a login did not come about.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The session file could not be used.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Somebody is logged in with this session.
    #[error("already logged in as user {}; run `{}` first to change the account", .0, typed("logout"))]
    AlreadyLoggedIn(i64),
    /// Telegram said no.
    #[error("Telegram refuses: {0}")]
    Refused(String),
    /// There was no answer from Telegram.
    #[error("Telegram cannot be reached: {0}; check the network and try again")]
    Unreachable(String),
    #[error(transparent)]
    Clock(ClockAhead),
    /// The person could not be asked.
    #[error("cannot read from the terminal: {}; run `{}` on a terminal", .0, typed("login"))]
    Terminal(#[from] std::io::Error),
    /// Too many wrong codes or passwords.
    #[error("three wrong tries; wait some minutes and run `{}` again", typed("login"))]
    TooManyTries,
}

impl From<CallError> for LoginError {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Lost(why) => Self::Unreachable(why.clone()),
            CallError::Rpc { .. } => Self::Refused(explain(&error)),
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

/// A panic of grammers: it has two for answers that it does not expect.
impl From<JoinError> for LoginError {
    fn from(_: JoinError) -> Self {
        Self::Refused(
            "it wants a kind of login that stenogram does not know. Log in with an official app first, then try again"
                .into(),
        )
    }
}

fn explain(error: &CallError) -> String {
    let CallError::Rpc { name, .. } = error else { return error.to_string() };
    match error.meaning() {
        Some(Meaning::Wait { time, .. }) => return format!("too many tries; wait {} s", time.as_secs()),
        Some(Meaning::ServerTrouble) => {
            return format!("it has trouble of its own ({name}); run `{}` again in a minute", typed("login"));
        }
        Some(Meaning::InvalidApplication) => {
            return format!(
                "API_ID and API_HASH do not belong together or are blocked ({name}); compare them with \
                 https://my.telegram.org"
            );
        }
        _ => {}
    }
    match name.as_str() {
        "PHONE_NUMBER_INVALID" => {
            "that is no phone number of an account; write it with the country, as +4915112345678".into()
        }
        "PHONE_NUMBER_BANNED" => {
            "this phone number is banned from Telegram. If that is a mistake, write to recover@telegram.org, or use \
             the account of another number"
                .into()
        }
        "USER_DEACTIVATED" | "USER_DEACTIVATED_BAN" => account_is_gone(name),
        "UPDATE_APP_TO_LOGIN" => {
            "it wants a newer program for logins; look for a newer release of stenogram".into()
        }
        "PHONE_NUMBER_FLOOD" | "PHONE_PASSWORD_FLOOD" => {
            "too many logins with this number; try again tomorrow".into()
        }
        "PHONE_CODE_EXPIRED" => format!("the code has expired; run `{}` again", typed("login")),
        "SESSION_PASSWORD_NEEDED" => "the account wants its password".into(),
        _ => error.to_string(),
    }
}

impl Account {
    /// Logs in by phone number, code and, where set, password, and stores the session, and where in the stream
    /// of updates the account is to be followed from.
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
        let session = Arc::new(AccountSession::new(file, contents, None));
        session.check_clock(options.call_timeout).await?;
        let (pool, _, _) = Pool::open(Arc::clone(&session), credentials.api_id, options.call_timeout);
        // An unreachable Telegram shows here, before anything is asked.
        let home = session.home_dc();
        match (session.user(), pool.call(home, &tl::functions::updates::GetState {}).await) {
            (Some(user), Ok(_)) => return Err(LoginError::AlreadyLoggedIn(user.id)),
            (Some(_), Err(error)) if error.logged_out().is_some() => {
                // The position in the stream of updates stays: what came meanwhile is answered.
                session.forget_login(error.is("AUTH_KEY_DUPLICATED"))?;
            }
            (None, Err(CallError::Rpc { .. })) | (None, Ok(_)) => {}
            (_, Err(error)) => return Err(error.into()),
        }
        let user = sign_in(&Client::new(pool.handle()), credentials, prompt).await?;
        if let Err(error) = begin_here(&pool, session.home_dc(), &state_path, user).await {
            prompt.say(&format!(
                "What is said before the first start will not be answered, for where to begin could not be noted: {error}"
            ));
        }
        Ok(user)
    }

    /// Ends the session at Telegram and deletes what is stored of it. What is queued is kept.
    pub async fn logout(self) -> Result<(), LoginError> {
        self.session.check_clock(self.options.call_timeout).await?;
        let (pool, _, _) = Pool::open(Arc::clone(&self.session), self.api_id, self.options.call_timeout);
        match pool.call(self.session.home_dc(), &tl::functions::auth::LogOut {}).await {
            Err(error) if error.logged_out().is_none() => return Err(error.into()),
            // Logged out already is as good.
            _ => {}
        }
        Ok(self.session.remove()?)
    }
}

/// What is said between the login and the daemon's first start is answered too. A position that is stored
/// already stays.
async fn begin_here(pool: &Pool, home: i32, path: &Path, user: i64) -> Result<(), LoginError> {
    let store = UpdateStore::open(path, user).await?;
    if store.has_position() {
        return Ok(());
    }
    let tl::enums::updates::State::State(state) =
        pool.call_patiently(home, &tl::functions::updates::GetState {}).await?;
    let mut boxes = MessageBoxes::new();
    boxes.set_state(state);
    // What was said before is not answered, also not by way of a history.
    let last = LastMessages { account: dialogs::last_message(pool, home).await?, ..store.last_messages() };
    Ok(store.set_position(boxes.session_state(), last).await?)
}

async fn sign_in(client: &Client, credentials: &Credentials, prompt: &dyn Prompt) -> Result<i64, LoginError> {
    let phone = prompt.phone()?;
    let (client_, hash) = (client.clone(), credentials.api_hash.clone());
    let token = tokio::spawn(async move { client_.request_login_code(phone.trim(), &hash).await }).await??;
    prompt.say("Telegram has sent a code: look into your other Telegram apps first, then for an SMS.");
    for _ in 0..TRIES {
        let code = prompt.code()?;
        match client.sign_in(&token, code.trim()).await {
            Ok(user) => return Ok(user.id().bare_id().unwrap_or_default()),
            Err(SignInError::InvalidCode) => prompt.say("That is not the code."),
            Err(SignInError::PasswordRequired(token)) => {
                return check_password(client, token, prompt).await;
            }
            Err(SignInError::SignUpRequired) => {
                return Err(LoginError::Refused("there is no account with this number".into()));
            }
            Err(SignInError::Other(error)) => return Err(error.into()),
            Err(error) => return Err(LoginError::Refused(error.to_string())),
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
    for _ in 0..TRIES {
        let password = prompt.password(token.hint())?;
        let client_ = client.clone();
        // The key derivation takes a second of computing, and panics on parameters it does not like.
        let result = tokio::spawn(async move { client_.check_password(token, password).await }).await?;
        token = match result {
            Ok(user) => return Ok(user.id().bare_id().unwrap_or_default()),
            Err(SignInError::InvalidPassword(_)) => {
                prompt.say("That is not the password.");
                // The parameters are good for one try.
                let request = tl::functions::account::GetPassword {};
                PasswordToken::new(client.invoke(&request).await?.into())
            }
            Err(SignInError::Other(error)) => return Err(error.into()),
            Err(error) => return Err(LoginError::Refused(error.to_string())),
        };
    }
    Err(LoginError::TooManyTries)
}
