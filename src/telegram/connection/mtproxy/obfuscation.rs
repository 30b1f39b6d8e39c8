//! The encryption between client and MTProxy, which hides that MTProto is spoken
//! (<https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>).

use std::io;

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use sha2::{Digest as _, Sha256};

use super::random;

/// Length of the header with which a client begins.
const HEADER: usize = 64;
/// Where the header has what only the proxy can read: the transport, and the datacentre.
const TAG: usize = 56;
const DATACENTRE: usize = 60;

const INTERMEDIATE: [u8; 4] = [0xee; 4];
const PADDED_INTERMEDIATE: [u8; 4] = [0xdd; 4];

/// What no header may begin with, because it would be taken for another protocol.
const FORBIDDEN: [[u8; 4]; 7] =
    [*b"HEAD", *b"POST", *b"GET ", *b"OPTI", [0x16, 0x03, 0x01, 0x02], INTERMEDIATE, PADDED_INTERMEDIATE];
const ABRIDGED: u8 = 0xef;

/// Encrypts what goes to the proxy.
pub(super) struct Encryption(Ctr128BE<Aes256>);

impl Encryption {
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

/// Decrypts what comes from the proxy.
pub(super) struct Decryption(Ctr128BE<Aes256>);

impl Decryption {
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

/// The header that a client begins with, and what follows from it. `key` is that of the proxy,
/// which is asked for datacentre `dc`.
pub(super) fn begin(
    key: &[u8; 16],
    is_padded: bool,
    dc: i32,
) -> io::Result<(Vec<u8>, Encryption, Decryption)> {
    loop {
        let start = random()?;
        if may_begin(&start) {
            return begin_with(start, key, is_padded, dc);
        }
    }
}

fn may_begin(start: &[u8; HEADER]) -> bool {
    start[0] != ABRIDGED && !FORBIDDEN.iter().any(|word| start.starts_with(word)) && start[4..8] != [0; 4]
}

pub(super) fn begin_with(
    mut header: [u8; HEADER],
    key: &[u8; 16],
    is_padded: bool,
    dc: i32,
) -> io::Result<(Vec<u8>, Encryption, Decryption)> {
    let dc = i16::try_from(dc).map_err(|_| io::Error::other("there is no such datacentre"))?;
    header[TAG..DATACENTRE].copy_from_slice(if is_padded { &PADDED_INTERMEDIATE } else { &INTERMEDIATE });
    header[DATACENTRE..DATACENTRE + 2].copy_from_slice(&dc.to_le_bytes());
    let mut reversed = header;
    reversed.reverse();
    let mut encryption = Encryption(cipher(&header, key));
    let decryption = Decryption(cipher(&reversed, key));
    let mut encrypted = header;
    encryption.apply(&mut encrypted);
    header[TAG..].copy_from_slice(&encrypted[TAG..]);
    Ok((header.to_vec(), encryption, decryption))
}

/// The cipher of one direction: its key and its initialisation vector are in `header`.
fn cipher(header: &[u8; HEADER], key: &[u8; 16]) -> Ctr128BE<Aes256> {
    let key: [u8; 32] = Sha256::new().chain_update(&header[8..40]).chain_update(key).finalize().into();
    let mut vector = [0; 16];
    vector.copy_from_slice(&header[40..56]);
    Ctr128BE::new(&key.into(), &vector.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_hex<const N: usize>(text: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    /// What Telethon 1.45 makes of the same random numbers and key (`MTProxyIO.init_header`).
    #[test]
    fn header_and_ciphers_are_those_of_another_client() {
        let start = std::array::from_fn(|at| (at * 7 + 3) as u8);
        let key = std::array::from_fn(|at| at as u8);
        let (header, mut encryption, mut decryption) = begin_with(start, &key, true, 4).unwrap();
        assert_eq!(header[..TAG], start[..TAG]);
        assert_eq!(header[TAG..], from_hex::<8>("e909a100506c510a"));
        let (mut sent, mut received) = ([0; 16], [0; 16]);
        encryption.apply(&mut sent);
        decryption.apply(&mut received);
        assert_eq!(sent, from_hex("1204d1dd04cda30cd01aed19023fb22c"));
        assert_eq!(received, from_hex("2d42bac7e2be50b4ddf812f2859eb473"));
    }

    #[test]
    fn a_header_does_not_look_like_another_protocol() {
        let beginning = |start: &[u8]| {
            let mut header = [1; HEADER];
            header[..start.len()].copy_from_slice(start);
            may_begin(&header)
        };
        assert!(beginning(b"any") && beginning(&[0; 4]));
        for word in FORBIDDEN.iter().map(|word| &word[..]).chain([&[ABRIDGED][..], &[1, 1, 1, 1, 0, 0, 0, 0]])
        {
            assert!(!beginning(word), "{word:?}");
        }
        assert!(begin(&[0; 16], false, 1 << 20).is_err(), "no datacentre has such a number");
    }
}
