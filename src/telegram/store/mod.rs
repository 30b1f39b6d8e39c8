//! What changes with every update: the position in the stream of updates and the peers seen. A
//! pause in sending, and when messages were sent in the last day, are kept here as well.
//!
//! All of it is in a small redb file beside the session. Without that file the account is not lost,
//! but updates would be followed only from now on.

mod pause;
pub(super) mod peer;
pub(super) mod position;

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grammers_session::types::{PeerId, PeerInfo, UpdatesState};
use redb::{ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use tracing::warn;

pub(super) use self::pause::Paused;
use self::pause::StoredPause;
use self::peer::{SeenPeer, StoredPeer};
use self::position::{LastMessages, StoredPosition};
use super::session::error::SessionError;
use crate::domain::unix_time;
use crate::runtime::lock;
use crate::runtime::redb_file::{self, Reopening};

/// The rows [`POSITION`], [`EARLIER_POSITION`] and [`LOGIN`], and those of [`Paused`].
const STATE: TableDefinition<&str, &[u8]> = TableDefinition::new("state");
/// Bot API dialog id to [`StoredPeer`].
const PEERS: TableDefinition<i64, &[u8]> = TableDefinition::new("peers");
const POSITION: &str = "position";
/// The position before the last change, which takes the place of one that cannot be read: what came
/// since then comes again, and the queue knows it.
const EARLIER_POSITION: &str = "earlier_position";
/// When the account was first followed, in milliseconds of Unix time.
const LOGIN: &str = "login";
/// When messages were sent in the last day, in milliseconds of Unix time.
const SENDS: TableDefinition<u64, ()> = TableDefinition::new("sends");
/// For how long they are kept, in milliseconds.
const SENDS_KEPT: u64 = 24 * 3600 * 1000;

/// The store; clones share it.
#[derive(Clone)]
pub(super) struct UpdateStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    database: Reopening,
    /// The peers met in this run as they are on disk, so that each is written only if it changes.
    peers: Mutex<HashMap<i64, StoredPeer>>,
    keeps_names: AtomicBool,
    position: Mutex<StoredPosition>,
    /// By [`Paused`].
    pauses: Mutex<[Option<StoredPause>; 2]>,
}

impl UpdateStore {
    /// Opens or creates the store of `account` (mode 0600). A store of another account is emptied.
    pub async fn open(path: &Path, account: i64) -> Result<Self, SessionError> {
        let file = path.to_owned();
        let inner = blocking(path, move || Inner::open(file, account)).await?;
        Ok(Self(Arc::new(inner)))
    }

    /// How much longer this is paused, and why; `None` if it may go on.
    pub fn pause(&self, what: Paused) -> Option<(Duration, String)> {
        let pauses = lock(&self.0.pauses);
        let pause = pauses[what as usize].as_ref()?;
        Some((pause.left()?, pause.why.clone()))
    }

    /// Remembers across restarts that this is paused for `length`. A shorter pause does not shorten
    /// a longer one. The pause begins at once, even if it cannot be stored.
    pub async fn set_pause(&self, what: Paused, length: Duration, why: String) -> Result<(), SessionError> {
        if self.pause(what).is_some_and(|(left, _)| left >= length) {
            return Ok(());
        }
        let pause = StoredPause::begin(self.0.position().account, length, why);
        lock(&self.0.pauses)[what as usize] = Some(pause.clone());
        self.blocking(move |inner| {
            let row = serde_json::to_vec(&pause).map_err(std::io::Error::from)?;
            let write = inner.database.begin_write()?;
            write.open_table(STATE)?.insert(what.row(), row.as_slice())?;
            Ok(write.commit()?)
        })
        .await
    }

    /// When the account was first followed, and when it has sent messages in the last day, in
    /// milliseconds of Unix time.
    pub async fn sends(&self) -> Result<(u64, Vec<u64>), SessionError> {
        self.blocking(|inner| {
            let read = inner.database.begin_read()?;
            let login = row(&read.open_table(STATE)?, LOGIN)?.unwrap_or_default();
            let mut times = Vec::new();
            for entry in read.open_table(SENDS)?.iter()? {
                times.push(entry?.0.value());
            }
            Ok((login, times))
        })
        .await
    }

