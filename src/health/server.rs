//! The HTTP listener: `/livez`, `/readyz`, `/metrics` and the page at `/`.
//!
//! It is on loopback by default, but any program of the host can reach that, and any web page in a
//! browser on the host can try to. So the cost of a connection is limited, requests can only read,
//! and requests under public host names are refused, because a web page could have pointed such a
//! name here (DNS rebinding).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use super::metrics;
use super::page;
use super::readiness::Report;
use super::state::HealthState;
use super::words::Locale;
use crate::domain::host::is_local_authority;
use crate::runtime::connections;
use crate::runtime::problem::Problem;

/// Connections served at once. Others wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// The most bytes of a request's head. Bodies are not read.
const MAX_HEAD: usize = 16 << 10;
/// How long receiving the head may take, and how long the whole connection.
const HEAD_LIMIT: Duration = Duration::from_secs(5);
const CONNECTION_LIMIT: Duration = Duration::from_secs(20);

pub static PROBLEMS: &[&Problem] = &[&PORT_TAKEN];

static PORT_TAKEN: Problem = Problem {
    code: "port-taken",
    title: "Port already in use: cannot listen for health and metrics (Address already in use)",
    why: "Another program, perhaps another stenogram, listens at HEALTH_ADDRESS, or this machine has no such \
          address.",
    remedy: "set HEALTH_ADDRESS to another port, such as 127.0.0.1:9466, or to off; `ss -ltnp` shows who has a port",
};

/// The listener's address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{}", PORT_TAKEN.with(format_args!("cannot listen at {at} for health and metrics: {why}")))]
pub struct ListenError {
    at: SocketAddr,
    why: std::io::Error,
}

/// Binds the address. Requests are answered only by [`serve`].
pub async fn bind(at: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(at).await.map_err(|why| ListenError { at, why })
}

/// Serves requests forever.
pub async fn serve(listener: TcpListener, health: Arc<HealthState>) {
    connections::accept(listener, MAX_CONNECTIONS, "health", |stream| {
        let health = Arc::clone(&health);
        async move {
            if timeout(CONNECTION_LIMIT, serve_connection(stream, health)).await.is_err() {
                debug!("a connection to the health listener took too long");
            }
        }
    })
    .await;
}

async fn serve_connection(stream: TcpStream, health: Arc<HealthState>) {
    let service = service_fn(|request: Request<Incoming>| {
        let health = Arc::clone(&health);
        async move { Ok::<_, Infallible>(answer(&request, &health).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection to the health listener failed");
    }
}

async fn answer<B>(request: &Request<B>, health: &HealthState) -> Response<String> {
    // Every browser names a host.
    let host = request.headers().get(header::HOST);
    if host.is_some_and(|host| !host.to_str().is_ok_and(is_local_authority)) {
        let text =
            "stenogram is not served under this name: use its IP address, or a name of the local network\n";
        return plain(StatusCode::MISDIRECTED_REQUEST, text.into());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n".into());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/livez" => json(&Report::liveness(health)),
        "/readyz" => json(&Report::readiness(health).await),
        "/metrics" => {
            health.probe_queue().await;
            response(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(health))
        }
        "/" => {
            health.probe_queue().await;
            let accepted =
                request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            let locale = Locale::negotiate(request.uri().query(), accepted);
            let mut response =
                response(StatusCode::OK, "text/html; charset=utf-8", page::render(health, locale));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY.clone());
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
            response
        }
        _ => plain(StatusCode::NOT_FOUND, "there are /, /livez, /readyz and /metrics\n".into()),
    }
}

fn json(report: &Report) -> Response<String> {
    let status = if report.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // Strings and booleans can always be serialised.
    let text = serde_json::to_string(report).unwrap_or_default() + "\n";
    response(status, "application/json", text)
}

fn plain(status: StatusCode, text: String) -> Response<String> {
    response(status, "text/plain; charset=utf-8", text)
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
