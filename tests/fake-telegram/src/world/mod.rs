//! Everything that outlives a connection: who there is, what was said, what the client asked.

pub mod draft;
pub mod files;
pub mod login;
pub mod mailbox;
pub mod peers;
pub mod post;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use grammers_tl_types::{Serializable, enums, types};

use crate::connection::{Link, Outgoing};
use crate::faults::Fault;
use crate::ledger::{Call, ClientInfo};
use crate::protocol::now;
use crate::settings::{Packing, PeersInUpdates, Settings};
use crate::tl_build;
use draft::{Author, Draft, Recording};
use files::{File, FileKind, Files};
use login::Login;
use mailbox::{Difference, Event, EventKind, Mailbox};
use peers::{Chat, FRIEND, GroupKind, OWNER, Peers};
use post::Post;

/// The datacentre that keeps files unless told otherwise.
pub const FILE_DC: i32 = 4;

/// The server's state.
pub struct World {
    pub settings: Settings,
    pub peers: Peers,
    pub files: Files,
    pub login: Login,
    pub faults: Vec<Fault>,
    /// Where clients find the datacentres.
    pub addresses: Vec<(i32, SocketAddr)>,
    /// Every message of every chat, in the order of sending.
    pub posts: Vec<Post>,
    /// The first message sent under each random id.
    pub random_ids: HashMap<(Chat, i64), usize>,
    /// How many times the client sent something again that was there already.
    pub suppressed: u32,
    pub calls: Vec<Call>,
    pub clients: Vec<ClientInfo>,
    /// Content-related messages sent in each MTProto session.
    pub sessions: HashMap<i64, i32>,
    pub links: BTreeMap<u64, Link>,
    account: Mailbox,
    channels: HashMap<i64, Mailbox>,
}

/// Updates, and the peers they speak of.
#[derive(Default)]
struct Bundle {
    updates: Vec<enums::Update>,
    chats: BTreeSet<Chat>,
}

impl World {
    pub fn new(settings: Settings, home: i32) -> Self {
        Self {
            settings,
            peers: Peers::default(),
            files: Files::default(),
            login: Login::new(home),
            faults: Vec::new(),
            addresses: Vec::new(),
            posts: Vec::new(),
            random_ids: HashMap::new(),
            suppressed: 0,
            calls: Vec::new(),
            clients: Vec::new(),
            sessions: HashMap::new(),
            links: BTreeMap::new(),
            account: Mailbox::default(),
            channels: HashMap::new(),
        }
    }

    /// Private chats and basic groups share the account's mailbox; each channel has its own.
    pub fn mailbox(&mut self, chat: Chat) -> &mut Mailbox {
        match chat {
            Chat::User(_) | Chat::Group(_) => &mut self.account,
            Chat::Channel(id) => self.channels.entry(id).or_default(),
        }
    }

    pub fn account_pts(&self) -> i32 {
        self.account.pts()
    }

    /// The message `id` of `chat`, deleted or not.
    pub fn post(&mut self, chat: Chat, id: i32) -> Option<&mut Post> {
        let place = self.mailbox(chat).place(id)?;
        self.posts.get_mut(place).filter(|post| post.chat == chat)
    }

    /// The message `id` of the account's mailbox, whatever its chat.
    pub fn account_post(&self, id: i32) -> Option<&Post> {
        self.posts.get(self.account.place(id)?)
    }

    /// Adds a message; its number is given here. Answers its place among all posts.
    pub fn add_post(&mut self, post: Post) -> (usize, Event) {
        let place = self.posts.len();
        let mailbox = self.mailbox(post.chat);
        let id = mailbox.next_id();
        mailbox.insert(id, place);
        let event = mailbox.record(EventKind::New, id, now());
        self.posts.push(Post { id, ..post });
        (place, event)
    }

