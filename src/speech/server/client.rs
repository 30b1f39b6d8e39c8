//! The requests to one server, with OpenAI's interface for speech
//! (<https://platform.openai.com/docs/api-reference/audio>). They block.

use std::fmt::Display;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tracing::info;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use super::SpeechServerOptions;
use super::answer::Answer;
use super::error::{ServerError, ServerErrorKind};
use super::form::Form;
use crate::domain::{LanguageCode, Task};
use crate::speech::error::SpeechError;
use crate::speech::models::download::proxy::proxy_for;
use crate::speech::problems::RECOGNISER_CA;

/// The most bytes of an answer, uncompressed.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How long a connection may take. A machine that is off does not answer at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How much of a server's own words is repeated, in characters.
const QUOTED: usize = 200;
/// How long a server is left alone that is asked too much and does not say for how long.
const BUSY_PAUSE: Duration = Duration::from_secs(10);
/// Longer waits that a server demands are shortened to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a stretch is sent with.
#[derive(Clone)]
pub(super) struct Request {
    /// A WAV file.
    pub audio: Vec<u8>,
    pub task: Task,
    /// The text before it.
    pub prompt: String,
}

pub(super) struct Client {
    agent: Agent,
    options: SpeechServerOptions,
    /// The server has no `verbose_json`.
    plain: AtomicBool,
}

impl Client {
    pub fn new(options: SpeechServerOptions) -> Result<Self, SpeechError> {
        // What is on a private network is not reached through a proxy.
        let proxy = match options.url.is_private() {
            true => None,
            false => proxy_for(options.url.as_str(), |name| std::env::var(name).ok())
                .map_err(SpeechError::Proxy)?,
        };
        let mut tls = TlsConfig::builder();
        if let Some(path) = &options.ca {
            tls = tls.root_certs(RootCerts::new_with_certs(&authorities(path)?));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .proxy(proxy)
            // Nobody else is sent the recording and the key.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Servers close idle connections after some seconds, perhaps while a request is sent.
            .max_idle_connections(0)
            .user_agent(concat!("stenogram/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(options.timeout))
            .timeout_resolve(Some(CONNECT_LIMIT.min(options.timeout)))
            .timeout_connect(Some(CONNECT_LIMIT.min(options.timeout)))
            .build()
            .new_agent();
        Ok(Self { agent, options, plain: AtomicBool::new(false) })
    }

    /// Has the server recognise a stretch. A server without `verbose_json` is remembered.
    pub fn recognise(
        &self,
        request: &Request,
        language: Option<LanguageCode>,
    ) -> Result<Answer, ServerError> {
        if self.plain.load(Ordering::Relaxed) {
            return self.post(request, language, "json");
        }
        match self.post(request, language, "verbose_json") {
            Err(ServerError { kind: ServerErrorKind::Rejected, .. }) => {
                let answer = self.post(request, language, "json")?;
                self.plain.store(true, Ordering::Relaxed);
                info!(
                    event = "recogniser_plain",
                    recogniser = self.options.url.name(),
                    "This recogniser tells the text alone, without times and probabilities"
                );
                Ok(answer)
            }
            result => result,
        }
    }

    fn post(
        &self,
        request: &Request,
        language: Option<LanguageCode>,
        format: &str,
    ) -> Result<Answer, ServerError> {
        let Request { audio, task, prompt } = request;
        let mut form = Form::default();
        form.field("model", &self.options.model);
        form.field("response_format", format);
        // The interface for translations knows no language.
        if let Some(language) = language.filter(|_| *task == Task::Transcribe) {
            form.field("language", language.as_str());
        }
        if !prompt.is_empty() {
            form.field("prompt", prompt);
        }
        form.file("file", "speech.wav", "audio/wav", audio);
        let address = match task {
            Task::Transcribe => "audio/transcriptions",
            Task::Translate => "audio/translations",
        };
        let mut post = self.agent.post(self.url(address)).header(CONTENT_TYPE, form.content_type());
        if let Some(key) = self.authorisation() {
            post = post.header(AUTHORIZATION, key);
        }
        let body = form.body();
        // The last byte is fetched only when the rest has been sent.
        let (start, mut end) = body.split_at(body.len() - 1);
        let mut content = start.chain(&mut end);
        let sent = post.header(CONTENT_LENGTH, body.len()).send(SendBody::from_reader(&mut content));
        let response = sent.map_err(|error| match error {
            // Servers that refuse a request may close before they have read it.
            ureq::Error::Io(ref io) if is_unheard(io.kind(), end) => {
                self.failure(ServerErrorKind::Away, format!("did not take the whole recording: {error}"))
            }
            error => self.no_answer(error),
        })?;
        let body = self.body(response)?;
        Answer::parse(&body).map_err(|why| {
            self.failure(ServerErrorKind::Failed, format!("gave an answer that makes no sense: {why}"))
        })
    }

    /// The names of the server's models; `None` if it does not list them.
    pub fn models(&self) -> Result<Option<Vec<String>>, ServerError> {
        #[derive(Deserialize)]
        struct Models {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let mut get = self.agent.get(self.url("models"));
        if let Some(key) = self.authorisation() {
            get = get.header(AUTHORIZATION, key);
        }
        let response = get.call().map_err(|error| self.no_answer(error))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(None);
        }
        let body = self.body(response)?;
        let models: Option<Models> = serde_json::from_slice(&body).ok();
        Ok(models.map(|models| models.data.into_iter().map(|model| model.id).collect()))
    }

    fn url(&self, address: &str) -> String {
        format!("{}/{address}", self.options.url)
    }

    fn authorisation(&self) -> Option<String> {
        self.options.key.as_ref().map(|key| format!("Bearer {}", key.expose()))
    }

    /// The body of an answer that is none of an error.
    fn body(&self, mut response: Response<Body>) -> Result<Vec<u8>, ServerError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        if status.is_success() {
            return body.map_err(|error| self.no_answer(error));
        }
        let (kind, what) = match &body {
            Ok(body) if is_out_of_quota(status, body) => (ServerErrorKind::Refuses, "wants to be paid"),
            _ => kind_of(status, &headers),
        };
        let said = body.map(|body| words(&body)).unwrap_or_default();
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        Err(self.failure(kind, format!("{what} ({status}){said}")))
    }

    /// The error if there was no answer, or only a part of one.
    fn no_answer(&self, error: ureq::Error) -> ServerError {
        use ureq::Error;
        use ureq::Timeout::{Connect, Resolve};
        let (kind, why) = match error {
            Error::Timeout(Connect | Resolve) => {
                (ServerErrorKind::Away, "cannot be reached in time".to_owned())
            }
            Error::Timeout(_) => {
                let limit = self.options.timeout.as_secs();
                (ServerErrorKind::Failed, format!("gave no answer within {limit} s"))
            }
            Error::BodyExceedsLimit(_) => {
                (ServerErrorKind::Failed, "gave an answer of more than 1 MiB".to_owned())
            }
            // rustls hands its errors through as invalid data.
            Error::Rustls(_) | Error::Tls(_) => (ServerErrorKind::Refuses, no_tls(&error)),
            Error::Io(ref io) if io.kind() == ErrorKind::InvalidData => {
                (ServerErrorKind::Refuses, no_tls(&error))
            }
            Error::Io(ref io) if is_broken_off(io.kind()) => {
                (ServerErrorKind::Failed, format!("broke off the connection: {error}"))
            }
            Error::Protocol(_) | Error::BodyStalled | Error::LargeResponseHeader(..) => {
                (ServerErrorKind::Failed, format!("gave half an answer, or none of HTTP: {error}"))
            }
            _ => (ServerErrorKind::Away, format!("cannot be reached: {error}")),
        };
        self.failure(kind, why)
    }

    fn failure(&self, kind: ServerErrorKind, why: String) -> ServerError {
        ServerError { kind, server: self.options.url.name().to_owned(), why, after: Duration::ZERO }
    }
}

/// The certificates in a PEM file.
fn authorities(path: &Path) -> Result<Vec<Certificate<'static>>, SpeechError> {
    let unusable = |why: &dyn Display| {
        let what = format_args!("the file {} of RECOGNISER_CA {why}", path.display());
        SpeechError::Authority(RECOGNISER_CA.with(what))
    };
    let pem = std::fs::read(path).map_err(|error| unusable(&format_args!("cannot be read: {error}")))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unusable(&format_args!("is no PEM file: {error}"))),
        }
    }
    if certificates.is_empty() {
        return Err(unusable(&"holds no certificate"));
    }
    Ok(certificates)
}

