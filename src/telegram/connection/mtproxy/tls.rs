//! The disguise of an MTProxy as a web server: what goes over the line looks like TLS 1.3 with
//! another host, but only its form is TLS.
//!
//! There is no specification. This does what Telegram's TDLib does (`td/mtproto/TlsInit.cpp`), and
//! its test is an MTProxy that others wrote. The greeting has 517 bytes where the name of the host
//! allows it, because older MTProxies take no other.

use std::io;

use ring::agreement::{EphemeralPrivateKey, X25519};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{random, wrong};
use crate::domain::unix_time;

/// Types of records (<https://www.rfc-editor.org/rfc/rfc8446#section-5.1>).
const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// What a client sends between the greeting and its first data.
pub(super) const CHANGE_CIPHER_SPEC: [u8; 6] = [CHANGE_CIPHER, 3, 3, 0, 1, 1];

/// What a record may hold at most, and what the overhead of real encryption may add.
const MAX_RECORD: usize = 16 << 10;
const MAX_OVERHEAD: usize = 256;
/// What a record that we write holds at most, as in Telegram's own apps.
const MAX_WRITTEN: usize = 2878;
/// Where both greetings have their 32 random bytes, in which the secret is.
const RANDOM: std::ops::Range<usize> = 11..43;
/// The length of a greeting, which is filled up to it.
const GREETING: usize = 517;

/// Greets the proxy as a browser greets `domain`, and checks that it knows `key`.
pub(super) async fn shake_hands<S>(stream: &mut S, key: &[u8; 16], domain: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let greeting = client_hello(&hmac_key, domain, unix_time::now().as_secs() as u32)?;
    stream.write_all(&greeting).await?;
    let mut answer = Vec::new();
    for expected in [HANDSHAKE, CHANGE_CIPHER, APPLICATION_DATA] {
        let (kind, record) = match read_any_record(stream).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(refused()),
            record => record?.ok_or_else(refused)?,
        };
        if kind != expected {
            return Err(refused());
        }
        answer.extend([kind, 3, 3]);
        answer.extend((record.len() as u16).to_be_bytes());
        answer.extend(record);
    }
    let signed = answer.get(RANDOM).map(<[u8]>::to_vec).ok_or_else(refused)?;
    answer[RANDOM].fill(0);
    let message = [&greeting[RANDOM], &answer].concat();
    hmac::verify(&hmac_key, &message, &signed).map_err(|_| refused())
}

/// An MTProxy hands a client that it does not know over to the host by whose name it goes, so the
/// answer is real TLS, or none.
fn refused() -> io::Error {
    io::Error::other(
        "what answers there is not the MTProxy of this secret: the secret is another one, or this machine's \
         clock is wrong",
    )
}

/// The greeting of a browser, with a proof in place of its random bytes: whoever made it knows the
/// key, and did so at the time `now`, in seconds.
fn client_hello(key: &hmac::Key, domain: &str, now: u32) -> io::Result<Vec<u8>> {
    let mut hello = vec![3, 3];
    hello.extend([0; 32]);
    hello.push(32);
    hello.extend(random::<32>()?);
    hello.extend(with_length(&[&grease()?, CIPHER_SUITES].concat()));
    // No compression.
    hello.extend([1, 0]);
    let mut extensions = extensions(domain)?;
    // The heads of record and message, what is above, and the length of the extensions.
    let length = 5 + 4 + hello.len() + 2 + extensions.len();
    if let Some(missing) = GREETING.checked_sub(length + 4) {
        extensions.extend(extension(PADDING, &vec![0; missing]));
    }
    hello.extend(with_length(&extensions));
    // The first message of a handshake, whose length has three bytes.
    let message = [&[1, 0][..], &with_length(&hello)].concat();
    let mut record = [&[HANDSHAKE, 3, 1][..], &with_length(&message)].concat();
    let proof = hmac::sign(key, &record);
    record[RANDOM].copy_from_slice(proof.as_ref());
    for (byte, time) in record[RANDOM][28..].iter_mut().zip(now.to_le_bytes()) {
        *byte ^= time;
    }
    Ok(record)
}

