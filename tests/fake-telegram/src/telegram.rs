//! The handle that tests and the program hold.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::builder::{Builder, HOME_DC};
use crate::connection::Outgoing;
use crate::faults::Fault;
use crate::ledger::Ledger;
use crate::protocol::now;
use crate::server::{Datacentre, Shared};
use crate::session_file::{SessionDc, SessionParams, SessionUser, key_to_hex};
use crate::settings::{Packing, Settings};
use crate::world::ChatLimits;
use crate::world::draft::Draft;
use crate::world::login::{Freeze, Revocation};
use crate::world::peers::{Chat, Group, User, access_hash};
use crate::world::post::Post;

/// A running server. Clones are handles to the same one; it runs as long as its tokio runtime.
#[derive(Clone)]
pub struct Telegram {
    pub(crate) shared: Arc<Shared>,
    pub(crate) datacentres: Arc<[Arc<Datacentre>]>,
}

/// What was waited for did not happen in time. Its `Debug` form shows what did.
#[derive(thiserror::Error)]
#[error("it did not happen within {deadline:?}; this did:\n{happened}")]
pub struct TimedOut {
    deadline: Duration,
    happened: String,
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Starting, and what a client must know.
impl Telegram {
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address at which clients reach datacentre `dc`, and its key.
    pub fn datacentre(&self, dc: i32) -> Option<(SocketAddr, [u8; 256])> {
        let (_, address) = *self.shared.world().addresses.iter().find(|(id, _)| *id == dc)?;
        let datacentre = self.datacentres.iter().find(|datacentre| datacentre.id == dc)?;
        Some((address, *datacentre.key.bytes()))
    }

    /// What a session file says of this server: everything, when logged in.
    pub fn session(&self) -> SessionParams {
        let world = self.shared.world();
        let (logged_in, owner) = (!world.login.authorised.is_empty(), world.peers.owner());
        let ordinary = self.datacentres.iter().filter(|datacentre| !datacentre.media_only);
        let dcs = ordinary.filter_map(|datacentre| {
            let (_, address) = world.addresses.iter().find(|(id, _)| *id == datacentre.id)?;
            let SocketAddr::V4(ipv4) = *address else { return None };
            let auth_key = Some(key_to_hex(datacentre.key.bytes()));
            Some(SessionDc { id: datacentre.id, ipv4, ipv6: None, auth_key })
        });
        SessionParams {
            home_dc: if logged_in { world.login.home } else { HOME_DC },
            user: logged_in.then(|| SessionUser { id: owner, access_hash: access_hash(owner) }),
            dcs: dcs.collect(),
        }
    }
}

/// Being the other side.
impl Telegram {
    /// Sends a message in `chat`, and tells connected clients. Returns its number.
    pub fn send(&self, chat: Chat, draft: Draft) -> i32 {
        self.shared.change(|world| {
            let (id, event) = world.add_draft(chat, draft);
            world.push(&[(chat, event)], Packing::Separate, None);
            id
        })
    }

    /// Sends a message and tells nobody: clients learn of it by asking for the difference.
    pub fn send_silently(&self, chat: Chat, draft: Draft) -> i32 {
        self.shared.change(|world| world.add_draft(chat, draft).0)
    }

    /// Sends several messages, and tells connected clients in one go. Returns their numbers.
    pub fn send_all(&self, drafts: impl IntoIterator<Item = (Chat, Draft)>, packing: Packing) -> Vec<i32> {
        self.shared.change(|world| {
            let sent: Vec<_> =
                drafts.into_iter().map(|(chat, draft)| (chat, world.add_draft(chat, draft))).collect();
            let events: Vec<_> = sent.iter().map(|(chat, (_, event))| (*chat, *event)).collect();
            world.push(&events, packing, None);
            sent.into_iter().map(|(_, (id, _))| id).collect()
        })
    }

