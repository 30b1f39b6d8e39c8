//! MTProto 2.0 encryption as the server does it (<https://core.telegram.org/mtproto/description>).
//!
//! grammers-crypto has the client's direction only; the server's differs in the offset `x` into
//! the authorisation key from which key and IV are derived.

use grammers_crypto::aes;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// `x` of the key derivation for what the client sends.
const FROM_CLIENT: usize = 0;
/// `x` of the key derivation for what the server sends.
const FROM_SERVER: usize = 8;

/// Length of what precedes the data of a packet: the key's number and the message key.
pub const HEAD: usize = 24;

/// How packets name the key they are encrypted with.
pub type KeyId = [u8; 8];

/// An authorisation key, from an exchange or shared with the client beforehand.
#[derive(Clone)]
pub struct AuthKey {
    bytes: [u8; 256],
    id: KeyId,
}

/// Why a packet could not be decrypted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    #[error("the packet has {0} bytes, which no encrypted packet has")]
    Length(usize),
    #[error("the packet names a key that this datacentre does not know")]
    UnknownKey,
    #[error("the packet's message key does not match its contents")]
    MessageKey,
}

impl AuthKey {
    pub fn new(bytes: [u8; 256]) -> Self {
        // The low 64 bits of the key's SHA-1, which are its last eight bytes.
        let digest = Sha1::digest(bytes);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[12..20]);
        Self { bytes, id }
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    pub fn bytes(&self) -> &[u8; 256] {
        &self.bytes
    }

    /// Decrypts `key id | message key | data` into `salt | session | message`, padding included.
    pub fn decrypt(&self, packet: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let Some((head, data)) = packet.split_at_checked(HEAD) else {
            return Err(DecryptError::Length(packet.len()));
        };
        if head[..8] != self.id {
            return Err(DecryptError::UnknownKey);
        }
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return Err(DecryptError::Length(packet.len()));
        }
        let mut message_key = [0; 16];
        message_key.copy_from_slice(&head[8..]);
        let (key, iv) = self.key_and_iv(&message_key, FROM_CLIENT);
        let mut plain = data.to_vec();
        aes::ige_decrypt(&mut plain, &key, &iv);
        if self.message_key(&plain, FROM_CLIENT) != message_key {
            return Err(DecryptError::MessageKey);
        }
        Ok(plain)
    }

    /// Encrypts `salt | session | message` for the client.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut data = plain.to_vec();
        // 12 bytes of padding at the least, up to a multiple of 16.
        let padding = 16 + (16 - data.len() % 16) % 16;
        data.extend_from_slice(&super::random::<32>()[..padding]);
        let message_key = self.message_key(&data, FROM_SERVER);
        let (key, iv) = self.key_and_iv(&message_key, FROM_SERVER);
        aes::ige_encrypt(&mut data, &key, &iv);
        [&self.id[..], &message_key, &data].concat()
    }

    fn message_key(&self, padded: &[u8], x: usize) -> [u8; 16] {
        let large = sha256(&[&self.bytes[88 + x..120 + x], padded]);
        let mut middle = [0; 16];
        middle.copy_from_slice(&large[8..24]);
        middle
    }

    fn key_and_iv(&self, message_key: &[u8; 16], x: usize) -> ([u8; 32], [u8; 32]) {
        let a = sha256(&[message_key, &self.bytes[x..x + 36]]);
        let b = sha256(&[&self.bytes[40 + x..76 + x], message_key]);
        let braid = |outer: &[u8; 32], inner: &[u8; 32]| {
            let mut woven = *outer;
            woven[8..24].copy_from_slice(&inner[8..24]);
            woven
        };
        (braid(&a, &b), braid(&b, &a))
    }
}

/// SHA-256 over `parts` one after another.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_refused() {
        let key = AuthKey::new(std::array::from_fn(|i| i as u8));
        assert_eq!(key.decrypt(&[]), Err(DecryptError::Length(0)));
        assert_eq!(key.decrypt(&[1; 40]), Err(DecryptError::UnknownKey));
        let mut packet = key.encrypt(b"sixteen bytes ok");
        // What the server wrote is in the other direction, so it must not pass as the client's.
        assert_eq!(key.decrypt(&packet), Err(DecryptError::MessageKey));
        packet.truncate(30);
        assert_eq!(key.decrypt(&packet), Err(DecryptError::Length(30)));
    }
}
