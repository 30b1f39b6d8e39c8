//! One client's connection: packets in, messages out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grammers_tl_types::{Deserializable, Identifiable, RawVec, Serializable, enums, functions, types};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use crate::protocol::crypto::DecryptError;
use crate::protocol::message::{
    Envelope, Message, MessageError, constructor, container, flatten, rpc_result, seal, unencrypted,
    write_unencrypted,
};
use crate::protocol::random;
use crate::protocol::transport::{PacketReader, PacketWriter, TransportError, accept};
use crate::rpc::{self, Outcome};
use crate::server::{Datacentre, Shared};
use crate::world::World;

/// How many salts get_future_salts tells.
const SALTS: i64 = 8;
/// "Incorrect server salt", "incorrect two lower order msg_id bits", "msg_id too low" and "too high".
const BAD_SALT: i32 = 48;
const BAD_MESSAGE_ID: i32 = 18;
const TOO_LOW: i32 = 16;
const TOO_HIGH: i32 = 17;
/// How far the time in a client's message number may be from the server's, in seconds.
const TOLERATED: std::ops::RangeInclusive<i64> = -300..=30;
/// Bytes written at once to a slow line.
const SLOW_PIECE: usize = 1024;
/// The transport's error for a key that the server does not know.
const UNKNOWN_KEY: i32 = -404;

/// What is to be written to a client.
pub enum Outgoing {
    /// The answer to one message of the client.
    Answer { session: i64, body: Vec<u8>, content: bool },
    /// What the server says by itself; several bodies travel in one container.
    Push { session: i64, bodies: Vec<Vec<u8>> },
    /// The same without encryption, before there is a key.
    Unencrypted(Vec<u8>),
    /// A bare error of the transport.
    Status(i32),
}

/// An open connection, as the world knows it.
pub struct Link {
    pub dc: i32,
    /// To the datacentre's address for files.
    pub media_only: bool,
    /// The MTProto session that receives updates; known from the first message on.
    pub session: Option<i64>,
    /// The number of the client's last request, which holds when the client made it.
    pub last_request: Option<i64>,
    pub outbox: UnboundedSender<Outgoing>,
    pub task: AbortHandle,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Decrypt(#[from] DecryptError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("the server stopped speaking")]
    Silent,
    #[error("a fault wants it so")]
    Fault,
}

/// Serves one connection until either side ends it.
pub async fn serve(
    shared: Arc<Shared>,
    datacentre: Arc<Datacentre>,
    id: u64,
    stream: TcpStream,
    outbox: UnboundedSender<Outgoing>,
    inbox: UnboundedReceiver<Outgoing>,
) {
    // Small packets must not wait for each other; if that cannot be had, they do.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let ended = match accept(read).await {
        Ok((read, from_client, packets)) => {
            let reader = Reader { shared: &shared, datacentre: &datacentre, id, outbox };
            let writer = Writer { shared: &shared, datacentre: &datacentre, packets };
            tokio::select! {
                Err(ended) = reader.run(read, from_client) => ended,
                Err(ended) = writer.run(write, inbox) => ended,
            }
        }
        Err(error) => error.into(),
    };
    tracing::debug!(dc = datacentre.id, connection = id, %ended, "connection ended");
}

struct Writer<'a> {
    shared: &'a Shared,
    datacentre: &'a Datacentre,
    packets: PacketWriter,
}

impl Writer<'_> {
    async fn run(
        mut self,
        mut stream: OwnedWriteHalf,
        mut inbox: UnboundedReceiver<Outgoing>,
    ) -> Result<Infallible, Ended> {
        while let Some(outgoing) = inbox.recv().await {
            let round_trip = self.shared.world().settings.round_trip;
            if !round_trip.is_zero() {
                tokio::time::sleep(round_trip).await;
            }
            self.shared.until_speaking().await;
            let (session, message) = match outgoing {
                Outgoing::Status(code) => {
                    stream.write_all(&self.packets.status(code)).await?;
                    return Err(Ended::Decrypt(DecryptError::UnknownKey));
                }
                Outgoing::Unencrypted(body) => {
                    let packet = self.packets.pack(&write_unencrypted(self.id(true), &body));
                    stream.write_all(&packet).await?;
                    continue;
                }
                Outgoing::Answer { session, body, content } => {
                    (session, self.number(session, body, content, true))
                }
                Outgoing::Push { session, bodies } => (session, self.pushed(session, bodies)),
            };
            let salt = self.shared.world().salts().current();
            let plain = seal(salt, session, &message);
            let packet = self.packets.pack(&self.datacentre.key.encrypt(&plain));
            self.write(&mut stream, &packet).await?;
        }
        Err(Ended::Silent)
    }

    /// Writes a packet as fast as the line carries it.
    async fn write(&self, stream: &mut OwnedWriteHalf, packet: &[u8]) -> std::io::Result<()> {
        let Some(rate) = self.shared.world().settings.bytes_per_second else {
            return stream.write_all(packet).await;
        };
        for piece in packet.chunks(SLOW_PIECE) {
            stream.write_all(piece).await?;
            tokio::time::sleep(Duration::from_secs(1) * piece.len() as u32 / rate).await;
        }
        Ok(())
    }

    fn pushed(&self, session: i64, mut bodies: Vec<Vec<u8>>) -> Message {
        if bodies.len() == 1 {
            return self.number(session, bodies.remove(0), true, false);
        }
        let inner: Vec<_> = bodies.into_iter().map(|body| self.number(session, body, true, false)).collect();
        self.number(session, container(&inner), false, false)
    }

    fn number(&self, session: i64, body: Vec<u8>, content: bool, answer: bool) -> Message {
        let sequence = self.shared.world().next_sequence(session, content);
        Message { id: self.id(answer), sequence, body }
    }

    fn id(&self, answer: bool) -> i64 {
        let ahead = self.shared.world().settings.clock_ahead;
        self.shared.message_ids.next(answer, ahead)
    }
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
    datacentre: &'a Datacentre,
    id: u64,
    outbox: UnboundedSender<Outgoing>,
}

