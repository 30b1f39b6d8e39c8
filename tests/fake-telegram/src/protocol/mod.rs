//! MTProto below the requests: packets, encryption, messages, containers.

pub mod crypto;
pub mod key_exchange;
pub mod message;
pub mod rsa;
pub mod srp;
pub mod transport;

use std::time::{SystemTime, UNIX_EPOCH};

/// `N` random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("an operating system without randomness runs no servers");
    bytes
}

/// Seconds of Unix time, as Telegram counts them.
pub fn now() -> i32 {
    since_epoch().as_secs().try_into().unwrap_or(i32::MAX)
}

fn since_epoch() -> std::time::Duration {
    // A clock before 1970 reads as 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
