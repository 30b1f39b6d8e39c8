//! The position in the stream of updates.

use std::collections::BTreeMap;

use grammers_session::types::{ChannelState, PeerId, PeerKind, UpdatesState};
use serde::{Deserialize, Serialize};

/// The largest message numbers handed over. A history is read from there when Telegram does not
/// list what was missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastMessages {
    /// In private chats and basic groups, which number their messages together; 0 if unknown.
    pub account: i32,
    /// In the channels whose recordings are answered, by their bare id.
    pub channels: BTreeMap<i64, i32>,
}

impl LastMessages {
    /// The last message handed over from `chat`; 0 if unknown.
    pub fn of(&self, chat: PeerId) -> i32 {
        match (chat.kind(), chat.bare_id()) {
            (PeerKind::Channel, Some(id)) => self.channels.get(&id).copied().unwrap_or(0),
            _ => self.account,
        }
    }

    /// Records that `message` of `chat` was handed over.
    pub fn advance(&mut self, chat: PeerId, message: i32) {
        let last = match (chat.kind(), chat.bare_id()) {
            (PeerKind::Channel, Some(id)) => self.channels.entry(id).or_default(),
            _ => &mut self.account,
        };
        *last = message.max(*last);
    }
}

/// The position in the stream of updates, with its account.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct StoredPosition {
    pub account: i64,
    pub pts: i32,
    pub qts: i32,
    pub date: i32,
    pub seq: i32,
    /// Channel id and its pts.
    pub channels: Vec<(i64, i32)>,
    /// Whether the list of chats was read once for its access hashes.
    #[serde(default)]
    pub dialogs_walked: bool,
    #[serde(default)]
    pub last_messages: LastMessages,
}

impl StoredPosition {
    pub fn set(&mut self, state: &UpdatesState, last: LastMessages) {
        self.last_messages = last;
        (self.pts, self.qts) = (state.pts, state.qts);
        (self.date, self.seq) = (state.date, state.seq);
        self.channels = state.channels.iter().map(|channel| (channel.id, channel.pts)).collect();
    }

    pub fn state(&self) -> UpdatesState {
        UpdatesState {
            pts: self.pts,
            qts: self.qts,
            date: self.date,
            seq: self.seq,
            channels: self.channels.iter().map(|&(id, pts)| ChannelState { id, pts }).collect(),
        }
    }
}
