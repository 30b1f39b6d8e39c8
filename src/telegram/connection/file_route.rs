//! The connections for files beside a main connection.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::info;

use super::error::CallError;
use super::pool::Pool;
use crate::runtime::lock;

/// How long the address for files is not used after it has failed. The main connection carries the
/// files meanwhile, more slowly.
const MEDIA_PAUSE: Duration = Duration::from_secs(3600);

/// Where to ask for the next chunk of a file.
pub(crate) enum FileRoute<'a> {
    /// The main connection. It carries one chunk at a time, so that a ping or an answer waits
    /// behind one small chunk at most. The next chunk may follow once this value is dropped.
    Main { _turn: tokio::sync::MutexGuard<'a, ()> },
    /// A connection for files only.
    Own { dc: i32, pool: Arc<Pool> },
}

impl FileRoute<'_> {
    pub fn is_main(&self) -> bool {
        matches!(self, Self::Main { .. })
    }
}

/// The connections for files beside a main connection.
#[derive(Default)]
pub(crate) struct FileRoutes {
    pools: Mutex<Pools>,
    /// The home datacentre's address for files, asked for once.
    pub media_address: OnceCell<Option<SocketAddrV4>>,
    /// Until when that address is not used.
    media_paused: Mutex<Option<Instant>>,
    /// Held while a chunk travels over the main connection.
    pub main_turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Pools {
    by_dc: HashMap<i32, Arc<Pool>>,
    /// Whether the main connection has ended, so that no further pool may be opened.
    closed: bool,
}

impl Pools {
    /// The pool of datacentre `dc`, if there is one that works.
    fn get(&self, dc: i32) -> Result<Option<Arc<Pool>>, CallError> {
        if self.closed {
            return Err(CallError::Lost("the connection was closed".into()));
        }
        Ok(self.by_dc.get(&dc).filter(|pool| !pool.is_finished()).cloned())
    }
}

impl FileRoutes {
    /// Closes all connections for files for good.
    pub fn close(&self) {
        let mut pools = self.pools();
        pools.closed = true;
        pools.by_dc.drain().for_each(|(_, pool)| pool.close());
    }

    /// Closes one pool. The next request to `dc` opens another.
    pub fn close_pool(&self, dc: i32, pool: &Arc<Pool>) {
        pool.close();
        let mut pools = self.pools();
        if pools.by_dc.get(&dc).is_some_and(|known| Arc::ptr_eq(known, pool)) {
            pools.by_dc.remove(&dc);
        }
    }

    pub fn pool(&self, dc: i32) -> Result<Option<Arc<Pool>>, CallError> {
        self.pools().get(dc)
    }

    /// Adds a pool, and returns the one to use: another may have been added meanwhile.
    pub fn add(&self, dc: i32, pool: Pool) -> Result<Arc<Pool>, CallError> {
        let mut pools = self.pools();
        if let Some(known) = pools.get(dc)? {
            return Ok(known);
        }
        let pool = Arc::new(pool);
        pools.by_dc.insert(dc, Arc::clone(&pool));
        Ok(pool)
    }

    fn pools(&self) -> MutexGuard<'_, Pools> {
        lock(&self.pools)
    }

    pub fn pause_media(&self, why: &dyn std::fmt::Display) {
        if self.media_is_paused() {
            return;
        }
        info!(
            reason = %why,
            "Telegram's address for files cannot be used, files come over the main connection for {} min",
            MEDIA_PAUSE.as_secs() / 60
        );
        *lock(&self.media_paused) = Some(Instant::now() + MEDIA_PAUSE);
    }

    pub fn media_is_paused(&self) -> bool {
        let until = *lock(&self.media_paused);
        until.is_some_and(|until| Instant::now() < until)
    }
}
