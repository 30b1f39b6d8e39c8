//! Connections that cannot hang: every call has a time limit.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grammers_client::InvocationError;
use grammers_client::sender::{ConnectionParams, NoRetries, SenderPool, SenderPoolFatHandle};
use grammers_client::tl;
use grammers_session::Session;
use grammers_session::updates::UpdatesLike;
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::account::{Account, AccountOptions, AccountSession};
use super::file_route::FileRoutes;
use super::restrictions::{Restrictions, freeze_in_config};
use super::rpc_error::{Meaning, meaning};
use super::session::SessionError;
use crate::pulse::Pulse;

/// How many pushes wait while a batch is handed over. grammers drops what does not fit, and takes
/// memory only for what is there.
const UPDATES_CAPACITY: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Whoever follows the updates has got on within this time, or is stuck: each call has 30 s, and
/// how long a pause before the next lasts is said when it begins.
pub(super) const STEP: Duration = Duration::from_secs(300);

/// An answer that takes longer than this gives reason to compare the clocks: a request that is
/// refused for its time gets none.
pub(super) const DOUBT: Duration = Duration::from_secs(1);

/// Longest pause, in seconds, before a request is repeated that the loop over the updates must have.
const MAX_PAUSE: u64 = 64;
/// A pause from which on the log says that Telegram has trouble.
const LONG_PAUSE: u64 = 16;
/// How often a request is repeated that the loop could do without: half a minute in all.
const SOME_TIMES: u32 = 5;
/// Pauses, in seconds, before a request that somebody waits for is repeated after trouble inside
/// Telegram.
const SHORT_PAUSES: [u64; 3] = [1, 2, 4];

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// Telegram answered with an error. Digits are taken out of the name into `value`.
    #[error("Telegram says {name}{}", .value.map(|value| format!(" ({value})")).unwrap_or_default())]
    Rpc { code: i32, name: String, value: Option<u32> },
    /// There was no answer, and it is not known whether the request was carried out.
    #[error("{0}")]
    Lost(String),
}

impl CallError {
    pub fn is(&self, error: &str) -> bool {
        matches!(self, Self::Rpc { name, .. } if name == error)
    }

    /// What Telegram's error means, by the table of them all; `None` where there was no answer.
    pub fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Rpc { code, name, value } => Some(meaning(*code, name, *value)),
            Self::Lost(_) => None,
        }
    }

    /// The name of the error by which Telegram says that this session is over.
    pub fn logged_out(&self) -> Option<&str> {
        match (self, self.meaning()) {
            (Self::Rpc { name, .. }, Some(Meaning::LoggedOut | Meaning::Deactivated)) => Some(name),
            _ => None,
        }
    }

    /// How long Telegram wants us to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self.meaning() {
            Some(Meaning::Wait { time, .. }) => Some(time),
            _ => None,
        }
    }

    /// Telegram refuses this request, and would tomorrow: neither trouble of its own, nor ours.
    pub fn is_refusal(&self) -> bool {
        use Meaning::{Deactivated, LoggedOut, ServerTrouble, Wait};
        !matches!(self.meaning(), None | Some(ServerTrouble | Wait { .. } | LoggedOut | Deactivated))
    }
}

impl From<InvocationError> for CallError {
    fn from(error: InvocationError) -> Self {
        match error {
            InvocationError::Rpc(rpc) => {
                let error = Self::Rpc { code: rpc.code, name: rpc.name, value: rpc.value };
                match error.meaning() {
                    Some(Meaning::Reconnect) => Self::Lost(error.to_string()),
                    _ => error,
                }
            }
            InvocationError::Session(session) => Self::Lost(session.to_string()),
            other => Self::Lost(other.to_string()),
        }
    }
}

/// A pool of grammers' senders that ends with the value.
pub(super) struct Pool {
    handle: SenderPoolFatHandle,
    runner: AbortHandle,
    call_timeout: Duration,
}

