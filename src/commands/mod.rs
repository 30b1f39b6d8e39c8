//! The commands that are more than a call: one file each.

pub mod account;
pub mod config;
pub mod models;
pub mod queue;
pub mod transcribe;
