//! One client's connection: packets in, messages out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use grammers_tl_types::{
    Deserializable, Identifiable, RawVec, Serializable, enums, functions, name_for_id, types,
};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;

use crate::faults::{Action, KEY_EXCHANGE, strike};
use crate::protocol::crypto::{AuthKey, DecryptError, HEAD, KeyId};
use crate::protocol::key_exchange::{Exchange, ExchangeError, NewKey};
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
    /// With which the client has encrypted its last packet.
    pub key: Option<AuthKey>,
    pub outbox: UnboundedSender<Outgoing>,
    pub task: AbortHandle,
}

impl Link {
    pub fn key_id(&self) -> KeyId {
        self.key.as_ref().map(AuthKey::id).unwrap_or_default()
    }
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
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
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
            let exchange = Exchange::new(shared.world().key_exchange);
            let reader = Reader { shared: &shared, datacentre: &datacentre, id, outbox, exchange };
            let writer = Writer { shared: &shared, id, packets };
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
    id: u64,
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
            let key = self.shared.world().links.get(&self.id).and_then(|link| link.key.clone());
            // Nothing is said to a client that has shown no key.
            let Some(key) = key else { continue };
            let packet = self.packets.pack(&key.encrypt(&plain));
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
    exchange: Exchange,
}

impl Reader<'_> {
    async fn run(
        mut self,
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
    fn packet(&mut self, packet: &[u8]) -> Result<bool, Ended> {
        self.shared.change(|world| world.packets.push(Instant::now()));
        if let Some(body) = unencrypted(packet) {
            return self.before_a_key(body).map(|()| true);
        }
        let Some((key, first_salt)) = self.known_key(packet)? else {
            // No method, but a test may wait for it in the same books.
            self.shared.note("unknown key", self.datacentre);
            self.send(Outgoing::Status(UNKNOWN_KEY))?;
            return Ok(false);
        };
        let plain = key.decrypt(packet)?;
        if let Some(link) = self.shared.world().links.get_mut(&self.id) {
            link.key = Some(key);
        }
        let Envelope { salt, session, message } = Envelope::parse(&plain)?;
        let salts = self.shared.world().salts();
        let complaint = if salts.accepts(salt) || first_salt == Some(salt) {
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

    /// The key that a packet names, and the salt of its exchange, if the datacentre knows it.
    fn known_key(&self, packet: &[u8]) -> Result<Option<(AuthKey, Option<i64>)>, Ended> {
        let head: &[u8; HEAD] = packet.first_chunk().ok_or(DecryptError::Length(packet.len()))?;
        let id = std::array::from_fn(|n| head[n]);
        let place = (self.datacentre.id, id);
        let world = self.shared.world();
        let known = world.keys.get(&place).filter(|_| !world.login.forgotten.contains(&place));
        Ok(known.map(|known| (known.key.clone(), known.first_salt)))
    }

    /// One message of a key exchange.
    fn before_a_key(&mut self, body: &[u8]) -> Result<(), Ended> {
        let id = constructor(body).ok_or(MessageError::Malformed)?;
        let method =
            *KEY_EXCHANGE.iter().find(|name| **name == name_for_id(id)).ok_or(MessageError::Malformed)?;
        self.shared.note(method, self.datacentre);
        let Datacentre { id: dc, media_only, .. } = *self.datacentre;
        let (now, action) = {
            let mut world = self.shared.world();
            (world.now(), strike(&mut world.faults, method, dc, media_only))
        };
        match action {
            Some(Action::DropBefore) => return Err(Ended::Fault),
            Some(Action::Ignore) => return Ok(()),
            _ => {}
        }
        // Seconds of Unix time, until 2038.
        let (answer, key) = self.exchange.answer(body, now as i32, action)?;
        if let Some(NewKey { key, salt }) = key {
            self.shared.change(|world| world.add_key(dc, key, Some(salt)));
        }
        self.send(Outgoing::Unencrypted(answer))
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