    /// Remembers that a message is sent at `now`, in milliseconds of Unix time, and forgets those
    /// of more than a day ago.
    pub async fn add_send(&self, now: u64) -> Result<(), SessionError> {
        self.blocking(move |inner| {
            let write = inner.database.begin_write()?;
            {
                let mut sends = write.open_table(SENDS)?;
                let mut time = now;
                while sends.get(time)?.is_some() {
                    time += 1;
                }
                sends.insert(time, ())?;
                sends.retain_in(..now.saturating_sub(SENDS_KEPT), |_, ()| false)?;
            }
            Ok(write.commit()?)
        })
        .await
    }

    pub fn last_messages(&self) -> LastMessages {
        self.0.position().last_messages.clone()
    }

    /// Whether the list of chats has been read once.
    pub fn dialogs_walked(&self) -> bool {
        self.0.position().dialogs_walked
    }

    /// Remembers that the list of chats has been read.
    pub async fn set_dialogs_walked(&self) -> Result<(), SessionError> {
        self.blocking(|inner| inner.change_position(|stored| stored.dialogs_walked = true)).await
    }

    /// Whether the account was followed before. Every position that Telegram has given has a date.
    pub fn has_position(&self) -> bool {
        self.0.position().date != 0
    }

    pub fn position(&self) -> UpdatesState {
        self.0.position().state()
    }

    /// C2: stores the position together with the last messages. They are durable when it returns.
    /// Nothing is written if nothing has changed.
    pub async fn set_position(&self, state: UpdatesState, last: LastMessages) -> Result<(), SessionError> {
        if self.position() == state && self.0.position().last_messages == last {
            return Ok(());
        }
        self.blocking(move |inner| inner.change_position(|stored| stored.set(&state, last))).await
    }

    pub async fn peer(&self, id: PeerId) -> Result<Option<PeerInfo>, SessionError> {
        Ok(self.seen_peer(id).await?.map(|peer| peer.info))
    }

    /// A peer with what the owner's rules ask of it.
    pub async fn seen_peer(&self, id: PeerId) -> Result<Option<SeenPeer>, SessionError> {
        let Some(dialog) = id.bot_api_dialog_id() else { return Ok(None) };
        let stored = self.blocking(move |inner| inner.read_peer(dialog)).await?;
        Ok(stored.map(|peer| peer.seen(id)))
    }

    /// Has it stored from now on what users call themselves, which nobody else needs.
    pub fn keep_names(&self) {
        self.0.keeps_names.store(true, Ordering::Relaxed);
    }

    /// Stores peers. Where Telegram leaves something out that is known already, that is kept.
    pub async fn cache_peers(&self, mut peers: Vec<SeenPeer>) -> Result<(), SessionError> {
        if peers.is_empty() {
            return Ok(());
        }
        if !self.0.keeps_names.load(Ordering::Relaxed) {
            peers.iter_mut().for_each(|peer| peer.traits.called = None);
        }
        self.blocking(move |inner| inner.write_peers(&peers)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, SessionError> {
        let inner = Arc::clone(&self.0);
        blocking(&self.0.path, move || work(&inner)).await.inspect_err(|_| self.0.database.close())
    }
}

/// Runs `work` on a thread that may block. redb panics over some kinds of damage; such a panic
/// becomes an error.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, redb::Error> + Send + 'static,
) -> Result<T, SessionError> {
    let why = match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(stopped) if stopped.is_panic() => {
            format!("it is damaged ({stopped}); move it away, and updates are followed from now on")
        }
        Err(_) => "the program is stopping".to_owned(),
    };
    Err(SessionError::State { path: path.to_owned(), why })
}

