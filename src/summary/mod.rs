//! Summaries of long texts, by a server with OpenAI's interface for conversations, such as Ollama,
//! llama.cpp or vLLM (<https://platform.openai.com/docs/api-reference/chat>).
//!
//! A summary is a bonus: whatever goes wrong here costs a line in the log and the time limit at
//! most, and the text goes without one.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::{Span, debug, info, warn};
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::{Agent, Proxy};

use crate::domain::summary::{Question, question, summary};
use crate::domain::{LanguageCode, Secret, ServerUrl};
use crate::runtime::lock;
use crate::runtime::problem::{Diagnosis, Problem};

/// The most bytes of an answer.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How long a connection may take. A machine that is off does not answer at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take until a thread asks.
const START_LIMIT: Duration = Duration::from_secs(5);
/// A server that failed is left alone for this time, so that not every text waits for it.
const PAUSE: Duration = Duration::from_secs(60);

pub static PROBLEMS: &[&Problem] = &[&SUMMARY_FAILED, &SUMMARY_PUBLIC];

pub static SUMMARY_FAILED: Problem = Problem {
    code: "summary-failed",
    title: "SUMMARY_URL gives no summary: it cannot be reached, is too slow, refuses, or its answer is of no use",
    why: "The server is off or slow, the key or the name of the model is wrong, or the model did not answer with a \
          few lines of text. The texts are sent without a summary meanwhile, and nothing is lost.",
    remedy: "correct SUMMARY_URL (most addresses end in /v1), SUMMARY_MODEL or SUMMARY_KEY, raise SUMMARY_TIMEOUT, \
             or take a smaller model; `stenogram doctor` asks the server",
};

pub static SUMMARY_PUBLIC: Problem = Problem {
    code: "summary-public",
    title: "SUMMARY_URL is not on the local network: the texts of long messages are sent there",
    why: "The host of that address is neither this machine nor on a private network. Whoever runs it can read what \
          it is sent, and may keep it.",
    remedy: "if you did not mean that, remove SUMMARY_URL, or set it to a machine of your own",
};

/// How a server is asked for summaries.
#[derive(Clone, Debug)]
pub struct SummaryOptions {
    pub url: ServerUrl,
    /// The name of the model there.
    pub model: String,
    pub key: Option<Secret>,
    /// How long a summary may take. The watchdog allows a job three minutes between two stages.
    pub timeout: Duration,
    /// The way there, or why it cannot be used.
    pub proxy: Result<Option<Proxy>, String>,
}

/// Why there is no summary.
#[derive(Debug, PartialEq, Eq)]
pub struct SummaryError {
    server: String,
    why: String,
    /// Whether the text may be to blame, rather than the server.
    of_this_text: bool,
}

impl SummaryError {
    pub fn diagnosis(&self) -> Diagnosis {
        SUMMARY_FAILED.with(format_args!("the summary server {} {}", self.server, self.why))
    }
}

impl fmt::Display for SummaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnosis().fmt(f)
    }
}

/// A server that writes summaries.
pub struct SummaryServer {
    options: SummaryOptions,
    /// Until when it is left alone, because it failed.
    left_alone: Mutex<Option<Instant>>,
}

/// Tokens are not limited: servers disagree about the field's name, and the answer is cut anyway.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
}

#[derive(Deserialize)]
struct Said {
    content: Option<String>,
}

impl SummaryServer {
    /// Warns if the texts leave the local network.
    pub fn new(options: SummaryOptions) -> Self {
        if !options.url.is_private() {
            let (name, what) = (options.url.name(), public(&options.url));
            warn!(event = "summary_public", server = name, "{what}");
        }
        Self { options, left_alone: Mutex::default() }
    }

    /// A summary of a text, or `None`, within the time limit. The log says why there is none.
    pub async fn summarise(&self, text: &str, language: Option<LanguageCode>) -> Option<String> {
        let Some(question) = question(text, language) else {
            debug!("the text is too long for a summary");
            return None;
        };
        if lock(&self.left_alone).is_some_and(|until| Instant::now() < until) {
            debug!("no summary: the server failed shortly before, and is left alone");
            return None;
        }
        let started = Instant::now();
        let asked = ask_on_a_thread(self.options.clone(), question).await;
        match asked.and_then(|answer| summary(&answer, text).ok_or_else(|| self.options.useless())) {
            Ok(summary) => {
                let took_s = started.elapsed().as_secs();
                info!(event = "summarised", took_s, lines = summary.lines().count(), "Summarised");
                Some(summary)
            }
            Err(error) => {
                // Whoever sends texts that fail must not end the summaries of all others.
                if !error.of_this_text {
                    *lock(&self.left_alone) = Some(Instant::now() + PAUSE);
                }
                warn!(event = "summary_failed", "Going on without a summary: {error}");
                None
            }
        }
    }
}

