//! Who receives the events in the stream of updates.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{ChatInfo, Event, Said};

/// Receives the events in the stream of updates.
#[async_trait]
pub trait EventSink: Send + Sync {
    /// Takes events in order, and returns true once all of them are stored. Only then is the
    /// account's position stored. After false, they come again with the next connection. An event
    /// may come more than once.
    async fn take(&self, events: Vec<Event>) -> bool;

    /// Whether events of this chat can be wanted at all.
    fn covers(&self, chat: &ChatInfo) -> bool;

    /// The command that a text of the owner is, if it is one.
    fn command_in(&self, _text: &str, _in_saved_messages: bool) -> Option<Said> {
        None
    }

    /// Whether a reaction of the owner with this emoji asks for a recording's text.
    fn is_request(&self, _emoji: &str) -> bool {
        false
    }

    /// The age beyond which messages are not wanted.
    fn max_age(&self) -> Duration;
}
