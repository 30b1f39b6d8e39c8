//! The only module that uses grammers.
//!
//! An [`Account`] is one logged-in Telegram account. [`Account::run`] keeps it connected and hands
//! every event in the stream of updates to an [`EventSink`]. The account's position in that stream
//! is stored only after the sink has stored the events, so that Telegram sends again what was not.
//! Meanwhile [`Account::fetch`] and [`Account::deliver`] serve the pipeline over the current
//! connection.
//!
//! No two files import each other. From the bottom up:
//!
//! - `options`, `message`, `reactions`: settings, Telegram's schema as plain data;
//! - `session/`: the session file, and the session as grammers uses it;
//! - `store/`: what changes with every update (the position, the peers), and a pause in sending;
//! - `connection/`: calls with a time limit, what errors mean, the connections of an account;
//! - `restrictions/`: what Telegram holds against the account, and when a send is tried again;
//! - `context`, `account`: what an account shares with its connections, and the account itself;
//! - `updates/`: the loop over the updates, missed updates, the list of chats, histories;
//! - `jobs/`: what a job needs: its recording is fetched, and its answer delivered;
//! - `supervisor`, `login`, `probe`: keeps the account connected, logs in and out, tests a session.
//!
//! What grammers 0.11 leaves to its user, and where it is done here:
//!
//! - It has no timeout for connecting or for requests, and a connect that hangs blocks every
//!   datacentre. `connection::pool` limits every call; `connection::file_route` has a separate pool
//!   for every other datacentre.
//! - It ignores addresses for files only, and Telegram ends a session that opens a second
//!   connection to another address. `connection::file_calls` uses an address for files, or else the
//!   main connection.
//! - It reconnects only while its update stream is polled, and never reports a first failure.
//!   `supervisor` asks for the server's state, and builds everything again under backoff.
//! - Its update stream buffers ahead of the stored state and is not cancel-safe.
//!   `updates::update_loop` is our own loop over its message boxes, one batch at a time.
//! - It drops updates beyond a channel of 100. `connection::pool` has a channel of 65,536.
//! - It replaces the stored key after a -404. `session::grammers` never overwrites a key in use.
//! - A panic in a sender ends the pool silently. `supervisor` watches the pool's task.
//! - With a clock ahead of Telegram's, it repeats a refused request with every round trip.
//!   `connection::clock` asks for the time before connecting; `supervisor` compares the clocks when
//!   an answer is late, and notices when the clock is put forward.
//! - It takes a stored pts of 0 for none. `updates::update_loop` resumes by itself.
//! - After `differenceTooLong` it reports no messages and asks for nothing more.
//!   `updates::catch_up` reads the histories, and `updates::differences` asks again.
//! - It skips what came before an updateChannelTooLong with a position. `updates::update_loop`
//!   removes the position.
//! - A failed download looks like a complete one, and a 401 is repeated without a pause.
//!   `jobs::fetch` is our own loop, which compares sizes.

mod account;
mod connection;
mod context;
mod jobs;
mod login;
mod message;
mod notice;
mod options;
mod probe;
pub mod problems;
mod reactions;
mod restrictions;
mod session;
mod store;
mod supervisor;
mod updates;

pub use account::Account;
pub use connection::clock::{Answered, ClockAhead, ClockVerdict, ServerClock, server_clock};
pub use connection::dialer::Dialer;
pub use connection::logout::LoggedOut;
pub use context::Pulses;
pub use jobs::spool::SpoolOptions;
pub use login::{LoginError, Prompt};
#[doc(hidden)]
pub use message::recordings_in_updates;
pub use options::{AccountOptions, ReconnectDelays, TrialPauses};
pub use probe::ProbeError;
pub use restrictions::state::describe as restriction;
pub use session::contents::DcAddresses;
pub use session::error::SessionError;
pub use session::file::SessionFile;
pub use updates::event_sink::EventSink;
