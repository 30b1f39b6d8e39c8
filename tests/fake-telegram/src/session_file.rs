//! The session file of the daemon, written for it: addresses, keys, and whose account it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{SocketAddrV4, SocketAddrV6};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

/// The format's number; the daemon refuses others.
const VERSION: u32 = 1;

/// What a session file says.
#[derive(Clone, Debug, Serialize)]
pub struct SessionParams {
    pub home_dc: i32,
    /// `None`: not logged in.
    pub user: Option<SessionUser>,
    pub dcs: Vec<SessionDc>,
}

/// The account's owner.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SessionUser {
    pub id: i64,
    pub access_hash: i64,
}

/// One datacentre.
#[derive(Clone, Debug, Serialize)]
pub struct SessionDc {
    pub id: i32,
    pub ipv4: SocketAddrV4,
    pub ipv6: Option<SocketAddrV6>,
    /// 512 hex digits; see [`key_to_hex`].
    pub auth_key: Option<String>,
}

/// Writes a session file that only its owner may read. A crash leaves the old file or the new
/// one, never half of one.
pub fn write_session(path: &Path, params: &SessionParams) -> io::Result<()> {
    #[derive(Serialize)]
    struct File<'a> {
        version: u32,
        #[serde(flatten)]
        params: &'a SessionParams,
    }
    let json = serde_json::to_vec(&File { version: VERSION, params })?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Whatever is left of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// An authorisation key as 512 hex digits.
pub fn key_to_hex(key: &[u8; 256]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An authorisation key from 512 hex digits.
pub fn key_from_hex(hex: &str) -> Option<[u8; 256]> {
    let mut key = [0; 256];
    if hex.len() != 512 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_survive_hex() {
        let key = std::array::from_fn(|i| i as u8);
        assert_eq!(key_from_hex(&key_to_hex(&key)), Some(key));
        assert_eq!(key_from_hex(&"é".repeat(256)), None);
        assert_eq!(key_from_hex(""), None);
    }

    #[test]
    fn the_file_is_as_agreed_and_private() {
        let folder = std::env::temp_dir().join(format!("fake-telegram-session-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("owner.session");
        let dc = SessionDc {
            id: 2,
            ipv4: "127.0.0.1:4430".parse().unwrap(),
            ipv6: None,
            auth_key: Some("00".repeat(256)),
        };
        let user = Some(SessionUser { id: 1000, access_hash: 11000 });
        let params = SessionParams { home_dc: 2, user, dcs: vec![dc] };
        write_session(&path, &params).unwrap();
        write_session(&path, &params).unwrap();
        let expected = format!(
            r#"{{"version":1,"home_dc":2,"user":{{"id":1000,"access_hash":11000}},"dcs":[{{"id":2,"ipv4":"127.0.0.1:4430","ipv6":null,"auth_key":"{}"}}]}}"#,
            "00".repeat(256)
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(&folder).unwrap();
    }
}
