//! stenogram hears every voice message of a Telegram account and answers it with its transcript,
//! recognised on the owner's machine.
#![cfg_attr(not(test), warn(clippy::unwrap_used, reason = "an error of the surroundings is handled"))]

pub mod app;
pub mod audio;
pub mod cli;
pub mod commands;
pub mod config;
pub mod decoding;
pub mod doctor;
pub mod domain;
pub mod fleet;
pub mod health;
pub mod jobs;
pub mod notices;
pub mod program;
pub mod queue;
pub mod runtime;
pub mod serve;
pub mod setup;
pub mod speech;
pub mod summary;
pub mod telegram;
pub mod transcribe;
