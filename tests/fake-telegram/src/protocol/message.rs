//! Messages inside the encryption: envelopes, containers, gzip, and their numbering
//! (<https://core.telegram.org/mtproto/service_messages>).

use std::io::{Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use grammers_tl_types::{Cursor, Deserializable, Serializable};

use super::since_epoch;

const CONTAINER: u32 = 0x73f1_f8dc;
const GZIP_PACKED: u32 = 0x3072_cfa1;
const RPC_RESULT: u32 = 0xf35c_6d01;

/// What a client may put into one container.
const MAX_IN_CONTAINER: i32 = 1020;
/// What a gzipped request may unpack to, in bytes.
const MAX_UNPACKED: u64 = 4 * 1024 * 1024;
/// Answers from this size on, in bytes, are worth compressing; the client does the same.
const GZIP_FROM: usize = 512;
/// Above this size an answer is a part of a file, which does not compress.
const GZIP_UP_TO: usize = 128 * 1024;

/// One message as it was sent, containers taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub id: i64,
    pub sequence: i32,
    /// Constructor id and fields.
    pub body: Vec<u8>,
}

/// A decrypted packet of a client.
#[derive(Debug)]
pub struct Envelope {
    pub salt: i64,
    pub session: i64,
    pub message: Message,
}

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("a message ends too early or holds an unknown constructor")]
    Malformed,
    #[error("containers within containers, or too much in one")]
    Container,
    #[error("a gzipped message that cannot be unpacked")]
    Gzip,
}

impl From<grammers_tl_types::deserialize::Error> for MessageError {
    fn from(_: grammers_tl_types::deserialize::Error) -> Self {
        Self::Malformed
    }
}

/// The constructor id at the beginning of `body`.
pub fn constructor(body: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(body.get(..4)?.try_into().ok()?))
}

impl Envelope {
    pub fn parse(plain: &[u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::from_slice(plain);
        let salt = i64::deserialize(&mut cursor)?;
        let session = i64::deserialize(&mut cursor)?;
        Ok(Self { salt, session, message: read_message(&mut cursor, plain)? })
    }
}

/// The messages in `message`: those of a container, unpacked where gzipped, or itself.
pub fn flatten(message: Message) -> Result<Vec<Message>, MessageError> {
    let message = unpack(message)?;
    if constructor(&message.body) != Some(CONTAINER) {
        return Ok(vec![message]);
    }
    let inner = &message.body[4..];
    let mut cursor = Cursor::from_slice(inner);
    let count = i32::deserialize(&mut cursor)?;
    if !(0..=MAX_IN_CONTAINER).contains(&count) {
        return Err(MessageError::Container);
    }
    let mut messages = Vec::new();
    for _ in 0..count {
        let message = unpack(read_message(&mut cursor, inner)?)?;
        if constructor(&message.body) == Some(CONTAINER) {
            return Err(MessageError::Container);
        }
        messages.push(message);
    }
    Ok(messages)
}

/// `message_id | sequence | length | body`, from where `cursor`, which walks over `bytes`, stands.
fn read_message(cursor: &mut Cursor, bytes: &[u8]) -> Result<Message, MessageError> {
    let id = i64::deserialize(cursor)?;
    let sequence = i32::deserialize(cursor)?;
    let length = usize::try_from(i32::deserialize(cursor)?).map_err(|_| MessageError::Malformed)?;
    // Checked before anything of that length is allocated.
    if length > bytes.len() - cursor.pos() {
        return Err(MessageError::Malformed);
    }
    let mut body = vec![0; length];
    cursor.read_exact(&mut body)?;
    Ok(Message { id, sequence, body })
}

fn unpack(mut message: Message) -> Result<Message, MessageError> {
    if constructor(&message.body) == Some(GZIP_PACKED) {
        let packed = Vec::<u8>::from_bytes(&message.body[4..])?;
        let mut body = Vec::new();
        GzDecoder::new(&packed[..])
            .take(MAX_UNPACKED + 1)
            .read_to_end(&mut body)
            .map_err(|_| MessageError::Gzip)?;
        if body.len() as u64 > MAX_UNPACKED {
            return Err(MessageError::Gzip);
        }
        message.body = body;
    }
    Ok(message)
}

/// An answer to the request `request`, compressed where that pays.
pub fn rpc_result(request: i64, answer: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    RPC_RESULT.serialize(&mut body);
    request.serialize(&mut body);
    if (GZIP_FROM..GZIP_UP_TO).contains(&answer.len()) {
        GZIP_PACKED.serialize(&mut body);
        gzip(answer).serialize(&mut body);
    } else {
        body.extend_from_slice(answer);
    }
    body
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writing to a Vec cannot fail");
    encoder.finish().expect("writing to a Vec cannot fail")
}

/// Messages of the server as a container's body.
pub fn container(messages: &[Message]) -> Vec<u8> {
    let mut body = Vec::new();
    CONTAINER.serialize(&mut body);
    (messages.len() as i32).serialize(&mut body);
    for message in messages {
        write_message(message, &mut body);
    }
    body
}

/// What an unencrypted message holds, where `packet` is one of that length.
pub fn unencrypted(packet: &[u8]) -> Option<&[u8]> {
    let (key, rest) = packet.split_first_chunk::<8>()?;
    let (_id, rest) = rest.split_first_chunk::<8>()?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    (*key == [0; 8] && body.len() as u64 == u64::from(u32::from_le_bytes(*length))).then_some(body)
}

/// The same the other way.
pub fn write_unencrypted(id: i64, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 8];
    id.serialize(&mut packet);
    (body.len() as i32).serialize(&mut packet);
    packet.extend_from_slice(body);
    packet
}

