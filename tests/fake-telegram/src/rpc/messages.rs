//! Reading what was said.

use std::collections::BTreeSet;

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, RpcError, access};
use crate::tl_build;
use crate::world::peers::Chat;
use crate::world::post::Post;

/// No answer holds more messages than this.
const MAX_MESSAGES: usize = 100;

pub fn get_messages(
    context: &mut Context,
    request: f::messages::GetMessages,
) -> Answer<f::messages::GetMessages> {
    let find = |id| context.world.account_post(id).cloned();
    let found: Vec<_> = ids(&request.id)?.into_iter().map(|id| (id, find(id))).collect();
    let (messages, users, chats) = show(context, found);
    Ok(types::messages::Messages { messages, topics: Vec::new(), chats, users }.into())
}

pub fn get_channel_messages(
    context: &mut Context,
    request: f::channels::GetMessages,
) -> Answer<f::channels::GetMessages> {
    let chat = access::channel(context, &request.channel)?;
    let mut find = |id| context.world.post(chat, id).cloned();
    let found: Vec<_> = ids(&request.id)?.into_iter().map(|id| (id, find(id))).collect();
    let count = found.len();
    let (messages, users, chats) = show(context, found);
    Ok(channel_messages(context, chat, count, messages, users, chats))
}

fn ids(wanted: &[enums::InputMessage]) -> Result<Vec<i32>, RpcError> {
    let id = |message: &enums::InputMessage| match message {
        enums::InputMessage::Id(message) => Ok(message.id),
        _ => Err(RpcError::bad_request("MESSAGE_IDS_EMPTY")),
    };
    wanted.iter().take(MAX_MESSAGES).map(id).collect()
}

type Shown = (Vec<enums::Message>, Vec<enums::User>, Vec<enums::Chat>);

/// Messages by number, with the peers they speak of; in place of those that are not there, empty ones.
fn show(context: &mut Context, found: Vec<(i32, Option<Post>)>) -> Shown {
    let mut peers = BTreeSet::from([context.world.peers.saved_messages()]);
    let mut messages = Vec::new();
    for (id, post) in found {
        messages.push(match &post {
            Some(post) => {
                peers.extend(context.world.mentioned(post.chat, id));
                context.world.render(post)
            }
            None => tl_build::missing_message(id),
        });
    }
    let (users, chats) = context.world.describe(&peers, false);
    (messages, users, chats)
}

fn channel_messages(
    context: &mut Context,
    chat: Chat,
    count: usize,
    messages: Vec<enums::Message>,
    users: Vec<enums::User>,
    chats: Vec<enums::Chat>,
) -> enums::messages::Messages {
    types::messages::ChannelMessages {
        inexact: false,
        pts: context.world.mailbox(chat).pts(),
        count: count as i32,
        offset_id_offset: None,
        messages,
        topics: Vec::new(),
        chats,
        users,
    }
    .into()
}

pub fn get_history(
    context: &mut Context,
    request: f::messages::GetHistory,
) -> Answer<f::messages::GetHistory> {
    let chat = access::chat(context, &request.peer)?;
    let mut posts: Vec<Post> =
        context.world.posts.iter().filter(|post| post.chat == chat && !post.deleted).cloned().collect();
    let count = posts.len();
    // Newest first, and the offset itself left out. A number says more than a date.
    posts.sort_by_key(|post| std::cmp::Reverse(post.id));
    let is_newer = |post: &Post| match (request.offset_id, request.offset_date) {
        (0, 0) => false,
        (0, date) => post.date >= date,
        (id, _) => post.id >= id,
    };
    let skipped = posts.iter().take_while(|post| is_newer(post)).count();
    let start = skipped.saturating_add_signed(request.add_offset as isize);
    let limit = usize::try_from(request.limit).unwrap_or(0).min(MAX_MESSAGES);
    let page: Vec<_> = posts
        .into_iter()
        .skip(start)
        .take(limit)
        .filter(|post| request.max_id == 0 || post.id < request.max_id)
        .filter(|post| request.min_id == 0 || post.id > request.min_id)
        .map(|post| (post.id, Some(post)))
        .collect();
    let whole = page.len() == count;
    let (messages, users, chats) = show(context, page);
    if let Chat::Channel(_) = chat {
        return Ok(channel_messages(context, chat, count, messages, users, chats));
    }
    let topics = Vec::new();
    if whole {
        return Ok(types::messages::Messages { messages, topics, chats, users }.into());
    }
    Ok(types::messages::MessagesSlice {
        inexact: false,
        count: count as i32,
        next_rate: None,
        offset_id_offset: None,
        search_flood: None,
        messages,
        topics,
        chats,
        users,
    }
    .into())
}

