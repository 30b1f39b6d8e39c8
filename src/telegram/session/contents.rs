//! The contents of the session file.
//!
//! The format is written down here because backups, and test servers with a key of their own, are
//! made with other programs:
//!
//! ```json
//! {"version": 1, "home_dc": 2, "user": {"id": 1000, "access_hash": 11000},
//!  "dcs": [{"id": 2, "ipv4": "149.154.167.41:443", "ipv6": null, "auth_key": "<512 hex digits>"}]}
//! ```

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use grammers_session::SessionData;
use grammers_session::types::DcOption;
use serde::{Deserialize, Serialize};

/// Length of an MTProto authorization key, in bytes.
pub(crate) const KEY_BYTES: usize = 256;

/// The logged-in user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub id: i64,
    pub access_hash: i64,
}

/// The number of a datacentre, and its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DcAddresses {
    pub dc: i32,
    pub ipv4: SocketAddrV4,
    pub ipv6: Option<SocketAddr>,
}

/// The contents of the session file.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Contents {
    version: u32,
    pub home_dc: i32,
    /// `None` before the login.
    pub user: Option<User>,
    dcs: Vec<Datacentre>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Datacentre {
    id: i32,
    ipv4: SocketAddrV4,
    ipv6: Option<SocketAddrV6>,
    /// Hexadecimal; `None` before the key exchange.
    auth_key: Option<String>,
}

impl Contents {
    /// The contents before any login: the addresses of the datacentres that grammers knows.
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

    /// Reads what [`SessionFile`](super::file::SessionFile) has written; the error says what is
    /// wrong.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let contents: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if contents.version != 1 {
            return Err(format!("version {} is not known to this release", contents.version));
        }
        contents.check()?;
        Ok(contents)
    }

    pub fn dc(&self, id: i32) -> Option<DcOption> {
        self.dcs.iter().find(|dc| dc.id == id).and_then(|dc| dc.option().ok())
    }

    /// The addresses of the home datacentre.
    pub fn home_addresses(&self) -> Option<DcAddresses> {
        let dc = self.dc(self.home_dc)?;
        // Where no IPv6 address is known, grammers holds the IPv4 address in the form of one.
        let ip = dc.ipv6.ip();
        let is_known = ip.to_ipv4_mapped().is_none() && !ip.is_unspecified();
        Some(DcAddresses { dc: dc.id, ipv4: dc.ipv4, ipv6: is_known.then_some(dc.ipv6.into()) })
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

    /// Checks what serde does not check: the keys and the home datacentre.
    fn check(&self) -> Result<(), String> {
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
