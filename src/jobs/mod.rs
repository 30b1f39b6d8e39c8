//! The life of a job: from a recording that Telegram announces to its answer.
//!
//! [`intake`] puts it into the queue (C1, C2), [`worker`] claims it and decides (`verdict`) what
//! becomes of it (C4), and [`pipeline`] answers it, stage after stage (C3), once [`gate`] lets it
//! pass. The owner's commands go to [`commands`], which keeps what they change in
//! [`chat_rules_file`]; [`deletions`] follows what is deleted. All see Telegram and recognition
//! through [`ports`] and wait for the queue's store with [`retry`]. ARCHITECTURE.md has the four
//! commit points.

pub mod chat_rules_file;
pub mod commands;
pub mod deletions;
pub mod gate;
pub mod intake;
mod people;
mod persist;
pub mod pipeline;
pub mod ports;
mod preview;
mod reactions;
pub mod retry;
mod verdict;
pub mod worker;
