//! What the client says.

use grammers_tl_types::{enums, functions as f, types};

use super::{Answer, Context, RpcError, access};
use crate::protocol::now;
use crate::settings::{Dedupe, Packing, SentAnswer};
use crate::tl_build::{self, CAPTION_LENGTH_MAX, MESSAGE_LENGTH_MAX};
use crate::world::files::{File, FileKind};
use crate::world::mailbox::{Event, EventKind};
use crate::world::peers::{Chat, GroupKind};
use crate::world::post::Post;

/// How long after sending a message may be edited, in seconds.
const EDIT_TIME_LIMIT: i32 = 172_800;

pub fn send_message(
    context: &mut Context,
    request: f::messages::SendMessage,
) -> Answer<f::messages::SendMessage> {
    let chat = writable_chat(context, &request.peer)?;
    if request.message.trim().is_empty() {
        return Err(RpcError::bad_request("MESSAGE_EMPTY"));
    }
    if utf16_length(&request.message) > MESSAGE_LENGTH_MAX {
        return Err(RpcError::bad_request("MESSAGE_TOO_LONG"));
    }
    send(
        context,
        Said {
            chat,
            reply_to: request.reply_to,
            text: request.message,
            entities: request.entities.unwrap_or_default(),
            silent: request.silent,
            random_id: request.random_id,
            file: None,
        },
    )
}

pub fn send_media(context: &mut Context, request: f::messages::SendMedia) -> Answer<f::messages::SendMedia> {
    let chat = writable_chat(context, &request.peer)?;
    if context.world.limits.get(&chat).is_some_and(|limits| limits.no_files) {
        return Err(RpcError::new(403, "CHAT_SEND_DOCS_FORBIDDEN"));
    }
    if utf16_length(&request.message) > CAPTION_LENGTH_MAX {
        return Err(RpcError::bad_request("MEDIA_CAPTION_TOO_LONG"));
    }
    let enums::InputMedia::UploadedDocument(document) = request.media else {
        return Err(RpcError::bad_request("MEDIA_INVALID"));
    };
    // A repeated request finds its upload used up, but needs it no more.
    let repeated = context.world.random_ids.contains_key(&(chat, request.random_id));
    let file = match store_upload(context, document) {
        Ok(file) => Some(file),
        Err(_) if repeated => None,
        Err(error) => return Err(error),
    };
    send(
        context,
        Said {
            chat,
            reply_to: request.reply_to,
            text: request.message,
            entities: request.entities.unwrap_or_default(),
            silent: request.silent,
            random_id: request.random_id,
            file,
        },
    )
}

fn store_upload(context: &mut Context, document: types::InputMediaUploadedDocument) -> Result<i64, RpcError> {
    let (id, parts, name) = match document.file {
        enums::InputFile::File(file) => (file.id, file.parts, file.name),
        enums::InputFile::Big(file) => (file.id, file.parts, file.name),
        enums::InputFile::StoryDocument(_) => return Err(RpcError::bad_request("MEDIA_INVALID")),
    };
    let files = &mut context.world.files;
    let bytes = files.finish_upload(id, parts).ok_or_else(|| RpcError::bad_request("FILE_PARTS_INVALID"))?;
    let named = document.attributes.into_iter().find_map(|attribute| match attribute {
        enums::DocumentAttribute::Filename(attribute) => Some(attribute.file_name),
        _ => None,
    });
    let claimed_size = bytes.len() as i64;
    let what = FileKind::Document(named.unwrap_or(name));
    let (dc, date, mime) = (context.dc, now(), document.mime_type);
    Ok(files.add(|id| File { id, bytes, dc, date, mime, claimed_size, what }))
}

/// A message as the client asked for it.
struct Said {
    chat: Chat,
    reply_to: Option<enums::InputReplyTo>,
    text: String,
    entities: Vec<enums::MessageEntity>,
    silent: bool,
    random_id: i64,
    file: Option<i64>,
}

fn send(context: &mut Context, said: Said) -> Result<enums::Updates, RpcError> {
    if said.random_id == 0 {
        return Err(RpcError::bad_request("RANDOM_ID_EMPTY"));
    }
    check_entities(&said.text, &said.entities)?;
    let key = (said.chat, said.random_id);
    match (context.world.settings.dedupe, context.world.random_ids.get(&key)) {
        (Dedupe::Off, _) | (_, None) => {}
        (Dedupe::Refuse, Some(_)) => {
            context.world.suppressed += 1;
            return Err(RpcError::new(500, "RANDOM_ID_DUPLICATE"));
        }
        (Dedupe::GiveFirst, Some(&first)) => {
            context.world.suppressed += 1;
            return sent_before(context, first);
        }
    }
    let (reply_to, topic) = reply_target(context, said.chat, said.reply_to)?;
    check_slow_mode(context, said.chat)?;
    let owner = context.world.peers.owner();
    let (place, event) = context.world.add_post(Post {
        owner,
        chat: said.chat,
        id: 0,
        from: Some(owner),
        sent_as: None,
        date: now(),
        text: said.text,
        raw_entities: said.entities,
        reply_to,
        topic,
        silent: said.silent,
        file: said.file,
        ttl: None,
        lifetime: None,
        forwarded_from: None,
        random_id: Some(said.random_id),
        edits: 0,
        edit_date: None,
        deleted: false,
        reactions: Vec::new(),
    });
    context.world.random_ids.entry(key).or_insert(place);
    context.world.push(&[(said.chat, event)], Packing::Separate, Some(context.connection));
    Ok(sent(context, place, event, 1))
}

