//! Accepts the connections of a listener, only so many at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::warn;

use super::problem::PROCESS_LIMIT;

/// How long to wait after a connection could not be accepted, for example for lack of file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Has each connection served in a task of its own, forever; `most` of them at once, while others
/// wait in the kernel's queue. `purpose` is what the connections are for, in the words of the log.
pub async fn accept<F>(
    listener: TcpListener,
    most: usize,
    purpose: &'static str,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(most));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = serve(stream);
                tokio::spawn(async move {
                    served.await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(
                    "{}",
                    PROCESS_LIMIT.with(format_args!("cannot accept a connection for {purpose}: {error}"))
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