/// What is said of a server outside.
pub fn public(url: &ServerUrl) -> Diagnosis {
    let open = if url.is_encrypted() { "" } else { ", without encryption" };
    SUMMARY_PUBLIC
        .with(format_args!("the texts of long messages are sent to {} for summaries{open}", url.name()))
}

/// Asks a server for the summary of two sentences, which shows that it answers, takes the key and
/// has the model.
///
/// # Errors
/// If there is no summary in time.
pub async fn examine(options: SummaryOptions) -> Result<(), SummaryError> {
    let text = "Hello, this is Anna. The train is late, so I will be there at nine and not at eight.";
    let question = question(text, Some(LanguageCode::ENGLISH));
    let answer = ask_on_a_thread(options.clone(), question.expect("a short text")).await?;
    match summary(&answer, text) {
        Some(_) => Ok(()),
        None => Err(options.useless()),
    }
}

/// The thread goes on until the time limit if nobody waits for it any more.
async fn ask_on_a_thread(options: SummaryOptions, question: Question) -> Result<String, SummaryError> {
    let (span, copy) = (Span::current(), options.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let _entered = span.enter();
        copy.ask(&question)
    });
    // Where all threads are busy, it is not asked at all.
    match tokio::time::timeout(options.timeout + START_LIMIT, asked).await {
        Ok(asked) => asked.unwrap_or_else(|error| Err(options.failure(format!("was not asked: {error}")))),
        Err(_) => Err(options.failure("was not asked in time".to_owned())),
    }
}

impl SummaryOptions {
    fn failure(&self, why: String) -> SummaryError {
        SummaryError { server: self.url.name().to_owned(), why, of_this_text: false }
    }

    fn useless(&self) -> SummaryError {
        let error = self.failure("gave no summary that can be used".to_owned());
        SummaryError { of_this_text: true, ..error }
    }

    /// What the model answers.
    fn ask(&self, question: &Question) -> Result<String, SummaryError> {
        let failure = |why: String| self.failure(why);
        let proxy = self.proxy.clone().map_err(|error| failure(format!("cannot be asked: {error}")))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(proxy)
            // Nobody else is sent the text and the key.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("stenogram/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(self.timeout))
            .timeout_connect(Some(CONNECT_LIMIT.min(self.timeout)))
            .build()
            .new_agent();
        let mut post = agent.post(format!("{}/chat/completions", self.url));
        post = post.header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            post = post.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let messages = [
            Message { role: "system", content: &question.instructions },
            Message { role: "user", content: &question.text },
        ];
        let request = Request { model: &self.model, messages, stream: false };
        let request =
            serde_json::to_vec(&request).map_err(|error| failure(format!("cannot be asked: {error}")))?;
        let mut response = post.send(&request).map_err(|error| self.no_answer(&error))?;
        let status = response.status();
        if !status.is_success() {
            // What is too long for the model, or of no use to it, is refused with these.
            let of_this_text = matches!(status.as_u16(), 400 | 413 | 422);
            return Err(SummaryError { of_this_text, ..failure(format!("answered {status}")) });
        }
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        let body = body.map_err(|error| self.no_answer(&error))?;
        // The whole error may quote the answer, and with it what was said.
        let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
            let (what, line, column) = (error.classify(), error.line(), error.column());
            let why = format!("{what:?} error at line {line} column {column}");
            failure(format!("gave an answer that makes no sense: {why}"))
        })?;
        let first = answer.choices.into_iter().next();
        let said = first.ok_or_else(|| failure("gave an answer without a message".to_owned()))?.message;
        // A model that refuses to answer says nothing.
        Ok(said.content.unwrap_or_default())
    }

    fn no_answer(&self, error: &ureq::Error) -> SummaryError {
        self.failure(match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                "cannot be reached in time".to_owned()
            }
            ureq::Error::Timeout(_) => format!("gave no answer within {} s", self.timeout.as_secs()),
            ureq::Error::BodyExceedsLimit(_) => "gave an answer of more than 1 MiB".to_owned(),
            error => format!("cannot be asked: {error}"),
        })
    }
}
