//! What happened, put into the schema's words and told to clients.

use std::collections::BTreeSet;

use grammers_tl_types::{Serializable, enums, types};

use super::World;
use super::mailbox::{Event, EventKind, Mailbox};
use super::peers::Chat;
use super::post::Post;
use crate::connection::{Link, Outgoing};
use crate::settings::{Packing, PeersInUpdates};
use crate::tl_build;

impl World {
    /// `post` as the client is shown it.
    pub fn render(&self, post: &Post) -> enums::Message {
        if post.deleted {
            return tl_build::deleted_message(post);
        }
        let file = post.file.and_then(|id| self.files.get(id));
        tl_build::message(post, file.map(|file| (file, self.files.reference(file.id))))
    }

    /// `event` as an update. `None` if its message is in no chat, which cannot be.
    pub fn update(&mut self, chat: Chat, event: Event) -> Option<enums::Update> {
        let place = self.mailbox(chat).place(event.message)?;
        let post = &self.posts[place];
        let message = self.render(post);
        let (pts, pts_count) = (event.pts, 1);
        let messages = vec![event.message];
        Some(match (event.kind, post.chat) {
            (EventKind::New, Chat::Channel(_)) => {
                types::UpdateNewChannelMessage { message, pts, pts_count }.into()
            }
            (EventKind::New, _) => types::UpdateNewMessage { message, pts, pts_count }.into(),
            (EventKind::Edited, Chat::Channel(_)) => {
                types::UpdateEditChannelMessage { message, pts, pts_count }.into()
            }
            (EventKind::Edited, _) => types::UpdateEditMessage { message, pts, pts_count }.into(),
            (EventKind::Deleted, Chat::Channel(channel_id)) => {
                types::UpdateDeleteChannelMessages { channel_id, messages, pts, pts_count }.into()
            }
            (EventKind::Deleted, _) => types::UpdateDeleteMessages { messages, pts, pts_count }.into(),
        })
    }

    /// The update that tells of the reactions to a message.
    pub fn reactions_update(&mut self, chat: Chat, id: i32) -> Option<enums::Update> {
        let post = self.post(chat, id)?;
        let (peer, reactions) = (tl_build::peer(chat), tl_build::reactions(&post.reactions, post.owner));
        Some(
            types::UpdateMessageReactions {
                peer,
                msg_id: id,
                top_msg_id: post.topic,
                saved_peer_id: None,
                reactions,
            }
            .into(),
        )
    }

    /// Tells the client of the reactions to a message that have no place in the sequence of updates.
    pub fn push_reactions(&mut self, chat: Chat, id: i32) {
        if let Some(update) = self.reactions_update(chat, id) {
            self.tell(vec![vec![tl_build::update_short(update).to_bytes()]], None);
        }
    }

    /// Tells the client what happened, unless it is the one on the connection `except`.
    pub fn push(&mut self, events: &[(Chat, Event)], packing: Packing, except: Option<u64>) {
        let bodies = self.bodies(events, packing);
        let packets: Vec<Vec<Vec<u8>>> = match packing {
            Packing::OneContainer => vec![bodies],
            _ => bodies.into_iter().map(|body| vec![body]).collect(),
        };
        self.tell(packets, except);
    }

    /// Tells the client that the configuration has changed, and is to be asked for.
    pub fn push_config_changed(&mut self) {
        let body = tl_build::update_short(enums::Update::Config).to_bytes();
        self.tell(vec![vec![body]], None);
    }

    /// Tells the session that made the last request, and no other; nobody where that is on the
    /// connection `except`.
    fn tell(&self, packets: Vec<Vec<Vec<u8>>>, except: Option<u64>) {
        if self.pushes_lost {
            return;
        }
        let home = self.login.home;
        let serves = |link: &Link| {
            link.dc == home
                && !link.media_only
                && link.last_request.is_some()
                && self.login.may_ask(home, link.key_id())
        };
        let links = self.links.iter().filter(|(_, link)| serves(link));
        let Some((id, link)) = links.max_by_key(|(_, link)| link.last_request) else { return };
        let Some(session) = link.session.filter(|_| Some(*id) != except) else { return };
        for bodies in packets {
            // A link whose connection just ended is about to be removed.
            let _ = link.outbox.send(Outgoing::Push { session, bodies });
        }
    }