/// What the status of an error means.
fn kind_of(status: StatusCode, headers: &HeaderMap) -> (ServerErrorKind, &'static str) {
    use ServerErrorKind::{Away, Busy, Failed, Refuses, Rejected};
    let pause = retry_after(headers);
    match status.as_u16() {
        300..400 => (Refuses, "sends us to another address, which is not followed"),
        401 | 403 => (Refuses, "refuses the key, or wants one"),
        402 => (Refuses, "wants to be paid"),
        404 | 405 | 410 => (Refuses, "has no such address or model"),
        408 => (Failed, "got the recording too slowly"),
        429 => (Busy(pause.unwrap_or(BUSY_PAUSE)), "is asked too much"),
        502 | 504 => (Away, "is not behind its proxy"),
        503 => match pause {
            Some(pause) => (Busy(pause), "is asked too much"),
            None => (Away, "is not ready"),
        },
        400..500 => (Rejected, "will not have this recording"),
        _ => (Failed, "failed"),
    }
}

/// Whether OpenAI's server wants money: it says so with the status of one that is asked too much.
fn is_out_of_quota(status: StatusCode, body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let is = |at| value.as_ref().and_then(|value| value.pointer(at)) == Some(&"insufficient_quota".into());
    status == StatusCode::TOO_MANY_REQUESTS && (is("/error/code") || is("/error/type"))
}

/// The wait that a server demands, in seconds; the other form, a date, is too rare to be read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST_PAUSE))
}

/// What the server says about its error, as far as it fits into a line.
fn words(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    // OpenAI's form, and what FastAPI makes of it.
    const PLACES: [&str; 5] = ["/error/message", "/detail/error/message", "/detail", "/error", "/message"];
    let message = value.as_ref().and_then(|value| PLACES.iter().find_map(|at| value.pointer(at)?.as_str()));
    let text = message.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    if text.trim_start().starts_with('<') {
        return String::new(); // a web page
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(QUOTED).collect();
    line.trim().to_owned()
}

fn no_tls(error: &ureq::Error) -> String {
    format!("has no valid certificate, or speaks no TLS: {error}")
}

/// Whether the connection broke before the server had all of the request.
fn is_unheard(kind: ErrorKind, unsent: &[u8]) -> bool {
    kind == ErrorKind::BrokenPipe || (is_broken_off(kind) && !unsent.is_empty())
}

fn is_broken_off(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
