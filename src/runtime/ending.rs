//! How the process ends: in time, whatever its threads do.
//!
//! A thread that blocks or computes cannot be stopped from outside, and tokio's runtime waits for
//! its own when it is dropped. Nothing that such a thread holds outlives the process: jobs are
//! taken up after the next start, and the locks on files are the kernel's.

use std::io::{self, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;
use tokio::runtime::Runtime;
use tracing::warn;

use super::problem::PROCESS_LIMIT;

/// From the request to end until the process ends. Docker kills after 10 s.
const LIMIT: Duration = Duration::from_millis(7500);

/// How long a blocking task, such as one that writes to the queue, may take to finish when all else
/// is done.
const LEFTOVERS: Duration = Duration::from_millis(300);

/// How long writing the last line of the log may take.
const LAST_LINE: Duration = Duration::from_millis(200);

/// The status to end with at the deadline.
static STATUS: AtomicU8 = AtomicU8::new(0);

/// Starts the deadline with the first SIGTERM or SIGINT, on a thread of its own: the runtime's may
/// all be blocked.
pub fn start_deadline_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("ending".into()).spawn(move || {
        if signals.forever().next().is_some() {
            start_deadline();
        }
    })?;
    Ok(())
}

/// Starts the deadline: the process ends 7.5 s after the first call at the latest.
pub fn start_deadline() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let end = || {
            thread::sleep(LIMIT);
            last_line(
                "A thread does not stop, ending without it; what it was at is taken up after the next start",
            );
            low_level::exit(STATUS.load(Ordering::Relaxed).into());
        };
        if let Err(error) = thread::Builder::new().name("deadline".into()).spawn(end) {
            let what =
                format!("cannot start a thread, so the process may take longer than 8 s to end: {error}");
            warn!("{}", PROCESS_LIMIT.with(what));
        }
    });
}

/// Sets the status to end with at the deadline. Of several the highest counts: it says most about
/// the reason.
pub fn set_status(status: u8) {
    STATUS.fetch_max(status, Ordering::Relaxed);
}

/// Ends the process now, with the threads that are still at work.
///
/// C++'s exit handlers do not run: they would take away what whisper.cpp still uses on its thread.
pub fn exit(runtime: Runtime, status: u8) -> ! {
    runtime.shutdown_timeout(LEFTOVERS);
    let _ = io::stdout().flush();
    low_level::exit(status.into())
}

/// Logs, unless a thread that hangs holds the log as well.
fn last_line(line: &'static str) {
    let (written, done) = mpsc::channel();
    thread::spawn(move || {
        warn!(event = "stop_forced", "{line}");
        let _ = written.send(());
    });
    let _ = done.recv_timeout(LAST_LINE);
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::{Command, ExitStatus};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    const STATUS: &str = "STENOGRAM_TEST_STATUS";

    // The next three are the programs that the others run; as tests they do nothing.

    /// Runs a test of this module as a program of its own, which is to end with this status.
    fn run(test: &str, status: u8) -> (ExitStatus, Duration) {
        let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        let started = Instant::now();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(STATUS, status.to_string())
            .spawn()
            .unwrap();
        loop {
            if let Some(ended) = child.try_wait().unwrap() {
                return (ended, started.elapsed());
            }
            if started.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("{test} does not end");
            }
            thread::sleep(Duration::from_millis(10)); // between two looks
        }
    }

    fn wanted() -> Option<u8> {
        env::var(STATUS).ok().map(|status| status.parse().unwrap())
    }

    /// A runtime with a thread that never ends.
    fn stuck() -> Runtime {
        let runtime = Runtime::new().unwrap();
        let (started, seen) = mpsc::channel();
        runtime.spawn_blocking(move || {
            started.send(()).unwrap();
            loop {
                thread::park();
            }
        });
        seen.recv().unwrap();
        runtime
    }

    #[test]
    fn leaves() {
        if let Some(status) = wanted() {
            exit(stuck(), status);
        }
    }

    #[test]
    fn runs_out_of_time() {
        if let Some(status) = wanted() {
            set_status(status);
            start_deadline();
            drop(stuck());
        }
    }

    #[test]
    fn runs_out_of_time_after_a_signal() {
        if wanted().is_some() {
            start_deadline_on_signals().unwrap();
            low_level::raise(SIGTERM).unwrap();
            drop(stuck());
        }
    }

    #[test]
    fn a_thread_that_never_ends_holds_up_no_status() {
        for status in 0..=3 {
            let (ended, took) = run("leaves", status);
            assert_eq!(ended.code(), Some(status.into()));
            assert!(took < LIMIT, "{took:?}");
        }
    }

    #[test]
    fn what_does_not_end_by_itself_is_ended() {
        for (test, status) in [("runs_out_of_time", 3), ("runs_out_of_time_after_a_signal", 0)] {
            let (ended, took) = run(test, status);
            assert_eq!(ended.code(), Some(status.into()), "{test}");
            assert!(took >= LIMIT && took < Duration::from_secs(30), "{test}: {took:?}");
        }
    }
}
