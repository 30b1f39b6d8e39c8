//! The commands that are more than a call: one file each.

pub mod config;
