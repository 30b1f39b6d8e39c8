//! Datacentres: listeners, and what their connections share.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::connection::{self, Link};
use crate::ledger::Call;
use crate::protocol::crypto::AuthKey;
use crate::protocol::message::MessageIds;
use crate::world::World;

/// What all connections of all datacentres share.
pub struct Shared {
    world: Mutex<World>,
    /// Told after each change of the world that a test may wait for.
    pub changed: watch::Sender<()>,
    /// While true, nothing is read and nothing written.
    pub mute: watch::Sender<bool>,
    pub message_ids: MessageIds,
    connections: AtomicU64,
}

impl Shared {
    pub fn new(world: World) -> Self {
        Self {
            world: Mutex::new(world),
            changed: watch::Sender::new(()),
            mute: watch::Sender::new(false),
            message_ids: MessageIds::default(),
            connections: AtomicU64::new(0),
        }
    }

    /// The world. Nothing waits while holding it.
    pub fn world(&self) -> MutexGuard<'_, World> {
        // A test that panicked in a closure of its own must not take the server with it.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and wakes who waits for a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.changed.send_replace(());
        result
    }

    /// Notes a request.
    pub fn note(&self, method: &'static str, datacentre: &Datacentre) {
        let Datacentre { id: dc, media_only, .. } = *datacentre;
        self.change(|world| world.calls.push(Call { method, dc, media_only, at: Instant::now() }));
    }

    /// Returns once the server is not mute.
    pub async fn until_speaking(&self) {
        // The sender lives in `self`, so it cannot be gone.
        let _ = self.mute.subscribe().wait_for(|mute| !mute).await;
    }
}

/// An address of a datacentre: a key, and a listener that can be stopped and started.
pub struct Datacentre {
    pub id: i32,
    pub key: AuthKey,
    /// Serves files only, with the same key, and may be used beside the ordinary address.
    pub media_only: bool,
    /// Where it listens, the port chosen.
    pub address: SocketAddr,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Datacentre {
    /// Starts to listen on `address`; port 0 chooses a free one.
    pub async fn start(
        shared: &Arc<Shared>,
        id: i32,
        key: [u8; 256],
        address: SocketAddr,
        media_only: bool,
    ) -> io::Result<Arc<Self>> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let listener = Mutex::new(None);
        let datacentre = Arc::new(Self { id, key: AuthKey::new(key), media_only, address, listener });
        datacentre.listen(shared, socket);
        Ok(datacentre)
    }

    /// Listens again on the same port. Does nothing if it does already.
    pub async fn resume(self: &Arc<Self>, shared: &Arc<Shared>) -> io::Result<()> {
        if self.listener().is_none() {
            let socket = TcpListener::bind(self.address).await?;
            self.listen(shared, socket);
        }
        Ok(())
    }

    /// Stops to listen: new connections are refused once this returns.
    pub async fn stop(&self) {
        let listener = self.listener().take();
        if let Some(task) = listener {
            task.abort();
            // It ends as aborted, which is what was asked for.
            let _ = task.await;
        }
    }

    fn listener(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, shared: &Arc<Shared>, socket: TcpListener) {
        let (datacentre, shared) = (self.clone(), shared.clone());
        let task = tokio::spawn(async move {
            loop {
                match socket.accept().await {
                    Ok((stream, caller)) => {
                        shared.world().callers.push(caller);
                        datacentre.accept(&shared, stream);
                    }
                    Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
                }
            }
        });
        *self.listener() = Some(task);
    }

    fn accept(self: &Arc<Self>, shared: &Arc<Shared>, stream: TcpStream) {
        let id = shared.connections.fetch_add(1, Ordering::Relaxed);
        let (outbox, inbox) = mpsc::unbounded_channel();
        let (datacentre, state, sender) = (self.clone(), shared.clone(), outbox.clone());
        // The link is there before its task runs and removes it.
        shared.change(|world| {
            let remove = RemoveLink { shared: state.clone(), id };
            let task = tokio::spawn(async move {
                connection::serve(state, datacentre, id, stream, sender, inbox).await;
                drop(remove);
            });
            let link = Link {
                dc: self.id,
                media_only: self.media_only,
                session: None,
                last_request: None,
                key: None,
                outbox,
                task: task.abort_handle(),
            };
            world.links.insert(id, link);
        });
    }
}

/// Removes a link when its task ends, be it by abortion.
struct RemoveLink {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for RemoveLink {
    fn drop(&mut self) {
        self.shared.change(|world| world.links.remove(&self.id));
    }
}
