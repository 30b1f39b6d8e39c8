//! The only room that knows grammers.
//!
//! An [`Account`] is one logged-in Telegram account. [`Account::run`] keeps it connected and hands
//! every recording it hears to a [`Recipient`]; the account's position in the stream of updates is
//! stored only after that has taken them, so that what was not handed over safely is heard
//! again. Meanwhile [`Account::fetch`] and [`Account::deliver`] serve the pipeline over whatever
//! connection there is.
//!
//! What grammers 0.11 leaves to its user, and where it is done here:
//!
//! | left to us | done in |
//! |---|---|
//! | no connect or request timeout; a connect that hangs blocks every datacentre | `connection`: a timeout on every call; `file_route`: a pool of its own for each other datacentre |
//! | addresses for files only are passed over; a second connection to another one costs the session | `file_route`: an address for files, or the main connection |
//! | reconnects only while its update stream is polled; a first failure is silent for ever | `supervisor`: pings, and builds everything anew under backoff |
//! | its update stream buffers ahead of the stored state and is not cancel-safe | `updates`: our own loop over its message boxes, one batch at a time |
//! | updates beyond a channel of 100 are dropped | `connection`: a channel of 65,536 |
//! | a -404 replaces the stored key | `session`: a key in use is never overwritten |
//! | a panic in a sender ends the pool silently | `supervisor`: the pool's task is watched |
//! | with a clock ahead of Telegram's, repeats a refused request with each round trip for ever | `clock`: asks for the time before connecting; `supervisor`: when an answer is late, and when the clock is put forward |
//! | takes a stored pts of 0 for none | `updates`: resumes by itself |
//! | `differenceTooLong` gives nothing, and ends without asking on | `catch_up`: the histories; `updates`: asks on |
//! | updateChannelTooLong with a position skips what came before it | `updates`: the position is taken out |
//! | a download that failed looks like one that ended; a 401 loops hot | `media`: our own loop, sizes compared |

mod account;
mod catch_up;
mod clock;
mod connection;
mod deliver;
mod dialogs;
mod downloads;
mod file_route;
mod incoming;
mod login;
mod media;
mod probe;
mod recipient;
mod redelivery;
mod restrictions;
mod rpc_error;
mod session;
mod state;
mod supervisor;
mod updates;

pub use account::{Account, AccountOptions, Credentials, Pulses};
pub use clock::{ClockAhead, ClockVerdict, ServerClock, server_clock};
pub use login::{LoginError, Prompt};
pub use probe::ProbeError;
pub use recipient::Recipient;
pub use restrictions::TrialPauses;
pub use session::{SessionError, SessionFile};
pub use supervisor::{LoggedOut, ReconnectDelays};