/// The latest first. A page begins after the chat that the offset names, or, when that has no name,
/// after its message. Nothing is pinned here.
pub fn get_dialogs(
    context: &mut Context,
    request: f::messages::GetDialogs,
) -> Answer<f::messages::GetDialogs> {
    let all = dialogs_by_age(context);
    let count = all.len();
    let is_first = request.offset_id == 0 && request.offset_date == 0;
    let named = access::chat(context, &request.offset_peer).ok();
    let start = match all.iter().position(|(chat, _)| Some(*chat) == named) {
        _ if is_first => 0,
        Some(place) => place + 1,
        None => all
            .iter()
            .position(|(_, top)| {
                let age = top.as_ref().map_or((0, 0), |post| (post.date, post.id));
                age < (request.offset_date, request.offset_id)
            })
            .unwrap_or(count),
    };
    let limit = usize::try_from(request.limit).unwrap_or(0).min(MAX_MESSAGES);
    let page: Vec<_> = all.into_iter().skip(start).take(limit).collect();
    let mut dialogs = Vec::new();
    let mut tops = Vec::new();
    for (chat, top) in &page {
        let pts = matches!(chat, Chat::Channel(_)).then(|| context.world.mailbox(*chat).pts());
        dialogs.push(tl_build::dialog(*chat, top.as_ref().map_or(0, |post| post.id), pts));
        tops.extend(top.clone().map(|post| (post.id, Some(post))));
    }
    let (messages, _, _) = show(context, tops);
    let owner = context.world.peers.saved_messages();
    let peers: BTreeSet<_> = page.iter().map(|(chat, _)| *chat).chain([owner]).collect();
    let (users, chats) = context.world.describe(&peers, false);
    if dialogs.len() == count {
        return Ok(types::messages::Dialogs { dialogs, messages, chats, users }.into());
    }
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    Ok(types::messages::DialogsSlice { count, dialogs, messages, chats, users }.into())
}

/// Every group, and every private chat in which something was said, the latest first.
fn dialogs_by_age(context: &Context) -> Vec<(Chat, Option<Post>)> {
    let world = &context.world;
    let mut chats: Vec<Chat> = Vec::new();
    for post in world.posts.iter().rev().filter(|post| !post.deleted) {
        if !chats.contains(&post.chat) {
            chats.push(post.chat);
        }
    }
    for group in world.peers.groups() {
        if !chats.contains(&group.chat()) {
            chats.push(group.chat());
        }
    }
    let top = |chat| world.posts.iter().rev().find(|post| post.chat == chat && !post.deleted).cloned();
    let mut dialogs: Vec<_> = chats.into_iter().map(|chat| (chat, top(chat))).collect();
    // By the dates that clients are told, and numbers where those are alike.
    let age = |top: &Option<Post>| top.as_ref().map_or((0, 0), |post| (post.date, post.id));
    dialogs.sort_by_key(|(_, top)| std::cmp::Reverse(age(top)));
    dialogs
}

pub fn set_typing(context: &mut Context, request: f::messages::SetTyping) -> Answer<f::messages::SetTyping> {
    access::chat(context, &request.peer).map(|_| true)
}