/// Those that Chrome offers, in its order.
const CIPHER_SUITES: &[u8] = &[
    0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc,
    0xa8, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35,
];

/// The extension that only fills up (<https://www.rfc-editor.org/rfc/rfc7685>).
const PADDING: u16 = 21;

/// The extensions that Chrome sends, in random order as it does, with one that means nothing before
/// and after them (<https://www.rfc-editor.org/rfc/rfc8701>).
fn extensions(domain: &str) -> io::Result<Vec<u8>> {
    let group = grease()?;
    let name = [&[0][..], &with_length(domain.as_bytes())].concat();
    let key_share = [&group[..], &[0, 1, 0], &[0, 0x1d], &with_length(&public_key()?)].concat();
    let mut known = [
        extension(0, &with_length(&name)),
        extension(5, &[1, 0, 0, 0, 0]),
        extension(10, &with_length(&[&group[..], &[0, 0x1d, 0, 0x17, 0, 0x18]].concat())),
        extension(11, &[1, 0]),
        extension(13, &with_length(&[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])),
        extension(16, &with_length(b"\x02h2\x08http/1.1")),
        extension(18, &[]),
        extension(23, &[]),
        extension(27, &[2, 0, 2]),
        extension(35, &[]),
        extension(43, &[&[6][..], &grease()?, &[3, 4, 3, 3]].concat()),
        extension(45, &[1, 1]),
        extension(51, &with_length(&key_share)),
        extension(17513, &with_length(b"\x02h2")),
        extension(0xff01, &[0]),
    ];
    for last in (1..known.len()).rev() {
        let [number] = random()?;
        known.swap(last, usize::from(number) % (last + 1));
    }
    let (first, last) = two_greases()?;
    Ok([extension(first, &[]), known.concat(), extension(last, &[0])].concat())
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &with_length(content)].concat()
}

/// `content` with its length before it, in two bytes.
fn with_length(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

/// A value that means nothing: twice the same byte, which ends with `a`.
fn grease() -> io::Result<[u8; 2]> {
    let [byte] = random()?;
    Ok([byte & 0xf0 | 0x0a; 2])
}

/// Two different ones, since no extension may come twice.
fn two_greases() -> io::Result<(u16, u16)> {
    let first = u16::from_be_bytes(grease()?);
    let second = u16::from_be_bytes(grease()?);
    Ok((first, if first == second { second ^ 0x1010 } else { second }))
}

/// A key that could be used for a key exchange, though none follows.
fn public_key() -> io::Result<Vec<u8>> {
    let key = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new());
    let public = key.and_then(|key| key.compute_public_key());
    public
        .map(|public| public.as_ref().to_vec())
        .map_err(|_| io::Error::other("the system gives no random numbers"))
}

/// Appends `payload` to `bytes`, in records.
pub(super) fn wrap(payload: &[u8], bytes: &mut Vec<u8>) {
    for piece in payload.chunks(MAX_WRITTEN) {
        bytes.extend([APPLICATION_DATA, 3, 3]);
        bytes.extend(with_length(piece));
    }
}

