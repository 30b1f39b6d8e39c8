//! How this Telegram behaves where the real one may do either.

use std::time::Duration;

/// What becomes of a message sent again under a `random_id` that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Dedupe {
    /// The answer tells of the first message, with a `pts_count` of 0.
    #[default]
    GiveFirst,
    /// The answer is the error RANDOM_ID_DUPLICATE.
    Refuse,
    /// It is sent again: the ledger then shows what a client would have said twice.
    Off,
}

/// How messages.sendMessage is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SentAnswer {
    /// With the updates that it caused.
    #[default]
    Updates,
    /// With updateShortSentMessage, in private chats and basic groups.
    Short,
}

/// How far updates describe the users and chats that they speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PeersInUpdates {
    #[default]
    Full,
    /// As "min" objects, whose access hash is good for nothing.
    Min,
    /// Not at all.
    None,
}

/// How several updates travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Packing {
    /// Each in a packet of its own.
    #[default]
    Separate,
    /// All in one `updates` object.
    OneUpdates,
    /// Each in its own `updates` object, all in one MTProto container.
    OneContainer,
    /// Each in an `updates` object that has the next number of the sequence of updates (`seq`).
    Numbered,
    /// All in one `updatesCombined` object, which has the next numbers of that sequence, one for each.
    Combined,
    /// Each as an `updateShort`, which describes no peers.
    Short,
    /// Each as an `updateShortMessage`; for texts in private chats only, others travel in `updates`.
    ShortMessage,
    /// As one `updatesTooLong`: there is something, and the client has to ask for it.
    TooLong,
}

/// Everything that may be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dedupe: Dedupe,
    pub sent_answer: SentAnswer,
    pub peers_in_updates: PeersInUpdates,
    /// updateChannelTooLong, by which getDifference names channels where something happened, tells
    /// their `pts`. A client that takes that `pts` for its own has lost what came before it; grammers
    /// 0.11 does.
    pub channel_too_long_has_pts: bool,
    /// The account's `pts` before anything happened, which is fixed at the start. Clients take 0 for
    /// "unknown", although an account in which nothing happened yet has it.
    pub first_pts: i32,
    /// Events in one slice of a difference, unless the client wants less.
    pub slice: usize,
    /// How far the server's clock is ahead of this machine's, in seconds: the numbers of its messages
    /// say so, and it refuses a client's that are over 30 s ahead of it or 300 s behind. Messages keep
    /// the dates of this machine.
    pub clock_ahead: i64,
    /// How long a salt is the current one, in seconds. After half as long again it is refused, and the
    /// client is told the one that is current then.
    pub salt_lifetime: i32,
    /// How long an answer is under way.
    pub round_trip: Duration,
    /// The account's session ends with AUTH_KEY_DUPLICATED when two connections send requests to
    /// the same datacentre in parallel, except to its address for files
    /// (<https://core.telegram.org/api/errors#406-not-acceptable>).
    pub parallel_use_refused: bool,
    /// help.getConfig names an address of each datacentre that serves files only.
    pub media_addresses: bool,
    /// How many bytes a connection carries to the client in a second; `None`: as many as it can.
    pub bytes_per_second: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dedupe: Dedupe::default(),
            sent_answer: SentAnswer::default(),
            peers_in_updates: PeersInUpdates::default(),
            channel_too_long_has_pts: true,
            first_pts: 1,
            slice: 100,
            clock_ahead: 0,
            salt_lifetime: 3600,
            round_trip: Duration::ZERO,
            parallel_use_refused: true,
            media_addresses: false,
            bytes_per_second: None,
        }
    }
}
