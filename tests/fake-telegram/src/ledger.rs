//! What the other side would see, and what the client asked for.

use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;

use crate::faults::Fault;
use crate::world::World;
use crate::world::files::FileKind;
use crate::world::peers::Chat;
use crate::world::post::Post;

/// One request of a client.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method's name in the schema.
    pub method: &'static str,
    /// The datacentre that was asked.
    pub dc: i32,
    /// At the datacentre's address for files.
    pub media_only: bool,
    pub at: Instant,
}

/// What a client said of itself in initConnection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientInfo {
    pub layer: i32,
    pub api_id: i32,
    pub device_model: String,
    pub system_version: String,
    pub app_version: String,
}

/// A view of the server's books.
#[derive(Clone, Copy)]
pub struct Ledger<'a>(pub(crate) &'a World);

impl<'a> Ledger<'a> {
    /// Every message that is still there, in the order of sending, whoever sent it.
    pub fn posts(self) -> impl Iterator<Item = &'a Post> {
        self.0.posts.iter().filter(|post| !post.deleted)
    }

    /// The messages of one chat.
    pub fn chat(self, chat: Chat) -> impl Iterator<Item = &'a Post> {
        self.posts().filter(move |post| post.chat == chat)
    }

    /// What the client under test sent, to whatever chat.
    pub fn sent(self) -> impl Iterator<Item = &'a Post> {
        self.posts().filter(|post| post.by_client())
    }

    /// The client's answers to the message `id`.
    pub fn replies(self, chat: Chat, id: i32) -> impl Iterator<Item = &'a Post> {
        self.sent().filter(move |post| post.chat == chat && post.reply_to == Some(id))
    }

    pub fn post(self, chat: Chat, id: i32) -> Option<&'a Post> {
        self.chat(chat).find(|post| post.id == id)
    }

    /// The name and the bytes of the document that a message holds; recordings are none.
    pub fn document(self, post: &Post) -> Option<(&'a str, &'a [u8])> {
        let file = self.0.files.get(post.file?)?;
        match &file.what {
            FileKind::Document(name) => Some((name, &file.bytes)),
            FileKind::Recording { .. } => None,
        }
    }

    /// Every request, in order.
    pub fn calls(self) -> &'a [Call] {
        &self.0.calls
    }

    /// How many times `method` was asked for.
    pub fn count(self, method: &str) -> usize {
        self.calls().iter().filter(|call| call.method == method).count()
    }

    /// When each packet of a client came, refused ones too.
    pub fn packets(self) -> &'a [Instant] {
        &self.0.packets
    }

    /// What clients said of themselves, one for each initConnection.
    pub fn clients(self) -> &'a [ClientInfo] {
        &self.0.clients
    }

    /// How many messages were sent again and kept from the other side.
    pub fn suppressed(self) -> u32 {
        self.0.suppressed
    }

    /// The rules of what goes wrong; `times` is how often each of them still will.
    pub fn faults(self) -> &'a [Fault] {
        &self.0.faults
    }

    /// The addresses from which clients have connected, one for each connection.
    pub fn callers(self) -> &'a [SocketAddr] {
        &self.0.callers
    }

    /// How many connections are open.
    pub fn connections(self) -> usize {
        self.0.links.len()
    }
}

impl std::fmt::Debug for Ledger<'_> {
    /// For failing tests: what was said, and which methods were called.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for post in self.posts() {
            let Post { chat, id, from, reply_to, text, .. } = post;
            writeln!(f, "{chat:?} #{id} from {from:?} in reply to {reply_to:?}: {text:?}")?;
        }
        let methods: Vec<_> = self.calls().iter().map(|call| call.method).collect();
        write!(f, "{methods:?}")
    }
}
