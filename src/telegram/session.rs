//! The session: one JSON file that holds the account, readable by its owner only.
//!
//! It changes at login and when a datacentre moves, so it is small and rewritten whole. What changes
//! with every update lives beside it in `state`. The format is written down here because backups,
//! and test servers with a key of their own, are made with other programs:
//!
//! ```json
//! {"version": 1, "home_dc": 2, "user": {"id": 1000, "access_hash": 11000},
//!  "dcs": [{"id": 2, "ipv4": "149.154.167.41:443", "ipv6": null, "auth_key": "<512 hex digits>"}]}
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use grammers_session::SessionData;
use grammers_session::types::DcOption;
use serde::{Deserialize, Serialize};

use crate::home::typed;

/// Length of an MTProto authorization key.
const KEY_BYTES: usize = 256;

/// Beside the session: what Telegram holds against the account, see
/// [`restrictions`](super::restrictions).
pub(super) const RESTRICTION_FILE: &str = "account.restriction";

/// The logged-in user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub id: i64,
    pub access_hash: i64,
}

/// What the session file says.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u32,
    pub home_dc: i32,
    /// None before the login.
    pub user: Option<User>,
    dcs: Vec<Datacentre>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Datacentre {
    id: i32,
    ipv4: SocketAddrV4,
    ipv6: Option<SocketAddrV6>,
    /// Hexadecimal; none before a key was agreed on.
    auth_key: Option<String>,
}

/// Why the session cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no session file yet.
    #[error("there is no session at {}: log in first with `{}`", .0.display(), typed("login"))]
    Missing(PathBuf),
    /// The file exists but nobody is logged in with it.
    #[error("the session at {} is not logged in: run `{}`", .0.display(), typed("login"))]
    NotLoggedIn(PathBuf),
    /// The file's mode lets others read it.
    #[error(
        "the session {} can be read by other users (mode {mode:03o}); it gives full access to the account: \
         run `chmod 600 {}` and, if others may have read it, end that session in Telegram under Settings > Devices",
        .path.display(), .path.display()
    )]
    ReadableByOthers { path: PathBuf, mode: u32 },
    /// The contents are not a session.
    #[error(
        "the session {} is damaged ({why}): restore it from a backup, or delete it and run `{}`",
        .path.display(), typed("login")
    )]
    Damaged { path: PathBuf, why: String },
    /// Another process has the account.
    #[error(
        "another stenogram is using this account ({} is locked): stop it first; \
         two programs on one session make Telegram revoke it", .0.display()
    )]
    InUse(PathBuf),
    /// The file system said no.
    #[error("cannot use {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The store of the update state said no.
    #[error("cannot use the update state {}: {why}", .path.display())]
    State { path: PathBuf, why: String },
    /// A key of the home datacentre would have been replaced.
    #[error("datacentre {0} does not know this session's key and offered a new one; the stored key was kept")]
    KeyRefused(i32),
}

/// Where an account's session lives, locked for this process.
///
/// The lock is beside the session, so that it also keeps apart daemons with different queues.
pub struct SessionFile {
    path: PathBuf,
    /// Held as long as the value lives; the kernel lets go of it however the process ends.
    _lock: File,
}

