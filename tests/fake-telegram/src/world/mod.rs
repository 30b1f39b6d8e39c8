//! Everything that outlives a connection: who there is, what was said, what the client asked.

mod announce;
pub mod draft;
pub mod files;
pub mod login;
pub mod mailbox;
pub mod peers;
pub mod post;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Instant;

use crate::connection::Link;
use crate::faults::Fault;
use crate::ledger::{Call, ClientInfo};
use crate::protocol::crypto::{AuthKey, KeyId};
use crate::protocol::key_exchange::KeyExchange;
use crate::protocol::now;
use crate::settings::Settings;
use draft::{Author, Draft, Recording};
use files::{File, FileKind, Files};
use login::Login;
use mailbox::{Difference, Event, EventKind, Mailbox};
use peers::{Chat, FRIEND, GroupKind, Peers};
use post::{Post, Reaction};

/// The datacentre that keeps files unless told otherwise.
pub const FILE_DC: i32 = 4;

/// What the owner may not do in a chat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatLimits {
    /// Write at all.
    pub no_writing: bool,
    /// Send files.
    pub no_files: bool,
    /// Write again before so many seconds have passed; 0 for no slow mode.
    pub slow_mode: i32,
}

/// An authorisation key as the server keeps it.
pub struct KnownKey {
    pub key: AuthKey,
    /// From the exchange: the salt that is accepted as well.
    pub first_salt: Option<i64>,
}

/// The server's state.
pub struct World {
    pub settings: Settings,
    pub peers: Peers,
    pub files: Files,
    pub login: Login,
    pub faults: Vec<Fault>,
    /// Where clients find the datacentres.
    pub addresses: Vec<(i32, SocketAddr)>,
    /// And where they find files only.
    pub media_addresses: Vec<(i32, SocketAddr)>,
    /// Every message of every chat, in the order of sending.
    pub posts: Vec<Post>,
    /// What the owner may not do in a chat.
    pub limits: HashMap<Chat, ChatLimits>,
    /// The first message sent under each random id.
    pub random_ids: HashMap<(Chat, i64), usize>,
    /// How many times the client sent something again that was there already.
    pub suppressed: u32,
    pub calls: Vec<Call>,
    pub clients: Vec<ClientInfo>,
    /// When each packet of a client came, refused ones too.
    pub packets: Vec<Instant>,
    /// Where each connection came from.
    pub callers: Vec<SocketAddr>,
    /// The last number of the sequence of updates.
    pub seq: i32,
    /// While true, pushes get lost on their way.
    pub pushes_lost: bool,
    /// Content-related messages sent in each MTProto session.
    pub sessions: HashMap<i64, i32>,
    pub links: BTreeMap<u64, Link>,
    pub key_exchange: KeyExchange,
    /// The keys that each datacentre knows.
    pub keys: HashMap<(i32, KeyId), KnownKey>,
    account: Mailbox,
    channels: HashMap<i64, Mailbox>,
}

impl World {
    pub fn new(settings: Settings, home: i32, owner: i64) -> Self {
        Self {
            account: Mailbox::new(settings.first_pts),
            settings,
            peers: Peers::new(owner),
            files: Files::default(),
            login: Login::new(home),
            faults: Vec::new(),
            addresses: Vec::new(),
            media_addresses: Vec::new(),
            posts: Vec::new(),
            limits: HashMap::new(),
            random_ids: HashMap::new(),
            suppressed: 0,
            calls: Vec::new(),
            packets: Vec::new(),
            callers: Vec::new(),
            seq: 1,
            pushes_lost: false,
            clients: Vec::new(),
            sessions: HashMap::new(),
            links: BTreeMap::new(),
            key_exchange: KeyExchange::default(),
            keys: HashMap::new(),
            channels: HashMap::new(),
        }
    }

    /// What time it is by the server's clock, in seconds of Unix time.
    pub fn now(&self) -> i64 {
        i64::from(now()) + self.settings.clock_ahead
    }

    /// Adds a key that datacentre `dc` and a client have in common.
    pub fn add_key(&mut self, dc: i32, key: [u8; 256], first_salt: Option<i64>) {
        let key = AuthKey::new(key);
        self.keys.insert((dc, key.id()), KnownKey { key, first_salt });
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
            (Author::Owner, _) => Some(self.peers.owner()),
            (Author::User(user), _) => Some(user),
            (Author::OtherSide, Chat::User(user)) => Some(user),
            (Author::OtherSide, _) => (!broadcast).then_some(FRIEND),
        };
        let ttl = draft.recording.as_ref().and_then(|recording| recording.ttl);
        let recorded = draft.recording.map(|recording| self.add_recording(recording, date));
        let file = recorded.or(draft.file);
        let post = Post {
            owner: self.peers.owner(),
            chat,
            id: 0,
            from,
            sent_as: draft.sent_as,
            date,
            text: draft.text,
            raw_entities: Vec::new(),
            reply_to: draft.reply_to,
            topic: draft.topic,
            silent: draft.silent,
            file,
            ttl,
            lifetime: draft.lifetime,
            forwarded_from: draft.forwarded_from,
            random_id: None,
            edits: 0,
            edit_date: None,
            deleted: false,
            reactions: Vec::new(),
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

    /// Gives a message this user's reaction in place of the one before; `None` removes it. Answers the
    /// step of the mailbox, where it is one: in a channel a reaction has no place in the sequence.
    pub fn react(
        &mut self,
        chat: Chat,
        id: i32,
        user: i64,
        emoji: Option<(&str, i32)>,
    ) -> Option<Option<Event>> {
        let post = self.post(chat, id).filter(|post| !post.deleted)?;
        post.reactions.retain(|reaction| reaction.user != user);
        if let Some((emoji, date)) = emoji {
            post.reactions.push(Reaction { user, emoji: emoji.to_owned(), date });
        }
        let is_step = !matches!(chat, Chat::Channel(_));
        Some(is_step.then(|| self.mailbox(chat).record(EventKind::Edited, id, now())))
    }

    /// What a client at `pts` missed in the mailbox of `chat`, in owned form.
    pub fn missed(&mut self, chat: Chat, pts: i32, limit: usize) -> Missed {
        let mailbox = self.mailbox(chat);
        let Difference { events, pts, last } = mailbox.since(pts, limit);
        Missed { events: events.to_vec(), pts, last }
    }

    /// Notes the request `number` over `connection`. Whether it shows that the account is used in
    /// parallel: another connection that is open to the same datacentre made a request between the
    /// last one of `connection` and this one. A connection that takes the place of another is no
    /// parallel use.
    ///
    /// The numbers hold the client's time, so a request that lay in the network changes nothing.
    pub fn is_parallel_use(&mut self, connection: u64, number: i64) -> bool {
        let Some(link) = self.links.get_mut(&connection) else { return false };
        let (dc, key, media_only) = (link.dc, link.key_id(), link.media_only);
        let Some(before) = link.last_request.replace(number) else { return false };
        let between = |other: &Link| other.last_request.is_some_and(|last| before < last && last < number);
        self.settings.parallel_use_refused
            && !media_only
            && self.login.authorised.contains(&(dc, key))
            && self
                .links
                .values()
                .any(|other| (other.dc, other.key_id()) == (dc, key) && !other.media_only && between(other))
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
