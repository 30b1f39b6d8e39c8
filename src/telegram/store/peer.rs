//! A peer: a user, a group or a channel, and how to reach it.

use grammers_client::tl;
use grammers_session::types::{ChannelKind, PeerAuth, PeerId, PeerInfo, PeerKind};
use serde::{Deserialize, Serialize};

/// A peer as Telegram has told of it.
#[derive(Clone, Debug)]
pub(in super::super) struct MetPeer {
    pub info: PeerInfo,
    /// Whether it is a user among the owner's contacts; `None` if that was not told.
    pub contact: Option<bool>,
}

impl From<PeerInfo> for MetPeer {
    fn from(info: PeerInfo) -> Self {
        Self { info, contact: None }
    }
}

impl From<&tl::enums::User> for MetPeer {
    fn from(user: &tl::enums::User) -> Self {
        let contact = match user {
            // A "min" user says less than is known of it.
            tl::enums::User::User(user) if !user.min => Some(user.contact || user.mutual_contact),
            _ => None,
        };
        Self { info: PeerInfo::from(user), contact }
    }
}

/// What is known of a peer.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPeer {
    access_hash: Option<i64>,
    bot: Option<bool>,
    /// [`ChannelKind`] as a number.
    channel: Option<u8>,
    /// Whether it is among the owner's contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<bool>,
}

impl StoredPeer {
    /// Fills in what is `known` already and missing here.
    pub fn or(self, known: Option<Self>) -> Self {
        let known = known.unwrap_or(Self { access_hash: None, bot: None, channel: None, contact: None });
        Self {
            access_hash: self.access_hash.or(known.access_hash),
            bot: self.bot.or(known.bot),
            channel: self.channel.or(known.channel),
            contact: self.contact.or(known.contact),
        }
    }

    /// Whether it is among the owner's contacts; `None` if that is not known.
    pub fn contact(self) -> Option<bool> {
        self.contact
    }

    pub fn info(self, id: PeerId) -> PeerInfo {
        let auth = self.access_hash.map(PeerAuth::from_hash);
        let bare = id.bare_id().unwrap_or_default();
        match id.kind() {
            PeerKind::User => PeerInfo::User { id: bare, auth, bot: self.bot, is_self: None },
            PeerKind::Chat => PeerInfo::Chat { id: bare },
            PeerKind::Channel => PeerInfo::Channel {
                id: bare,
                auth,
                kind: self.channel.map(|kind| match kind {
                    1 => ChannelKind::Broadcast,
                    2 => ChannelKind::Megagroup,
                    3 => ChannelKind::Gigagroup,
                    _ => ChannelKind::Community,
                }),
            },
        }
    }
}

impl From<&MetPeer> for StoredPeer {
    fn from(met: &MetPeer) -> Self {
        Self { contact: met.contact, ..Self::from(&met.info) }
    }
}

impl From<&PeerInfo> for StoredPeer {
    fn from(info: &PeerInfo) -> Self {
        match info {
            PeerInfo::User { auth, bot, .. } => {
                Self { access_hash: auth.map(PeerAuth::hash), bot: *bot, channel: None, contact: None }
            }
            PeerInfo::Chat { .. } => Self { access_hash: None, bot: None, channel: None, contact: None },
            PeerInfo::Channel { auth, kind, .. } => Self {
                access_hash: auth.map(PeerAuth::hash),
                bot: None,
                contact: None,
                channel: kind.map(|kind| match kind {
                    ChannelKind::Broadcast => 1,
                    ChannelKind::Megagroup => 2,
                    ChannelKind::Gigagroup => 3,
                    ChannelKind::Community => 4,
                }),
            },
        }
    }
}