/// Appends what the next record holds to `bytes`. Returns whether there is one: if not, the proxy
/// has closed the connection.
pub(super) async fn read_record(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> io::Result<bool> {
    match read_any_record(stream).await? {
        Some((APPLICATION_DATA, mut record)) => {
            bytes.append(&mut record);
            Ok(true)
        }
        Some((CHANGE_CIPHER, _)) => Ok(true),
        Some((ALERT, _)) | None => Ok(false),
        Some(_) => Err(wrong("the proxy sends a record of TLS that has no place there")),
    }
}

/// The type and the content of the next record; `None` at the end.
async fn read_any_record(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..]).await?;
    let [kind, 3, _, length @ ..] = head else { return Err(wrong("what the proxy sends is no TLS")) };
    let length = usize::from(u16::from_be_bytes(length));
    if length > MAX_RECORD + MAX_OVERHEAD {
        return Err(wrong("what the proxy sends is no TLS"));
    }
    let mut record = vec![0; length];
    stream.read_exact(&mut record).await?;
    Ok(Some((kind, record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = *b"0123456789abcdef";

    fn hmac_key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &KEY)
    }

    #[test]
    fn a_greeting_has_the_length_that_every_proxy_takes() {
        for domain in ["a.io", "example.com", &"x".repeat(100)] {
            let hello = client_hello(&hmac_key(), domain, 0).unwrap();
            assert_eq!(hello.len(), GREETING, "{domain}");
            assert_eq!(hello[..11], [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "{domain}");
            assert!(hello.windows(domain.len()).any(|part| part == domain.as_bytes()));
        }
        // Nothing is left to fill up.
        let hello = client_hello(&hmac_key(), &"x".repeat(182), 0).unwrap();
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
    }

    #[test]
    fn a_greeting_proves_the_key_and_the_time() {
        let mut hello = client_hello(&hmac_key(), "example.com", 1_800_000_000).unwrap();
        let proof: Vec<u8> = hello[RANDOM].to_vec();
        hello[RANDOM].fill(0);
        let expected = hmac::sign(&hmac_key(), &hello);
        assert_eq!(proof[..28], expected.as_ref()[..28]);
        let time = [0, 1, 2, 3].map(|at| proof[28 + at] ^ expected.as_ref()[28 + at]);
        assert_eq!(u32::from_le_bytes(time), 1_800_000_000);
    }

    /// A proxy that answers with these records, after the greeting.
    async fn answered_with(answer: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
        let proxy = async {
            let mut greeting = [0; GREETING];
            theirs.read_exact(&mut greeting).await.unwrap();
            theirs.write_all(&answer(&greeting)).await.unwrap();
            drop(theirs);
        };
        tokio::join!(shake_hands(&mut ours, &KEY, "example.com"), proxy).0
    }

    fn signed_answer(greeting: &[u8]) -> Vec<u8> {
        let hello = [&[2, 0][..], &with_length(&[3; 90])].concat();
        let mut answer = [&[HANDSHAKE, 3, 3][..], &with_length(&hello), &CHANGE_CIPHER_SPEC].concat();
        wrap(&[7; 2000], &mut answer);
        answer[RANDOM].fill(0);
        let proof = hmac::sign(&hmac_key(), &[&greeting[RANDOM], &answer].concat());
        answer[RANDOM].copy_from_slice(proof.as_ref());
        answer
    }

    #[tokio::test]
    async fn only_a_proxy_that_knows_the_key_is_believed() {
        answered_with(signed_answer).await.unwrap();
        type Answer = Box<dyn FnOnce(&[u8]) -> Vec<u8>>;
        let changed = |at: usize| -> Answer {
            Box::new(move |greeting: &[u8]| {
                let mut answer = signed_answer(greeting);
                answer[at] ^= 1;
                answer
            })
        };
        let cut = |length: usize| -> Answer {
            Box::new(move |greeting: &[u8]| signed_answer(greeting)[..length].to_vec())
        };
        let answers: [Answer; 7] = [
            changed(11),
            changed(60),
            changed(1500),
            cut(0),
            cut(3),
            cut(100),
            Box::new(|_| vec![ALERT, 3, 3, 0, 2, 2, 40]),
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            let error = answered_with(answer).await.unwrap_err().to_string();
            assert!(error.contains("not the MTProxy of this secret"), "{number}: {error}");
        }
        for garbage in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[HANDSHAKE, 3, 3, 0xff, 0xff]] {
            assert!(answered_with(|_| garbage.to_vec()).await.is_err());
        }
    }

    #[tokio::test]
    async fn data_travels_in_records() {
        let payload: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
        let mut line = CHANGE_CIPHER_SPEC.to_vec();
        wrap(&payload, &mut line);
        let (mut stream, mut read) = (&line[..], Vec::new());
        while read_record(&mut stream, &mut read).await.unwrap() {}
        assert_eq!(read, payload);
        let mut alert = &[ALERT, 3, 3, 0, 2, 2, 0][..];
        assert!(!read_record(&mut alert, &mut Vec::new()).await.unwrap());
        let mut cut = &line[..9];
        read_record(&mut cut, &mut Vec::new()).await.unwrap();
        assert!(read_record(&mut cut, &mut Vec::new()).await.is_err());
    }
}