/// `salt | session | message`, ready for encryption.
pub fn seal(salt: i64, session: i64, message: &Message) -> Vec<u8> {
    let mut plain = Vec::with_capacity(message.body.len() + 32);
    salt.serialize(&mut plain);
    session.serialize(&mut plain);
    write_message(message, &mut plain);
    plain
}

fn write_message(message: &Message, out: &mut Vec<u8>) {
    message.id.serialize(out);
    message.sequence.serialize(out);
    (message.body.len() as i32).serialize(out);
    out.extend_from_slice(&message.body);
}

/// Numbers the server's messages: ids follow the clock and grow with it.
#[derive(Default)]
pub struct MessageIds(AtomicI64);

impl MessageIds {
    /// The id of an answer (1 modulo 4) or of what the server says by itself (3 modulo 4), by a clock
    /// that is `ahead` of this machine's by so many seconds.
    pub fn next(&self, answer: bool, ahead: i64) -> i64 {
        let clock = since_epoch();
        let by_clock = ((clock.as_secs() as i64 + ahead) << 32) | (i64::from(clock.subsec_nanos()) << 2);
        // A clock that was set back by more than a second counts from there on.
        let after =
            |last: i64| if last - by_clock > 1 << 32 { by_clock } else { by_clock.max(last + 4) } & !3;
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)))
            .unwrap_or_else(|last| last);
        after(last) | if answer { 1 } else { 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: i64, body: &[u8]) -> Message {
        Message { id, sequence: 1, body: body.to_vec() }
    }

    fn gzipped(body: &[u8]) -> Vec<u8> {
        let mut packed = GZIP_PACKED.to_bytes();
        gzip(body).serialize(&mut packed);
        packed
    }

    #[test]
    fn containers_and_gzip_are_taken_apart() {
        let packed = message(4, &gzipped(b"deed and more"));
        let body = container(&[message(8, b"beef"), packed]);
        let flat = flatten(message(12, &gzipped(&body))).unwrap();
        assert_eq!(flat, [message(8, b"beef"), message(4, b"deed and more")]);
    }

    #[test]
    fn garbage_is_refused() {
        let nested = container(&[message(4, &container(&[]))]);
        assert!(matches!(flatten(message(8, &nested)), Err(MessageError::Container)));
        let many = [&CONTAINER.to_le_bytes()[..], &i32::MAX.to_le_bytes()].concat();
        assert!(matches!(flatten(message(8, &many)), Err(MessageError::Container)));
        let bomb = gzipped(&vec![0; MAX_UNPACKED as usize + 1]);
        assert!(matches!(flatten(message(8, &bomb)), Err(MessageError::Gzip)));
        assert!(matches!(flatten(message(8, &gzipped(b"")[..9])), Err(MessageError::Malformed)));
        let long = [&[0; 28][..], &i32::MAX.to_le_bytes()].concat();
        assert!(matches!(Envelope::parse(&long), Err(MessageError::Malformed)));
        assert!(matches!(Envelope::parse(&[]), Err(MessageError::Malformed)));
    }

    #[test]
    fn ids_grow_and_tell_answers_apart() {
        let ids = MessageIds::default();
        let (first, second) = (ids.next(true, 0), ids.next(false, 0));
        assert!(second > first);
        assert_eq!((first & 3, second & 3), (1, 3));
        let earlier = ids.next(true, -60);
        assert!((59..=60).contains(&((second >> 32) - (earlier >> 32))));
        assert!(ids.next(true, -60) > earlier);
    }
}
