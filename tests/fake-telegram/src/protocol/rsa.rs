//! The RSA key by which clients know a server
//! (<https://core.telegram.org/mtproto/auth_key#41-rsa-paddata-server-public-key-mentioned-above-is-implemented-as-follows>).
//!
//! It is this server's own, made for tests: no client knows it that was not told.

use grammers_crypto::aes;
use grammers_tl_types::Serializable;
use num_bigint::BigUint;
use sha1::{Digest, Sha1};

use super::crypto::sha256;

/// Modulus and private exponent.
const MODULUS: &str = "c0a8c24d0b8a5a5fc393866c814ec3ecafd15e2cc22574df23b570ac000a226c\
fec3b2a6c7803ee840b2f88e87390eed6113456250c7087e39feae12a18d27a2\
1fa1b72c367d6ede93848f5eb73f3914e01929da5164da7e7e015b3ef889546f\
25f37b7c5b6659242b3a51eef0427719eb01b950aecb0493577d506a194fe982\
76e56f45267d3fa11f8ab2a21c254d696a7fc92926ae742964545c11221de334\
a9117e6d46c01c086fd86e26da9b8df3d14765300f90d1d1597f5d62c860e24d\
e2646870b146c4fcd3b369fa1d1451a94d95a553b2594145e5a4fb2be82b7477\
6c58d8e20aef52bfaf0e2204edd2b4dd8a90e7abe974fb06d8c3986a76fedac3";
const PRIVATE: &str = "11c5ffd6d7bfb5c2abea4a366c5f75d7ba0898a58c6ba43289bacd6030c8be90\
4b98863cb89eee2ec2f93fd0f64c9f41eaf8ba27edc7ced2c64ae688357b2e32\
d8b4348fd19f14c157de9cd36218650db5f6dc5395bab625813e62ca966724f0\
f411584d0aa99083b3b137a9d164705465c7cceed2914c24c3a77de9abd82174\
8c5f81d007a017f9f60f7d4f2eaded3f31d046ab33840c505361c01efbb72d16\
8ec9d08f1976f9f3fdc951282af9af038a845c5136d608c4fd418e521e205045\
799c3acc8d0ec220017d9e8ea9033ff9e3295a66376604be46e9f5f2e45e6fce\
b25a300f0188ece0fe6ed6dc354fdf684b2fb30ce8b99fd38f77d86359db1ff1";
const EXPONENT: u32 = 65537;
/// Length of the modulus, in bytes.
const SIZE: usize = 256;
/// Lengths in what RSA_PAD makes: the masked key, and the data before its hash.
const MASKED_KEY: usize = 32;
const DATA: usize = 192;
const SHA1: usize = 20;

pub struct RsaKey {
    modulus: BigUint,
    private: BigUint,
}

impl Default for RsaKey {
    fn default() -> Self {
        let number =
            |digits: &str| BigUint::parse_bytes(digits.as_bytes(), 16).expect("the constant is a number");
        Self { modulus: number(MODULUS), private: number(PRIVATE) }
    }
}

/// The modulus of the server's RSA key, in decimal digits; the exponent is 65537.
pub fn modulus() -> String {
    RsaKey::default().modulus.to_string()
}

impl RsaKey {
    /// How clients name the key: the last 64 bits of the SHA-1 of its modulus and exponent.
    pub fn fingerprint(&self) -> i64 {
        let mut bare = self.modulus.to_bytes_be().to_bytes();
        BigUint::from(EXPONENT).to_bytes_be().serialize(&mut bare);
        let digest = Sha1::digest(&bare);
        i64::from_le_bytes(std::array::from_fn(|n| digest[12 + n]))
    }

    /// What a client has encrypted with this key; garbage if it was another.
    pub fn decrypt(&self, encrypted: &[u8]) -> Padded {
        let power = BigUint::from_bytes_be(encrypted).modpow(&self.private, &self.modulus).to_bytes_be();
        let mut block = vec![0; SIZE - power.len()];
        block.extend_from_slice(&power);
        unpad(&block).unwrap_or_else(|| unpad_as_before(&block))
    }
}

/// Data, then random bytes.
pub struct Padded {
    pub bytes: Vec<u8>,
    /// The SHA-1 of the data, where nothing else has shown that the key was this one.
    pub sha1: Option<[u8; SHA1]>,
}

/// The padding by RSA_PAD.
fn unpad(block: &[u8]) -> Option<Padded> {
    let (masked_key, encrypted) = block.split_at(MASKED_KEY);
    let mask = sha256(&[encrypted]);
    let key: [u8; MASKED_KEY] = std::array::from_fn(|n| masked_key[n] ^ mask[n]);
    let mut plain = encrypted.to_vec();
    aes::ige_decrypt(&mut plain, &key, &[0; 32]);
    let (reversed, hash) = plain.split_at(DATA);
    let bytes: Vec<u8> = reversed.iter().rev().copied().collect();
    (sha256(&[&key, &bytes]) == hash).then_some(Padded { bytes, sha1: None })
}

/// The padding that clients used before RSA_PAD, and Telethon and Pyrogram still do: a zero byte, a
/// SHA-1, and the data.
fn unpad_as_before(block: &[u8]) -> Padded {
    let (sha1, bytes) = block[1..].split_at(SHA1);
    Padded { bytes: bytes.to_vec(), sha1: sha1.try_into().ok() }
}
