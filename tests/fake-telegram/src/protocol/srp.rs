//! The server's side of the two-step password check (<https://core.telegram.org/api/srp>).

use hmac::Hmac;
use num_bigint::BigUint;
use sha2::Sha512;

use super::crypto::sha256;
use super::random;

/// The 2048-bit safe prime that Telegram itself uses, which clients know to be good.
const PRIME: &str = "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f\
48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37\
20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64\
2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4\
a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754\
fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4\
e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f\
0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b";
pub const GENERATOR: u8 = 3;
const PBKDF2_ROUNDS: u32 = 100_000;

/// The prime of the key exchange and of the password check.
pub fn prime() -> BigUint {
    BigUint::parse_bytes(PRIME.as_bytes(), 16).expect("the constant is a number")
}

/// One account's password, and the exchange in progress.
pub struct Srp {
    pub hint: String,
    pub salt1: Vec<u8>,
    pub salt2: Vec<u8>,
    /// The server's public value, 256 bytes.
    pub b_public: Vec<u8>,
    /// Names this exchange.
    pub id: i64,
    prime: BigUint,
    verifier: BigUint,
    b_secret: BigUint,
}

impl Srp {
    pub fn new(password: &str, hint: &str) -> Self {
        let prime = prime();
        let (salt1, salt2) = (random::<16>().to_vec(), random::<16>().to_vec());
        let first = sha256(&[&salt2, &sha256(&[&salt1, password.as_bytes(), &salt1]), &salt2]);
        let mut stretched = [0; 64];
        pbkdf2::pbkdf2::<Hmac<Sha512>>(&first, &salt1, PBKDF2_ROUNDS, &mut stretched)
            .expect("HMAC takes keys of any length");
        let x = BigUint::from_bytes_be(&sha256(&[&salt2, &stretched, &salt2]));
        let g = BigUint::from(GENERATOR);
        let verifier = g.modpow(&x, &prime);

        let k = BigUint::from_bytes_be(&sha256(&[&prime.to_bytes_be(), &pad(&[GENERATOR])]));
        let b_secret = BigUint::from_bytes_be(&random::<256>());
        let b_public = (k * &verifier + g.modpow(&b_secret, &prime)) % &prime;
        Self {
            hint: hint.to_owned(),
            salt1,
            salt2,
            b_public: pad(&b_public.to_bytes_be()),
            id: i64::from_le_bytes(random()),
            prime,
            verifier,
            b_secret,
        }
    }

    pub fn generator(&self) -> i32 {
        i32::from(GENERATOR)
    }

    pub fn prime(&self) -> Vec<u8> {
        self.prime.to_bytes_be()
    }

    /// Whether the client, whose public value is `a`, proved with `m1` that it knows the password.
    pub fn verify(&self, a: &[u8], m1: &[u8]) -> bool {
        let a_number = BigUint::from_bytes_be(a);
        if a.len() > 256 || a_number == BigUint::ZERO || a_number >= self.prime {
            return false;
        }
        let a = pad(a);
        let u = BigUint::from_bytes_be(&sha256(&[&a, &self.b_public]));
        let shared = (a_number * self.verifier.modpow(&u, &self.prime)).modpow(&self.b_secret, &self.prime);
        let k = sha256(&[&pad(&shared.to_bytes_be())]);
        let hash_p = sha256(&[&self.prime.to_bytes_be()]);
        let hash_g = sha256(&[&pad(&[GENERATOR])]);
        let mixed: Vec<u8> = hash_p.iter().zip(hash_g).map(|(p, g)| p ^ g).collect();
        let expected =
            sha256(&[&mixed, &sha256(&[&self.salt1]), &sha256(&[&self.salt2]), &a, &self.b_public, &k]);
        expected == m1
    }
}

/// `number` (big-endian, at most 256 bytes) with zeros in front up to 256 bytes.
fn pad(number: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; 256usize.saturating_sub(number.len())];
    padded.extend_from_slice(number);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_proves_nothing() {
        let srp = Srp::new("secret", "hint");
        for a in [&[][..], &[0; 256], &[0xff; 256], &[1; 300], &[5; 256]] {
            assert!(!srp.verify(a, &[0; 32]));
            assert!(!srp.verify(a, &[]));
        }
    }
}