    /// Objects of the type Updates that tell of `events`.
    fn bodies(&mut self, events: &[(Chat, Event)], packing: Packing) -> Vec<Vec<u8>> {
        if packing == Packing::TooLong {
            return vec![enums::Updates::TooLong.to_bytes()];
        }
        let together = matches!(packing, Packing::OneUpdates | Packing::Combined);
        let events: Vec<&[(Chat, Event)]> = if together { vec![events] } else { events.chunks(1).collect() };
        events.into_iter().map(|events| self.body(events, packing).to_bytes()).collect()
    }

    fn body(&mut self, events: &[(Chat, Event)], packing: Packing) -> enums::Updates {
        if let (Packing::ShortMessage, [(Chat::User(user), event)]) = (packing, events)
            && let Some(post) = self.short_text(Chat::User(*user), *event)
        {
            return tl_build::update_short_message(post, *user, event.pts);
        }
        let (mut updates, mut peers) = (Vec::new(), BTreeSet::new());
        for (chat, event) in events {
            updates.extend(self.update(*chat, *event));
            peers.extend(self.mentioned(*chat, event.message));
        }
        if packing == Packing::Short
            && let Some(update) = updates.pop()
        {
            return tl_build::update_short(update);
        }
        let (users, chats) = self.introduce(&peers);
        let before = self.seq;
        match packing {
            Packing::Numbered => {
                self.seq += 1;
                tl_build::updates(updates, users, chats, self.seq)
            }
            Packing::Combined => {
                self.seq += updates.len() as i32;
                tl_build::updates_combined(updates, users, chats, before + 1, self.seq)
            }
            _ => tl_build::updates(updates, users, chats, tl_build::NO_SEQ),
        }
    }

    /// The post that `event` brought, where it is a text without anything that is worth more words.
    fn short_text(&mut self, chat: Chat, event: Event) -> Option<&Post> {
        let post = self.post(chat, event.message)?;
        let is_plain = post.file.is_none() && post.raw_entities.is_empty() && post.forwarded_from.is_none();
        (event.kind == EventKind::New && is_plain && !post.deleted).then_some(&*post)
    }

    /// The peers that the message `id` of `chat` speaks of.
    pub fn mentioned(&mut self, chat: Chat, id: i32) -> Vec<Chat> {
        let place = self.mailbox(chat).place(id);
        let Some(post) = place.and_then(|place| self.posts.get(place)) else { return Vec::new() };
        let users = [Some(post.owner), post.from, post.forwarded_from];
        users.into_iter().flatten().map(Chat::User).chain(post.sent_as).chain([post.chat]).collect()
    }

    /// The objects that describe `chats`, as far as updates are to carry them.
    fn introduce(&self, chats: &BTreeSet<Chat>) -> (Vec<enums::User>, Vec<enums::Chat>) {
        match self.settings.peers_in_updates {
            PeersInUpdates::Full => self.describe(chats, false),
            PeersInUpdates::Min => self.describe(chats, true),
            PeersInUpdates::None => (Vec::new(), Vec::new()),
        }
    }

    /// The objects that describe `chats`. The owner is never "min".
    pub fn describe<'a>(
        &self,
        chats: impl IntoIterator<Item = &'a Chat>,
        min: bool,
    ) -> (Vec<enums::User>, Vec<enums::Chat>) {
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for chat in chats {
            let name = self.peers.name(*chat);
            match chat {
                Chat::User(id) => {
                    let min = min && *id != self.peers.owner();
                    let user = self.peers.user(*id).map(|user| tl_build::user(user, &self.peers, min));
                    users.extend(user.map(|user| tl_build::named_user(user, name)));
                }
                Chat::Group(_) | Chat::Channel(_) => {
                    let group = self.peers.group(*chat).map(|group| tl_build::group(group, min));
                    groups.extend(group.map(|group| tl_build::named_group(group, name)));
                }
            }
        }
        (users, groups)
    }

    /// The channels in which something happened since `date`.
    pub fn channels_since(&self, date: i32) -> Vec<enums::Update> {
        let recent = |mailbox: &Mailbox| mailbox.last_date().is_some_and(|last| last >= date);
        let changed = self.channels.iter().filter(|(_, mailbox)| recent(mailbox));
        changed
            .map(|(id, mailbox)| {
                let pts = self.settings.channel_too_long_has_pts.then(|| mailbox.pts());
                types::UpdateChannelTooLong { channel_id: *id, pts }.into()
            })
            .collect()
    }
}