/// In slow mode the owner waits after each message, from whichever device it came.
fn check_slow_mode(context: &Context, chat: Chat) -> Result<(), RpcError> {
    let pause = context.world.limits.get(&chat).map_or(0, |limits| limits.slow_mode);
    let (posts, owner) = (&context.world.posts, context.world.peers.owner());
    let last = posts.iter().rev().find(|post| post.chat == chat && post.from == Some(owner));
    let left = last.map_or(0, |last| last.date.saturating_add(pause).saturating_sub(now()));
    if left > 0 { Err(RpcError::new(420, format!("SLOWMODE_WAIT_{left}"))) } else { Ok(()) }
}

/// The answer that tells the client of the message that it sent before, at `place`.
fn sent_before(context: &mut Context, place: usize) -> Result<enums::Updates, RpcError> {
    let post = &context.world.posts[place];
    let (chat, id) = (post.chat, post.id);
    let arrival = context.world.mailbox(chat).arrival(id);
    let event = arrival.ok_or_else(|| RpcError::new(500, "INTERNAL"))?;
    Ok(sent(context, place, event, 0))
}

/// The answer that tells the client of its message at `place`, which moved its mailbox by `steps`.
fn sent(context: &mut Context, place: usize, event: Event, steps: i32) -> enums::Updates {
    let post = &context.world.posts[place];
    let short = context.world.settings.sent_answer == SentAnswer::Short;
    if short && post.file.is_none() && !matches!(post.chat, Chat::Channel(_)) {
        return tl_build::short_sent_message(post, event.pts, steps);
    }
    let (chat, id, random_id) = (post.chat, post.id, post.random_id.unwrap_or_default());
    let mut update = context.world.update(chat, event);
    match &mut update {
        Some(enums::Update::NewMessage(new)) => new.pts_count = steps,
        Some(enums::Update::NewChannelMessage(new)) => new.pts_count = steps,
        _ => {}
    }
    let named = types::UpdateMessageId { id, random_id }.into();
    let updates = [named].into_iter().chain(update).collect();
    updates_of(context, chat, id, updates)
}

fn updates_of(context: &mut Context, chat: Chat, id: i32, updates: Vec<enums::Update>) -> enums::Updates {
    let peers = context.world.mentioned(chat, id);
    let (users, chats) = context.world.describe(&peers, false);
    tl_build::updates(updates, users, chats, tl_build::NO_SEQ)
}

pub fn edit_message(
    context: &mut Context,
    request: f::messages::EditMessage,
) -> Answer<f::messages::EditMessage> {
    let chat = writable_chat(context, &request.peer)?;
    let text = request.message.unwrap_or_default();
    let entities = request.entities.unwrap_or_default();
    check_entities(&text, &entities)?;
    let post = context.world.post(chat, request.id).filter(|post| !post.deleted);
    let post = post.ok_or_else(|| RpcError::bad_request("MESSAGE_ID_INVALID"))?;
    if post.from != Some(post.owner) || post.forwarded_from.is_some() {
        return Err(RpcError::new(403, "MESSAGE_AUTHOR_REQUIRED"));
    }
    if now().saturating_sub(post.date) > EDIT_TIME_LIMIT {
        return Err(RpcError::bad_request("MESSAGE_EDIT_TIME_EXPIRED"));
    }
    if post.file.is_some() && utf16_length(&text) > CAPTION_LENGTH_MAX {
        return Err(RpcError::bad_request("MEDIA_CAPTION_TOO_LONG"));
    }
    if utf16_length(&text) > MESSAGE_LENGTH_MAX {
        return Err(RpcError::bad_request("MESSAGE_TOO_LONG"));
    }
    if post.file.is_none() && text.is_empty() {
        return Err(RpcError::bad_request("MESSAGE_EMPTY"));
    }
    if post.text == text && post.raw_entities == entities {
        return Err(RpcError::bad_request("MESSAGE_NOT_MODIFIED"));
    }
    post.text = text;
    post.raw_entities = entities;
    post.edit_date = Some(now());
    post.edits += 1;
    let event = context.world.mailbox(chat).record(EventKind::Edited, request.id, now());
    context.world.push(&[(chat, event)], Packing::Separate, Some(context.connection));
    let updates = context.world.update(chat, event).into_iter().collect();
    Ok(updates_of(context, chat, request.id, updates))
}

