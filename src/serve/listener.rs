//! Connections, with limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tracing::debug;

use super::ListenError;
use super::service::Service;
use crate::runtime::connections;

/// Connections served at once. Others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// How long receiving a head may take, on a connection that is kept open too.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Binds the address. Requests are answered only by [`serve`].
pub async fn bind(at: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(at).await.map_err(|why| ListenError { at, why })
}

/// Serves requests forever. A client that closes its connection gives up its request.
pub async fn serve(listener: TcpListener, service: Arc<Service>) {
    connections::accept(listener, MAX_CONNECTIONS, "serve", |stream| {
        serve_connection(stream, Arc::clone(&service))
    })
    .await;
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    let answer = service_fn(|request: Request<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection to serve failed");
    }
}
