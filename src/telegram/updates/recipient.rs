//! Who receives the recordings in the stream of updates.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Peer;
use crate::domain::policy::Incoming;

/// Receives the recordings in the stream of updates.
#[async_trait]
pub trait Recipient: Send + Sync {
    /// Takes recordings in order, and returns true once all of them are stored. Only then is the
    /// account's position stored. After false, they come again with the next connection. A
    /// recording may come more than once.
    async fn take(&self, recordings: Vec<Incoming>) -> bool;

    /// Whether recordings of this chat can be wanted at all.
    fn covers(&self, peer: &Peer, bot: bool) -> bool;

    /// The age beyond which recordings are not wanted.
    fn max_age(&self) -> Duration;
}
