//! The server's side of the exchange of an authorisation key
//! (<https://core.telegram.org/mtproto/auth_key>).

use grammers_crypto::aes;
use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, functions, types};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};

use super::message::constructor;
use super::random;
use super::rsa::RsaKey;
use super::srp::{GENERATOR, prime};
use crate::faults::Action;

/// The key of Telegram's test servers, which clients know besides that of the real ones.
const TEST_FINGERPRINT: i64 = -5595554452916591101;
const KEY: usize = 256;
/// Public values within this many bits of 0 or of the prime are refused.
const MARGIN: u32 = 2048 - 64;

/// Why an exchange cannot go on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    #[error("a message that cannot be read or does not come at this point of the exchange")]
    Unexpected,
    #[error("a nonce that is not that of this exchange")]
    Nonce,
    #[error("factors of another number")]
    Factors,
    #[error("no key of this server")]
    UnknownKey,
    #[error("something encrypted that does not match its hash")]
    Hash,
    #[error("a public value outside the safe range")]
    PublicValue,
}

impl From<grammers_tl_types::deserialize::Error> for ExchangeError {
    fn from(_: grammers_tl_types::deserialize::Error) -> Self {
        Self::Unexpected
    }
}

/// How an exchange goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyExchange {
    /// With this server's RSA key.
    #[default]
    Honest,
    /// The same, but the server names the key of Telegram's test servers instead of its own: for a
    /// client that has this server's key in the place of that one.
    AsTestServer,
    /// The server names this fingerprint, whose private key it does not have, and goes on all the
    /// same: its second answer has so many random bytes where a real one has encrypted data.
    Impostor { fingerprint: i64, answer: usize },
}

/// What both sides know at the end.
#[derive(Clone)]
pub struct NewKey {
    pub key: [u8; KEY],
    /// The salt of the first messages under that key.
    pub salt: i64,
}

/// The exchange on one connection.
pub struct Exchange {
    rsa: RsaKey,
    kind: KeyExchange,
    state: State,
}

#[derive(Clone, Copy)]
struct Nonces {
    client: [u8; 16],
    server: [u8; 16],
}

enum State {
    Idle,
    Factors { nonces: Nonces, pq: u64 },
    PublicValue { nonces: Nonces, new_nonce: [u8; 32], secret: BigUint },
}

impl Exchange {
    pub fn new(kind: KeyExchange) -> Self {
        Self { rsa: RsaKey::default(), kind, state: State::Idle }
    }

    /// Answers a client's message `body` by the clock that says `now`, or does what `action` wants
    /// instead. At the end there is a key.
    pub fn answer(
        &mut self,
        body: &[u8],
        now: i32,
        action: Option<Action>,
    ) -> Result<(Vec<u8>, Option<NewKey>), ExchangeError> {
        let rest = body.get(4..).unwrap_or_default();
        match (constructor(body), std::mem::replace(&mut self.state, State::Idle)) {
            (Some(functions::ReqPqMulti::CONSTRUCTOR_ID), _) => {
                Ok((self.begin(functions::ReqPqMulti::from_bytes(rest)?), None))
            }
            (Some(functions::ReqDhParams::CONSTRUCTOR_ID), State::Factors { nonces, pq }) => {
                let request = functions::ReqDhParams::from_bytes(rest)?;
                Ok((self.offer(&request, nonces, pq, now, action)?, None))
            }
            (
                Some(functions::SetClientDhParams::CONSTRUCTOR_ID),
                State::PublicValue { nonces, new_nonce, secret },
            ) => {
                let request = functions::SetClientDhParams::from_bytes(rest)?;
                self.finish(request, nonces, new_nonce, secret, action)
            }
            _ => Err(ExchangeError::Unexpected),
        }
    }

    /// Of the key that the server says to have.
    fn fingerprint(&self) -> i64 {
        match self.kind {
            KeyExchange::Honest => self.rsa.fingerprint(),
            KeyExchange::AsTestServer => TEST_FINGERPRINT,
            KeyExchange::Impostor { fingerprint, .. } => fingerprint,
        }
    }

