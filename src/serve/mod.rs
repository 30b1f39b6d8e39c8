//! `stenogram serve`: recognition for other programs, with OpenAI's interface for speech
//! (<https://platform.openai.com/docs/api-reference/audio>).
//!
//! ```text
//! error     what a request gets instead of a transcript, in OpenAI's form
//! event     what a stream tells, in OpenAI's form
//! body      the body of an answer: whole, or event by event
//! format    a transcript in the format that was asked for
//! form      the form of a request, read from the body, with limits
//! service   a request: who may ask, its form, recognition, the answer
//! listener  connections, with limits
//! ```
//!
//! Files import only what is listed above them. It knows nothing of Telegram.

mod body;
mod error;
mod event;
mod form;
mod format;
mod listener;
mod service;

use std::net::SocketAddr;
use std::time::Duration;

use crate::audio::Limits;
use crate::decoding::DecoderProgram;
use crate::domain::Secret;
use crate::runtime::problem::Problem;
use crate::speech::Recognisers;

pub use self::listener::{bind, serve};
pub use self::service::Service;

/// How others are served.
pub struct ServeOptions {
    /// What a request has to name, unless nobody has to.
    pub key: Option<Secret>,
    /// The name of the model.
    pub model: String,
    /// The language of requests that name none; `None` if it is detected.
    pub language: Option<crate::domain::LanguageCode>,
    pub limits: Limits,
    /// The recordings in memory may take as much as so many of the largest that is allowed.
    pub largest_at_once: u64,
    pub decoder: DecoderProgram,
    pub recognisers: Recognisers,
    /// How long sending a request may take.
    pub body_limit: Duration,
}

pub static PROBLEMS: &[&Problem] = &[&SERVE_ADDRESS_UNUSABLE];

static SERVE_ADDRESS_UNUSABLE: Problem = Problem {
    code: "serve-address-unusable",
    title: "stenogram serve cannot listen: Address already in use, or no such address here",
    why: "Another program, perhaps another stenogram, listens at SERVE_ADDRESS, or this machine has no such \
          address.",
    remedy: "set SERVE_ADDRESS to another port, or to an address of this machine; `ss -ltnp` shows who has a port",
};

/// The listener's address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{}", SERVE_ADDRESS_UNUSABLE.with(format_args!("cannot listen at {at} for serve: {why}")))]
pub struct ListenError {
    at: SocketAddr,
    why: std::io::Error,
}
