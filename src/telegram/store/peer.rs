//! A peer: a user, a group or a channel, how to reach it, and what the owner's rules ask of it.

use grammers_session::types::{ChannelKind, PeerAuth, PeerId, PeerInfo, PeerKind};
use serde::{Deserialize, Serialize};

/// A peer that Telegram has told of.
pub(crate) struct SeenPeer {
    pub info: PeerInfo,
    /// `None` where Telegram did not say.
    pub traits: PeerTraits,
}

impl From<PeerInfo> for SeenPeer {
    fn from(info: PeerInfo) -> Self {
        Self { info, traits: PeerTraits::default() }
    }
}

/// What the owner's rules ask of a peer; `None` where it is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerTraits {
    /// Whether the owner has this user among their contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<bool>,
    /// Public names, without the @ and in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// What a user calls themselves, as they write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
}

/// What is known of a peer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredPeer {
    access_hash: Option<i64>,
    bot: Option<bool>,
    /// [`ChannelKind`] as a number.
    channel: Option<u8>,
    #[serde(flatten)]
    traits: PeerTraits,
}

impl StoredPeer {
    /// Fills in what is `known` already and missing here.
    pub fn or(self, known: Option<Self>) -> Self {
        let Some(known) = known else { return self };
        Self {
            access_hash: self.access_hash.or(known.access_hash),
            bot: self.bot.or(known.bot),
            channel: self.channel.or(known.channel),
            traits: PeerTraits {
                contact: self.traits.contact.or(known.traits.contact),
                names: self.traits.names.or(known.traits.names),
                called: self.traits.called.or(known.traits.called),
            },
        }
    }

    pub fn seen(self, id: PeerId) -> SeenPeer {
        SeenPeer { info: self.info(id), traits: self.traits }
    }

    pub fn info(&self, id: PeerId) -> PeerInfo {
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

impl From<&SeenPeer> for StoredPeer {
    fn from(SeenPeer { info, traits }: &SeenPeer) -> Self {
        let (auth, bot, kind) = match info {
            PeerInfo::User { auth, bot, .. } => (*auth, *bot, None),
            PeerInfo::Chat { .. } => (None, None, None),
            PeerInfo::Channel { auth, kind, .. } => (*auth, None, *kind),
        };
        Self {
            access_hash: auth.map(PeerAuth::hash),
            bot,
            channel: kind.map(|kind| match kind {
                ChannelKind::Broadcast => 1,
                ChannelKind::Megagroup => 2,
                ChannelKind::Gigagroup => 3,
                ChannelKind::Community => 4,
            }),
            traits: traits.clone(),
        }
    }
}
