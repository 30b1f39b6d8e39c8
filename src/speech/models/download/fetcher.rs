//! Downloads a file over HTTP, in as many requests as it takes.

use std::io::{self, Read};
use std::time::Duration;

use tracing::warn;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use super::error::PullError;
use super::partial_file::PartialFile;
use super::proxy::proxy_for;
use crate::speech::models::ModelSpec;
use crate::speech::models::checksum::Progress;

/// Where a model is downloaded from, and how often that is tried.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The URL of a folder that has the models instead, see [`ModelSpec::url`].
    pub mirror: Option<String>,
    /// Give up after this many failed attempts in a row without a new byte.
    pub attempts: u32,
    /// The pause after the first failure. It doubles with every further one, up to a minute.
    pub backoff: Duration,
    /// How long the server may send nothing before the connection counts as broken.
    pub silence: Duration,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { mirror: None, attempts: 8, backoff: Duration::from_secs(1), silence: Duration::from_secs(30) }
    }
}

/// Why one attempt failed.
enum AttemptError {
    /// Worth another attempt.
    Transient(String),
    /// Another attempt would fail too.
    Permanent(PullError),
}

impl From<PullError> for AttemptError {
    fn from(error: PullError) -> Self {
        Self::Permanent(error)
    }
}

const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Downloads one file from one server.
pub(super) struct Fetcher {
    agent: Agent,
    pub(super) url: String,
    /// The size that the file must have.
    bytes: u64,
}

impl Fetcher {
    pub(super) fn new(spec: &ModelSpec, options: &PullOptions) -> Result<Self, PullError> {
        let url = spec.url(options.mirror.as_deref());
        let proxy = proxy_for(&url, |name| std::env::var(name).ok()).map_err(PullError::Proxy)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(proxy)
            .user_agent(concat!("stenogram/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(options.silence))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .build()
            .new_agent();
        Ok(Self { agent, url, bytes: spec.bytes })
    }

    /// Makes attempts until the file is complete.
    pub(super) fn fetch(
        &self,
        part: &mut PartialFile,
        options: &PullOptions,
        progress: &mut Progress,
    ) -> Result<(), PullError> {
        let (mut failures, mut furthest) = (0, part.length);
        loop {
            let why = match self.attempt(part, progress) {
                Ok(()) => return Ok(()),
                Err(AttemptError::Permanent(error)) => return Err(error),
                Err(AttemptError::Transient(why)) => why,
            };
            if part.length > furthest {
                (failures, furthest) = (0, part.length);
            }
            failures += 1;
            if failures >= options.attempts {
                return Err(PullError::GivenUp { url: self.url.clone(), attempts: failures, why });
            }
            let wait = options.backoff.saturating_mul(2u32.saturating_pow(failures - 1)).min(MAX_BACKOFF);
            warn!(url = self.url, at = part.length, "download broken off, next try in {wait:?}: {why}");
            std::thread::sleep(wait);
            if progress(part.length, self.bytes).is_break() {
                return Err(PullError::Cancelled);
            }
        }
    }

    /// Makes one request, and appends the bytes of the response.
    fn attempt(&self, part: &mut PartialFile, progress: &mut Progress) -> Result<(), AttemptError> {
        if self.bytes == part.length {
            return Ok(());
        }
        // In a compressed response, a range would count compressed bytes.
        let mut request = self.agent.get(&self.url).header("accept-encoding", "identity");
        if part.length > 0 {
            request = request.header("range", format!("bytes={}-", part.length));
            if let Some(etag) = &part.etag {
                request = request.header("if-range", etag);
            }
        }
        let response = request.call().map_err(|error| self.failure(error))?;
        self.accept(&response, part)?;
        self.receive(response, part, progress)
    }

    /// Checks the head of the response, and clears the partial file if the body does not continue
    /// it.
    fn accept(&self, response: &Response<Body>, part: &mut PartialFile) -> Result<(), AttemptError> {
        let (status, headers) = (response.status(), response.headers());
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => {
                part.clear()?;
                return Err(AttemptError::Transient(
                    "the server's file is no longer than our part of it".into(),
                ));
            }
            StatusCode::NOT_FOUND => {
                return Err(self.refused("there is no such file (404)".into()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(AttemptError::Transient(format!("the server answered {status}")));
            }
            _ => {
                let why = format!("the server answered {status}");
                return Err(if status.is_server_error() {
                    AttemptError::Transient(why)
                } else {
                    self.refused(why)
                });
            }
        }
        if text(headers, CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) {
            let why = "a web page came instead of a model";
            return Err(self.refused(why.into()));
        }
        // If the server sends the whole file although we asked for a range, it cannot resume, or
        // has a newer file.
        let (start, total) = match status {
            StatusCode::OK => (0, text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok())),
            _ => text(headers, CONTENT_RANGE).and_then(content_range).unwrap_or((u64::MAX, None)),
        };
        let expected = self.bytes;
        if let Some(total) = total.filter(|&total| total != expected) {
            let why = format!("the file there has {total} bytes and not {expected}; it is another file");
            return Err(self.refused(why));
        }
        let etag = strong_etag(headers);
        let other_file = part.etag.is_some() && etag.is_some() && part.etag != etag;
        if start != part.length || (start > 0 && other_file) {
            part.clear()?;
            if start > 0 {
                return Err(AttemptError::Transient("the server gave another range or another file".into()));
            }
        }
        part.etag = etag;
        Ok(())
    }

    fn receive(
        &self,
        response: Response<Body>,
        part: &mut PartialFile,
        progress: &mut Progress,
    ) -> Result<(), AttemptError> {
        let expected = self.bytes;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(AttemptError::Transient(error.to_string())),
            };
            if part.length + n as u64 > expected {
                part.clear()?;
                return Err(self.refused(format!("it gives more than the {expected} bytes the file has")));
            }
            part.append(&buffer[..n])?;
            if progress(part.length, expected).is_break() {
                return Err(PullError::Cancelled.into());
            }
        }
        if part.length < expected {
            return Err(AttemptError::Transient(format!(
                "it ended after {} of {expected} bytes",
                part.length
            )));
        }
        Ok(())
    }

    fn refused(&self, why: String) -> AttemptError {
        AttemptError::Permanent(PullError::Refused { url: self.url.clone(), why })
    }

    /// The error if there was no response.
    fn failure(&self, error: ureq::Error) -> AttemptError {
        use ureq::Error::{ConnectionFailed, HostNotFound, Io, Protocol, Timeout};
        match error {
            Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Protocol(_) => {
                AttemptError::Transient(error.to_string())
            }
            _ => self.refused(error.to_string()),
        }
    }
}

fn text(headers: &HeaderMap, name: ureq::http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The entity tag, unless it is a weak one, which different files may share.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    text(headers, ETAG).filter(|etag| etag.starts_with('"')).map(str::to_owned)
}

/// Parses `bytes 200-999/1000`: the first byte and the size of the file, unless that is `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}