    /// Adds what somebody sent.
    pub fn add_draft(&mut self, chat: Chat, draft: Draft) -> (i32, Event) {
        let date = draft.date.unwrap_or_else(now);
        let broadcast = self.peers.group(chat).is_some_and(|group| group.kind == GroupKind::Broadcast);
        let from = match (draft.author, chat) {
            (Author::Owner, _) => Some(OWNER),
            (Author::User(user), _) => Some(user),
            (Author::OtherSide, Chat::User(user)) => Some(user),
            (Author::OtherSide, _) => (!broadcast).then_some(FRIEND),
        };
        let ttl = draft.recording.as_ref().and_then(|recording| recording.ttl);
        let file = draft.recording.map(|recording| self.add_recording(recording, date));
        let post = Post {
            chat,
            id: 0,
            from,
            date,
            text: draft.text,
            raw_entities: Vec::new(),
            reply_to: draft.reply_to,
            topic: draft.topic,
            silent: draft.silent,
            file,
            ttl,
            forwarded_from: draft.forwarded_from,
            random_id: None,
            edits: 0,
            edit_date: None,
            deleted: false,
        };
        let (_, event) = self.add_post(post);
        (event.message, event)
    }

    fn add_recording(&mut self, recording: Recording, date: i32) -> i64 {
        let Recording { kind, bytes, seconds, mime, dc, claimed_size, .. } = recording;
        let claimed_size = claimed_size.unwrap_or(bytes.len() as i64);
        let dc = dc.unwrap_or(FILE_DC);
        let what = FileKind::Recording { kind, seconds };
        self.files.add(|id| File { id, bytes, dc, date, mime, claimed_size, what })
    }

    /// Deletes a message for everybody.
    pub fn delete(&mut self, chat: Chat, id: i32) -> Option<Event> {
        self.post(chat, id)?.deleted = true;
        Some(self.mailbox(chat).record(EventKind::Deleted, id, now()))
    }

    /// `post` as the client is shown it.
    pub fn render(&self, post: &Post) -> enums::Message {
        if post.deleted {
            return tl_build::deleted_message(post);
        }
        let file = post.file.and_then(|id| self.files.get(id));
        tl_build::message(post, file.map(|file| (file, self.files.reference(file.id))))
    }

    /// What a client at `pts` missed in the mailbox of `chat`, in owned form.
    pub fn missed(&mut self, chat: Chat, pts: i32, limit: usize) -> Missed {
        let mailbox = self.mailbox(chat);
        let Difference { events, pts, last } = mailbox.since(pts, limit);
        Missed { events: events.to_vec(), pts, last }
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
        let mut bundles: Vec<Bundle> = Vec::new();
        for (chat, event) in events {
            let Some(update) = self.update(*chat, *event) else { continue };
            if bundles.is_empty() || packing != Packing::OneUpdates {
                bundles.push(Bundle::default());
            }
            if let Some(bundle) = bundles.last_mut() {
                bundle.updates.push(update);
                bundle.chats.extend(self.mentioned(*chat, event.message));
            }
        }
        let bodies: Vec<Vec<u8>> = bundles
            .into_iter()
            .map(|Bundle { updates, chats }| {
                let (users, chats) = self.introduce(&chats);
                tl_build::updates(updates, users, chats).to_bytes()
            })
            .collect();
        if !self.login.may_ask(self.login.home) {
            return;
        }
        let home = self.login.home;
        let listening = self.links.iter().filter(|(id, link)| link.dc == home && Some(**id) != except);
        for (session, outbox) in listening.filter_map(|(_, link)| Some((link.session?, &link.outbox))) {
            let say = |bodies| {
                // A link whose connection just ended is about to be removed.
                let _ = outbox.send(Outgoing::Push { session, bodies });
            };
            match packing {
                Packing::OneContainer => say(bodies.clone()),
                Packing::Separate | Packing::OneUpdates => {
                    bodies.iter().for_each(|body| say(vec![body.clone()]));
                }
            }
        }
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

    /// The next sequence number of the server in `session`.
    pub fn next_sequence(&mut self, session: i64, content: bool) -> i32 {
        let sent = self.sessions.entry(session).or_default();
        let number = *sent * 2 + i32::from(content);
        *sent += i32::from(content);
        number
    }
}

/// A [`Difference`] that does not borrow the world.
pub struct Missed {
    pub events: Vec<Event>,
    pub pts: i32,
    pub last: bool,
}
