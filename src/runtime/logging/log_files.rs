//! Daily log files, of which the last ones are kept.
//!
//! All lines go to standard error too, so a full disk stops nothing. A failure is logged once, and
//! every line is tried again.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing::{info, warn};
use tracing_appender::rolling::{InitError, RollingFileAppender, RollingWriter, Rotation};
use tracing_subscriber::fmt::MakeWriter;

use crate::runtime::problem::Problem;

/// `stenogram.2026-11-24.log`; the day is in UTC.
const PREFIX: &str = "stenogram";
const SUFFIX: &str = "log";

/// Why there are no log files.
#[derive(Debug, thiserror::Error)]
#[error("{}", LOG_FILES_UNWRITABLE.with(format_args!("cannot write log files to {}: {why}", folder.display())))]
pub struct LogFilesError {
    folder: PathBuf,
    why: String,
}

pub static PROBLEMS: &[&Problem] = &[&LOG_FILES_UNWRITABLE];

static LOG_FILES_UNWRITABLE: Problem = Problem {
    code: "log-files-unwritable",
    title: "Cannot write log files to LOG_DIR: no room, read-only, or a file stands there",
    why: "The folder belongs to another user, its disk is full, or a file stands in its place. The daemon goes on \
          without files, and the log is still on the standard error.",
    remedy: "make room in LOG_DIR and give it to the user that stenogram runs as, or name another folder",
};

/// The log files in a folder. Today's is open.
#[derive(Debug)]
pub struct LogFiles {
    folder: PathBuf,
    files: RollingFileAppender,
    /// Whether the last write failed, which has been logged then.
    failing: AtomicBool,
}

impl LogFiles {
    /// Opens today's file in `folder`, and makes the folder (mode 0700) if needed. Now and with
    /// each new day, all but the latest `keep_days` files of earlier days are deleted.
    pub fn open(folder: &Path, keep_days: usize) -> Result<Self, LogFilesError> {
        let failed = |why: String| LogFilesError { folder: folder.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| failed(e.to_string()))?;
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            // This number includes today's file.
            .max_log_files(keep_days + 1)
            .build(folder)
            .map_err(|error| failed(cause(&error)))?;
        Ok(Self { folder: folder.to_owned(), files, failing: AtomicBool::new(false) })
    }

    fn report(&self, result: &io::Result<()>) {
        let folder = self.folder.clone();
        match result {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                let why = error.to_string();
                log_elsewhere(move || warn!(event = "log_files_failed", "{}", LogFilesError { folder, why }));
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                log_elsewhere(move || {
                    info!(event = "log_files_restored", "Log files are written to {} again", folder.display())
                });
            }
            _ => {}
        }
    }
}

/// The cause of the error, whose own text only says that it failed.
fn cause(error: &InitError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Logs from another thread, because a line logged while another is written would be dropped.
fn log_elsewhere(log: impl FnOnce() + Send + 'static) {
    // If no thread can be spawned, the loss of this line is the least problem.
    let _ = thread::Builder::new().name("log".into()).spawn(log);
}

/// Writes one line.
pub struct Line<'a> {
    files: &'a LogFiles,
    writer: RollingWriter<'a>,
}

impl io::Write for Line<'_> {
    /// Always reports success: a failure must not affect the other layers.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.report(&self.writer.write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFiles {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { files: self, writer: self.files.make_writer() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_youngest_files_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        for day in 1..=9 {
            let file = File::create(folder.path().join(format!("stenogram.2020-01-0{day}.log"))).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400)).unwrap();
        }
        fs::write(folder.path().join("letters.txt"), "mine").unwrap();
        let files = LogFiles::open(folder.path(), 3).unwrap();
        files.make_writer().write_all(b"a line\n").unwrap();
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 5, "{names:?}");
        assert_eq!(names[0], "letters.txt");
        assert_eq!(fs::read_to_string(folder.path().join(&names[4])).unwrap(), "a line\n");
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = LogFiles::open(&folder.path().join("file"), 14).unwrap_err().to_string();
        assert!(error.starts_with("cannot write log files to ") && error.contains("/file"), "{error}");
    }
}
