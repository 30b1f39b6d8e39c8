//! grammers' pool of connections, with a time limit on every call.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use grammers_client::sender::{ConnectionParams, NoRetries, SenderPool, SenderPoolFatHandle};
use grammers_client::tl;
use grammers_session::Session;
use grammers_session::updates::UpdatesLike;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;
use tracing::debug;

use super::super::session::error::SessionError;
use super::dialer::Dialer;
use super::error::CallError;
use super::rpc_error::Meaning;

/// How many updates may wait while a batch is handed over. grammers drops what does not fit, and
/// the channel takes memory only for what is in it.
const UPDATES_CAPACITY: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Pauses, in seconds, before a request for a job is repeated after trouble inside Telegram.
const SHORT_PAUSES: [u64; 3] = [1, 2, 4];

/// A pool of grammers' senders. Dropping it ends its connections.
pub(crate) struct Pool {
    handle: SenderPoolFatHandle,
    runner: AbortHandle,
    call_timeout: Duration,
}

impl Pool {
    /// Opens a pool, with its task and its stream of updates. It connects with the first call. The
    /// task ends only when the pool is closed or when something in grammers has panicked.
    pub fn open<S>(
        session: Arc<S>,
        api_id: i32,
        call_timeout: Duration,
        dialer: &Dialer,
    ) -> (Self, JoinHandle<()>, mpsc::Receiver<UpdatesLike>)
    where
        S: Session<Error = SessionError> + 'static,
    {
        let parameters = ConnectionParams {
            // Telegram shows this under Settings > Devices. It stays the same from release to
            // release, because Telegram distrusts sessions whose device changes.
            device_model: "stenogram".into(),
            system_version: "Linux".into(),
            app_version: env!("CARGO_PKG_VERSION_MAJOR").into(),
            system_lang_code: "en".into(),
            lang_code: "en".into(),
            retry_policy: Box::new(NoRetries),
            updates_channel_capacity: UPDATES_CAPACITY,
            use_ipv6: dialer.uses_ipv6(),
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

    /// Like [`Pool::call`], but repeats the request after short trouble inside Telegram.
    pub async fn call_with_retries<R: tl::RemoteCall>(
        &self,
        dc: i32,
        request: &R,
    ) -> Result<R::Return, CallError> {
        retry_server_trouble(|| self.call(dc, request)).await
    }

    pub fn is_finished(&self) -> bool {
        self.runner.is_finished()
    }

    /// Ends its connections. Requests without an answer fail, and so do all further calls.
    pub fn close(&self) {
        self.runner.abort();
    }
}

/// Repeats a call while Telegram has trouble of its own, after each of [`SHORT_PAUSES`].
pub(crate) async fn retry_server_trouble<T, F>(mut call: impl FnMut() -> F) -> Result<T, CallError>
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
