//! Telegram on loopback: an MTProto server for an unmodified client.
//!
//! A client whose session holds this server's addresses and authorisation keys needs no key
//! exchange and no changed code. One without keys exchanges them, if it knows the server's RSA key
//! ([`rsa_modulus`]). The server has two datacentres (one is the account's home, the other keeps
//! files), some people and groups, and one account: that of the [`OWNER`], or of another user
//! ([`Builder::owner`]): a family needs a server for each account.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use fake_telegram::{Chat, Draft, FRIEND, Telegram, write_session};
//!
//! let telegram = Telegram::start().await?;
//! write_session("owner.session".as_ref(), &telegram.session())?;
//! // … start the client under test …
//! let ogg = std::fs::read("hello.ogg")?;
//! let message = telegram.send(Chat::User(FRIEND), Draft::voice(ogg, 2));
//! let reply = telegram.wait_for_reply(Chat::User(FRIEND), message, Duration::from_secs(10)).await?;
//! assert_eq!(reply.text, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! From outside the process the program `fake-telegram` does the same: see [`control`].
//!
//! It leaves out: temporary keys, other accounts, secret chats, stories, CDNs, and every method
//! that a client which listens and answers has no use for (those get the error METHOD_INVALID).
//!
//! What goes wrong is data ([`Fault`]), how Telegram behaves where it may do either is
//! [`Settings`], and what the other side would see is in the [`Ledger`].

mod builder;
mod connection;
pub mod control;
mod faults;
mod ledger;
mod protocol;
mod rpc;
mod server;
mod session_file;
mod settings;
mod telegram;
mod tl_build;
mod world;

pub use builder::Builder;
pub use faults::{Action, Fault};
pub use ledger::{Call, ClientInfo, Ledger};
pub use protocol::key_exchange::KeyExchange;
pub use protocol::rsa::modulus as rsa_modulus;
pub use session_file::{SessionDc, SessionParams, SessionUser, key_from_hex, key_to_hex, write_session};
pub use settings::{Dedupe, Packing, PeersInUpdates, SentAnswer, Settings};
pub use telegram::{Telegram, TimedOut};
pub use world::draft::{Draft, RecordingKind};
pub use world::login::{Freeze, Revocation};
pub use world::peers::{
    BOT, BROADCAST, Chat, FRIEND, GROUP, Group, GroupKind, OWNER, SAVED_MESSAGES, SECOND_FRIEND, SERVICE,
    STRANGERS, SUPERGROUP, User, access_hash, phone_number,
};
pub use world::post::{Entity, Post, Reaction};
pub use world::{ChatLimits, FILE_DC};
