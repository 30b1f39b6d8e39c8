//! The session: one JSON file that holds the account, readable by its owner only.
//!
//! It changes at login and when a datacentre moves, so it is small and rewritten whole. What
//! changes with every update lives beside it in [`store`](super::super::store).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::contents::{Contents, DcAddresses};
use super::error::SessionError;
use crate::runtime::atomic_file;

const SESSION_FILE: &str = "account.session";
const LOCK_FILE: &str = "account.lock";
/// How long a lock is waited for, and how long between two tries. A process that is killed while it
/// starts another one leaves its lock to that one, until it runs a program of its own.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The file beside the session that says whether Telegram lets the account send, see
/// [`restrictions`](super::super::restrictions).
pub(crate) const RESTRICTION_FILE: &str = "account.restriction";

/// An account's session file, locked for this process.
///
/// The lock lies beside the session, so that it also keeps daemons with different queues apart.
pub struct SessionFile {
    path: PathBuf,
    /// Held as long as the value lives. The kernel releases it however the process ends.
    _lock: File,
}

impl SessionFile {
    /// Locks the session in `folder`, which is created with mode 0700 if it is missing. Blocks for
    /// two seconds if another process has it.
    pub fn lock(folder: &Path) -> Result<Self, SessionError> {
        let begun = Instant::now();
        Self::lock_while(folder, || {
            thread::sleep(LOCK_PAUSE);
            begun.elapsed() < LOCK_PATIENCE
        })
    }

    /// As [`SessionFile::lock`], but tries again as long as `pause` says so.
    fn lock_while(folder: &Path, mut pause: impl FnMut() -> bool) -> Result<Self, SessionError> {
        let path = folder.join(SESSION_FILE);
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| SessionError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error(folder))?;
        let lock_path = folder.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(TryLockError::WouldBlock) if pause() => {}
                Err(TryLockError::WouldBlock) => return Err(SessionError::InUse(lock_path)),
                Err(TryLockError::Error(source)) => {
                    return Err(SessionError::Io { path: lock_path, source });
                }
            }
        }
    }

    /// Locks the session in `folder` for a probe. A lock file that had to be created is given to
    /// the folder's owner: root may probe the session of a daemon that will run as another user.
    pub fn lock_for_probe(folder: &Path) -> Result<Self, SessionError> {
        let lock = folder.join(LOCK_FILE);
        let is_new = !lock.exists();
        let file = Self::lock_while(folder, || false)?;
        if is_new && let Ok(owner) = fs::metadata(folder) {
            // It fails for everybody but root, and only a file that root has made needs it.
            let _ = chown(&lock, Some(owner.uid()), Some(owner.gid()));
        }
        Ok(file)
    }

    /// The addresses of the home datacentre of the session in `folder`. Where there is no readable
    /// session, they are those at which a login would begin.
    pub fn home_addresses(folder: &Path) -> Option<DcAddresses> {
        let contents = Self::contents_in(folder).unwrap_or_else(|_| Contents::fresh());
        contents.home_addresses()
    }

    /// The user of the session in `folder`, which another process may have locked.
    pub fn user_in(folder: &Path) -> Result<i64, SessionError> {
        let user = Self::contents_in(folder)?.user;
        user.map(|user| user.id).ok_or_else(|| SessionError::NotLoggedIn(folder.join(SESSION_FILE)))
    }

    fn contents_in(folder: &Path) -> Result<Contents, SessionError> {
        read(&folder.join(SESSION_FILE))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds the position in the stream of updates.
    pub(in crate::telegram) fn state_path(&self) -> PathBuf {
        self.path.with_file_name("updates.redb")
    }

    /// The file that says whether Telegram lets the account send.
    pub(in crate::telegram) fn restriction_path(&self) -> PathBuf {
        self.path.with_file_name(RESTRICTION_FILE)
    }

    pub(in crate::telegram) fn read(&self) -> Result<Contents, SessionError> {
        read(&self.path)
    }

    /// Replaces the file in one step, never readable by others, durable when it returns.
    pub(in crate::telegram) fn write(&self, contents: &Contents) -> Result<(), SessionError> {
        let written = serde_json::to_vec_pretty(contents)
            .map_err(io::Error::from)
            .and_then(|text| atomic_file::replace(&self.path, &text));
        written.map_err(|source| SessionError::Io { path: self.path.clone(), source })
    }

    /// Deletes the session and everything learned with it.
    pub(in crate::telegram) fn remove(&self) -> Result<(), SessionError> {
        for path in [self.path.clone(), self.state_path(), self.restriction_path()] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(SessionError::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Contents, SessionError> {
    let io_error = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SessionError::Missing(path.to_owned()),
        _ => SessionError::Io { path: path.to_owned(), source },
    };
    let mode = fs::metadata(path).map_err(io_error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SessionError::ReadableByOthers { path: path.to_owned(), mode });
    }
    let text = fs::read(path).map_err(io_error)?;
    Contents::parse(&text).map_err(|why| SessionError::Damaged { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use grammers_session::types::DcOption;

    use super::super::contents::{KEY_BYTES, User};
    use super::*;

    fn logged_in() -> Contents {
        let mut contents = Contents::fresh();
        contents.user = Some(User { id: 1000, access_hash: -11 });
        let option = contents.dc(contents.home_dc).expect("grammers knows it");
        contents.set(&DcOption { auth_key: Some([0xa5; KEY_BYTES]), ..option });
        contents
    }

    #[test]
    fn a_session_survives_its_file_and_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::lock(&folder.path().join("data")).unwrap();
        assert!(matches!(file.read(), Err(SessionError::Missing(_))));
        file.write(&logged_in()).unwrap();
        let read = file.read().unwrap();
        assert_eq!(read.user, Some(User { id: 1000, access_hash: -11 }));
        assert_eq!(read.dc(read.home_dc).unwrap().auth_key, Some([0xa5; KEY_BYTES]));
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("data")).unwrap().permissions().mode() & 0o777, 0o700);
        file.remove().unwrap();
        assert!(matches!(file.read(), Err(SessionError::Missing(_))));
    }

    #[test]
    fn a_session_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::lock(folder.path()).unwrap();
        file.write(&logged_in()).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let Err(error) = file.read() else { panic!("accepted") };
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_second_process_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = SessionFile::lock(folder.path()).unwrap();
        assert!(matches!(SessionFile::lock(folder.path()), Err(SessionError::InUse(_))));
        drop(first);
        assert!(SessionFile::lock(folder.path()).is_ok());
    }

    #[test]
    fn a_lock_that_a_killed_process_has_left_to_its_child_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Some(SessionFile::lock(folder.path()).unwrap());
        let second = SessionFile::lock_while(folder.path(), || first.take().is_some());
        assert!(second.is_ok());
    }

    #[test]
    fn damaged_sessions_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let file = SessionFile::lock(folder.path()).unwrap();
        file.write(&logged_in()).unwrap();
        let good = fs::read_to_string(file.path()).unwrap();
        let cases = [
            (String::new(), "EOF"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            (good.replace("a5a5", "zz"), "512 hex digits"),
            (good.replace("\"version\": 1", "\"version\": 2"), "version 2"),
            (good.replace("\"home_dc\": 2", "\"home_dc\": 9"), "no datacentre 9"),
        ];
        for (text, reason) in cases {
            fs::write(file.path(), &text).unwrap();
            let Err(error) = file.read() else { panic!("accepted: {text}") };
            assert!(error.to_string().contains(reason), "{error} for want of {reason}");
        }
    }
}
