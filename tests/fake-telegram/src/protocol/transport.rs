//! The transports that a client may choose
//! (<https://core.telegram.org/mtproto/mtproto-transports>): "full", which is
//! `length | sequence | payload | CRC-32`, and "intermediate", with padding or without, under
//! obfuscation. The latter is how MTProxies speak to Telegram.

use std::io;

use grammers_crypto::ObfuscatedCipher;
use tokio::io::{AsyncRead, AsyncReadExt, Chain};

use super::random;

/// Length, sequence and checksum, four bytes each.
const OVERHEAD: usize = 12;
/// Length of the header of an obfuscated connection, and where in it the transport is named.
const HEADER: usize = 64;
const TAG: usize = 56;
const INTERMEDIATE: [u8; 4] = [0xee; 4];
const PADDED_INTERMEDIATE: [u8; 4] = [0xdd; 4];
/// What a padded packet has before its blocks of 16 bytes, if it is encrypted.
const MESSAGE_HEAD: usize = 24;
/// No packet may be longer. The largest honest one is a 512 KiB part of an upload.
const MAX_PACKET: usize = 2 * 1024 * 1024;

/// Why the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a packet of {0} bytes")]
    Length(usize),
    #[error("packet number {got} where {expected} was due")]
    Sequence { expected: u32, got: u32 },
    #[error("a packet with a wrong checksum")]
    Checksum,
    #[error("no transport that is spoken here")]
    Unknown,
}

/// Finds out which transport a client speaks, and returns the stream as if nothing had been read.
pub async fn accept<S: AsyncRead + Unpin>(
    mut stream: S,
) -> Result<(Chain<io::Cursor<Vec<u8>>, S>, PacketReader, PacketWriter), TransportError> {
    let mut start = [0; 8];
    stream.read_exact(&mut start).await?;
    // The number of the first "full" packet; nothing obfuscated begins like that, or with a word.
    if start[4..] == [0; 4] {
        let stream = io::Cursor::new(start.to_vec()).chain(stream);
        return Ok((stream, PacketReader::default(), PacketWriter::default()));
    }
    if start[..4].is_ascii() || start[0] == 0xff {
        return Err(TransportError::Unknown);
    }
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&start);
    stream.read_exact(&mut header[8..]).await?;
    // The client's own view, so what it encrypts with decrypts here.
    let cipher = || Box::new(ObfuscatedCipher::new(&header));
    let (mut from_client, to_client) = (cipher(), cipher());
    let mut decrypted = header;
    from_client.encrypt(&mut decrypted);
    let is_padded = match decrypted[TAG..TAG + 4].try_into() {
        Ok(INTERMEDIATE) => false,
        Ok(PADDED_INTERMEDIATE) => true,
        _ => return Err(TransportError::Unknown),
    };
    let reader = PacketReader { sequence: 0, obfuscation: Some(from_client) };
    let writer = PacketWriter { sequence: 0, obfuscation: Some((to_client, is_padded)) };
    Ok((io::Cursor::new(Vec::new()).chain(stream), reader, writer))
}

/// Takes packets off a stream.
#[derive(Default)]
pub struct PacketReader {
    sequence: u32,
    /// `None` for the "full" transport.
    obfuscation: Option<Box<ObfuscatedCipher>>,
}

impl PacketReader {
    /// The next packet's payload. Not cancel-safe.
    pub async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, TransportError> {
        if let Some(cipher) = &mut self.obfuscation {
            return read_intermediate(cipher, stream).await;
        }
        let length = stream.read_u32_le().await? as usize;
        if !(OVERHEAD..=MAX_PACKET).contains(&length) {
            return Err(TransportError::Length(length));
        }
        let mut packet = (length as u32).to_le_bytes().to_vec();
        packet.resize(length, 0);
        stream.read_exact(&mut packet[4..]).await?;

        let got = word(&packet[4..]);
        if got != self.sequence {
            return Err(TransportError::Sequence { expected: self.sequence, got });
        }
        let checksum = packet.split_off(length - 4);
        if crc32fast::hash(&packet) != word(&checksum) {
            return Err(TransportError::Checksum);
        }
        self.sequence = self.sequence.wrapping_add(1);
        packet.drain(..8);
        Ok(packet)
    }
}

