//! How long a loop may take for each of its steps before it counts as stuck. The limits are
//! generous, because systemd ends and restarts a daemon that is stuck.

use std::time::Duration;

/// An operation of the queue's store. Redis is given 5 s, but an fsync on a failing disk takes
/// long.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(300);
/// The time between two operations. It covers a pause of 15 s, a look for work every 5 s, storing
/// the position in Telegram's stream of updates, and a summary, which takes 125 s at most.
pub(super) const BETWEEN_OPERATIONS_LIMIT: Duration = Duration::from_secs(180);
/// Decoding ends by itself after 10 minutes.
pub(super) const DECODE_LIMIT: Duration = Duration::from_secs(900);
/// Sending takes several requests, each with a limit of 30 s.
pub(super) const DELIVERY_LIMIT: Duration = Duration::from_secs(900);
/// One pass of a large model's encoder takes a minute or two on a slow machine.
pub const ENCODER_PASS_LIMIT: Duration = Duration::from_secs(900);
