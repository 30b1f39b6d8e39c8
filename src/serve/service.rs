//! A request: who may ask, its form, recognition, the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument as _, Span, debug, info, info_span, warn};

use super::ServeOptions;
use super::body::AnswerBody;
use super::error::ApiError;
use super::event;
use super::form::{self, Form};
use crate::domain::host::is_local_authority;
use crate::domain::{LanguageCode, Progress, Settings, Task, Transcript};
use crate::runtime::memory_budget::{MemoryBudget, Reservation};
use crate::speech::{Recogniser as _, SpeechError};
use crate::transcribe::recording::{Recording, RecordingError, RecordingOptions};

/// Under this name, too, programs that were made for OpenAI's server ask for the model.
const ALIAS: &str = "whisper-1";
/// Recordings that are decoded or recognised at once; others wait for their turn.
const AT_ONCE: usize = 4;
/// When to try again what was refused because too much is going on, in seconds.
const RETRY_AFTER: u64 = 5;
/// How long the rest of a refused request is read, because a client that sends all of it before it
/// reads the answer would otherwise see a broken connection instead.
const REST_LIMIT: Duration = Duration::from_secs(5);

/// What serves the requests of all connections.
pub struct Service {
    options: ServeOptions,
    memory: Arc<MemoryBudget>,
    turns: Arc<Semaphore>,
    /// Requests so far, by which their log lines are told apart.
    requests: AtomicU64,
}

impl Service {
    pub fn new(options: ServeOptions) -> Self {
        let largest = Form::most_bytes(options.limits.bytes);
        let memory = MemoryBudget::new(largest.saturating_mul(options.largest_at_once));
        Self { options, memory, turns: Arc::new(Semaphore::new(AT_ONCE)), requests: AtomicU64::new(0) }
    }