    fn begin(&mut self, request: functions::ReqPqMulti) -> Vec<u8> {
        let nonces = Nonces { client: request.nonce, server: random() };
        let pq = random_pq();
        self.state = State::Factors { nonces, pq };
        let answer = types::ResPq {
            nonce: nonces.client,
            server_nonce: nonces.server,
            pq: pq.to_be_bytes().to_vec(),
            server_public_key_fingerprints: vec![self.fingerprint()],
        };
        enums::ResPq::Pq(answer).to_bytes()
    }

    fn offer(
        &mut self,
        request: &functions::ReqDhParams,
        nonces: Nonces,
        pq: u64,
        now: i32,
        action: Option<Action>,
    ) -> Result<Vec<u8>, ExchangeError> {
        nonces.check(request.nonce, request.server_nonce)?;
        if let KeyExchange::Impostor { answer, .. } = self.kind {
            let random = random::<1024>()[..answer.min(1024)].to_vec();
            return Ok(nonces.offer(random));
        }
        let (p, q) = (number(&request.p), number(&request.q));
        if p >= q || p.checked_mul(q) != Some(pq) {
            return Err(ExchangeError::Factors);
        }
        if request.public_key_fingerprint != self.fingerprint() {
            return Err(ExchangeError::UnknownKey);
        }
        let padded = self.rsa.decrypt(&request.encrypted_data);
        let mut cursor = Cursor::from_slice(&padded.bytes);
        let inner = enums::PQInnerData::deserialize(&mut cursor).map_err(|_| ExchangeError::Hash)?;
        if padded.sha1.is_some_and(|sha1| sha1[..] != Sha1::digest(&padded.bytes[..cursor.pos()])[..]) {
            return Err(ExchangeError::Hash);
        }
        let (new_nonce, inner_nonces) = match inner {
            enums::PQInnerData::Data(inner) => (inner.new_nonce, (inner.nonce, inner.server_nonce)),
            enums::PQInnerData::Dc(inner) => (inner.new_nonce, (inner.nonce, inner.server_nonce)),
            // Temporary keys are for clients with forward secrecy.
            enums::PQInnerData::Temp(_) | enums::PQInnerData::TempDc(_) => {
                return Err(ExchangeError::Unexpected);
            }
        };
        nonces.check(inner_nonces.0, inner_nonces.1)?;
        if action == Some(Action::Refuse) {
            let hash = sha1(&[&new_nonce]);
            let refusal = types::ServerDhParamsFail {
                nonce: nonces.client,
                server_nonce: nonces.server,
                new_nonce_hash: std::array::from_fn(|n| hash[4 + n]),
            };
            return Ok(enums::ServerDhParams::Fail(refusal).to_bytes());
        }
        let secret = BigUint::from_bytes_be(&random::<KEY>());
        let inner = types::ServerDhInnerData {
            nonce: nonces.client,
            server_nonce: nonces.server,
            g: GENERATOR.into(),
            dh_prime: prime().to_bytes_be(),
            g_a: BigUint::from(GENERATOR).modpow(&secret, &prime()).to_bytes_be(),
            server_time: now,
        };
        let inner = enums::ServerDhInnerData::Data(inner).to_bytes();
        let mut answer = [&sha1(&[&inner])[..], &inner].concat();
        let padding = (16 - answer.len() % 16) % 16;
        answer.extend_from_slice(&random::<16>()[..padding]);
        let (key, iv) = nonces.key_and_iv(&new_nonce);
        aes::ige_encrypt(&mut answer, &key, &iv);
        if action == Some(Action::Corrupt) {
            answer[40] ^= 1;
        }
        self.state = State::PublicValue { nonces, new_nonce, secret };
        Ok(nonces.offer(answer))
    }

