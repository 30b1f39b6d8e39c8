//! Signals that the caller of the tests ignores.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Has `command` start with the default actions of the signals that shells ignore for background jobs
/// (`nohup ./test.sh &`). A program inherits ignored signals, and Ctrl-C would not end it.
pub fn with_default_signals(command: &mut Command) -> &mut Command {
    // SAFETY: signal(2) is safe between fork and exec, and changes the child only.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        })
    }
}