pub fn send_reaction(
    context: &mut Context,
    request: f::messages::SendReaction,
) -> Answer<f::messages::SendReaction> {
    let chat = access::chat(context, &request.peer)?;
    let mut emoji = request.reaction.unwrap_or_default().into_iter().map(|reaction| match reaction {
        enums::Reaction::Emoji(emoji) => Ok(emoji.emoticon),
        _ => Err(RpcError::bad_request("REACTION_INVALID")),
    });
    let emoji = emoji.next().transpose()?;
    let emoji = emoji.as_deref().map(|emoji| (emoji, now()));
    let owner = context.world.peers.owner();
    let step = context.world.react(chat, request.msg_id, owner, emoji);
    let step = step.ok_or_else(|| RpcError::bad_request("MESSAGE_ID_INVALID"))?;
    let update = match step {
        Some(event) => {
            context.world.push(&[(chat, event)], Packing::Separate, Some(context.connection));
            context.world.update(chat, event)
        }
        None => context.world.reactions_update(chat, request.msg_id),
    };
    Ok(updates_of(context, chat, request.msg_id, update.into_iter().collect()))
}

/// Messages of private chats and basic groups are deleted by their numbers alone.
pub fn delete_messages(
    context: &mut Context,
    request: f::messages::DeleteMessages,
) -> Answer<f::messages::DeleteMessages> {
    if !request.revoke {
        return Err(RpcError::bad_request("REVOKE_EXPECTED_BY_TESTS"));
    }
    let of_account = |id: &i32| context.world.account_post(*id).map(|post| (post.chat, post.id));
    let posts: Vec<(Chat, i32)> = request.id.iter().filter_map(of_account).collect();
    let count = delete(context, posts);
    let pts = context.world.account_pts();
    Ok(types::messages::AffectedMessages { pts, pts_count: count }.into())
}

pub fn delete_channel_messages(
    context: &mut Context,
    request: f::channels::DeleteMessages,
) -> Answer<f::channels::DeleteMessages> {
    let chat = access::channel(context, &request.channel)?;
    for id in &request.id {
        // Only administrators delete what others have written, and the owner is none.
        if context.world.post(chat, *id).is_some_and(|post| post.from != Some(post.owner)) {
            return Err(RpcError::new(403, "MESSAGE_DELETE_FORBIDDEN"));
        }
    }
    let count = delete(context, request.id.into_iter().map(|id| (chat, id)).collect());
    let pts = context.world.mailbox(chat).pts();
    Ok(types::messages::AffectedMessages { pts, pts_count: count }.into())
}

/// Deletes those that are there, and answers how many there were.
fn delete(context: &mut Context, posts: Vec<(Chat, i32)>) -> i32 {
    let mut count = 0;
    for (chat, id) in posts {
        if context.world.post(chat, id).is_none_or(|post| post.deleted) {
            continue;
        }
        if let Some(event) = context.world.delete(chat, id) {
            count += 1;
            context.world.push(&[(chat, event)], Packing::Separate, Some(context.connection));
        }
    }
    count
}

/// The chat that `peer` names, if the owner may write there.
fn writable_chat(context: &Context, peer: &enums::InputPeer) -> Result<Chat, RpcError> {
    let chat = access::chat(context, peer)?;
    if context.world.limits.get(&chat).is_some_and(|limits| limits.no_writing) {
        return Err(RpcError::new(403, "CHAT_WRITE_FORBIDDEN"));
    }
    match context.world.peers.group(chat) {
        Some(group) if group.kind == GroupKind::Broadcast => Err(RpcError::new(403, "CHAT_WRITE_FORBIDDEN")),
        _ => Ok(chat),
    }
}

/// The message answered, and the topic: both must be there.
fn reply_target(
    context: &mut Context,
    chat: Chat,
    reply_to: Option<enums::InputReplyTo>,
) -> Result<(Option<i32>, Option<i32>), RpcError> {
    let reply = match reply_to {
        None => return Ok((None, None)),
        Some(enums::InputReplyTo::Message(reply)) => reply,
        Some(_) => return Err(RpcError::bad_request("REPLY_TO_INVALID")),
    };
    let answered = context.world.post(chat, reply.reply_to_msg_id).filter(|post| !post.deleted);
    let answered = answered.ok_or_else(|| RpcError::bad_request("REPLY_MESSAGE_ID_INVALID"))?;
    Ok((Some(answered.id), reply.top_msg_id.or(answered.topic)))
}

/// Telegram counts text in UTF-16 code units.
fn utf16_length(text: &str) -> i32 {
    i32::try_from(text.encode_utf16().count()).unwrap_or(i32::MAX)
}

fn check_entities(text: &str, entities: &[enums::MessageEntity]) -> Result<(), RpcError> {
    let length = utf16_length(text);
    let fits = |entity: &enums::MessageEntity| {
        let (offset, span) = (entity.offset(), entity.length());
        offset >= 0 && span > 0 && offset.checked_add(span).is_some_and(|end| end <= length)
    };
    if entities.iter().all(fits) { Ok(()) } else { Err(RpcError::bad_request("ENTITY_BOUNDS_INVALID")) }
}
