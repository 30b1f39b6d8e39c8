//! `session`: a session file out of what is given.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use anyhow::{Context, bail};
use fake_telegram::{SessionDc, SessionParams, SessionUser, access_hash, key_to_hex, write_session};

/// For each datacentre give --dc, --addr and --key, in this order; the first is the home.
#[derive(clap::Args)]
pub struct Args {
    /// The file to write; only its owner will be able to read it.
    #[arg(long)]
    out: PathBuf,
    /// A datacentre's number.
    #[arg(long, required = true, value_name = "ID")]
    dc: Vec<i32>,
    /// Its address.
    #[arg(long, required = true, value_name = "HOST:PORT")]
    addr: Vec<SocketAddrV4>,
    /// Its authorisation key, 512 hexadecimal digits.
    #[arg(long, required = true, value_name = "HEX", value_parser = super::parse_key)]
    key: Vec<[u8; 256]>,
    /// The account's number; without it the session is not logged in.
    #[arg(long, value_name = "N")]
    user_id: Option<i64>,
    /// The account's access hash, unless it is the one that `serve` gives.
    #[arg(long, value_name = "N", requires = "user_id", allow_negative_numbers = true)]
    access_hash: Option<i64>,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { out, dc, addr, key, user_id, access_hash: hash } = args;
    if dc.len() != addr.len() || dc.len() != key.len() {
        bail!("each --dc needs one --addr and one --key");
    }
    let describe = |((id, ipv4), key): ((i32, SocketAddrV4), &[u8; 256])| SessionDc {
        id,
        ipv4,
        ipv6: None,
        auth_key: Some(key_to_hex(key)),
    };
    let params = SessionParams {
        home_dc: dc[0],
        user: user_id.map(|id| SessionUser { id, access_hash: hash.unwrap_or_else(|| access_hash(id)) }),
        dcs: dc.iter().copied().zip(addr).zip(&key).map(describe).collect(),
    };
    write_session(&out, &params).with_context(|| format!("cannot write {}", out.display()))
}
