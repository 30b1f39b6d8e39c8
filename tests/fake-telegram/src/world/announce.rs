//! What happened, put into the schema's words and told to clients.

use std::collections::BTreeSet;

use grammers_tl_types::{Serializable, enums, types};

use super::World;
use super::mailbox::{Event, EventKind, Mailbox};
use super::peers::{Chat, OWNER};
use super::post::Post;
use crate::connection::Outgoing;
use crate::protocol::now;
use crate::settings::{Packing, PeersInUpdates};
use crate::tl_build;

/// Updates, and the peers they speak of.
struct Bundle {
    updates: Vec<enums::Update>,
    peers: BTreeSet<Chat>,
}

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

    /// Tells every client but that on the connection `except` what happened.
    pub fn push(&mut self, events: &[(Chat, Event)], packing: Packing, except: Option<u64>) {
        let bodies = self.bodies(events, packing);
        let packets: Vec<Vec<Vec<u8>>> = match packing {
            Packing::OneContainer => vec![bodies],
            Packing::Separate | Packing::OneUpdates => bodies.into_iter().map(|body| vec![body]).collect(),
        };
        self.tell(&packets, except);
    }

    /// Tells every client that the configuration has changed, and is to be asked for.
    pub fn push_config_changed(&mut self) {
        let update = enums::Update::Config;
        let body = types::UpdateShort { update, date: now() };
        self.tell(&[vec![enums::Updates::UpdateShort(body).to_bytes()]], None);
    }

    fn tell(&self, packets: &[Vec<Vec<u8>>], except: Option<u64>) {
        let home = self.login.home;
        if !self.login.may_ask(home) {
            return;
        }
        for (id, link) in &self.links {
            let Some(session) = link.session.filter(|_| link.dc == home && Some(*id) != except) else {
                continue;
            };
            for bodies in packets.iter().cloned() {
                // A link whose connection just ended is about to be removed.
                let _ = link.outbox.send(Outgoing::Push { session, bodies });
            }
        }
    }

    /// `updates` objects that tell of `events`.
    fn bodies(&mut self, events: &[(Chat, Event)], packing: Packing) -> Vec<Vec<u8>> {
        let mut bundles: Vec<Bundle> = Vec::new();
        for (chat, event) in events {
            let update = self.update(*chat, *event);
            let peers = self.mentioned(*chat, event.message);
            match bundles.last_mut().filter(|_| packing == Packing::OneUpdates) {
                Some(bundle) => {
                    bundle.updates.extend(update);
                    bundle.peers.extend(peers);
                }
                None => bundles.push(Bundle {
                    updates: update.into_iter().collect(),
                    peers: peers.into_iter().collect(),
                }),
            }
        }
        let body = |Bundle { updates, peers }| {
            let (users, chats) = self.introduce(&peers);
            tl_build::updates(updates, users, chats).to_bytes()
        };
        bundles.into_iter().map(body).collect()
    }

    /// The peers that the message `id` of `chat` speaks of.
    pub fn mentioned(&mut self, chat: Chat, id: i32) -> Vec<Chat> {
        let place = self.mailbox(chat).place(id);
        let Some(post) = place.and_then(|place| self.posts.get(place)) else { return Vec::new() };
        let users = [Some(OWNER), post.from, post.forwarded_from];
        users.into_iter().flatten().map(Chat::User).chain([post.chat]).collect()
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
            match chat {
                Chat::User(id) => {
                    users.extend(self.peers.user(*id).map(|user| tl_build::user(user, min && *id != OWNER)))
                }
                Chat::Group(_) | Chat::Channel(_) => {
                    groups.extend(self.peers.group(*chat).map(|group| tl_build::group(group, min)));
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
