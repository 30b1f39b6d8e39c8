//! Daily log files, of which the last ones are kept.
//!
//! All lines go to standard error too, so a full disk stops nothing. A failure is logged once, and
//! every line is tried again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing::{info, warn};
use tracing_appender::rolling::{InitError, RollingFileAppender, RollingWriter, Rotation};
use tracing_subscriber::fmt::MakeWriter;

use crate::runtime::private::{self, SharedFolder};
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
    /// The folder, if it is shared with other users.
    shared: Option<SharedFolder>,
    /// Whether the last write failed, which has been logged then.
    failing: AtomicBool,
}

impl LogFiles {
    /// Opens today's file in `folder`, and makes the folder (mode 0700) if needed. Other users lose
    /// their rights to the log files that are there, and to the folder unless it is shared. Now and
    /// with each new day, all but the latest `keep_days` files of earlier days are deleted.
    pub fn open(folder: &Path, keep_days: usize) -> Result<Self, LogFilesError> {
        let failed = |why: String| LogFilesError { folder: folder.to_owned(), why };
        let shared = private::make_folder(folder, is_log_file).map_err(|error| failed(error.to_string()))?;
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            // This number includes today's file.
            .max_log_files(keep_days + 1)
            .build(folder)
            .map_err(|error| failed(cause(&error)))?;
        private::tighten_files(folder, is_log_file).map_err(|error| failed(error.to_string()))?;
        Ok(Self { folder: folder.to_owned(), files, shared, failing: AtomicBool::new(false) })
    }

    /// The folder, if it is shared with other users.
    pub fn shared_folder(&self) -> Option<SharedFolder> {
        self.shared.clone()
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

fn is_log_file(name: &str) -> bool {
    name.starts_with(&format!("{PREFIX}.")) && name.ends_with(&format!(".{SUFFIX}"))
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
    use std::os::unix::fs::PermissionsExt as _;
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
    fn log_files_of_an_earlier_version_and_their_folder_are_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("stenogram.2020-01-01.log");
        fs::write(&old, "a line").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = LogFiles::open(folder.path(), 3).unwrap();
        assert_eq!((mode(&old), mode(folder.path())), (0o600, 0o700));
        assert_eq!(files.shared_folder(), None);
        fs::write(folder.path().join("syslog"), "").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(LogFiles::open(folder.path(), 3).unwrap().shared_folder().is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = LogFiles::open(&folder.path().join("file"), 14).unwrap_err().to_string();
        assert!(error.starts_with("cannot write log files to ") && error.contains("/file"), "{error}");
    }
}