    /// Tells connected clients of messages sent before, in the order given here: after
    /// [`send_silently`](Self::send_silently) this makes updates that come late or out of order,
    /// after [`send`](Self::send) updates that come twice.
    pub fn push(&self, messages: &[(Chat, i32)], packing: Packing) {
        self.shared.change(|world| {
            let arrival = |&(chat, id): &(Chat, i32)| Some((chat, world.mailbox(chat).arrival(id)?));
            let events: Vec<_> = messages.iter().filter_map(arrival).collect();
            world.push(&events, packing, None);
        });
    }

    /// Deletes a message for everybody, and tells connected clients.
    pub fn delete(&self, chat: Chat, id: i32) {
        self.shared.change(|world| {
            if let Some(event) = world.delete(chat, id) {
                world.push(&[(chat, event)], Packing::Separate, None);
            }
        });
    }

    /// Has a user react to a message with this emoji, or take the reaction back.
    pub fn react(&self, chat: Chat, id: i32, user: i64, emoji: Option<&str>) {
        self.react_at(chat, id, user, emoji, now());
    }

    /// The same, at this time (seconds of Unix time).
    pub fn react_at(&self, chat: Chat, id: i32, user: i64, emoji: Option<&str>, date: i32) {
        self.shared.change(|world| match world.react(chat, id, user, emoji.map(|emoji| (emoji, date))) {
            Some(Some(event)) => world.push(&[(chat, event)], Packing::Separate, None),
            Some(None) => world.push_reactions(chat, id),
            None => {}
        });
    }

    /// Puts other bytes into the file of a message, and tells nobody.
    pub fn replace_file(&self, chat: Chat, id: i32, bytes: impl Into<Vec<u8>>) {
        self.shared.change(|world| {
            if let Some(file) = world.post(chat, id).and_then(|post| post.file) {
                world.files.replace(file, bytes.into());
            }
        });
    }

    pub fn add_user(&self, user: User) -> Chat {
        let chat = Chat::User(user.id);
        self.shared.change(|world| world.peers.add_user(user));
        chat
    }

    pub fn add_group(&self, group: Group) -> Chat {
        let chat = group.chat();
        self.shared.change(|world| world.peers.add_group(group));
        chat
    }
}

/// What a chat is like.
impl Telegram {
    /// Limits what the owner may do in `chat` from now on.
    pub fn limit(&self, chat: Chat, limits: ChatLimits) {
        self.shared.change(|world| world.limits.insert(chat, limits));
    }

    /// Gives a user or a supergroup a public name, without the @.
    pub fn set_name(&self, chat: Chat, name: &str) {
        self.shared.change(|world| world.peers.set_name(chat, name));
    }
}

/// Misbehaving.
impl Telegram {
    /// Changes how the server behaves from now on.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.change(|world| change(&mut world.settings));
    }

    /// Adds a rule of what goes wrong; the first that fits a request wins.
    pub fn fault(&self, fault: Fault) {
        self.shared.change(|world| world.faults.push(fault));
    }

    pub fn clear_faults(&self) {
        self.shared.change(|world| world.faults.clear());
    }

    /// Makes every file reference given out so far stale.
    pub fn expire_file_references(&self) {
        self.shared.change(|world| world.files.expire_references());
    }

    /// Ends the account's sessions: every request gets this error from now on.
    pub fn revoke(&self, reason: Revocation) {
        self.shared.change(|world| world.login.revoked = Some(reason));
    }

    /// Takes [`revoke`](Self::revoke) back.
    pub fn restore(&self) {
        self.shared.change(|world| world.login.revoked = None);
    }

    /// Lets the account read, and nothing else, from now on.
    pub fn freeze(&self, freeze: Freeze) {
        self.set_frozen(Some(freeze));
    }

    /// Takes [`freeze`](Self::freeze) back.
    pub fn thaw(&self) {
        self.set_frozen(None);
    }

    fn set_frozen(&self, frozen: Option<Freeze>) {
        self.shared.change(|world| {
            world.login.frozen = frozen;
            world.login.freezes += 1;
            world.push_config_changed();
        });
    }

