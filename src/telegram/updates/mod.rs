//! Follows the stream of updates and hands over every recording in it.

mod catch_up;
pub(super) mod dialogs;
mod differences;
pub(super) mod error;
pub(super) mod recipient;
pub(super) mod update_loop;
