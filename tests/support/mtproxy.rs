//! The side of an MTProxy that clients see, and its way on to Telegram
//! (<https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>). Blocking. Telethon
//! and an MTProxy that others wrote show that it does not only mirror our own client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What all proxies of the tests know.
pub const KEY: [u8; 16] = *b"\x01proxy-of-tests\xff";
/// As which host a proxy is disguised.
pub const DOMAIN: &str = "www.example.com";

const HEADER: usize = 64;
/// Where both greetings of TLS have their random bytes.
const RANDOM: std::ops::Range<usize> = 11..43;
/// How far, in seconds, a client's clock may be off.
const TOLERATED: u64 = 600;

type Cipher = Ctr128BE<Aes256>;

/// As what connections are disguised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disguise {
    None,
    Padding,
    Tls,
}

impl Disguise {
    /// The secret of a proxy with this disguise, as links have it: hexadecimal or base64.
    pub fn secret(self) -> String {
        let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::None => hex,
            Self::Padding => format!("dd{hex}"),
            Self::Tls => URL_SAFE_NO_PAD.encode([&[0xee][..], &KEY, DOMAIN.as_bytes()].concat()),
        }
    }

    fn tag(self) -> [u8; 4] {
        if self == Self::None { [0xee; 4] } else { [0xdd; 4] }
    }
}

/// A client that knows the secret.
pub struct Client {
    /// The datacentre that it asks for; negative for one that serves files only.
    pub dc: i16,
    reader: ClientReader,
    writer: ClientWriter,
    disguise: Disguise,
}

struct ClientReader {
    stream: TcpStream,
    cipher: Cipher,
    is_tls: bool,
    /// What came with the header, still encrypted.
    ahead: Vec<u8>,
}

struct ClientWriter {
    stream: TcpStream,
    cipher: Cipher,
    is_tls: bool,
}

/// Lets a client in. The error is [`io::ErrorKind::PermissionDenied`] if it does not know the secret.
pub fn accept(client: &TcpStream, disguise: Disguise) -> io::Result<Client> {
    let mut stream = client.try_clone()?;
    let is_tls = disguise == Disguise::Tls;
    let mut header = if is_tls {
        greet(&mut stream)?;
        record(&mut stream)?
    } else {
        let mut header = vec![0; HEADER];
        stream.read_exact(&mut header)?;
        header
    };
    if header.len() < HEADER {
        return Err(denied());
    }
    let ahead = header.split_off(HEADER);
    let reversed: Vec<u8> = header.iter().rev().copied().collect();
    let (mut from_client, to_client) = (cipher(&header, Some(&KEY)), cipher(&reversed, Some(&KEY)));
    from_client.apply_keystream(&mut header);
    if header[56..60] != disguise.tag() {
        return Err(denied());
    }
    let dc = i16::from_le_bytes([header[60], header[61]]);
    let reader = ClientReader { stream: stream.try_clone()?, cipher: from_client, is_tls, ahead };
    let writer = ClientWriter { stream, cipher: to_client, is_tls };
    Ok(Client { dc, reader, writer, disguise })
}

impl Client {
    /// Passes everything on between the client and a datacentre, until one of them ends it.
    pub fn pass_on(self, datacentre: TcpStream) -> io::Result<()> {
        let Self { mut reader, mut writer, disguise, .. } = self;
        // Nothing that is taken for another transport begins like this.
        let mut header: Vec<u8> = (0..HEADER as u8).map(|n| n.wrapping_mul(37) ^ 0xa5).collect();
        header[56..60].copy_from_slice(&disguise.tag());
        let reversed: Vec<u8> = header.iter().rev().copied().collect();
        let (mut to_telegram, mut from_telegram) = (cipher(&header, None), cipher(&reversed, None));
        let mut encrypted = header.clone();
        to_telegram.apply_keystream(&mut encrypted);
        header[56..].copy_from_slice(&encrypted[56..]);
        let mut up = datacentre.try_clone()?;
        up.write_all(&header)?;
        thread::spawn(move || {
            while let Some(mut bytes) = reader.read().ok().filter(|bytes| !bytes.is_empty()) {
                to_telegram.apply_keystream(&mut bytes);
                if up.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = up.shutdown(Shutdown::Both);
            let _ = reader.stream.shutdown(Shutdown::Both);
        });
        let (mut down, mut buffer) = (datacentre, vec![0; 16 << 10]);
        while let Some(length) = down.read(&mut buffer).ok().filter(|length| *length > 0) {
            from_telegram.apply_keystream(&mut buffer[..length]);
            if writer.write(&mut buffer[..length]).is_err() {
                break;
            }
        }
        let _ = down.shutdown(Shutdown::Both);
        writer.stream.shutdown(Shutdown::Both)
    }
}

impl ClientReader {
    /// What the client says next, decrypted; empty at the end.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.ahead);
        if bytes.is_empty() && self.is_tls {
            bytes = record(&mut self.stream)?;
        } else if bytes.is_empty() {
            bytes.resize(16 << 10, 0);
            let length = self.stream.read(&mut bytes)?;
            bytes.truncate(length);
        }
        self.cipher.apply_keystream(&mut bytes);
        Ok(bytes)
    }
}

impl ClientWriter {
    fn write(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.cipher.apply_keystream(bytes);
        if self.is_tls {
            self.stream.write_all(&[&[23, 3, 3][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat())
        } else {
            self.stream.write_all(bytes)
        }
    }
}

/// The cipher whose key and initialisation vector are in `header`, with the proxy's key if it has
/// one.
fn cipher(header: &[u8], key: Option<&[u8]>) -> Cipher {
    let (own, vector) = (&header[8..40], &header[40..56]);
    let mixed: [u8; 32] = match key {
        Some(key) => Sha256::digest([own, key].concat()).into(),
        None => own.try_into().expect("32 bytes"),
    };
    let vector: [u8; 16] = vector.try_into().expect("16 bytes");
    Cipher::new(&mixed.into(), &vector.into())
}

/// Answers the greeting of a client that knows the key; another one gets an alert, and is denied.
fn greet(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut greeting = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut greeting)?;
    greeting.splice(..0, head);
    if greeting.len() < 512 || greeting[..3] != [22, 3, 1] {
        return Err(denied());
    }
    let said = greeting[RANDOM].to_vec();
    greeting[RANDOM].fill(0);
    let proof = sign(&greeting);
    let time = [28, 29, 30, 31].map(|at| said[at] ^ proof[at]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let is_named = greeting.windows(DOMAIN.len()).any(|part| part == DOMAIN.as_bytes());
    let is_in_time = now.abs_diff(u32::from_le_bytes(time).into()) <= TOLERATED;
    if said[..28] != proof[..28] || !is_in_time || !is_named {
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40])?;
        return Err(denied());
    }
    let session = &greeting[43..76];
    let hello = [&[3, 3][..], &[0; 32], session, &[0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
    let mut answer = [&[22, 3, 3, 0, hello.len() as u8 + 4, 2, 0, 0, hello.len() as u8][..], &hello].concat();
    answer.extend([20, 3, 3, 0, 1, 1, 23, 3, 3, 4, 0]);
    answer.extend([0x5a; 1024]);
    let proof = sign(&[&said, &answer[..]].concat());
    answer[RANDOM].copy_from_slice(&proof);
    stream.write_all(&answer)
}

fn sign(message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The next data in a record of TLS.
fn record(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut content)?;
        match head[0] {
            20 => {}
            23 => return Ok(content),
            _ => return Err(denied()),
        }
    }
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}
