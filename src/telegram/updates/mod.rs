//! Follows the stream of updates and hands over every event in it.

mod catch_up;
pub(super) mod dialogs;
mod differences;
pub(super) mod error;
pub(super) mod event_sink;
mod events;
pub(super) mod update_loop;
