//! stenogram hears every voice message of a Telegram account and answers it with its transcript,
//! recognised on the owner's machine.
#![cfg_attr(not(test), warn(clippy::unwrap_used, reason = "an error of the surroundings is handled"))]

pub mod app;
pub mod audio;
pub mod cli;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod domain;
pub mod ending;
pub mod health;
pub mod home;
pub mod intake;
pub mod languages;
pub mod memory;
pub mod ops;
pub mod patience;
pub mod pipeline;
pub mod ports;
pub mod program;
pub mod pulse;
pub mod queue;
pub mod recording;
pub mod runtime;
pub mod speech;
pub mod telegram;
pub mod worker;
