//! The daemon's log as tests and log watchers read it.

use std::os::unix::process::CommandExt as _;

use support::daemon::Home;

#[test]
fn a_line_written_before_the_start_returns_is_the_daemons_own() {
    const LINE: &str = "a quick daemon\n";
    let home = Home::empty();
    let mut command = home.command();
    command.arg("--version");
    // SAFETY: write(2) is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // Starting a command returns after its exec, and this is before it.
            libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len());
            Ok(())
        });
    }
    for _ in 0..2 {
        let daemon = home.start_as(&mut command);
        assert_eq!(daemon.log(), LINE, "all lines of this daemon, and none of an earlier one");
    }
}