impl Pool {
    /// Nothing is connected before the first call. The task ends only when the pool does or when
    /// something in grammers panicked.
    pub fn open<S>(
        session: Arc<S>,
        api_id: i32,
        call_timeout: Duration,
    ) -> (Self, JoinHandle<()>, mpsc::Receiver<UpdatesLike>)
    where
        S: Session<Error = SessionError> + 'static,
    {
        let parameters = ConnectionParams {
            // Shown to the owner under Settings > Devices; the same from release to release, since
            // Telegram looks askance at sessions that change their face.
            device_model: "stenogram".into(),
            system_version: "Linux".into(),
            app_version: env!("CARGO_PKG_VERSION_MAJOR").into(),
            system_lang_code: "en".into(),
            lang_code: "en".into(),
            retry_policy: Box::new(NoRetries),
            updates_channel_capacity: UPDATES_CAPACITY,
            ..ConnectionParams::default()
        };
        let SenderPool { runner, handle, updates } =
            SenderPool::with_configuration(session, api_id, parameters);
        let task = tokio::spawn(runner.run());
        (Self { handle, runner: task.abort_handle(), call_timeout }, task, updates)
    }

    /// The handle for grammers' own client.
    pub fn handle(&self) -> SenderPoolFatHandle {
        self.handle.clone()
    }

    /// Sends a request to datacentre `dc` and waits for its result.
    pub async fn call<R: tl::RemoteCall>(&self, dc: i32, request: &R) -> Result<R::Return, CallError> {
        self.call_within(self.call_timeout, dc, request).await
    }

    pub async fn call_within<R: tl::RemoteCall>(
        &self,
        limit: Duration,
        dc: i32,
        request: &R,
    ) -> Result<R::Return, CallError> {
        match tokio::time::timeout(limit, self.handle.invoke_in_dc(dc, request)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(CallError::Lost(format!("no answer within {} s", limit.as_secs_f32()))),
        }
    }

    /// The same, and again after short trouble inside Telegram.
    pub async fn call_patiently<R: tl::RemoteCall>(
        &self,
        dc: i32,
        request: &R,
    ) -> Result<R::Return, CallError> {
        past_trouble(|| self.call(dc, request)).await
    }

    pub fn is_finished(&self) -> bool {
        self.runner.is_finished()
    }

    /// Ends its connections. Fails what still waits for an answer, and all further calls.
    pub fn close(&self) {
        self.runner.abort();
    }
}

