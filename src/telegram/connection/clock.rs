//! Telegram's time, asked for without a login.
//!
//! Telegram answers the first message of MTProto's key exchange to anybody, and the number of every
//! message from the server is its time
//! (<https://core.telegram.org/mtproto/description#message-identifier-msg-id>). This uses no key,
//! no session and no API_ID, so it does not disturb a running daemon.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;
use tracing::warn;

use super::super::problems::CLOCK_WRONG;
use super::super::session::contents::DcAddresses;
use super::dialer::{Dialer, Stream, Target, Ways};
use crate::domain::{Proxy, unix_time};
use crate::runtime::problem::Diagnosis;

/// How far, in seconds, the clock of a client may be ahead of Telegram's and behind it. Telegram
/// ignores messages that seem to come from other times
/// (<https://core.telegram.org/mtproto/description#message-identifier-msg-id>).
const TOLERATED_AHEAD: i64 = 30;
const TOLERATED_BEHIND: i64 = 300;
/// A difference of this many seconds may come from the exchange itself, and does no harm.
const HARMLESS: i64 = 5;
/// How often a connection checks whether somebody has set the clock.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Length, number and checksum of a packet of the "full" transport, as grammers speaks it too
/// (<https://core.telegram.org/mtproto/mtproto-transports#full>).
const OVERHEAD: usize = 12;
/// A `resPQ` takes about 100 bytes.
const MAX_PACKET: usize = 4096;
/// Constructors of `req_pq_multi` and `resPQ` (<https://core.telegram.org/mtproto/auth_key>).
const REQ_PQ_MULTI: u32 = 0xbe7e_8ef1;
const RES_PQ: u32 = 0x0516_2463;
const NONCE: usize = 16;

/// What a datacentre answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerClock {
    /// How many seconds this machine's clock is behind Telegram's; negative if it is ahead.
    /// Telegram's time is compared with the middle of the exchange, so the error is up to half of
    /// [`took`](Self::took).
    pub behind: i64,
    /// Time from the request to the answer, without connecting.
    pub took: Duration,
}

/// How Telegram treats a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    Right,
    /// Wrong, but not by enough to be refused.
    Tolerated,
    /// Telegram ignores messages from such a time.
    Refused,
}

impl ServerClock {
    pub fn verdict(&self) -> ClockVerdict {
        // Both clocks are read in whole seconds, so 30 s may be slightly more.
        if self.behind <= -TOLERATED_AHEAD || self.behind > TOLERATED_BEHIND {
            ClockVerdict::Refused
        } else if self.behind.abs() > HARMLESS {
            ClockVerdict::Tolerated
        } else {
            ClockVerdict::Right
        }
    }

    /// Logs a warning if the clock is wrong.
    pub(crate) fn warn(&self) {
        if self.verdict() != ClockVerdict::Right {
            let direction = if self.behind > 0 { "behind" } else { "ahead of" };
            let seconds = self.behind.abs();
            let clock = format!("This machine's clock is {seconds} s {direction} Telegram's");
            warn!(event = "clock_wrong", "{}", CLOCK_WRONG.with(clock));
        }
    }

    /// Whether Telegram would refuse every message of a connection. grammers corrects a clock that
    /// is behind. With one that is ahead it counts on from the number of its last message, so that
    /// Telegram refuses every further message as well.
    pub fn forbids_connecting(&self) -> Option<ClockAhead> {
        let is_ahead = self.behind < 0 && self.verdict() == ClockVerdict::Refused;
        is_ahead.then_some(ClockAhead { seconds: self.behind.unsigned_abs() })
    }
}

/// This machine's clock is so far ahead of Telegram's that Telegram refuses its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.diagnosis())]
pub struct ClockAhead {
    pub seconds: u64,
}

impl ClockAhead {
    /// What is wrong, and what to do.
    pub fn diagnosis(&self) -> Diagnosis {
        CLOCK_WRONG.with(format_args!(
            "this machine's clock is {} s ahead of Telegram's, which refuses messages from over {TOLERATED_AHEAD} s \
             ahead",
            self.seconds
        ))
    }
}

/// Why connecting now would fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClockError {
    #[error(transparent)]
    Ahead(ClockAhead),
    /// There was no answer.
    #[error("{0}")]
    Unreachable(io::Error),
}

