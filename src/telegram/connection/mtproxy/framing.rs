//! How packets are told from each other: in the "full" transport, which our side speaks, and in the
//! "intermediate" one with or without padding, which every MTProxy takes
//! (<https://core.telegram.org/mtproto/mtproto-transports>).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::{random, wrong};

/// A packet holds this many bytes at most: 16 MiB, which Telegram itself allows.
pub(super) const MAX_PACKET: usize = 1 << 24;
/// Length, number and checksum of a packet of the "full" transport.
const FULL_OVERHEAD: usize = 12;
/// What a message has before its encrypted blocks: the id of the key, and the message's key.
const MESSAGE_HEAD: usize = 24;
const BLOCK: usize = 16;
/// Whatever is shorter is the code of an error, which may be padded too.
const SHORTEST_MESSAGE: usize = 20;
const MAX_PADDING: u8 = 15;

/// Reads packets of the "full" transport from our own side.
pub(super) struct FullReader<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> FullReader<R> {
    pub fn new(reader: R) -> Self {
        Self(BufReader::new(reader))
    }

    /// The payload of the next packet; `None` at the end. Number and checksum are not verified:
    /// they did not leave this machine.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = match self.0.read_u32_le().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        if !(FULL_OVERHEAD..=MAX_PACKET).contains(&length) {
            return Err(wrong("a packet of an impossible length"));
        }
        let mut rest = vec![0; length - 4];
        self.0.read_exact(&mut rest).await?;
        rest.truncate(length - 8);
        rest.drain(..4);
        Ok(Some(rest))
    }
}

/// Writes packets of the "full" transport to our own side.
pub(super) struct FullWriter<W> {
    writer: W,
    number: u32,
}

impl<W: AsyncWrite + Unpin> FullWriter<W> {
    pub fn new(writer: W) -> Self {
        Self { writer, number: 0 }
    }

    pub async fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut packet = Vec::with_capacity(payload.len() + FULL_OVERHEAD);
        packet.extend_from_slice(&((payload.len() + FULL_OVERHEAD) as u32).to_le_bytes());
        packet.extend_from_slice(&self.number.to_le_bytes());
        packet.extend_from_slice(payload);
        let checksum = crc32fast::hash(&packet);
        packet.extend_from_slice(&checksum.to_le_bytes());
        self.number = self.number.wrapping_add(1);
        self.writer.write_all(&packet).await
    }

    /// An error of the transport is its bare code, which is negative.
    pub async fn write_error(&mut self, code: i32) -> io::Result<()> {
        self.writer.write_all(&code.to_le_bytes()).await
    }
}

/// `payload` as the "intermediate" transport has it, with padding of a random length if it
/// `is_padded`.
pub(super) fn frame(payload: &[u8], is_padded: bool) -> io::Result<Vec<u8>> {
    let padding = if is_padded {
        let [length, padding @ ..]: [u8; 1 + MAX_PADDING as usize] = random()?;
        padding[..usize::from(length & MAX_PADDING)].to_vec()
    } else {
        Vec::new()
    };
    let mut frame = ((payload.len() + padding.len()) as u32).to_le_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame.extend(padding);
    Ok(frame)
}

/// What a packet from Telegram holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Message(&'a [u8]),
    /// An error of the transport
    /// (<https://core.telegram.org/mtproto/mtproto-transports#transport-errors>).
    Error(i32),
}

/// Reads a packet of the "intermediate" transport without its length, and takes off the padding.
pub(super) fn packet(payload: &[u8]) -> io::Result<Packet<'_>> {
    let no_packet = || wrong("what came through the proxy is no packet of Telegram's");
    if payload.len() < SHORTEST_MESSAGE {
        let code = payload.first_chunk().map(|code| i32::from_le_bytes(*code));
        return code.filter(|code| *code < 0).map(Packet::Error).ok_or_else(no_packet);
    }
    let is_encrypted = payload[..8] != [0; 8];
    let length = if is_encrypted {
        let blocks = payload.len().checked_sub(MESSAGE_HEAD).ok_or_else(no_packet)? / BLOCK;
        MESSAGE_HEAD + blocks * BLOCK
    } else {
        // The id of no key, the number of the message, and its length.
        let length = payload.get(16..20).and_then(|length| length.first_chunk()).ok_or_else(no_packet)?;
        20 + u32::from_le_bytes(*length) as usize
    };
    payload.get(..length).map(Packet::Message).ok_or_else(no_packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unencrypted(body: &[u8]) -> Vec<u8> {
        [&[0; 8][..], &[7; 8], &(body.len() as u32).to_le_bytes(), body].concat()
    }

    #[test]
    fn padding_is_taken_off_whatever_its_length() {
        let encrypted: Vec<u8> = (1..=24 + 32).collect();
        for message in [encrypted, unencrypted(b"12345678"), unencrypted(&[1; 40])] {
            for padding in 0..=usize::from(MAX_PADDING) {
                let padded = [&message[..], &vec![9; padding]].concat();
                assert_eq!(packet(&padded).unwrap(), Packet::Message(&message), "{padding}");
            }
        }
        for padding in 0..16 {
            let padded = [&(-404_i32).to_le_bytes()[..], &vec![9; padding]].concat();
            assert_eq!(packet(&padded).unwrap(), Packet::Error(-404));
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let too_long = [&[0; 16][..], &u32::MAX.to_le_bytes(), &[0; 8]].concat();
        for payload in [&[][..], &[1, 2, 3], &404_i32.to_le_bytes(), &[1; 20], &[0; 18], &too_long] {
            assert!(packet(payload).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn frames_are_padded_only_if_asked_to() {
        let lengths: Vec<usize> = (0..64).map(|_| frame(&[1; 40], true).unwrap().len()).collect();
        assert!(lengths.iter().all(|length| (44..=59).contains(length)), "{lengths:?}");
        assert!(lengths.iter().any(|length| *length != lengths[0]), "{lengths:?}");
        let padded = frame(&[1; 40], true).unwrap();
        assert_eq!(u32::from_le_bytes(*padded.first_chunk().unwrap()) as usize, padded.len() - 4);
        assert_eq!(frame(b"12345678", false).unwrap(), b"\x08\0\0\x0012345678");
    }

    #[tokio::test]
    async fn our_own_side_speaks_the_full_transport() {
        let mut written = Vec::new();
        let mut writer = FullWriter::new(&mut written);
        writer.write(b"one1").await.unwrap();
        writer.write(b"").await.unwrap();
        // The checksum is from grammers' tests of an empty packet with the number 0.
        let mut empty = Vec::new();
        FullWriter::new(&mut empty).write(b"").await.unwrap();
        assert_eq!(empty, [12, 0, 0, 0, 0, 0, 0, 0, 38, 202, 141, 50]);
        let mut reader = FullReader::new(&written[..]);
        assert_eq!(reader.next().await.unwrap(), Some(b"one1".to_vec()));
        assert_eq!(reader.next().await.unwrap(), Some(Vec::new()));
        assert_eq!(reader.next().await.unwrap(), None);
        for wrong in [0_u32, 11, u32::MAX] {
            assert!(FullReader::new(&wrong.to_le_bytes()[..]).next().await.is_err(), "{wrong}");
        }
    }
}
