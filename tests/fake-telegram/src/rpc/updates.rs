//! What a client missed.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, access};
use crate::faults::Action;
use crate::protocol::now;
use crate::tl_build;
use crate::world::mailbox::{Event, EventKind};
use crate::world::peers::{Chat, SAVED_MESSAGES};

fn state(context: &Context, pts: i32) -> types::updates::State {
    types::updates::State { pts, qts: 0, date: now(), seq: context.world.seq, unread_count: 0 }
}

/// Events split as differences want them: new messages, and the rest.
#[derive(Default)]
struct Sorted {
    messages: Vec<enums::Message>,
    others: Vec<enums::Update>,
    users: Vec<enums::User>,
    chats: Vec<enums::Chat>,
}

fn sort(context: &mut Context, chat: Chat, events: &[Event]) -> Sorted {
    let mut sorted = Sorted::default();
    let mut peers = BTreeSet::new();
    for event in events {
        peers.extend(context.world.mentioned(chat, event.message));
        match (event.kind, context.world.update(chat, *event)) {
            (EventKind::New, Some(enums::Update::NewMessage(new))) => sorted.messages.push(new.message),
            (EventKind::New, Some(enums::Update::NewChannelMessage(new))) => {
                sorted.messages.push(new.message);
            }
            (_, other) => sorted.others.extend(other),
        }
    }
    // A message that is gone is told of as deleted only.
    sorted.messages.retain(|message| !matches!(message, enums::Message::Empty(_)));
    (sorted.users, sorted.chats) = context.world.describe(&peers, false);
    sorted
}

pub fn get_state(context: &mut Context, _: f::updates::GetState) -> Answer<f::updates::GetState> {
    Ok(state(context, context.world.account_pts()).into())
}

pub fn get_difference(
    context: &mut Context,
    request: f::updates::GetDifference,
) -> Answer<f::updates::GetDifference> {
    if context.action == Some(Action::TooLong) {
        return Ok(types::updates::DifferenceTooLong { pts: context.world.account_pts() }.into());
    }
    let limit = slice(context, request.pts_limit);
    // Any chat of the account's mailbox will do to name it.
    let missed = context.world.missed(SAVED_MESSAGES, request.pts, limit);
    let channels = context.world.channels_since(request.date);
    let is_empty = missed.events.is_empty() && channels.is_empty();
    if is_empty || context.action == Some(Action::Hide) {
        return Ok(types::updates::DifferenceEmpty { date: now(), seq: context.world.seq }.into());
    }
    let sorted = sort(context, SAVED_MESSAGES, &missed.events);
    let Sorted { messages: new_messages, others: mut other_updates, users, chats } = sorted;
    let new_encrypted_messages = Vec::new();
    if !missed.last {
        let intermediate_state = state(context, missed.pts).into();
        return Ok(types::updates::DifferenceSlice {
            new_messages,
            new_encrypted_messages,
            other_updates,
            chats,
            users,
            intermediate_state,
        }
        .into());
    }
    other_updates.extend(channels);
    let state = state(context, missed.pts).into();
    Ok(types::updates::Difference {
        new_messages,
        new_encrypted_messages,
        other_updates,
        chats,
        users,
        state,
    }
    .into())
}

pub fn get_channel_difference(
    context: &mut Context,
    request: f::updates::GetChannelDifference,
) -> Answer<f::updates::GetChannelDifference> {
    let chat = access::channel(context, &request.channel)?;
    if context.action == Some(Action::TooLong) {
        return Ok(channel_too_long(context, chat).into());
    }
    let limit = slice(context, Some(request.limit));
    let missed = context.world.missed(chat, request.pts, limit);
    if missed.events.is_empty() {
        let empty = types::updates::ChannelDifferenceEmpty { r#final: true, pts: missed.pts, timeout: None };
        return Ok(empty.into());
    }
    let sorted = sort(context, chat, &missed.events);
    Ok(types::updates::ChannelDifference {
        r#final: missed.last,
        pts: missed.pts,
        timeout: None,
        new_messages: sorted.messages,
        other_updates: sorted.others,
        chats: sorted.chats,
        users: sorted.users,
    }
    .into())
}

fn channel_too_long(context: &mut Context, chat: Chat) -> types::updates::ChannelDifferenceTooLong {
    let mailbox = context.world.mailbox(chat);
    let (pts, last) = (mailbox.pts(), mailbox.next_id() - 1);
    let (users, chats) = context.world.describe(&[chat], false);
    let last_post = context.world.post(chat, last).cloned();
    let messages = last_post.map(|post| context.world.render(&post)).into_iter().collect();
    let dialog = tl_build::dialog(chat, last, Some(pts));
    types::updates::ChannelDifferenceTooLong { r#final: true, timeout: None, dialog, messages, chats, users }
}

/// How many events one answer may hold.
fn slice(context: &Context, wanted: Option<i32>) -> usize {
    let most = context.world.settings.slice;
    wanted.and_then(|wanted| usize::try_from(wanted).ok()).map_or(most, |wanted| wanted.min(most))
}
