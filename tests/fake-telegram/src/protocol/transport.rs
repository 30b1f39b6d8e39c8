//! The "full" transport: `length | sequence | payload | CRC-32`
//! (<https://core.telegram.org/mtproto/mtproto-transports#full>).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Length, sequence and checksum, four bytes each.
const OVERHEAD: usize = 12;
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
}

/// Takes packets off a stream.
#[derive(Default)]
pub struct PacketReader {
    sequence: u32,
}

impl PacketReader {
    /// The next packet's payload. Not cancel-safe.
    pub async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, TransportError> {
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

/// Makes packets of payloads.
#[derive(Default)]
pub struct PacketWriter {
    sequence: u32,
}

impl PacketWriter {
    pub fn pack(&mut self, payload: &[u8]) -> Vec<u8> {
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