impl SessionFile {
    /// Locks the session in `folder`, which is made (mode 0700) if need be.
    pub fn lock(folder: &Path) -> Result<Self, SessionError> {
        let path = folder.join("account.session");
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |source| SessionError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error(folder))?;
        let lock_path = folder.join("account.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SessionError::InUse(lock_path)),
            Err(TryLockError::Error(source)) => Err(SessionError::Io { path: lock_path, source }),
        }
    }

    /// The user of the session in `folder`, which another process may have locked.
    pub fn user_in(folder: &Path) -> Result<i64, SessionError> {
        let user = Self::contents_in(folder)?.user;
        user.map(|user| user.id).ok_or_else(|| SessionError::NotLoggedIn(folder.join("account.session")))
    }

    pub(super) fn contents_in(folder: &Path) -> Result<Contents, SessionError> {
        read(&folder.join("account.session"))
    }

    /// The session file itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that goes with the session and holds the position in the stream of updates.
    pub(super) fn state_path(&self) -> PathBuf {
        self.path.with_file_name("updates.redb")
    }

    /// The file that says whether Telegram lets the account send.
    pub(super) fn restriction_path(&self) -> PathBuf {
        self.path.with_file_name(RESTRICTION_FILE)
    }

    pub(super) fn read(&self) -> Result<Contents, SessionError> {
        read(&self.path)
    }

    /// Replaces the file in one step, never readable by others, durable when it returns.
    pub(super) fn write(&self, contents: &Contents) -> Result<(), SessionError> {
        let written = serde_json::to_vec_pretty(contents)
            .map_err(io::Error::from)
            .and_then(|text| replace_file(&self.path, &text));
        written.map_err(|source| SessionError::Io { path: self.path.clone(), source })
    }

    /// Forgets the account: the session and everything learned with it.
    pub(super) fn remove(&self) -> Result<(), SessionError> {
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

/// Replaces a file in one step, never readable by others, durable when it returns.
pub(super) fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    // A left-over from a crash keeps the mode it has.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
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
    let damaged = |why: String| SessionError::Damaged { path: path.to_owned(), why };
    let contents: Contents = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
    if contents.version != 1 {
        return Err(damaged(format!("version {} is not known to this release", contents.version)));
    }
    contents.data().map_err(damaged)?;
    Ok(contents)
}

impl Contents {
    /// As before any login: Telegram's datacentres as grammers knows them.
    pub fn fresh() -> Self {
        let data = SessionData::default();
        let mut contents = Self { version: 1, home_dc: data.home_dc, user: None, dcs: Vec::new() };
        let mut options: Vec<_> = data.dc_options.into_values().collect();
        options.sort_by_key(|option| option.id);
        for option in options {
            contents.set(&option);
        }
        contents
    }

    pub fn dc(&self, id: i32) -> Option<DcOption> {
        self.dcs.iter().find(|dc| dc.id == id).and_then(|dc| dc.option().ok())
    }

    /// Where the home datacentre is reached.
    pub fn home_address(&self) -> Option<SocketAddr> {
        self.dc(self.home_dc).map(|dc| SocketAddr::V4(dc.ipv4))
    }

    pub fn set(&mut self, option: &DcOption) {
        let dc = Datacentre {
            id: option.id,
            ipv4: option.ipv4,
            ipv6: Some(option.ipv6),
            auth_key: option.auth_key.map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        match self.dcs.iter_mut().find(|dc| dc.id == option.id) {
            Some(known) => *known = dc,
            None => self.dcs.push(dc),
        }
    }

    pub fn forget_login(&mut self, keys_too: bool) {
        self.user = None;
        if keys_too {
            self.dcs.iter_mut().for_each(|dc| dc.auth_key = None);
        }
    }

    /// Checks what serde does not: keys and the home datacentre.
    fn data(&self) -> Result<(), String> {
        for dc in &self.dcs {
            dc.option()?;
        }
        self.dc(self.home_dc).map(|_| ()).ok_or(format!("no datacentre {} in it", self.home_dc))
    }
}

impl Datacentre {
    fn option(&self) -> Result<DcOption, String> {
        let auth_key = match &self.auth_key {
            None => None,
            Some(hex) => Some(
                key_from_hex(hex)
                    .ok_or_else(|| format!("the key of datacentre {} is not 512 hex digits", self.id))?,
            ),
        };
        let mapped = || SocketAddrV6::new(self.ipv4.ip().to_ipv6_mapped(), self.ipv4.port(), 0, 0);
        Ok(DcOption { id: self.id, ipv4: self.ipv4, ipv6: self.ipv6.unwrap_or_else(mapped), auth_key })
    }
}

fn key_from_hex(hex: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if hex.len() != 2 * KEY_BYTES || !hex.is_ascii() {
        return None;
    }
    for (n, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
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
