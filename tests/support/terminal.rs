//! The real binary at a terminal: a pseudo-terminal with somebody who reads and types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::signals::with_default_signals;

/// Only a hang takes so long. Not less: on a machine whose cores belonged to others (load 25, `nice -n 19`) a minute went by
/// before the program had said its first word.
const DEADLINE: Duration = Duration::from_secs(300);

/// A program at a terminal of its own; killed when dropped.
pub struct Terminal {
    child: Child,
    /// The side of who sits before it.
    keyboard: File,
    screen: Arc<Screen>,
}

#[derive(Default)]
struct Screen {
    shown: Mutex<String>,
    more: Condvar,
}

impl Terminal {
    /// Runs `command`, whose environment is all that is set there, as the leader of a session with a
    /// terminal of 100 columns.
    pub fn start(command: &Command) -> Self {
        let (keyboard, line) = pair();
        // `setsid` makes its standard input the controlling terminal, which /dev/tty then means.
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
        with_default_signals(&mut leader).env_clear().env("TERM", "xterm");
        leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leader.current_dir(command.get_current_dir().expect("the command has a folder"));
        let copy = || line.try_clone().expect("duplicate the terminal");
        leader.stdin(copy()).stdout(copy()).stderr(copy());
        let child = leader.spawn().expect("start setsid");
        drop((line, leader));
        let screen = Arc::new(Screen::default());
        let mut output = keyboard.try_clone().expect("duplicate the terminal");
        thread::spawn({
            let screen = Arc::clone(&screen);
            // Fails once nobody has the other side any more.
            move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = output.read(&mut bytes) {
                    screen.shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
                    screen.more.notify_all();
                }
            }
        });
        Self { child, keyboard, screen }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> String {
        self.screen.shown.lock().unwrap().clone()
    }

    /// Waits until `text` is shown for the `times`th time.
    pub fn shows(&self, text: &str, times: usize) {
        let shown = self.screen.shown.lock().unwrap();
        let missing = |shown: &mut String| shown.matches(text).count() < times;
        let (shown, waited) = self.screen.more.wait_timeout_while(shown, DEADLINE, missing).unwrap();
        assert!(!waited.timed_out(), "no {text:?} ({times} times) in time: {shown}");
    }

    /// Types `line` and Enter.
    pub fn types(&self, line: &str) {
        self.presses(&format!("{line}\n"));
    }

    /// Types `line` and Enter, once what is typed is not shown any more.
    pub fn types_secretly(&self, line: &str) {
        self.wait_for_echo(false);
        self.types(line);
    }

    pub fn presses(&self, keys: &str) {
        (&self.keyboard).write_all(keys.as_bytes()).expect("type");
    }

    /// Waits until what is typed is shown, or is not shown.
    pub fn wait_for_echo(&self, wanted: bool) {
        let start = Instant::now();
        while echoes(&self.keyboard) != wanted {
            assert!(start.elapsed() < DEADLINE, "the terminal's echo is still {}", !wanted);
            pause();
        }
    }

    /// Waits until the program has ended.
    pub fn ends(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ask for its status") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end: {}", self.shown());
            pause();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at what tells nobody when it changes.
fn pause() {
    thread::sleep(Duration::from_millis(10));
}

/// Both sides of a new terminal: the keyboard's and the program's.
fn pair() -> (File, File) {
    let (mut keyboard, mut line) = (-1, -1);
    let size = libc::winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointers are to live values or null, which openpty takes for "not wanted".
    let made =
        unsafe { libc::openpty(&mut keyboard, &mut line, std::ptr::null_mut(), std::ptr::null(), &size) };
    assert_eq!(made, 0, "no terminal: {}", std::io::Error::last_os_error());
    for side in [keyboard, line] {
        // SAFETY: a plain system call. Other tests' children must not hold it open.
        unsafe { libc::fcntl(side, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // SAFETY: openpty has just opened both, and nobody else closes them.
    unsafe { (File::from_raw_fd(keyboard), File::from_raw_fd(line)) }
}

fn echoes(terminal: &File) -> bool {
    // SAFETY: all zeros is a value of this plain struct of numbers, and tcgetattr fills it.
    let settings = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &mut settings), 0);
        settings
    };
    settings.c_lflag & libc::ECHO != 0
}