/// Asks the datacentre at `addresses` for the time, before a connection is made to it. The result
/// is `None` if `addresses` is, or if the datacentre does not say.
pub(crate) async fn check_clock(
    addresses: Option<DcAddresses>,
    limit: Duration,
    dialer: &Dialer,
) -> Result<Option<ServerClock>, ClockError> {
    use io::ErrorKind::{ConnectionReset, InvalidData, UnexpectedEof};
    let Some(addresses) = addresses else { return Ok(None) };
    match server_clock(addresses, limit, dialer).await {
        Ok(Answered { clock, .. }) => match clock.forbids_connecting() {
            Some(ahead) => Err(ClockError::Ahead(ahead)),
            None => Ok(Some(clock)),
        },
        // Something answers, though not with the time. The connection will show if it is Telegram.
        Err(error) if matches!(error.kind(), InvalidData | UnexpectedEof | ConnectionReset) => Ok(None),
        Err(error) => Err(ClockError::Unreachable(error)),
    }
}

/// Waits until this machine's clock is put forward by more than a few seconds, and returns by how
/// many. A connection numbers its messages by the clock, so Telegram would refuse them from then
/// on. A machine that was asleep counts as well, because its connections are dead.
pub(crate) async fn wait_for_forward_jump() -> u64 {
    let start = Reading::take();
    loop {
        sleep(CHECK_EVERY).await;
        let forward = Reading::take().forward_of(start);
        if forward > HARMLESS as u64 {
            return forward;
        }
    }
}

/// The wall clock, and a clock that nobody can set.
#[derive(Clone, Copy)]
struct Reading {
    clock: Duration,
    steady: Instant,
}

impl Reading {
    fn take() -> Self {
        Self { clock: unix_time::now(), steady: Instant::now() }
    }

    /// By how many seconds the clock was put forward between `earlier` and this reading.
    fn forward_of(self, earlier: Self) -> u64 {
        let passed = self.steady.saturating_duration_since(earlier.steady);
        self.clock.saturating_sub(earlier.clock).saturating_sub(passed).as_secs_f64().round() as u64
    }
}

/// A datacentre's clock, and how it was reached.
#[derive(Debug)]
pub struct Answered {
    pub clock: ServerClock,
    /// The way to it; `None` without a proxy.
    pub by: Option<Proxy>,
    /// What became of the ways that were tried before, each with its name.
    pub failures: Vec<String>,
}

/// Asks the datacentre at `addresses` for the time, by one way after the other until there is an
/// answer. For each, the answer may take `limit`, and connecting through a proxy may take longer.
/// The error says what became of each way. Its kind is that of the last:
/// [`io::ErrorKind::TimedOut`] if nothing came in time, and [`io::ErrorKind::InvalidData`] if
/// something other than Telegram answered.
pub async fn server_clock(addresses: DcAddresses, limit: Duration, dialer: &Dialer) -> io::Result<Answered> {
    let Some(ways) = dialer.ways() else {
        let stream = within(limit, dialer.dial_directly(addresses)).await?;
        stream.set_nodelay(true)?;
        let clock = within(limit, ask(stream)).await?;
        return Ok(Answered { clock, by: None, failures: Vec::new() });
    };
    let target = Target { dc: addresses.dc, address: addresses.ipv4, files_only: false };
    let (mut failures, mut kind) = (Vec::new(), io::ErrorKind::Other);
    for number in ways.in_order() {
        let proxy = ways.proxy(number);
        match ask_by(ways, number, target, limit).await {
            Ok(clock) => {
                ways.prefer(number);
                return Ok(Answered { clock, by: Some(proxy.clone()), failures });
            }
            Err(error) => {
                failures.push(format!("{proxy}: {error}"));
                kind = error.kind();
            }
        }
    }
    Err(io::Error::new(kind, failures.join("; ")))
}

async fn ask_by(ways: &Ways, number: usize, target: Target, limit: Duration) -> io::Result<ServerClock> {
    let stream = ways.connect(number, target).await?;
    within(limit, ask(stream)).await.map_err(|error| {
        if *ways.proxy(number) == Proxy::Direct {
            return error;
        }
        let hint = ways.hint(number);
        let what = format!("it takes the connection, but Telegram does not answer through it: {error}{hint}");
        io::Error::new(error.kind(), what)
    })
}

async fn within<T>(limit: Duration, answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_late = |_| {
        let why = format!("no answer within {} s", limit.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, why)
    };
    tokio::time::timeout(limit, answer).await.map_err(too_late).flatten()
}

async fn ask(mut stream: impl Stream) -> io::Result<ServerClock> {
    let nonce = nonce();
    let before = unix_time::now();
    stream.write_all(&packet(&request(nonce))).await?;
    let answer = read_packet(&mut stream).await?;
    let after = unix_time::now();
    let server = server_seconds(&answer, nonce)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers there is not Telegram"))?;
    let here = (before + after) / 2;
    // Both are whole seconds between 1970 and 2106, so neither conversion can overflow.
    Ok(ServerClock { behind: server - here.as_secs() as i64, took: after.saturating_sub(before) })
}

