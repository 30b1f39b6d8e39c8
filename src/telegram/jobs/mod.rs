//! What a job needs of Telegram: its recording is fetched, and its answer delivered.
//!
//! [`calls`] says what an error means for the job. [`message_of_job`] finds its message and chat,
//! for [`fetch`], [`deliver`] and [`find_sent`]. [`saved`] and [`caption`] are forms of answers;
//! [`again`] replaces one, by an [`edit`]; a [`preview`] becomes one. [`conversation`] answers the
//! owner's commands.

mod again;
mod calls;
mod caption;
mod chunk_size;
mod conversation;
mod deliver;
pub(super) mod downloads;
mod edit;
mod fetch;
mod find_sent;
mod message_of_job;
mod preview;
pub(super) mod preview_turns;
pub(super) mod refusing;
mod saved;
pub(super) mod send;
pub(super) mod spool;
mod upload;
