//! A connection to the home datacentre that has proved itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grammers_client::tl;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::super::context::AccountContext;
use super::super::problems::{FLOOD_WAIT, TELEGRAM_TROUBLE};
use super::super::restrictions::app_config;
use super::error::CallError;
use super::file_route::FileRoutes;
use super::pool::{Pool, retry_server_trouble};
use super::rpc_error::Meaning;

/// Once the loop over the updates has made no progress for this long, it counts as stuck. Each call
/// takes 30 s at most, and a longer pause before a call extends this time.
pub(crate) const STALL_LIMIT: Duration = Duration::from_secs(300);

/// If an answer takes longer than this, the clocks are compared: Telegram does not answer a request
/// that it refuses for its time.
pub(crate) const LATE_AFTER: Duration = Duration::from_secs(1);

/// Longest pause, in seconds, before [`Link::call_until_answered`] repeats a request.
const MAX_PAUSE: u64 = 64;
/// From this pause on, in seconds, the log says that Telegram has trouble.
const LONG_PAUSE: u64 = 16;
/// How often [`Link::call_for_a_while`] repeats a request: for half a minute in all.
const FEW_RETRIES: u32 = 5;

/// A connection to the home datacentre that has proved itself, and those for files beside it.
pub(crate) struct Link {
    /// Unique to this link in this process.
    pub number: u64,
    pub context: Arc<AccountContext>,
    /// The number of the home datacentre.
    pub home: i32,
    pub pool: Pool,
    pub files: FileRoutes,
    /// Wakes the supervisor to ask for the server's state: an error may mean that the session
    /// ended.
    pub recheck: Notify,
    /// Wakes the supervisor to compare the clocks: an answer is late.
    pub late: Notify,
}

impl Link {
    pub fn new(context: Arc<AccountContext>, pool: Pool) -> Self {
        static LINKS: AtomicU64 = AtomicU64::new(0);
        Self {
            number: LINKS.fetch_add(1, Ordering::Relaxed),
            home: context.session.home_dc(),
            context,
            pool,
            files: FileRoutes::default(),
            recheck: Notify::new(),
            late: Notify::new(),
        }
    }

    /// Ends its connections. Requests without an answer fail, and so do all further calls.
    pub fn close(&self) {
        self.pool.close();
        self.files.close();
    }

    /// Notes an error by which Telegram says that the session is over, and has the supervisor check
    /// that.
    pub fn note_logout(&self, error: &CallError) {
        if let Some(name) = error.logged_out() {
            self.context.logout.note(name);
            self.recheck.notify_one();
        }
    }

    /// Calls the home datacentre.
    pub async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.call_within(self.context.options.call_timeout, request).await
    }

    pub async fn call_within<R: tl::RemoteCall>(
        &self,
        limit: Duration,
        request: &R,
    ) -> Result<R::Return, CallError> {
        let result = self.watch_for_lateness(self.pool.call_within(limit, self.home, request)).await;
        if let Err(error) = &result {
            match error.meaning() {
                None => self.recheck.notify_one(),
                Some(Meaning::LoggedOut | Meaning::Deactivated) => self.note_logout(error),
                Some(_) => self.note_restriction(error).await,
            }
        }
        result
    }

    /// Waits for `answer`, and has the supervisor compare the clocks if it is late.
    pub async fn watch_for_lateness<T>(&self, answer: impl Future<Output = T>) -> T {
        let late = async {
            sleep(LATE_AFTER).await;
            self.late.notify_one();
            std::future::pending().await
        };
        tokio::select! {
            answer = answer => answer,
            answer = late => answer,
        }
    }

    /// Remembers a restriction of the account, if `error` reports one. Telegram is asked first,
    /// because its configuration says more than the error, and the log then says all of it at once.
    pub async fn note_restriction(&self, error: &CallError) {
        if let Some(Meaning::Restricted(why)) = error.meaning() {
            self.ask_whether_frozen().await;
            self.context.restrictions.refused(why);
        }
    }

    /// Asks Telegram whether the account is frozen. Without an answer nothing changes.
    pub async fn ask_whether_frozen(&self) {
        let known = self.context.restrictions.config_hash();
        match app_config::fetch(&self.pool, self.home, known).await {
            Ok(Some(config)) => self.context.restrictions.configured(config),
            Ok(None) => {}
            Err(error) => debug!(%error, "Telegram does not say whether the account is frozen"),
        }
    }

    /// Calls the home datacentre for something that the loop over the updates must have. It waits
    /// as long as Telegram demands, and repeats the request with growing pauses while Telegram has
    /// trouble of its own, because another connection would not help.
    pub async fn call_until_answered<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.call_repeatedly(request, u32::MAX).await
    }

    /// Calls the home datacentre for something that the loop over the updates can do without. It
    /// repeats the request for half a minute while Telegram has trouble of its own.
    pub async fn call_for_a_while<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.call_repeatedly(request, FEW_RETRIES).await
    }

    async fn call_repeatedly<R: tl::RemoteCall>(
        &self,
        request: &R,
        repeats: u32,
    ) -> Result<R::Return, CallError> {
        let mut failures = 0;
        self.context.pulses.updates.beat(STALL_LIMIT);
        loop {
            let error = match self.call(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match error.meaning() {
                Some(Meaning::Wait { time, .. }) => {
                    warn!(
                        reason = FLOOD_WAIT.tag(&error),
                        "Telegram demands a pause, reading goes on in {} s",
                        time.as_secs()
                    );
                    time
                }
                // The account cannot read this one chat, and the caller can skip it.
                Some(Meaning::Restricted(_)) if error.is("FROZEN_PARTICIPANT_MISSING") => return Err(error),
                Some(Meaning::ServerTrouble | Meaning::Restricted(_)) if failures < repeats => {
                    let seconds = MAX_PAUSE.min(2_u64.saturating_pow(failures));
                    failures += 1;
                    if seconds >= LONG_PAUSE {
                        warn!(
                            reason = TELEGRAM_TROUBLE.tag(&error),
                            "Telegram does not answer for now, asking again in {seconds} s"
                        );
                    } else {
                        debug!(%error, "asking again in {seconds} s");
                    }
                    Duration::from_secs(seconds)
                }
                _ => return Err(error),
            };
            self.context.pulses.updates.beat(pause + STALL_LIMIT);
            sleep(pause).await;
        }
    }

    /// Calls the home datacentre for a job. It waits out short trouble inside Telegram, which does
    /// not count as a failed attempt at the job.
    pub async fn call_for_job<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        retry_server_trouble(|| self.call(request)).await
    }
}
