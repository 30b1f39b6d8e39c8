//! Who is told of the recordings that an account hears.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Peer;
use crate::domain::policy::Incoming;

/// Who is told of the recordings that an account hears.
#[async_trait]
pub trait Recipient: Send + Sync {
    /// Takes recordings in their order; true once all are safe. Only then is the account's position
    /// stored; after false they come again with the next connection. Some come twice.
    async fn take(&self, recordings: Vec<Incoming>) -> bool;

    /// Whether recordings of this chat may be wanted at all.
    fn covers(&self, peer: &Peer, bot: bool) -> bool;

    /// The age beyond which recordings are not wanted.
    fn max_age(&self) -> Duration;
}
