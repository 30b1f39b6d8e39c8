//! What the operator sees of the program.

mod log_files;
pub mod logging;

use std::io::IsTerminal;

pub use log_files::{LogFiles, LogFilesError, PROBLEMS};

/// Whether to write in colours there: it is a terminal, and NO_COLOR (<https://no-color.org>) is
/// not set.
pub fn in_colours(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !unwanted
}