impl Reader<'_> {
    async fn run(
        self,
        mut stream: impl AsyncRead + Unpin,
        mut packets: PacketReader,
    ) -> Result<Infallible, Ended> {
        loop {
            self.shared.until_speaking().await;
            let packet = packets.read(&mut stream).await?;
            self.shared.until_speaking().await;
            if !self.packet(&packet)? {
                // The writer ends the connection once it has written why.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Handles one packet. False if the client's key is unknown and it has been told so.
    fn packet(&self, packet: &[u8]) -> Result<bool, Ended> {
        self.shared.change(|world| world.packets.push(Instant::now()));
        if let Some(body) = unencrypted(packet) {
            return self.before_a_key(body).map(|()| true);
        }
        let forgotten = self.shared.world().login.forgotten.contains(&self.datacentre.id);
        let plain = match self.datacentre.key.decrypt(packet) {
            Ok(plain) if !forgotten => plain,
            Ok(_) | Err(DecryptError::UnknownKey) => {
                // No method, but a test may wait for it in the same books.
                self.shared.note("unknown key", self.datacentre);
                self.send(Outgoing::Status(UNKNOWN_KEY))?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let Envelope { salt, session, message } = Envelope::parse(&plain)?;
        let salts = self.shared.world().salts();
        let complaint = if salts.accepts(salt) {
            wrong_id(&message, salts.now).map(|code| bad_message(&message, code))
        } else {
            self.shared.note("bad salt", self.datacentre);
            Some(bad_salt(&message, salts.current()))
        };
        if let Some(complaint) = complaint {
            self.answer(session, complaint.to_bytes(), false)?;
            return Ok(true);
        }
        self.greet(session, message.id)?;
        for message in flatten(message)? {
            self.message(session, message)?;
        }
        Ok(true)
    }

    /// The key exchange is not done here; its first answer is there, by which a client learns the time.
    fn before_a_key(&self, body: &[u8]) -> Result<(), Ended> {
        if constructor(body) != Some(functions::ReqPqMulti::CONSTRUCTOR_ID) {
            return Err(MessageError::Malformed.into());
        }
        self.shared.note("req_pq_multi", self.datacentre);
        let nonce = body.get(4..20).and_then(|nonce| nonce.try_into().ok()).ok_or(MessageError::Malformed)?;
        let answer = types::ResPq {
            nonce,
            server_nonce: random(),
            // 3 * 5: nobody here goes on to take it apart.
            pq: vec![15],
            server_public_key_fingerprints: Vec::new(),
        };
        self.send(Outgoing::Unencrypted(enums::ResPq::Pq(answer).to_bytes()))
    }

    /// Notes the session, and tells a new one that it is new.
    fn greet(&self, session: i64, first_message: i64) -> Result<(), Ended> {
        let is_new = {
            let mut world = self.shared.world();
            let is_new = !world.sessions.contains_key(&session);
            world.sessions.entry(session).or_default();
            if let Some(link) = world.links.get_mut(&self.id) {
                link.session = Some(session);
            }
            is_new
        };
        if is_new {
            let created = types::NewSessionCreated {
                first_msg_id: first_message,
                unique_id: i64::from_le_bytes(random()),
                server_salt: self.shared.world().salts().current(),
            };
            let body = enums::NewSession::Created(created).to_bytes();
            self.send(Outgoing::Push { session, bodies: vec![body] })?;
        }
        Ok(())
    }

    fn message(&self, session: i64, message: Message) -> Result<(), Ended> {
        let Some(id) = constructor(&message.body) else {
            return Err(MessageError::Malformed.into());
        };
        let number = || i64::from_bytes(&message.body[4..]).unwrap_or_default();
        match id {
            types::MsgsAck::CONSTRUCTOR_ID => Ok(()),
            functions::Ping::CONSTRUCTOR_ID | functions::PingDelayDisconnect::CONSTRUCTOR_ID => {
                self.shared.note("ping", self.datacentre);
                let pong = types::Pong { msg_id: message.id, ping_id: number() };
                self.answer(session, enums::Pong::Pong(pong).to_bytes(), false)
            }
            functions::GetFutureSalts::CONSTRUCTOR_ID => {
                let salts = self.shared.world().salts();
                self.answer(session, salts.future(message.id).to_bytes(), false)
            }
            functions::DestroySession::CONSTRUCTOR_ID => {
                let none = types::DestroySessionNone { session_id: number() };
                self.answer(session, enums::DestroySessionRes::from(none).to_bytes(), false)
            }
            functions::RpcDropAnswer::CONSTRUCTOR_ID => {
                let unknown = enums::RpcDropAnswer::RpcAnswerUnknown.to_bytes();
                self.answer(session, rpc_result(message.id, &unknown), true)
            }
            _ => self.request(session, &message),
        }
    }

    fn request(&self, session: i64, message: &Message) -> Result<(), Ended> {
        let outcome = self.shared.change(|world| {
            if world.is_parallel_use(self.id, message.id) {
                return rpc::end_duplicated(world);
            }
            rpc::handle(world, self.datacentre.id, self.id, &message.body)
        });
        match outcome {
            Outcome::Answer(body) => self.answer(session, rpc_result(message.id, &body), true),
            Outcome::AnswerAfter(delay, body) => {
                let answer = Outgoing::Answer { session, body: rpc_result(message.id, &body), content: true };
                self.answer_after(delay, answer);
                Ok(())
            }
            Outcome::Nothing => Ok(()),
            Outcome::Drop => Err(Ended::Fault),
        }
    }

    fn answer_after(&self, delay: Duration, answer: Outgoing) {
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The client may have gone meanwhile.
            let _ = outbox.send(answer);
        });
    }

    fn answer(&self, session: i64, body: Vec<u8>, content: bool) -> Result<(), Ended> {
        self.send(Outgoing::Answer { session, body, content })
    }

    fn send(&self, outgoing: Outgoing) -> Result<(), Ended> {
        self.outbox.send(outgoing).map_err(|_| Ended::Silent)
    }
}

fn bad_salt(message: &Message, new_server_salt: i64) -> enums::BadMsgNotification {
    types::BadServerSalt {
        bad_msg_id: message.id,
        bad_msg_seqno: message.sequence,
        error_code: BAD_SALT,
        new_server_salt,
    }
    .into()
}

/// What is wrong with the number of a client's message, by the server's clock.
fn wrong_id(message: &Message, now: i64) -> Option<i32> {
    if message.id & 3 != 0 {
        return Some(BAD_MESSAGE_ID);
    }
    let ahead = (message.id >> 32) - now;
    if TOLERATED.contains(&ahead) {
        return None;
    }
    Some(if ahead < 0 { TOO_LOW } else { TOO_HIGH })
}

fn bad_message(message: &Message, error_code: i32) -> enums::BadMsgNotification {
    types::BadMsgNotification { bad_msg_id: message.id, bad_msg_seqno: message.sequence, error_code }.into()
}

/// The salts at one moment of the server's clock: each is the number of its own span of time
/// (<https://core.telegram.org/mtproto/description#server-salt>).
#[derive(Clone, Copy)]
struct Salts {
    /// Seconds of Unix time, by the server's clock.
    now: i64,
    lifetime: i64,
}

impl World {
    fn salts(&self) -> Salts {
        Salts { now: self.now(), lifetime: i64::from(self.settings.salt_lifetime) }
    }
}

impl Salts {
    /// Zero is what a client says that knows none.
    fn current(self) -> i64 {
        self.now / self.lifetime + 1
    }

    /// From when on `salt` is valid, and until when, which is into the time of the next.
    fn validity(self, salt: i64) -> std::ops::Range<i64> {
        let since = (salt - 1) * self.lifetime;
        since..since + self.lifetime + self.lifetime / 2
    }

    fn accepts(self, salt: i64) -> bool {
        // Any other number is random, and too large to reckon with.
        (self.current() - 1..=self.current()).contains(&salt) && self.validity(salt).contains(&self.now)
    }

    fn future(self, request: i64) -> enums::FutureSalts {
        let told = |salt: i64| {
            let valid = self.validity(salt);
            types::FutureSalt { valid_since: valid.start as i32, valid_until: valid.end as i32, salt }
        };
        let salts = RawVec((self.current()..self.current() + SALTS).map(told).collect());
        types::FutureSalts { req_msg_id: request, now: self.now as i32, salts }.into()
    }
}