    fn finish(
        &mut self,
        request: functions::SetClientDhParams,
        nonces: Nonces,
        new_nonce: [u8; 32],
        secret: BigUint,
        action: Option<Action>,
    ) -> Result<(Vec<u8>, Option<NewKey>), ExchangeError> {
        nonces.check(request.nonce, request.server_nonce)?;
        let mut plain = request.encrypted_data;
        if plain.len() < 32 || !plain.len().is_multiple_of(16) {
            return Err(ExchangeError::Unexpected);
        }
        let (key, iv) = nonces.key_and_iv(&new_nonce);
        aes::ige_decrypt(&mut plain, &key, &iv);
        let (hash, data) = plain.split_at(20);
        let mut cursor = Cursor::from_slice(data);
        let inner = enums::ClientDhInnerData::deserialize(&mut cursor).map_err(|_| ExchangeError::Hash)?;
        if *hash != sha1(&[&data[..cursor.pos()]]) {
            return Err(ExchangeError::Hash);
        }
        let enums::ClientDhInnerData::Data(inner) = inner;
        nonces.check(inner.nonce, inner.server_nonce)?;
        let public = BigUint::from_bytes_be(&inner.g_b);
        let margin = BigUint::from(1_u8) << MARGIN;
        if public < margin || public > prime() - margin {
            return Err(ExchangeError::PublicValue);
        }
        let shared = public.modpow(&secret, &prime()).to_bytes_be();
        let mut key = [0; KEY];
        key[KEY - shared.len()..].copy_from_slice(&shared);
        let number = match action {
            Some(Action::Again) => 2,
            Some(Action::Refuse) => 3,
            _ => 1,
        };
        let mut hash = new_nonce_hash(&new_nonce, number, &key);
        if action == Some(Action::Corrupt) {
            hash[0] ^= 1;
        }
        let (nonce, server_nonce) = (nonces.client, nonces.server);
        let answer = match number {
            1 => types::DhGenOk { nonce, server_nonce, new_nonce_hash1: hash }.into(),
            2 => types::DhGenRetry { nonce, server_nonce, new_nonce_hash2: hash }.into(),
            _ => types::DhGenFail { nonce, server_nonce, new_nonce_hash3: hash }.into(),
        };
        let answer: enums::SetClientDhParamsAnswer = answer;
        if number == 2 {
            // The client may try another secret.
            self.state = State::PublicValue { nonces, new_nonce, secret };
        }
        let salt = std::array::from_fn(|n| new_nonce[n] ^ nonces.server[n]);
        let new_key = (number == 1).then(|| NewKey { key, salt: i64::from_le_bytes(salt) });
        Ok((answer.to_bytes(), new_key))
    }
}

impl Nonces {
    fn check(self, client: [u8; 16], server: [u8; 16]) -> Result<(), ExchangeError> {
        if (client, server) == (self.client, self.server) { Ok(()) } else { Err(ExchangeError::Nonce) }
    }

    fn offer(self, encrypted_answer: Vec<u8>) -> Vec<u8> {
        let Self { client: nonce, server: server_nonce } = self;
        enums::ServerDhParams::Ok(types::ServerDhParamsOk { nonce, server_nonce, encrypted_answer })
            .to_bytes()
    }

    /// The key and the IV under which the rest of the exchange is encrypted.
    fn key_and_iv(self, new_nonce: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
        let new_server = sha1(&[new_nonce, &self.server]);
        let server_new = sha1(&[&self.server, new_nonce]);
        let new_new = sha1(&[new_nonce, new_nonce]);
        let (mut key, mut iv) = ([0; 32], [0; 32]);
        key[..20].copy_from_slice(&new_server);
        key[20..].copy_from_slice(&server_new[..12]);
        iv[..8].copy_from_slice(&server_new[12..]);
        iv[8..28].copy_from_slice(&new_new);
        iv[28..].copy_from_slice(&new_nonce[..4]);
        (key, iv)
    }
}

/// `new_nonce_hash1` to `new_nonce_hash3`, by which the client learns that both have the same key.
fn new_nonce_hash(new_nonce: &[u8; 32], number: u8, key: &[u8; KEY]) -> [u8; 16] {
    let key_hash = sha1(&[key]);
    let hash = sha1(&[new_nonce, &[number], &key_hash[..8]]);
    std::array::from_fn(|n| hash[4 + n])
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// A number of at most eight bytes, or 0.
fn number(bytes: &[u8]) -> u64 {
    if bytes.len() > 8 { 0 } else { bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) }
}

/// A prime of 31 bits.
fn random_prime() -> u32 {
    let is_prime =
        |number: u32| (3..).step_by(2).take_while(|d| d * d <= number).all(|d| !number.is_multiple_of(d));
    loop {
        let candidate = 1 << 30 | u32::from_le_bytes(random()) >> 2 | 1;
        if is_prime(candidate) {
            return candidate;
        }
    }
}

/// The product of two different primes.
fn random_pq() -> u64 {
    let p = random_prime();
    let mut q = random_prime();
    while q == p {
        q = random_prime();
    }
    u64::from(p) * u64::from(q)
}