/// Repeats a call as long as Telegram has trouble of its own, after each of [`SHORT_PAUSES`].
async fn past_trouble<T, F>(mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    for pause in SHORT_PAUSES {
        match call().await {
            Err(error) if error.meaning() == Some(Meaning::ServerTrouble) => {
                debug!(%error, "asking again in {pause} s");
                sleep(Duration::from_secs(pause)).await;
            }
            result => return result,
        }
    }
    call().await
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// The first error by which Telegram said that the session is over. The errors after it, on another
/// connection say, are its consequences and tell less.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstLogout(Arc<Mutex<Option<(Instant, String)>>>);

impl FirstLogout {
    fn note(&self, name: &str) {
        self.first().get_or_insert_with(|| (Instant::now(), name.to_owned()));
    }

    /// The name of the error.
    pub fn name(&self) -> Option<String> {
        self.first().as_ref().map(|(_, name)| name.clone())
    }

    /// Telegram accepted the session when it was asked at `asked`, so what it said before is void.
    pub fn refute(&self, asked: Instant) {
        self.first().take_if(|(noted, _)| *noted < asked);
    }

    fn first(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to the home datacentre that has proved itself, and those for files.
pub(super) struct Link {
    /// No two links have the same.
    pub number: u64,
    pub(super) session: Arc<AccountSession>,
    restrictions: Arc<Restrictions>,
    pub(super) api_id: i32,
    pub(super) options: AccountOptions,
    pub home: i32,
    pub pool: Pool,
    pub(super) files: FileRoutes,
    /// Something said what only the supervisor can act on: ask the server again.
    pub suspect: Notify,
    /// An answer is late: the supervisor shall compare the clocks.
    pub late: Notify,
    logout: FirstLogout,
    /// Of the loop over the updates.
    pulse: Pulse,
}

impl Link {
    pub fn new(account: &Account, pool: Pool) -> Self {
        static LINKS: AtomicU64 = AtomicU64::new(0);
        Self {
            number: LINKS.fetch_add(1, Ordering::Relaxed),
            session: Arc::clone(&account.session),
            restrictions: Arc::clone(&account.restrictions),
            api_id: account.api_id,
            options: account.options,
            home: account.session.home_dc(),
            pool,
            files: FileRoutes::default(),
            suspect: Notify::new(),
            late: Notify::new(),
            logout: account.logout.clone(),
            pulse: account.pulses.updates.clone(),
        }
    }

    /// Fails what still waits for an answer, and all further calls.
    pub fn close(&self) {
        self.pool.close();
        self.files.close();
    }

    /// Has the supervisor look whether the account is logged out, as `error` says.
    pub(super) fn note_logout(&self, error: &CallError) {
        if let Some(name) = error.logged_out() {
            self.logout.note(name);
            self.suspect.notify_one();
        }
    }

    /// Calls the home datacentre.
    pub async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.call_within(self.options.call_timeout, request).await
    }

    pub async fn call_within<R: tl::RemoteCall>(
        &self,
        limit: Duration,
        request: &R,
    ) -> Result<R::Return, CallError> {
        let result = self.doubting(self.pool.call_within(limit, self.home, request)).await;
        if let Err(error) = &result {
            match error.meaning() {
                None => self.suspect.notify_one(),
                Some(Meaning::LoggedOut | Meaning::Deactivated) => self.note_logout(error),
                Some(_) => self.note_restriction(error).await,
            }
        }
        result
    }

    /// Waits for `answer`, and has the supervisor compare the clocks if it is late.
    pub(super) async fn doubting<T>(&self, answer: impl Future<Output = T>) -> T {
        let late = async {
            sleep(DOUBT).await;
            self.late.notify_one();
            std::future::pending().await
        };
        tokio::select! {
            answer = answer => answer,
            answer = late => answer,
        }
    }

    /// Remembers where an error says that the account is restricted. Telegram is asked first, for
    /// it tells more than the error does, and the log is to say all of it at once.
    pub(super) async fn note_restriction(&self, error: &CallError) {
        if let Some(Meaning::Restricted(why)) = error.meaning() {
            self.ask_whether_frozen().await;
            self.restrictions.refused(why);
        }
    }

    /// Asks Telegram whether the account is frozen. Where it does not say, nothing changes.
    pub async fn ask_whether_frozen(&self) {
        match freeze_in_config(&self.pool, self.home, self.restrictions.config_hash()).await {
            Ok(Some(config)) => self.restrictions.configured(config),
            Ok(None) => {}
            Err(error) => debug!(%error, "Telegram does not say whether the account is frozen"),
        }
    }

    /// Calls the home datacentre for something that the loop over the updates must have. Waits as
    /// long as Telegram demands, and asks again under growing pauses while Telegram has trouble of
    /// its own: over another connection it would be no better.
    pub async fn insist<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.persist(request, u32::MAX).await
    }

    /// The same for something that the loop can do without: trouble inside Telegram is waited out
    /// for half a minute.
    pub async fn insist_for_a_while<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.persist(request, SOME_TIMES).await
    }

    async fn persist<R: tl::RemoteCall>(&self, request: &R, repeats: u32) -> Result<R::Return, CallError> {
        let mut failures = 0;
        self.pulse.beat(STEP);
        loop {
            let error = match self.call(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match error.meaning() {
                Some(Meaning::Wait { time, .. }) => {
                    warn!(reason = %error, "Reading on in {} s, as Telegram demands", time.as_secs());
                    time
                }
                // The account cannot read one chat; the caller can pass over that.
                Some(Meaning::Restricted(_)) if error.is("FROZEN_PARTICIPANT_MISSING") => return Err(error),
                Some(Meaning::ServerTrouble | Meaning::Restricted(_)) if failures < repeats => {
                    let seconds = MAX_PAUSE.min(2_u64.saturating_pow(failures));
                    failures += 1;
                    if seconds >= LONG_PAUSE {
                        warn!(reason = %error, "Telegram does not answer this for now, asking again in {seconds} s");
                    } else {
                        debug!(%error, "asking again in {seconds} s");
                    }
                    Duration::from_secs(seconds)
                }
                _ => return Err(error),
            };
            self.pulse.beat(pause + STEP);
            sleep(pause).await;
        }
    }

    /// Calls the home datacentre for a job. Short trouble inside Telegram is waited out here: it is
    /// no failed attempt at the job.
    pub async fn call_for_job<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        past_trouble(|| self.call(request)).await
    }
}