impl Inner {
    fn open(path: PathBuf, account: i64) -> Result<Self, redb::Error> {
        redb_file::make(&path, |_| Ok(()))?;
        let database = Reopening::open(path.clone())?;
        let write = database.begin_write()?;
        let (position, pauses) = {
            let mut state = write.open_table(STATE)?;
            write.open_table(PEERS)?;
            let mut pauses: [Option<StoredPause>; 2] = [None, None];
            for what in Paused::ALL {
                let pause = row::<StoredPause>(&state, what.row())?;
                pauses[what as usize] = pause.filter(|pause| pause.account == account);
            }
            let stored = match row::<StoredPosition>(&state, POSITION)? {
                None if state.get(POSITION)?.is_some() => row(&state, EARLIER_POSITION)?,
                stored => stored,
            };
            let position = match stored {
                Some(stored) if stored.account == account => stored,
                _ => {
                    state.remove(POSITION)?;
                    state.remove(EARLIER_POSITION)?;
                    state.insert(LOGIN, unix_time::now_millis().to_string().as_bytes())?;
                    write.delete_table(PEERS)?;
                    write.open_table(PEERS)?;
                    write.delete_table(SENDS)?;
                    StoredPosition { account, ..StoredPosition::default() }
                }
            };
            write.open_table(SENDS)?;
            (position, pauses)
        };
        write.commit()?;
        Ok(Self {
            path,
            database,
            peers: Mutex::default(),
            keeps_names: AtomicBool::new(false),
            position: Mutex::new(position),
            pauses: Mutex::new(pauses),
        })
    }

    fn position(&self) -> std::sync::MutexGuard<'_, StoredPosition> {
        // It is replaced as a whole, so a panic elsewhere cannot have left it half written.
        lock(&self.position)
    }

    /// Changes memory only after the disk.
    fn change_position(&self, change: impl FnOnce(&mut StoredPosition)) -> Result<(), redb::Error> {
        let mut position = self.position();
        let mut changed = position.clone();
        change(&mut changed);
        let row = serde_json::to_vec(&changed).map_err(std::io::Error::from)?;
        let write = self.database.begin_write()?;
        {
            let mut state = write.open_table(STATE)?;
            // One that cannot be read is not passed on.
            let earlier = serde_json::to_vec(&*position).map_err(std::io::Error::from)?;
            state.insert(EARLIER_POSITION, earlier.as_slice())?;
            state.insert(POSITION, row.as_slice())?;
        }
        write.commit()?;
        *position = changed;
        Ok(())
    }

    fn read_peer(&self, dialog: i64) -> Result<Option<StoredPeer>, redb::Error> {
        let mut known = lock(&self.peers);
        if let Some(peer) = known.get(&dialog) {
            return Ok(Some(peer.clone()));
        }
        let table = self.database.begin_read()?.open_table(PEERS)?;
        let stored: Option<StoredPeer> = table.get(dialog)?.and_then(|row| readable(row.value(), dialog));
        if let Some(peer) = &stored {
            known.insert(dialog, peer.clone());
        }
        Ok(stored)
    }

    fn write_peers(&self, peers: &[SeenPeer]) -> Result<(), redb::Error> {
        let mut changed = Vec::new();
        for seen in peers {
            let Some(dialog) = seen.info.id().bot_api_dialog_id() else { continue };
            let known = self.read_peer(dialog)?;
            let peer = StoredPeer::from(seen).or(known.clone());
            if known.as_ref() != Some(&peer) {
                changed.push((dialog, peer));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut table = write.open_table(PEERS)?;
            for (dialog, peer) in &changed {
                let row = serde_json::to_vec(peer).map_err(std::io::Error::from)?;
                table.insert(dialog, row.as_slice())?;
            }
        }
        write.commit()?;
        lock(&self.peers).extend(changed);
        Ok(())
    }
}

/// What a row holds; `None` where it cannot be read, which costs this row and is logged.
fn readable<T: DeserializeOwned>(row: &[u8], key: impl Display) -> Option<T> {
    serde_json::from_slice(row)
        .inspect_err(|error| {
            warn!(
                event = "damaged_row",
                "updates.redb: the row {key} cannot be read and is left out: {error}"
            );
        })
        .ok()
}

/// A row of [`STATE`]; `None` where there is none that can be read.
fn row<T: DeserializeOwned>(
    state: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, redb::Error> {
    Ok(state.get(key)?.and_then(|row| readable(row.value(), key)))
}

#[cfg(test)]
mod tests;