async fn read_intermediate(
    cipher: &mut ObfuscatedCipher,
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Vec<u8>, TransportError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    cipher.encrypt(&mut length);
    let length = u32::from_le_bytes(length) as usize;
    if !(MESSAGE_HEAD..=MAX_PACKET).contains(&length) {
        return Err(TransportError::Length(length));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    cipher.encrypt(&mut packet);
    // Without a key, the message says its own length.
    let unpadded = if packet[..8] == [0; 8] {
        20 + word(&packet[16..]) as usize
    } else {
        MESSAGE_HEAD + (length - MESSAGE_HEAD) / 16 * 16
    };
    packet.truncate(unpadded);
    Ok(packet)
}

/// Makes packets of payloads.
#[derive(Default)]
pub struct PacketWriter {
    sequence: u32,
    /// The cipher, and whether packets are padded. `None` for the "full" transport.
    obfuscation: Option<(Box<ObfuscatedCipher>, bool)>,
}

impl PacketWriter {
    /// A bare error of the transport.
    pub fn status(&mut self, code: i32) -> Vec<u8> {
        let code = code.to_le_bytes();
        if self.obfuscation.is_some() { self.pack(&code) } else { code.to_vec() }
    }

    pub fn pack(&mut self, payload: &[u8]) -> Vec<u8> {
        if let Some((cipher, is_padded)) = &mut self.obfuscation {
            // Clients such as Telethon take off three bytes at most.
            let [number, padding @ ..]: [u8; 4] = random();
            let padding = &padding[..if *is_padded { usize::from(number % 4) } else { 0 }];
            let mut packet = ((payload.len() + padding.len()) as u32).to_le_bytes().to_vec();
            packet.extend_from_slice(payload);
            packet.extend_from_slice(padding);
            cipher.decrypt(&mut packet);
            return packet;
        }
        let length = (payload.len() + OVERHEAD) as u32;
        let mut packet = Vec::with_capacity(payload.len() + OVERHEAD);
        packet.extend_from_slice(&length.to_le_bytes());
        packet.extend_from_slice(&self.sequence.to_le_bytes());
        packet.extend_from_slice(payload);
        let checksum = crc32fast::hash(&packet);
        packet.extend_from_slice(&checksum.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }
}

/// The first four bytes; the callers hold at least as many.
fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_packed_is_read_in_order() {
        let mut writer = PacketWriter::default();
        let stream = [writer.pack(b"one1"), writer.pack(b"")].concat();
        let mut stream = &stream[..];
        let mut reader = PacketReader::default();
        assert_eq!(reader.read(&mut stream).await.unwrap(), b"one1");
        assert_eq!(reader.read(&mut stream).await.unwrap(), b"");
        assert!(matches!(reader.read(&mut stream).await, Err(TransportError::Io(_))));
    }

    #[tokio::test]
    async fn an_obfuscated_client_is_understood() {
        for (tag, padding) in [(INTERMEDIATE, 0_u32), (PADDED_INTERMEDIATE, 0), (PADDED_INTERMEDIATE, 13)] {
            let mut header = std::array::from_fn(|at| 0x80 + at as u8);
            header[TAG..TAG + 4].copy_from_slice(&tag);
            let mut client = ObfuscatedCipher::new(&header);
            let mut encrypted = header;
            client.encrypt(&mut encrypted);
            header[TAG..].copy_from_slice(&encrypted[TAG..]);
            let message = [7; MESSAGE_HEAD + 32];
            let mut packet =
                [&(56 + padding).to_le_bytes()[..], &message, &vec![9; padding as usize]].concat();
            client.encrypt(&mut packet);
            let sent = [&header[..], &packet].concat();
            let (mut stream, mut reader, mut writer) = accept(&sent[..]).await.unwrap();
            assert_eq!(reader.read(&mut stream).await.unwrap(), message);

            let mut answer = writer.pack(&message);
            client.decrypt(&mut answer);
            assert_eq!(word(&answer) as usize, answer.len() - 4);
            assert!(answer[4..].starts_with(&message) && answer.len() < 4 + message.len() + 4);
            let mut status = writer.status(-404);
            client.decrypt(&mut status);
            assert_eq!(status[4..8], (-404_i32).to_le_bytes());
        }
        assert!(matches!(accept(&[0xee; 64][..]).await, Err(TransportError::Unknown)));
    }

    #[tokio::test]
    async fn garbage_is_refused() {
        let read = async |bytes: &[u8]| PacketReader::default().read(&mut &bytes[..]).await;
        assert!(matches!(read(&[0xff; 64]).await, Err(TransportError::Length(_))));
        assert!(matches!(read(&[0; 64]).await, Err(TransportError::Length(0))));
        let mut packet = PacketWriter::default().pack(b"text");
        packet[9] ^= 1;
        assert!(matches!(read(&packet).await, Err(TransportError::Checksum)));
        packet[4] = 5;
        assert!(matches!(read(&packet).await, Err(TransportError::Sequence { expected: 0, got: 5 })));
    }
}
