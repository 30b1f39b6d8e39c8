//! Who may ask: the account's key, at the account's datacentre, for peers it may name.

use grammers_tl_types::enums;

use super::{Context, RpcError};
use crate::world::peers::{Chat, access_hash};

/// Every key, unless the account was ended.
pub fn anybody(context: &mut Context) -> Result<(), RpcError> {
    match context.world.login.revoked {
        Some(revocation) => {
            let (code, text) = revocation.error();
            Err(RpcError::new(code, text))
        }
        None => Ok(()),
    }
}

/// A key that is tied to the account.
pub fn authorised(context: &mut Context) -> Result<(), RpcError> {
    anybody(context)?;
    let login = &context.world.login;
    if login.authorised.contains(&(context.dc, context.key)) {
        Ok(())
    } else if login.password_due && context.dc == login.home {
        Err(RpcError::new(401, "SESSION_PASSWORD_NEEDED"))
    } else {
        Err(RpcError::new(401, "AUTH_KEY_UNREGISTERED"))
    }
}

/// Such a key, in the datacentre of the account, at the address that serves more than files.
pub fn at_home(context: &mut Context) -> Result<(), RpcError> {
    authorised(context)?;
    if context.media_only {
        return Err(RpcError::bad_request("METHOD_INVALID"));
    }
    let home = context.world.login.home;
    if context.dc == home { Ok(()) } else { Err(RpcError::new(303, format!("USER_MIGRATE_{home}"))) }
}

/// Such a key, for what a frozen account may not do.
pub fn may_write(context: &mut Context) -> Result<(), RpcError> {
    at_home(context)?;
    match context.world.login.frozen {
        Some(_) => Err(RpcError::new(420, "FROZEN_METHOD_INVALID")),
        None => Ok(()),
    }
}

fn invalid_peer() -> RpcError {
    RpcError::bad_request("PEER_ID_INVALID")
}

/// The chat that `peer` names; its access hash must be right.
pub fn chat(context: &Context, peer: &enums::InputPeer) -> Result<Chat, RpcError> {
    use enums::InputPeer;
    let (chat, hash_is_right) = match peer {
        InputPeer::PeerSelf => (context.world.peers.saved_messages(), true),
        InputPeer::User(user) => (Chat::User(user.user_id), user.access_hash == access_hash(user.user_id)),
        InputPeer::Chat(group) => (Chat::Group(group.chat_id), true),
        InputPeer::Channel(channel) => {
            (Chat::Channel(channel.channel_id), channel.access_hash == access_hash(channel.channel_id))
        }
        InputPeer::Empty | InputPeer::UserFromMessage(_) | InputPeer::ChannelFromMessage(_) => {
            return Err(invalid_peer());
        }
    };
    if hash_is_right && context.world.peers.knows(chat) { Ok(chat) } else { Err(invalid_peer()) }
}

/// The channel that `channel` names; its access hash must be right.
pub fn channel(context: &Context, channel: &enums::InputChannel) -> Result<Chat, RpcError> {
    let enums::InputChannel::Channel(channel) = channel else {
        return Err(RpcError::bad_request("CHANNEL_INVALID"));
    };
    let chat = Chat::Channel(channel.channel_id);
    if channel.access_hash == access_hash(channel.channel_id) && context.world.peers.knows(chat) {
        Ok(chat)
    } else {
        Err(RpcError::bad_request("CHANNEL_INVALID"))
    }
}

/// The user that `user` names, if there is one and the access hash is right.
pub fn user(context: &Context, user: &enums::InputUser) -> Option<i64> {
    match user {
        enums::InputUser::UserSelf => Some(context.world.peers.owner()),
        enums::InputUser::User(user) => {
            (user.access_hash == access_hash(user.user_id)).then_some(user.user_id)
        }
        enums::InputUser::Empty | enums::InputUser::FromMessage(_) => None,
    }
}
