//! What can be wrong around a program, and what its owner can do about it.
//!
//! Each room lists its own problems in a static `PROBLEMS`. Errors, warnings and the doctor's
//! findings take their remedy from there and end in the code in brackets, and `stenogram explain`
//! shows the whole list. No remedy is written down a second time.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::deployment;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// What people look it up by. Codes are stable.
    pub code: &'static str,
    /// The symptom, in the words that people search for.
    pub title: &'static str,
    pub why: &'static str,
    /// What to do, see [`Problem::remedy`]. `<words>` stand for what only a [`Diagnosis`] knows.
    pub remedy: &'static str,
}

impl Problem {
    /// What to do, with commands and files as they are called in this installation.
    pub fn remedy(&self) -> String {
        deployment::localised(self.remedy)
    }

    /// This problem, as it was met: `what` went wrong.
    pub fn with(&'static self, what: impl Display) -> Diagnosis {
        Diagnosis { problem: self, what: what.to_string(), remedy: self.remedy() }
    }

    /// `what`, with the code but without the remedy: for what is said again and again.
    pub fn tag(&self, what: impl Display) -> String {
        format!("{what} [{}]", self.code)
    }
}

/// A problem as it was met. Shown as a message that ends in the remedy and the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub problem: &'static Problem,
    /// What went wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Diagnosis {
    /// Puts `value` in place of `<name>` in the remedy.
    pub fn fill(self, name: &str, value: impl Display) -> Self {
        Self { remedy: self.remedy.replace(&format!("<{name}>"), &value.to_string()), ..self }
    }

    /// Puts more in front of what went wrong.
    pub fn within(self, context: impl Display) -> Self {
        Self { what: format!("{context}: {}", self.what), ..self }
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {} [{}]", self.what, self.remedy, self.problem.code)
    }
}

pub static PROBLEMS: &[&Problem] = &[&DISK_FULL, &PERMISSION_DENIED, &FILE_UNUSABLE, &PROCESS_LIMIT];

pub static DISK_FULL: Problem = Problem {
    code: "disk-full",
    title: "No space left on device, or little of it: the disk or the quota is full",
    why: "Nothing is lost: a message that cannot be stored is not acknowledged to Telegram, which sends it \
          again. Until there is room, nothing is accepted into the queue.",
    remedy: "free space there, or name a folder on another disk in DATA_DIR, MODEL_DIR or LOG_DIR; `df -h` shows \
             the disks",
};

pub static PERMISSION_DENIED: Problem = Problem {
    code: "permission-denied",
    title: "Permission denied, or read-only file system",
    why: "The file or folder belongs to another user, often to root after a first try with sudo, or it is \
          mounted read-only.",
    remedy: "give it to the user that stenogram runs as (`chown -R <user> <path>`) or name another folder; in \
             Docker that user is 10001, and under systemd `sudo stenogramctl` runs commands as the right one",
};

pub static FILE_UNUSABLE: Problem = Problem {
    code: "file-unusable",
    title: "A file or folder cannot be used: Not a directory, File exists, Input/output error",
    why: "A file stands where a folder should be or the other way round, the path leads nowhere, or the disk \
          itself has failed.",
    remedy: "move away what is in the way, or correct the path; after an input/output error `dmesg` says what is \
             wrong with the disk",
};

pub static PROCESS_LIMIT: Problem = Problem {
    code: "process-limit",
    title: "Resource temporarily unavailable, Too many open files: a limit of the process is reached",
    why: "The system refuses another thread, file or signal handler to this user or container.",
    remedy: "raise the limit: `ulimit -u` and `ulimit -n` in a shell, TasksMax and LimitNOFILE of the systemd \
             unit, pids_limit in docker-compose.yml",
};

/// What a file system's error means.
pub fn of_error(error: &io::Error) -> Diagnosis {
    let problem = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &DISK_FULL,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => &PERMISSION_DENIED,
        _ => &FILE_UNUSABLE,
    };
    problem.with(error).fill("user", rustix::process::geteuid().as_raw())
}

/// What a file system's error means: `what` could not be done with `path`.
pub fn of_file(what: impl Display, path: &Path, error: &io::Error) -> Diagnosis {
    let path = path.display();
    of_error(error).within(format_args!("{what} {path}")).fill("path", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_in_its_remedy_and_its_code() {
        let error = io::Error::from(ErrorKind::StorageFull);
        let full = of_file("cannot write", Path::new("data/queue.redb"), &error);
        let text = full.to_string();
        assert!(text.starts_with("cannot write data/queue.redb: "), "{text}");
        assert!(text.contains("; free space there") && text.ends_with(" [disk-full]"), "{text}");
        let denied = of_file("cannot read", Path::new("data"), &ErrorKind::PermissionDenied.into());
        let user = rustix::process::geteuid().as_raw();
        assert!(denied.remedy.contains(&format!("`chown -R {user} data`")), "{denied}");
        assert_eq!(DISK_FULL.tag("away"), "away [disk-full]");
    }
}