    /// Datacentre `dc` answers each of its keys with the transport error 404 from now on.
    pub fn forget_key(&self, dc: i32) {
        self.shared.change(|world| {
            let keys = world.keys.keys().filter(|(known_by, _)| *known_by == dc).copied();
            world.login.forgotten.extend(keys);
        });
    }

    /// Takes [`forget_key`](Self::forget_key) back everywhere.
    pub fn remember_keys(&self) {
        self.shared.change(|world| world.login.forgotten = HashSet::new());
    }

    /// Says something in an MTProto session that the client does not have, on every connection:
    /// grammers' connection task panics over it.
    pub fn confuse(&self) {
        let world = self.shared.world();
        for link in world.links.values() {
            if let Some(session) = link.session {
                // A link whose connection just ended is about to be removed.
                let _ = link.outbox.send(Outgoing::Push { session: !session, bodies: vec![vec![0; 8]] });
            }
        }
    }

    /// What is pushed from now on is lost, or no more.
    pub fn lose_pushes(&self, lost: bool) {
        self.shared.change(|world| world.pushes_lost = lost);
    }

    /// Forgets the clients' sessions, as a restarted server does. Nothing is pushed to a client before
    /// its next request, and then the client is told that its session is new.
    pub fn forget_sessions(&self) {
        self.shared.change(|world| {
            world.sessions.clear();
            world.links.values_mut().for_each(|link| link.session = None);
        });
    }

    /// Cuts every connection; clients may connect anew.
    pub fn cut(&self) {
        self.shared.world().links.values().for_each(|link| link.task.abort());
    }

    /// Stops to listen and cuts every connection: from outside, the machine is there but nobody
    /// answers the door.
    pub async fn go_down(&self) {
        for datacentre in self.datacentres.iter() {
            datacentre.stop().await;
        }
        self.cut();
    }

    /// Listens again on the same ports.
    pub async fn come_back(&self) -> io::Result<()> {
        for datacentre in self.datacentres.iter() {
            datacentre.resume(&self.shared).await?;
        }
        Ok(())
    }

    /// Accepts connections and keeps those that are open, but reads and says nothing.
    pub fn mute(&self) {
        self.shared.mute.send_replace(true);
    }

    /// Goes on where [`mute`](Self::mute) stopped.
    pub fn unmute(&self) {
        self.shared.mute.send_replace(false);
    }
}

/// Looking.
impl Telegram {
    /// Looks at the books. `look` must not use this handle: the books are locked meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(Ledger) -> T) -> T {
        look(Ledger(&self.shared.world()))
    }

    /// The bytes of the file that `post` holds.
    pub fn file(&self, post: &Post) -> Option<Vec<u8>> {
        let world = self.shared.world();
        world.files.get(post.file?).map(|file| file.bytes.clone())
    }

    /// Waits until `look`, which must not use this handle, finds what it looks for.
    pub async fn wait_for<T>(
        &self,
        deadline: Duration,
        look: impl Fn(Ledger) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changed = self.shared.changed.subscribe();
        let found = async {
            loop {
                if let Some(found) = self.look(&look) {
                    return found;
                }
                if changed.changed().await.is_err() {
                    // The sender lives in `self`.
                    std::future::pending::<()>().await;
                }
            }
        };
        let found = tokio::time::timeout(deadline, found).await;
        found.map_err(|_| TimedOut { deadline, happened: self.look(|ledger| format!("{ledger:?}")) })
    }

    /// Waits until `holds` is true of the books.
    pub async fn wait_until(
        &self,
        deadline: Duration,
        holds: impl Fn(Ledger) -> bool,
    ) -> Result<(), TimedOut> {
        self.wait_for(deadline, |ledger| holds(ledger).then_some(())).await
    }

    /// Waits for the client's first answer to the message `id`.
    pub async fn wait_for_reply(&self, chat: Chat, id: i32, deadline: Duration) -> Result<Post, TimedOut> {
        self.wait_for(deadline, |ledger| ledger.replies(chat, id).next().cloned()).await
    }
}
