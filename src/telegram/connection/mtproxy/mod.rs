//! Telegram's own kind of proxy, MTProxy.
//!
//! grammers, and we before a login, speak the "full" transport. An MTProxy takes only obfuscated
//! packets ([`obfuscation`]), perhaps disguised as TLS ([`tls`]). So each packet is taken out of
//! one [`framing`] and put into the other.

mod framing;
mod obfuscation;
mod tls;

use std::io;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tracing::debug;

use crate::domain::{Disguise, MtProxy};
use framing::{FullReader, FullWriter, MAX_PACKET, Packet};
use obfuscation::{Decryption, Encryption};

/// How much may be under way inside the program, in bytes for each direction.
const BUFFER: usize = 64 << 10;

/// How many bytes are read at once where no records say how many there are.
const READ_AT_ONCE: usize = 16 << 10;

/// Makes `stream`, which is connected to `proxy`, a connection to datacentre `dc`. What is returned
/// speaks the "full" transport.
///
/// An MTProxy answers only if it takes the secret, and without the disguise of TLS only once
/// Telegram answers. So success says little.
pub(super) async fn connect(mut stream: TcpStream, proxy: &MtProxy, dc: i32) -> io::Result<DuplexStream> {
    let key = proxy.key.expose();
    let is_tls = match &proxy.disguise {
        Disguise::Tls { domain } => {
            tls::shake_hands(&mut stream, key, domain).await?;
            true
        }
        Disguise::None | Disguise::Padding => false,
    };
    let is_padded = proxy.disguise != Disguise::None;
    let (header, encryption, decryption) = obfuscation::begin(key, is_padded, dc)?;
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (from_proxy, to_proxy) = stream.into_split();
    let (from_client, to_client) = tokio::io::split(theirs);
    let up = Up { to_proxy, encryption, is_tls, is_padded };
    let down = Down { from_proxy, decryption, is_tls, received: Vec::new() };
    tokio::spawn(async move {
        // Ends when either side does: nobody here closes only half of a connection.
        let ended = tokio::select! {
            ended = up.run(header, from_client) => ended,
            ended = down.run(to_client) => ended,
        };
        if let Err(error) = ended {
            debug!(%error, "a connection through an MTProxy ended");
        }
    });
    Ok(ours)
}

/// From the client to the proxy.
struct Up<W> {
    to_proxy: W,
    encryption: Encryption,
    is_tls: bool,
    is_padded: bool,
}

impl<W: AsyncWrite + Unpin> Up<W> {
    async fn run(mut self, header: Vec<u8>, client: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut client = FullReader::new(client);
        // What is written first goes out together: the header alone would be conspicuous.
        let mut bytes = if self.is_tls { tls::CHANGE_CIPHER_SPEC.to_vec() } else { Vec::new() };
        let mut payload = header;
        while let Some(packet) = client.next().await? {
            let mut frame = framing::frame(&packet, self.is_padded)?;
            self.encryption.apply(&mut frame);
            payload.append(&mut frame);
            if self.is_tls {
                tls::wrap(&payload, &mut bytes);
            } else {
                bytes.append(&mut payload);
            }
            self.to_proxy.write_all(&bytes).await?;
            bytes.clear();
            payload.clear();
        }
        Ok(())
    }
}

/// From the proxy to the client.
struct Down<R> {
    from_proxy: R,
    decryption: Decryption,
    is_tls: bool,
    /// Decrypted, and not handed on yet.
    received: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Down<R> {
    async fn run(mut self, client: impl AsyncWrite + Unpin) -> io::Result<()> {
        let mut client = FullWriter::new(client);
        while self.fill(4).await? {
            let length = u32::from_le_bytes([0, 1, 2, 3].map(|at| self.received[at])) as usize;
            if length > MAX_PACKET {
                return Err(wrong("the proxy announces a packet of an impossible length"));
            }
            if !self.fill(4 + length).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match framing::packet(&self.received[4..4 + length])? {
                Packet::Message(message) => client.write(message).await?,
                Packet::Error(code) => client.write_error(code).await?,
            }
            self.received.drain(..4 + length);
        }
        Ok(())
    }

    /// Receives until at least `length` bytes are there. Returns whether they are: if not, the
    /// proxy has closed the connection.
    async fn fill(&mut self, length: usize) -> io::Result<bool> {
        while self.received.len() < length {
            let before = self.received.len();
            let more = if self.is_tls {
                tls::read_record(&mut self.from_proxy, &mut self.received).await?
            } else {
                self.received.reserve(READ_AT_ONCE);
                self.from_proxy.read_buf(&mut self.received).await? > 0
            };
            if !more {
                return Ok(false);
            }
            self.decryption.apply(&mut self.received[before..]);
        }
        Ok(true)
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Random numbers that nobody can foresee.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decryption() -> Decryption {
        obfuscation::begin_with([1; 64], &[2; 16], true, 2).unwrap().2
    }

    /// What the client reads of what a proxy sends, which is `plain` before the encryption.
    async fn received(plain: &[u8], is_tls: bool) -> (Vec<u8>, io::Result<()>) {
        let mut sent = plain.to_vec();
        // The cipher is its own inverse.
        decryption().apply(&mut sent);
        let mut line = Vec::new();
        if is_tls {
            tls::wrap(&sent, &mut line);
        } else {
            line = sent;
        }
        let mut client = Vec::new();
        let down = Down { from_proxy: &line[..], decryption: decryption(), is_tls, received: Vec::new() };
        let ended = down.run(&mut client).await;
        (client, ended)
    }

    #[tokio::test]
    async fn packets_and_errors_come_as_the_full_transport_has_them() {
        let message = [&[0; 8][..], &[7; 8], &4_u32.to_le_bytes(), b"body"].concat();
        let length = |payload: &[u8]| (payload.len() as u32).to_le_bytes();
        let code = (-404_i32).to_le_bytes();
        let sent = [&length(&message)[..], &message, &length(&code), &code, &length(&message), &message];
        let mut expected = Vec::new();
        let mut writer = FullWriter::new(&mut expected);
        writer.write(&message).await.unwrap();
        writer.write_error(-404).await.unwrap();
        writer.write(&message).await.unwrap();
        for is_tls in [false, true] {
            let (client, ended) = received(&sent.concat(), is_tls).await;
            assert_eq!(client, expected);
            ended.unwrap();
        }
    }

    #[tokio::test]
    async fn garbage_ends_the_connection() {
        // Half a packet, an impossible length, the announcement of an acknowledgement.
        for garbage in [&[100, 0, 0, 0, 1][..], &[0xff, 0xff, 0xff, 0x7f, 0, 0], &[1, 2, 3, 0x80]] {
            for is_tls in [false, true] {
                let (client, ended) = received(garbage, is_tls).await;
                assert!(client.is_empty() && ended.is_err(), "{garbage:?}");
            }
        }
        let mut state = 1_u32;
        for length in 0..2000 {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let garbage: Vec<u8> = (0..length % 97).map(|_| next()).collect();
            for is_tls in [false, true] {
                let down =
                    Down { from_proxy: &garbage[..], decryption: decryption(), is_tls, received: Vec::new() };
                // However it ends, it does.
                let _ = down.run(tokio::io::sink()).await;
            }
        }
    }
}