/// An unencrypted message: key 0, number 0 (which the server does not look at), length, body.
fn request(nonce: [u8; NONCE]) -> Vec<u8> {
    let mut message = vec![0; 16];
    message.extend_from_slice(&(4 + NONCE as u32).to_le_bytes());
    message.extend_from_slice(&REQ_PQ_MULTI.to_le_bytes());
    message.extend_from_slice(&nonce);
    message
}

/// The first packet on a connection: length, number 0, payload, checksum.
fn packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = ((payload.len() + OVERHEAD) as u32).to_le_bytes().to_vec();
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(payload);
    let checksum = crc32fast::hash(&packet);
    packet.extend_from_slice(&checksum.to_le_bytes());
    packet
}

async fn read_packet(stream: &mut impl Stream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32_le().await? as usize;
    if !(OVERHEAD..=MAX_PACKET).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what answers there is not Telegram"));
    }
    let mut rest = vec![0; length - 4];
    stream.read_exact(&mut rest).await?;
    // The checksum is not verified: TCP has its own, and nothing secret or stored depends on this
    // one.
    Ok(rest[4..length - 8].to_vec())
}

/// The server's Unix time, from an unencrypted `resPQ` to the request with this `nonce`.
fn server_seconds(message: &[u8], nonce: [u8; NONCE]) -> Option<i64> {
    let (key, rest) = message.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (_length, body) = rest.split_first_chunk::<4>()?;
    let (constructor, body) = body.split_first_chunk::<4>()?;
    let is_answer = *key == [0; 8]
        && u32::from_le_bytes(*constructor) == RES_PQ
        && body.first_chunk::<NONCE>() == Some(&nonce);
    is_answer.then(|| i64::from_le_bytes(*number) >> 32)
}

/// Distinguishes the answer to this request from others. It protects no secret.
fn nonce() -> [u8; NONCE] {
    let random = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut nonce = [0; NONCE];
    nonce[..8].copy_from_slice(&random());
    nonce[8..].copy_from_slice(&random());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_our_own_question_counts() {
        let nonce = [7; NONCE];
        let answer = |key: u8, constructor: u32, nonce: [u8; NONCE]| {
            let mut message = vec![key; 8];
            message.extend_from_slice(&(1_800_000_000_i64 << 32 | 1).to_le_bytes());
            message.extend_from_slice(&20_u32.to_le_bytes());
            message.extend_from_slice(&constructor.to_le_bytes());
            message.extend_from_slice(&nonce);
            message
        };
        assert_eq!(server_seconds(&answer(0, RES_PQ, nonce), nonce), Some(1_800_000_000));
        for wrong in [answer(1, RES_PQ, nonce), answer(0, 7, nonce), answer(0, RES_PQ, [8; NONCE])] {
            assert_eq!(server_seconds(&wrong, nonce), None);
        }
        let whole = answer(0, RES_PQ, nonce);
        for length in 0..whole.len() {
            assert_eq!(server_seconds(&whole[..length], nonce), None);
        }
    }

    #[test]
    fn a_clock_may_be_ahead_by_half_a_minute_and_behind_by_five() {
        use ClockVerdict::{Refused, Right, Tolerated};
        for (behind, verdict) in [
            (0, Right),
            (5, Right),
            (-5, Right),
            (6, Tolerated),
            (300, Tolerated),
            (301, Refused),
            (86_400, Refused),
            (-6, Tolerated),
            (-29, Tolerated),
            (-30, Refused),
            (-172_800, Refused),
        ] {
            let clock = ServerClock { behind, took: Duration::ZERO };
            assert_eq!(clock.verdict(), verdict, "{behind}");
            let ahead = clock.forbids_connecting().map(|ahead| ahead.seconds);
            assert_eq!(ahead, (behind <= -30).then_some(behind.unsigned_abs()), "{behind}");
        }
    }

    #[test]
    fn only_a_clock_that_was_put_forward_counts() {
        let start = Reading::take();
        let later = |clock: u64, steady: u64| Reading {
            clock: Duration::from_secs(clock),
            steady: start.steady + Duration::from_secs(steady),
        };
        let earlier = later(1000, 0);
        assert_eq!(later(1060, 60).forward_of(earlier), 0);
        assert_eq!(later(1060, 10).forward_of(earlier), 50);
        assert_eq!(later(900, 10).forward_of(earlier), 0);
    }
}
