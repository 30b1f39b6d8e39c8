//! The only module that uses grammers.
//!
//! An [`Account`] is one logged-in Telegram account. [`Account::run`] keeps it connected and hands
//! every recording in the stream of updates to a [`Recipient`]. The account's position in that stream
//! is stored only after the recipient has stored the recordings, so that Telegram sends again what was
//! not. Meanwhile [`Account::fetch`] and [`Account::deliver`] serve the pipeline over the current
//! connection.
//!
//! Imports go one way, from the bottom up:
//!
//! | | |
//! |---|---|
//! | `options`, `unix_time`, `message` | settings, the wall clock, Telegram's schema as plain data |
//! | `session/` | the session file, and the session as grammers uses it |
//! | `store/` | what changes with every update: the position, the peers, a pause in sending |
//! | `connection/` | calls with a time limit, what errors mean, the main connection and those for files |
//! | `restrictions/` | what Telegram holds against the account, and when a send is tried again |
//! | `context`, `account` | what an account shares with its connections; the account itself |
//! | `updates/` | the loop over the updates, missed updates, the list of chats, histories |
//! | `jobs/` | what a job needs: its recording is fetched and its answer delivered |
//! | `supervisor`, `login`, `probe` | keeps the account connected; logs in and out; tests a session |
//!
//! `connection/` and `restrictions/` use each other's files, but no two files import each other.
//!
//! What grammers 0.11 leaves to its user, and where it is done here:
//!
//! | left to us | done in |
//! |---|---|
//! | no connect or request timeout; a connect that hangs blocks every datacentre | `connection::pool`: a timeout on every call; `connection::file_route`: a pool of its own for each other datacentre |
//! | addresses for files only are ignored; a second connection to another address costs the session | `connection::file_calls`: an address for files, or the main connection |
//! | reconnects only while its update stream is polled; a first failure is never reported | `supervisor`: asks for the server's state, and builds everything again under backoff |
//! | its update stream buffers ahead of the stored state and is not cancel-safe | `updates::update_loop`: our own loop over its message boxes, one batch at a time |
//! | updates beyond a channel of 100 are dropped | `connection::pool`: a channel of 65,536 |
//! | a -404 replaces the stored key | `session::grammers`: a key in use is never overwritten |
//! | a panic in a sender ends the pool silently | `supervisor`: the pool's task is watched |
//! | with a clock ahead of Telegram's, repeats a refused request with every round trip | `connection::clock`: asks for the time before connecting; `supervisor`: when an answer is late, and when the clock is put forward |
//! | takes a stored pts of 0 for none | `updates::update_loop`: resumes by itself |
//! | `differenceTooLong` gives nothing, and nothing more is asked for | `updates::catch_up`: reads the histories; `updates::differences`: asks again |
//! | updateChannelTooLong with a position skips what came before it | `updates::update_loop`: removes the position |
//! | a download that failed looks like one that ended; a 401 is repeated without a pause | `jobs::fetch`: our own loop, which compares sizes |

mod account;
mod connection;
mod context;
mod jobs;
mod login;
mod message;
mod options;
mod probe;
mod restrictions;
mod session;
mod store;
mod supervisor;
mod unix_time;
mod updates;

pub use account::Account;
pub use connection::clock::{ClockAhead, ClockVerdict, ServerClock, server_clock};
pub use connection::logout::LoggedOut;
pub use context::Pulses;
pub use login::{LoginError, Prompt};
pub use options::{AccountOptions, Credentials, ReconnectDelays, TrialPauses};
pub use probe::ProbeError;
pub use session::error::SessionError;
pub use session::file::SessionFile;
pub use updates::recipient::Recipient;