    /// Ends the recognition. Returns false if something is still at work after `limit`.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        self.options.recognisers.shutdown(limit).await
    }

    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<AnswerBody> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let span = info_span!("request", number);
        let (head, mut body) = request.into_parts();
        let answered = self.route(&head, &mut body).instrument(span.clone()).await;
        answered.unwrap_or_else(|error| {
            let _entered = span.enter();
            let (status, reason) = (error.status.as_u16(), error.message.as_str());
            match error.is_from_anybody() {
                true => debug!(event = "serve_refused", status, reason, "Refused"),
                false => warn!(event = "serve_refused", status, reason, "Refused"),
            }
            let most = Form::most_bytes(self.options.limits.bytes);
            tokio::spawn(timeout(REST_LIMIT, form::discard(body, most)));
            refusal(&error)
        })
    }

    async fn route(
        self: &Arc<Self>,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let path = head.uri.path();
        let expected = match path {
            "/health" | "/v1/models" => Method::GET,
            "/v1/audio/transcriptions" | "/v1/audio/translations" => Method::POST,
            _ => {
                let message =
                    "there are /v1/audio/transcriptions, /v1/audio/translations, /v1/models and /health";
                return Err(ApiError::new(StatusCode::NOT_FOUND, message));
            }
        };
        if head.method != expected {
            let message = format_args!("{path} takes {expected} requests only");
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message));
        }
        if path == "/health" {
            let mut response =
                response(StatusCode::OK, "application/json", json!({"status": "ok"}).to_string());
            close_after(&mut response);
            return Ok(response);
        }
        self.authorise(&head.headers)?;
        match path {
            "/v1/models" => Ok(response(StatusCode::OK, "application/json", self.models())),
            "/v1/audio/translations" => self.recognise(head, body, Task::Translate).await,
            _ => self.recognise(head, body, Task::Transcribe).await,
        }
    }

    /// With a key, whoever names it may ask. Without one, programs of this host may, but no web
    /// page in a browser on it, nor one that has pointed a public name here (DNS rebinding).
    fn authorise(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.options.key else {
            let is_local = |host: &HeaderValue| host.to_str().is_ok_and(is_local_authority);
            if !headers.get(header::HOST).is_none_or(is_local) {
                let message = "without SERVE_KEY nothing is served under a public name";
                return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, message));
            }
            if is_from_web_page(headers) {
                let message = "without SERVE_KEY nothing is served to web pages";
                return Err(ApiError::new(StatusCode::FORBIDDEN, message));
            }
            return Ok(());
        };
        // Digests take the same time to compare, wherever they differ.
        let digest = |key: &str| Sha256::digest(key.as_bytes());
        let named = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let named = named.and_then(|value| value.strip_prefix("Bearer "));
        if named.is_some_and(|named| digest(named.trim()) == digest(key.expose())) {
            return Ok(());
        }
        let message = "the key is wrong or missing: send the header Authorization: Bearer SERVE_KEY";
        Err(ApiError::wrong_key(message))
    }

    fn models(&self) -> String {
        let model = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "stenogram"});
        json!({"object": "list", "data": [model(&self.options.model), model(ALIAS)]}).to_string()
    }

    async fn recognise(
        self: &Arc<Self>,
        head: &Parts,
        body: &mut Incoming,
        task: Task,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let started = Instant::now();
        let file = self.options.limits.bytes;
        let mut memory = self.reserve(&head.headers)?;
        let form = timeout(self.options.body_limit, Form::read(&head.headers, body, file)).await;
        let form = form.unwrap_or_else(|_| {
            let limit = self.options.body_limit.as_secs();
            let message = format_args!("the request was not sent within {limit} s");
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, message))
        })?;
        let times = form.times();
        let Form { file, model, language, prompt, format, stream, .. } = form;
        if let Some(model) = model.filter(|model| model != ALIAS && *model != self.options.model) {
            let model = form::shortened(&model);
            let message = format_args!("there is no model {model:?} here, only {:?}", self.options.model);
            return Err(ApiError::unknown_model(message));
        }
        let bytes = file.ok_or_else(|| ApiError::field("file", "there is no file in the form"))?;
        memory.shrink(bytes.len() as u64);
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let language = language.or(self.options.language);
        let settings = Settings { language, task, ..Settings::default() };
        let options =
            RecordingOptions { settings, prompt, words: times.words, ..RecordingOptions::default() };
        let mut work = Work { bytes, options, started, _memory: memory, _turn: turn };
        if stream {
            return self.stream(work).await;
        }
        let mut recording = self.open(&mut work).await?;
        let transcript = self.transcript(&mut recording, &work, None).await?;
        let body = format.body(&transcript, recording.seconds(), times);
        Ok(response(StatusCode::OK, format.content_type(), body))
    }

    /// Answers with the text as it is recognised. A recording that cannot be decoded is refused as
    /// it is without a stream.
    async fn stream(self: &Arc<Self>, work: Work) -> Result<Response<AnswerBody>, ApiError> {
        let (opened, is_open) = oneshot::channel();
        let (events, body) = mpsc::unbounded_channel();
        let service = Arc::clone(self);
        let tell = async move {
            tokio::select! {
                () = events.closed() => debug!("The client of a stream has gone away"),
                () = service.tell(work, opened, &events) => {}
            }
        };
        tokio::spawn(tell.instrument(Span::current()));
        // It is dropped when the program ends.
        is_open.await.unwrap_or(Err(SpeechError::Aborted.into()))?;
        let mut response = response(StatusCode::OK, "text/event-stream", String::new());
        *response.body_mut() = AnswerBody::Events(body);
        Ok(response)
    }

    async fn tell(
        &self,
        mut work: Work,
        opened: oneshot::Sender<Result<(), RecordingError>>,
        events: &mpsc::UnboundedSender<String>,
    ) {
        // If the client is gone, so is the receiver, here and below.
        let mut recording = match self.open(&mut work).await {
            Ok(recording) => recording,
            Err(error) => return drop(opened.send(Err(error))),
        };
        let _ = opened.send(Ok(()));
        let last = match self.transcript(&mut recording, &work, Some(events)).await {
            Ok(transcript) => event::done(&transcript.text()),
            Err(error) => {
                let reason = error.message.as_str();
                warn!(event = "serve_refused", status = 200, reason, "Broken off");
                event::failed(&error)
            }
        };
        let _ = events.send(last);
    }

    /// Reserves memory for the body of a request, which must not be longer than is allowed.
    fn reserve(&self, headers: &HeaderMap) -> Result<Reservation, ApiError> {
        let most = Form::most_bytes(self.options.limits.bytes);
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = length.unwrap_or(most);
        if bytes > most {
            let message =
                format_args!("the file may have {} bytes (MAX_FILE_SIZE)", self.options.limits.bytes);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        self.memory.reserve(bytes).ok_or_else(|| {
            let message = "too many recordings are being received; try again in some seconds";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }

    /// Has the recording decoded.
    async fn open(&self, work: &mut Work) -> Result<Recording<'_>, RecordingError> {
        let ServeOptions { recognisers, decoder, limits, .. } = &self.options;
        let (bytes, options) = (std::mem::take(&mut work.bytes), work.options.clone());
        Recording::open(recognisers, decoder, bytes, limits.clone(), options).await
    }

    /// Recognises all of it. Each piece of the text is told to `events`.
    async fn transcript(
        &self,
        recording: &mut Recording<'_>,
        work: &Work,
        events: Option<&mpsc::UnboundedSender<String>>,
    ) -> Result<Transcript, ApiError> {
        let mut so_far = Progress::default();
        so_far.transcript.task = work.options.settings.task;
        while let Some(stretch) = recording.next().await? {
            let text = stretch.transcript.text();
            if work.options.words && !text.is_empty() && stretch.transcript.words.is_empty() {
                let message = "the model for this language tells no times of words; ask for segments";
                return Err(ApiError::field("timestamp_granularities[]", message));
            }
            if let Some(events) = events.filter(|_| !text.is_empty()) {
                let space = if so_far.transcript.is_empty() { "" } else { " " };
                // If the client is gone, so is the receiver.
                let _ = events.send(event::delta(&format!("{space}{text}")));
            }
            so_far.add(stretch);
        }
        let transcript = so_far.transcript;
        info!(
            event = "served",
            audio_s = (recording.seconds() * 10.0).round() / 10.0,
            took_s = (work.started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            language = transcript.language.map_or("-", LanguageCode::as_str),
            characters = transcript.text().chars().count(),
            "Served"
        );
        Ok(transcript)
    }
}

/// A recording that is to be recognised.
struct Work {
    /// Empty once it is decoded.
    bytes: Vec<u8>,
    options: RecordingOptions,
    started: Instant,
    _memory: Reservation,
    _turn: Option<OwnedSemaphorePermit>,
}

fn refusal(error: &ApiError) -> Response<AnswerBody> {
    let mut response = response(error.status, "application/json", error.json().to_string() + "\n");
    close_after(&mut response);
    let headers = response.headers_mut();
    if error.is_passing() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    if error.status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Has the connection closed, so that nobody without a key keeps one for long.
fn close_after(response: &mut Response<AnswerBody>) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Whether a page in a browser has sent a request: a form can be sent to any address unasked.
fn is_from_web_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    headers.contains_key(header::ORIGIN) || !matches!(site, None | Some(b"none" | b"same-origin"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
